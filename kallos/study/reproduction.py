"""Reproduction: a study's best trial is run again from its file and compared bit by bit."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kallos.planning import StudyPlan
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.machine import differences, installed_versions
from kallos.scoring.metrics import mean
from kallos.scoring.result import FoldResult
from kallos.scoring.score import Scorer
from kallos.study.best_params import BestParams


@dataclass(frozen=True)
class Compared:
    """An error in the file and on this machine."""

    name: str
    then: float
    now: float

    @property
    def is_same(self) -> bool:
        """Whether they are equal to the bit."""
        return self.then == self.now

    @property
    def relative(self) -> float:
        """The relative difference."""
        return self.now / self.then - 1 if self.then else math.inf


def reproduce(
    best: BestParams,
    plan: StudyPlan,
    *,
    evaluate: Callable[[FoldJob], FoldResult] = evaluate_fold,
    workers: int = 1,
) -> tuple[Compared, ...]:
    """Return the best trial's error on each fold, and their mean, in the file and on this machine.

    `plan` comes from `kallos.study.again.plan_again`. `evaluate` is called from `workers` threads; `evaluate_fold`
    itself allows only one. Raises `FitError` if a fold cannot be fitted.
    """
    jobs = plan.trial_jobs(best.best_trial, best.trial_params)
    with ThreadPoolExecutor(workers) as threads:
        results = list(threads.map(evaluate, jobs))
    scorer = Scorer.of(best.spec)
    scores = [scorer.score(result, job.fingerprint) for result, job in zip(results, jobs, strict=True)]
    folds = (
        Compared(f"fold {number}", window.value, score.value)
        for number, (window, score) in enumerate(zip(best.folds, scores, strict=True), start=1)
    )
    return (*folds, Compared("mean", best.best_value, mean([score.value for score in scores])))


def what_differs(best: BestParams, plan: StudyPlan) -> list[str]:
    """Return what has changed since the file was written, so that scores may differ."""
    versions = differences(best.versions, installed_versions(), ("then", "now"))
    if versions or plan.study_name == best.study:
        return versions
    # The study's name has a hash of everything that its folds depend on.
    return ["the kind of processor, the code that fits a fold, or the study's settings in the file"]
