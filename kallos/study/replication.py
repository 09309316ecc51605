"""Seed replication: the chosen trials on the study's folds with several seeds."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from pydantic import BaseModel, ConfigDict

from kallos.errors import StudyError
from kallos.planning import StudyPlan
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.metrics import mean
from kallos.scoring.result import FoldResult
from kallos.scoring.score import Scoring
from kallos.study.choice import Member


class SeedReplication(BaseModel):
    """Scores of the chosen trials' weighted mean with each seed, and the baseline's, in the target's own units.

    `values` has each seed's mean over the folds, by the study's metric, the study's own seed first. `mean` and `sd` are
    over the seeds; `sd` divides by n - 1 and is None for one seed. `median_epochs` has for each trial the median of the
    best epochs of its fits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    sd: float | None
    median_epochs: tuple[int, ...]
    baseline: str
    baseline_value: float


def seeds_from(first: int, number: int) -> tuple[int, ...]:
    """Return `number` seeds, the study's own `first`."""
    return tuple((first + position) % 2**32 for position in range(number))


def replicate(
    plan: StudyPlan,
    members: Sequence[Member],
    *,
    seeds: int = 3,
    evaluate: Callable[[FoldJob], FoldResult] = evaluate_fold,
    workers: int = 1,
) -> SeedReplication:
    """Forecast the study's folds with several seeds, and score the weighted mean of the members with each seed.

    `evaluate` is called from `workers` threads, once for each job; `evaluate_fold` itself allows only one. Raises
    `FitError` if a fold cannot be fitted, and `StudyError` for less than one seed.
    """
    if seeds < 1:
        raise StudyError(f"a seed replication needs at least one seed, not {seeds}")
    numbers = seeds_from(plan.spec.seed, seeds)
    jobs = {seed: [jobs_of(plan, member, seed) for member in members] for seed in numbers}
    results = evaluated((job for of_seed in jobs.values() for each in of_seed for job in each), evaluate, workers)
    values = [
        mean(scores_of_mean(plan, members, [[results[job.fingerprint] for job in each] for each in jobs[seed]]))
        for seed in numbers
    ]
    best_epochs = [
        [results[job.fingerprint].fit.best_epoch for seed in numbers for job in jobs[seed][position]]
        for position in range(len(members))
    ]
    return SeedReplication(
        seeds=numbers,
        values=tuple(values),
        mean=mean(values),
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        median_epochs=tuple(round(float(np.median(each))) for each in best_epochs),
        baseline=plan.baseline,
        baseline_value=plan.baseline_value,
    )


def jobs_of(plan: StudyPlan, member: Member, seed: int) -> list[FoldJob]:
    """Return the jobs of a member with a seed, in the order of the folds."""
    return [
        replace(job, name=f"{job.name}-seed-{seed}", fit=replace(job.fit, seed=seed))
        for job in plan.trial_jobs(member.trial, member.params)
    ]


def evaluated(
    jobs: Iterable[FoldJob], evaluate: Callable[[FoldJob], FoldResult], workers: int
) -> dict[str, FoldResult]:
    """Return the results of jobs by their fingerprints, each evaluated once, in `workers` threads."""
    distinct = {job.fingerprint: job for job in jobs}
    with ThreadPoolExecutor(workers) as threads:
        return dict(zip(distinct, threads.map(evaluate, distinct.values()), strict=True))


def scores_of_mean(
    plan: StudyPlan, members: Sequence[Member], results: Sequence[Sequence[FoldResult]]
) -> list[float]:
    """Return the error on each fold of the weighted mean of the members' results, by the study's metric."""
    scoring, weights = Scoring.of(plan.spec), [member.weight for member in members]
    return [scoring.value_of_mean(of_fold, weights) for of_fold in zip(*results, strict=True)]
