"""Measures Kallos against its targets and the plain loop: `make bench`.

Writes `benchmarks/results.json` and prints one table. Everything runs one after another, in processes of its own,
in a temporary home.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.ingest import a_million_bars
from benchmarks.studies import rmse_of, spec_of, untouched_job, write_features
from kallos.specs.files import merge
from kallos.specs.study import TuneSpec
from kallos.workers.processes import FoldPool

HERE = Path(__file__).parent
SEEDS = (101, 102, 103)


class Bench:
    """Runs measurements in a temporary home, and keeps the figures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.figures: list[dict[str, Any]] = []
        self.homes = 0

    def new_home(self) -> Path:
        """Return a home with the features in it and nothing else."""
        self.homes += 1
        home = self.folder / f"home-{self.homes}"
        home.mkdir()
        write_features(home)
        return home

    def timed(self, command: list[str], home: Path) -> tuple[float, str]:
        """Run a command to its end; return its wall time in seconds, and what it printed."""
        environment = {
            **os.environ,
            "KALLOS_HOME": str(home),
            "PREFECT_HOME": str(self.folder / "prefect"),
            "COLUMNS": "80",
        }
        started = time.perf_counter()
        done = subprocess.run(command, env=environment, cwd=HERE.parent, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command[:4])} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return time.perf_counter() - started, done.stdout

    def flow(self, spec: TuneSpec, home: Path, *, trivial: bool = False, **run: Any) -> dict[str, Any]:
        """Run the flow, and return what it measured of itself beside the wall time of its process."""
        out = home / "results"
        out.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.flow_run", spec.model_dump_json(), json.dumps(run), str(out)]
        wall, _ = self.timed([*command, *(["trivial"] if trivial else [])], home)
        return {"wall": wall, **json.loads((out / "measured.json").read_text())}

    def plain(self, study: str, home: Path, *arguments: object) -> dict[str, Any]:
        """Run the plain loop."""
        command = [sys.executable, "-m", "benchmarks.plain", study, str(home), *map(str, arguments)]
        wall, message = self.timed(command, home)
        return {"wall": wall, **json.loads(message.splitlines()[-1])}

    def note(self, figure: str, value: float, target: str, reached: bool | None, **details: Any) -> None:
        """Keep a figure, and print it at once."""
        self.figures.append({"figure": figure, "value": value, "target": target, "reached": reached, **details})
        Console(stderr=True).print(f"{figure}: {value:.4g} (to reach: {target})", highlight=False)


def against_the_plain_loop(bench: Bench, study: str, target: float | None) -> None:
    """Wall time of the plain loop over that of Kallos, what each part brings, and what the parameters are worth.

    Both try the same parameter sets, those that Kallos drew.
    """
    home = bench.new_home()
    kallos = bench.flow(spec_of(study), home, workers=2)
    tried = home / "params.json"
    tried.write_text(json.dumps([trial["params"] for trial in kallos["trials"]]))
    plain = bench.plain(study, home, tried)
    few = 2
    some_plain = bench.plain(study, home, tried, few)["wall"]
    one_thread = bench.plain(study, home, tried, few, 1)["wall"]
    ratio = plain["wall"] / kallos["wall"]
    bench.note(
        f"{study}: plain loop / kallos, 2 workers, default pruning",
        ratio,
        f"{target:g} or more" if target else "reported",
        None if target is None else ratio >= target,
        plain_seconds=plain["wall"],
        kallos_seconds=kallos["wall"],
        kallos_seconds_first_ask_to_last_tell=kallos["study_seconds"],
        plain_threads_part=some_plain / one_thread,
        fits_saved_by_pruning=kallos["saved"],
        kallos_best=kallos["best_value"],
        plain_best=plain["best_value"],
        baseline=kallos["baseline_value"],
    )
    with FoldPool(2) as pool:
        mean = {}
        for name, found in (("kallos", kallos), ("plain", plain)):
            jobs = [untouched_job(study, found["best_params"], seed, home) for seed in SEEDS]
            mean[name] = statistics.mean(rmse_of(job, pool.evaluate(job)) for job in jobs)
    bench.note(
        f"{study}: RMSE of the best parameters on an untouched window, kallos / plain, mean of 3 seeds",
        mean["kallos"] / mean["plain"],
        "1.01 or less",
        mean["kallos"] <= 1.01 * mean["plain"],
        **mean,
    )


def two_workers(bench: Bench) -> None:
    """Throughput of two workers over one, and what one worker's study spends beside fits."""
    spec = spec_of("btc", n_trials=24, pruner="none")
    one, two = (bench.flow(spec, bench.new_home(), workers=workers) for workers in (1, 2))
    assert one["trials"] == two["trials"]
    speed_up = one["study_seconds"] / two["study_seconds"]
    bench.note(
        "workers 1 -> 2, throughput, no pruning, 24 trials",
        speed_up,
        "1.85 or more",
        speed_up >= 1.85,
        one_seconds=one["study_seconds"],
        two_seconds=two["study_seconds"],
        one_fit_seconds=one["fit_seconds"],
        two_fit_seconds=two["fit_seconds"],
    )
    share = 1 - one["fit_seconds"] / one["study_seconds"]
    bench.note("orchestration with one worker: (wall - fits) / wall", share, "0.02 or less", share <= 0.02)


def cached_folds(bench: Bench) -> None:
    """500 folds that are in the cache, in a study that is not recorded."""
    home = bench.new_home()
    spec = spec_of("btc", n_trials=100, pruner="none")
    bench.flow(spec, home, trivial=True, workers=1)
    for path in home.glob("studies.db*"):
        if path.is_file():
            path.unlink()
    again = bench.flow(spec, home, trivial=True, workers=1)
    assert not again["fits"]
    each = 1000 * again["study_seconds"] / 500
    bench.note("500 cached folds, ms per fold", each, "10 or less", each <= 10)


def finished_study(bench: Bench) -> None:
    """The rerun of a finished study, as the command is typed."""
    home = bench.new_home()
    bench.flow(spec_of("btc"), home, trivial=True, workers=2)
    study = home / "study.toml"
    spec = spec_of("btc")
    study.write_text(
        f'n_trials = {spec.n_trials}\n[data]\nasset_id = "BTC"\nstart_date = "{spec.data.start_date}"\n'
        f'end_date = "{spec.data.end_date}"\n[training]\nmax_epochs = {spec.training.max_epochs}\n'
        f"patience = {spec.training.patience}\n"
    )
    command = [str(Path(sys.executable).with_name("kallos-run")), "tune", "--study", str(study)]
    wall, message = bench.timed([*command, "--output-dir", str(home / "results")], home)
    assert "0 folds were fitted in this run" in message, message
    bench.note("rerun of a finished study, whole process, s, with 0 fits", wall, "15 or less", wall <= 15)


def nights(bench: Bench) -> None:
    """One more day; then a window that closes."""
    home = bench.new_home()
    spec = spec_of("btc", n_trials=40, data={"end_date": "2024-09-28"}, folds={"n_folds": 5})
    first = bench.flow(spec, home, trivial=True, workers=2, more_trials=10)
    one_more_day = TuneSpec.model_validate(merge(spec.model_dump(), {"data": {"end_date": "2024-09-29"}}))
    second = bench.flow(one_more_day, home, trivial=True, workers=2, more_trials=10)
    repeated = len(set(first["fitted"]) & set(second["fitted"]))
    assert len(second["trials"]) == 20
    bench.note("a night (one more day, --more-trials 10): fits repeated", repeated, "0", repeated == 0)
    closed = spec_of("btc", n_trials=40, warm_start=10, pruner="none", folds={"n_folds": 5})
    before = spec_of("btc", n_trials=20, pruner="none", data={"end_date": "2024-09-29"}, folds={"n_folds": 5})
    home = bench.new_home()
    bench.flow(before, home, trivial=True, workers=2)
    warm = bench.flow(closed, home, trivial=True, workers=2, more_trials=10)
    assert (warm["warm"], len(warm["trials"])) == (10, 10)
    reused = 1 - warm["fits"] / 50
    bench.note("a window closes, --warm-start 10: share of the warm trials' folds reused", reused, "0.8", reused >= 0.8)


def many_trials(bench: Bench) -> None:
    """A thousand trials that take no time: memory, and the cost of a trial."""
    long = bench.flow(spec_of("btc", n_trials=1000), bench.new_home(), trivial=True, workers=1)
    grown = (long["memory"][199] - long["memory"][0]) / 1e6
    bench.note("coordinator memory, 200 trials, growth in MB", grown, "50 or less", grown <= 50)
    early, late = (statistics.median(long["trial_seconds"][at - 25 : at + 25]) for at in (100, 975))
    bench.note(
        "cost per trial at trial 1,000 / at trial 100",
        late / early,
        "2 or less",
        late / early <= 2,
        early_ms=1000 * early,
        late_ms=1000 * late,
    )


def main() -> None:
    measurements: dict[str, Callable[[Bench], None]] = {
        "btc": lambda bench: against_the_plain_loop(bench, "btc", 4),
        "etth1": lambda bench: against_the_plain_loop(bench, "etth1", None),
        "workers": two_workers,
        "cached": cached_folds,
        "finished": finished_study,
        "nights": nights,
        "many": many_trials,
        "ingest": a_million_bars,
    }
    chosen = sys.argv[1:] or list(measurements)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kallos-bench-") as folder:
        bench = Bench(Path(folder))
        for name in chosen:
            measurements[name](bench)
    table = Table("figure", "measured", "to reach", "reached")
    for each in bench.figures:
        reached = {True: "yes", False: "no", None: ""}[each["reached"]]
        table.add_row(each["figure"], f"{each['value']:.4g}", each["target"], reached)
    Console().print(table)
    machine = {
        "cores": psutil.cpu_count(logical=False),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "python": platform.python_version(),
    }
    Console(stderr=True).print(f"{(time.perf_counter() - started) / 60:.1f} minutes")
    keep(bench.figures, machine)


def keep(figures: list[dict[str, Any]], machine: dict[str, Any]) -> None:
    """Write figures into the results; those of measurements that were not run stay."""
    path = HERE / "results.json"
    before = json.loads(path.read_text())["figures"] if path.exists() else []
    merged = {each["figure"]: each for each in (*before, *figures)}
    path.write_text(json.dumps({"machine": machine, "figures": list(merged.values())}, indent=2) + "\n")


if __name__ == "__main__":
    main()
