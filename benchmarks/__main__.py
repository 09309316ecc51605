"""Measures Kallos against its targets and the plain loop: `make bench`.

    python -m benchmarks [--repeats N] [NAME ...]

Writes `benchmarks/results.json` and prints one table. Everything runs one after another, in processes of its own,
in a temporary home. Times are medians of N runs, of loops N pairs.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import commands, loops, orchestration
from benchmarks.bench import HERE, Bench, keep
from benchmarks.ingest import a_million_bars


def fits(bench: Bench) -> None:
    """Fits by Lightning and by Kallos."""
    # Torch and Lightning, which nothing else here needs.
    from benchmarks.lean_fits import every_model

    every_model(bench)


MEASUREMENTS: dict[str, Callable[[Bench], None]] = {
    "btc": lambda bench: loops.against_the_plain_loop(bench, "btc", 7.5),
    "btc-unpruned": lambda bench: loops.against_the_plain_loop(bench, "btc", 5, pruner="none"),
    "etth1": lambda bench: loops.against_the_plain_loop(bench, "etth1", 5),
    "workers": loops.two_workers,
    "fits": fits,
    "first-fit": commands.first_fit,
    "finished": commands.finished_study,
    "predict-ridge": lambda bench: commands.prediction(bench, "ridge", 2),
    "predict-gru": lambda bench: commands.prediction(bench, "gru", 6.5),
    "ridge": commands.cpu_beside_fits,
    "cached": orchestration.cached_folds,
    "nights": orchestration.nights,
    "many": orchestration.many_trials,
    "ingest": a_million_bars,
}


def table_of(bench: Bench) -> Table:
    """Return a row per figure."""
    table = Table("figure", "measured", "to reach", "reached")
    for each in bench.figures:
        reached = {True: "yes", False: "no", None: ""}[each["reached"]]
        table.add_row(each["figure"], f"{each['value']:.4g}", each["target"], reached)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which figures are medians")
    parser.add_argument("--file", type=Path, default=HERE / "results.json", help="where to keep the figures")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in MEASUREMENTS]:
        parser.error(f"NAME must be one of {', '.join(MEASUREMENTS)}, not {unknown[0]!r}")
    machine = {
        "cores": psutil.cpu_count(logical=False),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "python": platform.python_version(),
    }
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kallos-bench-", ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder), given.repeats)
        for name in given.names or MEASUREMENTS:
            MEASUREMENTS[name](bench)
            # At once: a later measurement may fail.
            keep(bench.figures, machine, given.file)
    Console().print(table_of(bench))
    Console(stderr=True).print(f"{(time.perf_counter() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
