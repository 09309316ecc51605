"""`kallos-run repro`: run a study's best trial again."""

import sys
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from flows.flags import FeaturesUrl, Workers
from flows.wording import Console
from kallos.settings import Settings


def repro(
    file: Annotated[str, Parameter(help="best_params.json of a study or a copy of it, or its fsspec URL.")],
    /,
    *,
    workers: Workers = None,
    db_url: FeaturesUrl = None,
) -> None:
    """Run a study's best trial again, and check that its scores are the same, bit for bit.

    Fits all folds again, without the cache. The exit code is 1 if a score differs.
    """
    from kallos.specs.study import study_title
    from kallos.study.again import plan_again, study_rows
    from kallos.study.best_params import read_best_params_file
    from kallos.study.reproduction import reproduce, what_differs
    from kallos.words import counted, short
    from kallos.workers.processes import FoldPool, physical_cores

    console = Console()
    settings = Settings.read()
    with console.status("reading the rows"):
        best = read_best_params_file(file)
        rows, snapshot = study_rows(
            best, settings.snapshots, features_url=db_url or settings.features_url, timeout=settings.db_timeout
        )
        plan = plan_again(best, rows, snapshot)
    params = ", ".join(f"{name}={short(value)}" for name, value in best.best_params.items())
    console.print(f"{study_title(best.spec)}, trial {best.best_trial}: {params}")
    for difference in what_differs(best, plan):
        console.print(f"changed since: {difference}", style="yellow")
    workers = min(workers or physical_cores(), len(plan.folds))
    with console.status(f"fitting {counted(len(plan.folds), 'fold')}"), FoldPool(workers, retries=2) as pool:
        compared = reproduce(best, plan, evaluate=pool.evaluate, workers=workers)
    label = best.spec.metric_label
    if all(each.is_same for each in compared):
        console.print(f"identical, bit for bit: {counted(len(plan.folds), 'fold')}, mean {label} {best.best_value!r}")
        return
    table = Table(title=f"{label}, then and now", title_justify="left", title_style="bold")
    table.add_column("")
    for heading in ("in the file", "here", "difference"):
        table.add_column(heading, justify="right")
    for each in compared:
        differs = "none" if each.is_same else f"{each.relative:+.2e}"
        table.add_row(each.name, repr(each.then), repr(each.now), differs)
    console.print(table)
    console.print("not identical")
    sys.exit(1)
