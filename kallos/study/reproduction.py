"""Reproduction: what a study's file says of its choices is computed again and compared bit by bit."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kallos.planning import StudyPlan
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.machine import differences, installed_versions
from kallos.scoring.metrics import mean
from kallos.scoring.result import FoldResult
from kallos.scoring.score import Scorer
from kallos.study.best_params import BestParams
from kallos.study.members import Recorded, recorded
from kallos.study.replication import evaluated, jobs_by_fold


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
    """Return the errors of the best trial, and of an ensemble if the study has one, in the file and on this machine.

    These are those on each fold and their mean. `plan` comes from `kallos.study.again.plan_again`. `evaluate` is called
    from `workers` threads, once for each job; `evaluate_fold` itself allows only one. Raises `FitError` if a fold
    cannot be fitted.
    """
    return tuple(compare(recorded(best), plan, evaluate=evaluate, workers=workers))


def compare(
    records: Sequence[Recorded],
    plan: StudyPlan,
    *,
    evaluate: Callable[[FoldJob], FoldResult] = evaluate_fold,
    workers: int = 1,
) -> Iterator[Compared]:
    """Yield the errors of each record on each fold, and their mean; arguments are those of `reproduce`."""
    seed, scorer = plan.spec.seed, Scorer.of(plan.spec)
    jobs = [jobs_by_fold(plan, record.members, seed) for record in records]
    folds = [[job for of_record in of_fold for job in of_record] for of_fold in zip(*jobs, strict=True)]
    now: list[list[float]] = [[] for _ in records]
    for number, found in enumerate(evaluated(folds, evaluate, workers)):
        for record, of_record, values in zip(records, jobs, now, strict=True):
            results = [found[job.fingerprint] for job in of_record[number]]
            values.append(scorer.value_of_mean(results, [member.weight for member in record.members]))
    for record, values in zip(records, now, strict=True):
        prefix = f"{record.name}, " if len(records) > 1 else ""
        for number, (then, here) in enumerate(zip(record.by_fold, values, strict=True), start=1):
            yield Compared(f"{prefix}fold {number}", then, here)
        yield Compared(f"{prefix}mean", record.value, mean(values))


def what_differs(best: BestParams, plan: StudyPlan) -> list[str]:
    """Return what has changed since the file was written, so that scores may differ."""
    versions = differences(best.versions, installed_versions(), ("then", "now"))
    if versions or plan.study_name == best.study:
        return versions
    # The study's name has a hash of everything that its folds depend on.
    return ["the kind of processor, the code that fits a fold, or the study's settings in the file"]
