"""Studies whose fits take no time: cached folds, nights, many trials."""

import statistics
from typing import Any

from benchmarks.bench import Bench
from benchmarks.studies import spec_of
from kallos.specs.files import merge
from kallos.specs.study import TuneSpec


def cached_folds(bench: Bench, n_trials: int = 100, **over: Any) -> None:
    """Folds that are in the cache, in a study that is not recorded."""
    home = bench.new_home()
    spec = spec_of("btc", n_trials=n_trials, pruner="none", **over)
    bench.flow(spec, home, trivial=True, workers=1)
    n_folds = n_trials * spec.folds.n_folds
    runs = []
    for _ in range(bench.repeats):
        for path in home.glob("studies.db*"):
            if path.is_file():
                path.unlink()
        runs.append(bench.flow(spec, home, trivial=True, workers=1))
    assert not any(run["fits"] for run in runs)
    each = [1000 * run["study_seconds"] / n_folds for run in runs]
    bench.note(f"{n_folds} cached folds, ms per fold", statistics.median(each), at_most=5, each=each)


def nights(bench: Bench, more: int = 10, **over: Any) -> None:
    """One more day; then a window that closes."""

    def night(last_day: str, n_trials: int, **values: Any) -> TuneSpec:
        return spec_of("btc", **merge(over, {"data": {"end_date": last_day}, "n_trials": n_trials, **values}))

    home = bench.new_home()
    first, second = (
        bench.flow(night(day, 4 * more), home, trivial=True, workers=2, more_trials=more)
        for day in ("2024-09-28", "2024-09-29")
    )
    repeated = len(set(first["fitted"]) & set(second["fitted"]))
    assert len(second["trials"]) == 2 * more
    bench.note(f"a night (one more day, --more-trials {more}): fits repeated", repeated, at_most=0)
    home = bench.new_home()
    bench.flow(night("2024-09-29", 2 * more, pruner="none"), home, trivial=True, workers=2)
    closed = night("2024-09-30", 4 * more, pruner="none", warm_start=more)
    warm = bench.flow(closed, home, trivial=True, workers=2, more_trials=more)
    assert (warm["warm"], len(warm["trials"])) == (more, more)
    reused = 1 - warm["fits"] / (more * closed.folds.n_folds)
    bench.note(
        f"a window closes, --warm-start {more}: share of the warm trials' folds reused",
        reused,
        at_least=1 - 1 / closed.folds.n_folds,
    )


def many_trials(bench: Bench, n_trials: int = 1000, **over: Any) -> None:
    """Trials that take no time: memory, and the cost of a trial."""
    long = bench.flow(spec_of("btc", n_trials=n_trials, **over), bench.new_home(), trivial=True, workers=1)
    few, width = n_trials // 5, n_trials // 40
    grown = (long["memory"][few - 1] - long["memory"][0]) / 1e6
    bench.note(f"coordinator memory, {few} trials, growth in MB", grown, at_most=50)
    early, late = (
        statistics.median(long["trial_seconds"][at - width : at + width]) for at in (n_trials // 10, n_trials - width)
    )
    bench.note(
        f"cost per trial at trial {n_trials:,} / at trial {n_trials // 10}",
        late / early,
        at_most=2,
        early_ms=1000 * early,
        late_ms=1000 * late,
    )
