"""Commands as they are typed, from the start of their process: a first fit, a finished study, predictions, CPU time."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bench import KALLOS_RUN, Bench
from benchmarks.studies import plan_of, spec_of, study_file
from kallos.cache import FoldCache
from kallos.scoring.result import FoldFit

_POLL_SECONDS = 0.05


def first_fit(bench: Bench, *, unmeasured: int = 1, **over: Any) -> None:
    """Seconds from the start of `kallos-run tune` on a new study until its first fit begins.

    A fit begins so many seconds before its forecasts are in the cache as it says that it took. The first command, which
    is not measured, leaves what a machine has that has tuned before: Prefect's database, and compiled code.
    """
    waits = [_wait_for_a_fit(bench, {"n_trials": 1, **over}) for _ in range(unmeasured + bench.repeats)]
    measured = waits[unmeasured:]
    bench.note("first fit begins after the command, s", statistics.median(measured), at_most=9, each=measured)


def _wait_for_a_fit(bench: Bench, over: dict[str, Any]) -> float:
    home = bench.new_home()
    started = time.time()
    bench.timed(tune_of(home, **over), home)
    return min(written - fit.seconds for written, fit in fits_of(home)) - started


def finished_study(bench: Bench, **over: Any) -> None:
    """The rerun of a finished study."""
    home = bench.new_home()
    bench.flow(spec_of("btc", **over), home, trivial=True, workers=2)
    before = list(fits_of(home))
    each = [bench.timed(tune_of(home, **over), home)[0] for _ in range(bench.repeats)]
    # Nothing was fitted.
    assert list(fits_of(home)) == before
    bench.note("rerun of a finished study, whole process, s", statistics.median(each), at_most=9, each=each)


def cpu_beside_fits(bench: Bench, n_trials: int = 12, **over: Any) -> None:
    """CPU seconds of all processes of `kallos-run tune` on a study of ridge, less what its fits took."""
    over = {"model_name": "ridge", "pruner": "none", "n_trials": n_trials, **over}
    runs = [_cpu_and_fits(bench, over) for _ in range(bench.repeats)]
    bench.note(
        f"ridge study of {n_trials} trials x {spec_of('btc', **over).folds.n_folds} folds, CPU seconds beside fits",
        statistics.median(cpu - fits for cpu, fits in runs),
        at_most=8,
        cpu_seconds=[cpu for cpu, _ in runs],
        fit_seconds=[fits for _, fits in runs],
    )


def _cpu_and_fits(bench: Bench, over: dict[str, Any]) -> tuple[float, float]:
    home = bench.new_home()
    with cpu_of_children() as spent:
        bench.timed(tune_of(home, **over), home)
    return spent(), sum(fit.seconds for _, fit in fits_of(home))


def prediction(bench: Bench, model_name: str, at_most: float, **over: Any) -> None:
    """`kallos-run predict` with a model of this architecture, trained with the default number of seeds."""
    home = bench.new_home()
    spec = spec_of("btc", **{"model_name": model_name, "n_trials": 1, **over})
    model = _trained(spec, home)
    command = [KALLOS_RUN, "predict", "--model", model]
    # The first one reads files that the later ones find in memory.
    bench.timed(command, home)
    each = [bench.timed(command, home)[0] for _ in range(bench.repeats)]
    bench.note(f"predict, {model_name}, whole process, s", statistics.median(each), at_most=at_most, each=each)


def _trained(spec: Any, home: Path) -> str:
    """Train the best trial of a study in this process, and return the model's folder."""
    from kallos.models.files import write_model
    from kallos.models.trainer import choose, train
    from kallos.study.best_params import BestParams
    from kallos.tuner import run_tuning

    plan = plan_of(spec, home)
    best = BestParams.of(run_tuning(plan))
    return write_model(train(best, plan.snapshot, choose(best, "best"), seeds=spec.seeds), str(home / "model"))


def tune_of(home: Path, **over: Any) -> list[str]:
    """Return the command that tunes a study on BTC, whose file it writes."""
    study = home / "study.toml"
    study.write_text(study_file("btc", **over))
    return [KALLOS_RUN, "tune", "--study", str(study), "--output-dir", str(home / "results")]


def fits_of(home: Path) -> Iterator[tuple[float, FoldFit]]:
    """Yield when each fold of a home's cache was written, in seconds since 1970, and how it was fitted."""
    cache = FoldCache(home / "fold-cache")
    for path in sorted((home / "fold-cache").glob("*/*.safetensors")):
        result = cache.read(path.stem)
        assert result is not None, path
        yield path.stat().st_mtime, result.fit


@contextmanager
def cpu_of_children() -> Iterator[Callable[[], float]]:
    """Sum the CPU seconds of all processes below this one inside the block; the function yielded returns them.

    They are asked again and again, because the system's own sum lacks processes that nobody has waited for, such as
    workers. What a process does in the last twentieth of a second before its end is missing.
    """
    seconds: dict[tuple[int, float], float] = {}

    def ask() -> None:
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error), child.oneshot():
                times = child.cpu_times()
                seconds[child.pid, child.create_time()] = times.user + times.system

    ask()
    before, ended = dict(seconds), threading.Event()

    def watch() -> None:
        while not ended.wait(_POLL_SECONDS):
            ask()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: sum(spent - before.get(process, 0.0) for process, spent in seconds.items())
    finally:
        ended.set()
        watcher.join()
