"""Seed replication: the chosen parameters on the study's folds with several seeds."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from pydantic import BaseModel, ConfigDict

from kallos.architectures import Params
from kallos.errors import StudyError
from kallos.planning import StudyPlan
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.metrics import mean
from kallos.scoring.result import FoldResult
from kallos.scoring.score import Scorer


class SeedReplication(BaseModel):
    """Scores of the chosen parameters with each seed, and the baseline's, in the target's own units.

    `values` has each seed's mean over the folds, by the study's metric, the study's own seed first. `mean` and `sd` are
    over the seeds; `sd` divides by n - 1 and is None for one seed. `median_epoch` is over the best epochs of all fits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    sd: float | None
    median_epoch: int
    baseline: str
    baseline_value: float


def seeds_from(first: int, number: int) -> tuple[int, ...]:
    """Return `number` seeds, the study's own `first`."""
    return tuple((first + position) % 2**32 for position in range(number))


def replicate(
    plan: StudyPlan,
    params: Params,
    *,
    seeds: int = 3,
    evaluate: Callable[[FoldJob], FoldResult] = evaluate_fold,
    workers: int = 1,
) -> SeedReplication:
    """Run a parameter set on the study's folds with several seeds.

    `evaluate` is called from `workers` threads; `evaluate_fold` itself allows only one. Raises `FitError` if a fold
    cannot be fitted, and `StudyError` for less than one seed.
    """
    if seeds < 1:
        raise StudyError(f"a seed replication needs at least one seed, not {seeds}")
    numbers = seeds_from(plan.spec.seed, seeds)
    jobs = [
        replace(job, name=f"seed-{seed}-fold-{job.number}", fit=replace(job.fit, seed=seed))
        for seed in numbers
        for job in plan.trial_jobs(0, params)
    ]
    with ThreadPoolExecutor(workers) as threads:
        results = list(threads.map(evaluate, jobs))
    scorer = Scorer.of(plan.spec)
    scores = [scorer.score(result, job.fingerprint) for result, job in zip(results, jobs, strict=True)]
    n_folds = len(plan.folds)
    values = tuple(
        mean([score.value for score in scores[position : position + n_folds]])
        for position in range(0, len(scores), n_folds)
    )
    return SeedReplication(
        seeds=numbers,
        values=values,
        mean=mean(list(values)),
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        median_epoch=round(float(np.median([score.best_epoch for score in scores]))),
        baseline=plan.baseline,
        baseline_value=plan.baseline_value,
    )
