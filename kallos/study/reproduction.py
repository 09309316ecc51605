"""A study's best trial run again from its file, and compared to the last bit."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kallos.planning import StudyPlan
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob, FoldScore
from kallos.scoring.machine import differences, installed_versions
from kallos.scoring.metrics import mean
from kallos.study.best_params import BestParams


@dataclass(frozen=True)
class Compared:
    """One error as the file has it, and as it is here."""

    name: str
    then: float
    now: float

    @property
    def is_same(self) -> bool:
        """Whether not a bit differs."""
        return self.then == self.now

    @property
    def relative(self) -> float:
        """By what share of itself it differs."""
        return self.now / self.then - 1 if self.then else math.inf


def reproduce(
    best: BestParams,
    plan: StudyPlan,
    *,
    score_fold: Callable[[FoldJob], FoldScore] = evaluate_fold,
    workers: int = 1,
) -> tuple[Compared, ...]:
    """Return every fold's error of the best trial, and their mean, as the file has them and as they are here.

    `plan` is that of `kallos.study.again.plan_again`. `score_fold` is called by so many threads as `workers`:
    `evaluate_fold` itself takes one alone. Raises `FitError` if a fold cannot be fitted.
    """
    jobs = plan.trial_jobs(best.best_trial, best.trial_params)
    with ThreadPoolExecutor(workers) as threads:
        scores = list(threads.map(score_fold, jobs))
    folds = (
        Compared(f"fold {number}", window.value, score.value)
        for number, (window, score) in enumerate(zip(best.folds, scores, strict=True), start=1)
    )
    return (*folds, Compared("mean", best.best_value, mean([score.value for score in scores])))


def what_differs(best: BestParams, plan: StudyPlan) -> list[str]:
    """Return what is not as it was when the file was written, so that the same bits cannot be promised."""
    versions = differences(best.versions, installed_versions(), ("then", "now"))
    if versions or plan.study_name == best.study:
        return versions
    # The study's name is the hash of all that its folds depend on.
    return ["the kind of processor, the code that fits a fold, or what the file says of the study"]
