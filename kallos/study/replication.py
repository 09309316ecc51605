"""Seed replication: the chosen trials on the study's folds with several seeds."""

from collections.abc import Callable, Iterator, Sequence
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
from kallos.scoring.score import Scorer
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
    scorer, weights = Scorer.of(plan.spec), [member.weight for member in members]
    jobs = [of_fold for seed in numbers for of_fold in jobs_by_fold(plan, members, seed)]
    errors, best_epochs = [], []
    for of_fold, found in zip(jobs, evaluated(jobs, evaluate, workers), strict=True):
        results = [found[job.fingerprint] for job in of_fold]
        errors.append(scorer.value_of_mean(results, weights))
        best_epochs.append([result.fit.best_epoch for result in results])
    n_folds = len(plan.folds)
    values = tuple(mean(errors[position : position + n_folds]) for position in range(0, len(errors), n_folds))
    return SeedReplication(
        seeds=numbers,
        values=values,
        mean=mean(values),
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        median_epochs=tuple(round(float(epoch)) for epoch in np.median(best_epochs, axis=0)),
        baseline=plan.baseline,
        baseline_value=plan.baseline_value,
    )


def jobs_by_fold(plan: StudyPlan, members: Sequence[Member], seed: int) -> list[tuple[FoldJob, ...]]:
    """Return for each fold the jobs of the members with a seed."""
    of_each = [
        [
            replace(job, name=f"{job.name}-seed-{seed}", fit=replace(job.fit, seed=seed))
            for job in plan.trial_jobs(member.trial, member.params)
        ]
        for member in members
    ]
    return list(zip(*of_each, strict=True))


def evaluated(
    groups: Sequence[Sequence[FoldJob]], evaluate: Callable[[FoldJob], FoldResult], workers: int
) -> Iterator[dict[str, FoldResult]]:
    """Yield the results of each group of jobs by their fingerprints, each evaluated once, in `workers` threads."""
    distinct = [{job.fingerprint: job for job in group} for group in groups]
    with ThreadPoolExecutor(workers) as threads:
        # In order, so that only results that are waited for take memory.
        results = threads.map(evaluate, (job for group in distinct for job in group.values()))
        for group in distinct:
            yield {fingerprint: next(results) for fingerprint in group}
