"""`kallos-run repro`: run what a study chose again."""

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

    If the study has an ensemble, its trials are run, too. Fits all folds again, without the cache. The exit code is 1
    if a score differs.
    """
    from kallos.specs.study import study_title
    from kallos.study.again import plan_again, study_rows
    from kallos.study.best_params import read_best_params_file
    from kallos.study.members import recorded
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
    members = {member.trial: member for record in recorded(best) for member in record.members}
    for trial, member in members.items():
        params = ", ".join(f"{name}={short(value)}" for name, value in member.params.items())
        console.print(f"{study_title(best.spec)}, trial {trial}: {params}")
    for difference in what_differs(best, plan):
        console.print(f"changed since: {difference}", style="yellow")
    n_fits = len(plan.folds) * len(members)
    workers = min(workers or physical_cores(), n_fits)
    with console.status(f"fitting {counted(n_fits, 'fold')}"), FoldPool(workers, retries=2) as pool:
        compared = reproduce(best, plan, evaluate=pool.evaluate, workers=workers)
    label = best.spec.metric_label
    if all(each.is_same for each in compared):
        means = "; ".join(f"{each.name} {label} {each.then!r}" for each in compared if each.name.endswith("mean"))
        console.print(f"identical, bit for bit: {counted(len(plan.folds), 'fold')}, {means}")
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
