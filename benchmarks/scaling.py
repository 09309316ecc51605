"""What one server, one coordinator, one database and one cache carry: the figures of docs/scaling.md.

    python -m benchmarks.scaling prefect [TRIALS] [URL]
    python -m benchmarks.scaling storage [TRIALS] [URL]
    python -m benchmarks.scaling cache
    python -m benchmarks.scaling worker

URL is that of an empty PostgreSQL database, `postgresql+asyncpg://...` for Prefect and `postgresql://...` for Optuna;
without it the database is SQLite in a temporary home. TRIALS are those of each study, 30 of `prefect` and 200 of
`storage` by default. Each takes about two minutes on a quiet machine and prints JSON lines.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from benchmarks.flow_run import Clock, trivial_result, without_fits
from benchmarks.many_studies import features, refuse_failed_tasks
from flows.server.api import set_environment
from kallos.specs.study import TuneSpec

TRIALS, FOLDS = 30, 5
COORDINATORS = (1, 2, 4)
ENTRIES = 2000
_PATIENCE_SECONDS = 600


def spec_of(asset: str, trials: int = TRIALS) -> TuneSpec:
    """Return a study whose trials all have all their folds."""
    folds = {"n_folds": FOLDS, "window": 100}
    values = {"model_name": "gru", "data": {"asset_id": asset}, "folds": folds, "n_trials": trials, "pruner": "none"}
    return TuneSpec.model_validate({**values, "training": {"max_epochs": 1}})


def prefect(_: Path, url: str | None, trials: int = TRIALS) -> None:
    """Start a server, and measure it."""
    if url:
        os.environ["PREFECT_API_DATABASE_CONNECTION_URL"] = url
    from flows.server.local import start_local_server

    coordinators_of(start_local_server()(), trials)


def coordinators_of(api: str, trials: int, coordinators_at_once: tuple[int, ...] = COORDINATORS) -> None:
    """Run studies without fits side by side against one server, and print what a fold's task costs where.

    The server is a child of this process.
    """
    started = datetime.now(UTC)
    _write_features([f"A{number}" for number in range(sum(coordinators_at_once))])
    server = max(psutil.Process().children(), key=lambda child: child.memory_info().rss)
    done, assets = 0, iter(range(sum(coordinators_at_once)))
    for coordinators in coordinators_at_once:
        cpu = _cpu_seconds(server)
        command = [sys.executable, "-m", "benchmarks.scaling", "coordinator"]
        environment = {**os.environ, "PREFECT_API_URL": api}
        studies = [
            subprocess.Popen(
                [*command, f"A{next(assets)}", str(trials)], env=environment, stdout=subprocess.PIPE, text=True
            )
            for _ in range(coordinators)
        ]
        messages = [json.loads(study.communicate()[0].splitlines()[-1]) for study in studies]
        ended = max(each["last_tell"] for each in messages)
        folds = coordinators * trials * FOLDS
        done += folds
        stored = _wait_until_stored(api, started, done)
        begun = min(each["first_ask"] for each in messages)
        _say(
            coordinators=coordinators,
            folds_per_second=folds / (ended - begun),
            stored_per_second=folds / (max(stored, ended) - begun),
            server_cpu_ms_per_fold=1000 * (_cpu_seconds(server) - cpu) / folds,
            coordinator_cpu_ms_per_fold=1000 * sum(each["cpu"] for each in messages) / folds,
            coordinator_mb=max(each["memory"] for each in messages) / 1e6,
            coordinator_kb_per_trial=sum(each["grown"] for each in messages) / coordinators / trials / 1e3,
            server_mb=server.memory_info().rss / 1e6,
        )
    refuse_failed_tasks(api, started)


def coordinator(asset: str, trials: int) -> None:
    """Run one study without fits in this process, and print when its folds began and ended, and what it took."""
    import flows.tune
    from flows.session import watching

    flows.places.FoldPool = without_fits()  # type: ignore[assignment, misc]
    clock, process, cpu = Clock(), psutil.Process(), [0.0, 0.0]

    def watch(event: Any) -> None:
        clock(event)
        # The first trial pays for imports.
        cpu[1] = _cpu_seconds(process)
        if len(clock.told) == 1 and not cpu[0]:
            cpu[0] = cpu[1]

    with watching(watch):
        flows.tune.tune(spec_of(asset, trials), output_dir=str(Path(os.environ["KALLOS_HOME"]) / "results"))
    # Both clocks of one machine.
    shift = time.time() - time.perf_counter()
    figures = {"first_ask": clock.first_ask + shift, "last_tell": clock.told[-1] + shift}
    figures |= {"cpu": (cpu[1] - cpu[0]) * trials / (trials - 1), "memory": max(clock.memory)}
    sys.stdout.write(json.dumps(figures | {"grown": clock.memory[-1] - clock.memory[trials // 10]}) + "\n")


def storage(home: Path, url: str | None, trials: int = 200) -> None:
    """Run a study without fits with its record in memory and in a database, and print what the record costs."""
    from kallos.planning import plan_study
    from kallos.study.record import open_record
    from kallos.tuner import run_tuning

    plan = plan_study(features(0), spec_of("A0", trials), str(home / "snapshots"))
    run_tuning(plan, evaluate=trivial_result, more_trials=1)
    begun = time.perf_counter()
    run_tuning(plan, evaluate=trivial_result)
    in_memory = time.perf_counter() - begun
    with open_record(url or f"sqlite:///{home / 'studies.db'}", plan) as record:
        begun = time.perf_counter()
        run_tuning(plan, evaluate=trivial_result, record=record)
        recorded = time.perf_counter() - begun
    _say(
        trials=trials,
        ms_per_trial_in_memory=1000 * in_memory / trials,
        ms_per_trial_of_the_record=1000 * (recorded - in_memory) / trials,
    )


def cache(home: Path, _: str | None, n_entries: int = ENTRIES) -> None:
    """Write and read entries of the fold cache, in a folder and through fsspec, and print how many a second."""
    from kallos.cache import FoldCache
    from kallos.planning import plan_study

    plan = plan_study(features(0), spec_of("A0", 1), str(home / "snapshots"))
    job, *_ = plan.trial_jobs(0, plan.space.defaults("gru"))
    result = trivial_result(job)
    names = [f"{number * 7919 % 2**32:064x}"[::-1] for number in range(n_entries)]
    for kind, folder in {"folder": home / "cache", "file URL": f"file://{home}/by-url"}.items():
        entries = FoldCache(folder)
        moments = [time.perf_counter()]
        for name in names:
            entries.write(name, result)
        moments.append(time.perf_counter())
        for name in names:
            assert entries.read(name) is not None
        moments.append(time.perf_counter())
        written, read = (n_entries / (b - a) for a, b in pairwise(moments))
        size = entries.holdings().size_bytes / n_entries
        _say(cache=kind, writes_per_second=written, reads_per_second=read, bytes_per_entry=size)


def worker(home: Path, _: str | None) -> None:
    """Fit two folds in a worker process, and print its memory and what its first fold costs beside the fit."""
    from kallos.planning import plan_study
    from kallos.scoring.fold import evaluate_fold
    from kallos.scoring.job import FoldJob
    from kallos.tuner import run_tuning
    from kallos.workers.processes import FoldPool

    jobs: list[FoldJob] = []
    plan = plan_study(features(0), spec_of("A0", 1), str(home / "snapshots"))

    def keep(job: FoldJob) -> Any:
        jobs.append(job)
        return trivial_result(job)

    run_tuning(plan, evaluate=keep)
    with FoldPool(1) as pool:
        walls = []
        for job in jobs[:2]:
            begun = time.perf_counter()
            pool.run(evaluate_fold, job)
            walls.append(time.perf_counter() - begun)
        # Workers are children of the process that they are forked from.
        own = psutil.Process()
        workers = [child for child in own.children(recursive=True) if child.ppid() != own.pid]
        memory = max(workers, key=lambda child: child.memory_info().rss).memory_full_info()
    _say(
        rss_mb=memory.rss / 1e6,
        of_its_own_mb=memory.uss / 1e6,
        seconds_of_the_first_fold=walls[0],
        seconds_of_the_second_fold=walls[1],
    )


def _write_features(assets: list[str]) -> None:
    from kallos.features.store import FeatureStore
    from kallos.settings import Settings

    with FeatureStore(Settings.read().features_url) as store:
        store.write({asset: features(number) for number, asset in enumerate(assets)})


def _wait_until_stored(api: str, started: datetime, count: int) -> float:
    """Wait until the server has stored so many tasks of folds as completed, and return when, in seconds since 1970."""
    import httpx

    found = {
        "name": {"like_": "trial-"},
        "state": {"type": {"any_": ["COMPLETED"]}},
        "start_time": {"after_": started.isoformat()},
    }
    until = time.time() + _PATIENCE_SECONDS
    while httpx.post(f"{api}/task_runs/count", json={"task_runs": found}, timeout=60).json() < count:
        if time.time() > until:
            raise SystemExit("the server has not stored all tasks within ten minutes")
        time.sleep(0.5)
    return time.time()


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _say(**figures: Any) -> None:
    rounded = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in figures.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")
    sys.stdout.flush()


def main() -> None:
    name, *rest = sys.argv[1:] or [""]
    if name == "coordinator":
        set_environment()
        coordinator(rest[0], int(rest[1]))
        return
    kinds: dict[str, Callable[..., None]] = {"prefect": prefect, "storage": storage, "cache": cache, "worker": worker}
    if name not in kinds:
        raise SystemExit(f"benchmarks.scaling measures one of {', '.join(kinds)}, not {name!r}")
    with tempfile.TemporaryDirectory(prefix="kallos-scaling-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        set_environment(KALLOS_HOME=folder, PREFECT_HOME=str(home / "prefect"))
        trials = [int(each) for each in rest if each.isdigit()]
        urls = [each for each in rest if not each.isdigit()]
        kinds[name](home, urls[0] if urls else None, *trials)


if __name__ == "__main__":
    main()
