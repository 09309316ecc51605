"""Whole studies: Kallos beside the plain loop, and two workers beside one."""

import statistics
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.studies import rmse_of, spec_of, untouched_job
from kallos.specs.study import TuneSpec
from kallos.workers.processes import FoldPool

SEEDS = (101, 102, 103)
# What is tried with one thread and with all.
FEW = 2
_PRUNINGS = {"folds": "default pruning", "none": "no pruning"}


def against_the_plain_loop(
    bench: Bench, study: str, target: float, *, pruner: str = "folds", seeds: tuple[int, ...] = SEEDS, **over: Any
) -> None:
    """Wall time of the plain loop over that of Kallos, from the start of the process to its end, in pairs.

    Both try the same parameter sets, those that Kallos drew. With the default pruner, the parameters that each finds
    best are scored on the untouched window, too.
    """
    spec = spec_of(study, pruner=pruner, **over)
    pairs = [_pair(bench, spec) for _ in range(bench.repeats)]
    kallos, plain = pairs[0]
    # The same trials each time, or else the times are of different work.
    assert all(each["trials"] == kallos["trials"] for each, _ in pairs)
    ratios = [theirs["wall"] / ours["wall"] for ours, theirs in pairs]
    bench.note(
        f"{study}: plain loop / kallos, 2 workers, {_PRUNINGS[pruner]}",
        statistics.median(ratios),
        at_least=target,
        ratios=ratios,
        plain_seconds=[theirs["wall"] for _, theirs in pairs],
        kallos_seconds=[ours["wall"] for ours, _ in pairs],
        kallos_seconds_first_ask_to_last_tell=[ours["study_seconds"] for ours, _ in pairs],
        fits_saved_by_pruning=kallos["saved"],
        kallos_best=kallos["best_value"],
        plain_best=plain["best_value"],
        baseline=kallos["baseline_value"],
    )
    if pruner == "none":
        return
    home = bench.new_home()
    tried = [trial["params"] for trial in kallos["trials"][:FEW]]
    with_all, with_one = (bench.plain(spec, home, tried, *threads)["wall"] for threads in ((), (1,)))
    bench.note(f"{study}: plain loop of {FEW} trials, all threads / one thread", with_all / with_one)
    mean = {
        name: _untouched_rmse(study, found["best_params"], home, seeds, over)
        for name, found in (("kallos", kallos), ("plain", plain))
    }
    bench.note(
        f"{study}: RMSE of the best parameters on an untouched window, kallos / plain, mean of 3 seeds",
        mean["kallos"] / mean["plain"],
        at_most=1.01,
        **mean,
    )


def _pair(bench: Bench, spec: TuneSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what Kallos measures, in a new home, and then the plain loop."""
    home = bench.new_home()
    kallos = bench.flow(spec, home, workers=2)
    return kallos, bench.plain(spec, home, [trial["params"] for trial in kallos["trials"]])


def _untouched_rmse(
    study: str, params: dict[str, Any], home: Path, seeds: tuple[int, ...], over: dict[str, Any]
) -> float:
    jobs = [untouched_job(study, params, home, seed=seed, **over) for seed in seeds]
    with FoldPool(2) as pool:
        return statistics.mean(rmse_of(job, pool.evaluate(job)) for job in jobs)


def two_workers(bench: Bench, n_trials: int = 24, **over: Any) -> None:
    """Throughput of two workers over one, and what one worker's study spends beside fits."""
    spec = spec_of("btc", n_trials=n_trials, pruner="none", **over)
    one, two = (bench.flow(spec, bench.new_home(), workers=workers) for workers in (1, 2))
    assert one["trials"] == two["trials"]
    bench.note(
        f"workers 1 -> 2, throughput, no pruning, {n_trials} trials",
        one["study_seconds"] / two["study_seconds"],
        at_least=1.85,
        one_seconds=one["study_seconds"],
        two_seconds=two["study_seconds"],
        one_fit_seconds=one["fit_seconds"],
        two_fit_seconds=two["fit_seconds"],
    )
    share = 1 - one["fit_seconds"] / one["study_seconds"]
    bench.note("orchestration with one worker: (wall - fits) / wall", share, at_most=0.02)
