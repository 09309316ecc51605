"""Which columns matter to the best trial: how much worse its forecasts are if a group of columns is permuted."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from kallos.errors import FitError
from kallos.features.snapshots import read_snapshot
from kallos.folds.groups import ColumnGroup, column_groups
from kallos.planning import StudyPlan
from kallos.scoring.job import FoldJob
from kallos.scoring.permutation import METHOD, REPEATS, PermutedFold, permuted_errors
from kallos.scoring.score import Scorer
from kallos.storage import Folder
from kallos.study.names import COLUMNS
from kallos.study.result import TuningResult
from kallos.words import counted, percent, short, shorten

Array = npt.NDArray[np.float64]
Work = Callable[[FoldJob], PermutedFold]
# Does work on each of these jobs, in any processes.
OnEach = Callable[[Work, Sequence[FoldJob]], list[PermutedFold]]

# The probability that any group is said to matter that does not; an interval of a single group has 90 % confidence.
FALSE_ALARM = 0.05
# A network's forecasts of the same values differ by less, as a share of the error.
_ROUNDING = 1e-6


class GroupImportance(BaseModel):
    """By how much the error is worse with a group of columns permuted, in the metric's unit.

    `increase` is the mean over all parts of all windows, `by_fold` that over the parts of each fold's window. `low` and
    `high` are the interval of the increase, None if there is only one part. `matters` says whether it lies above zero,
    and `is_read` whether any error has changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    columns: tuple[str, ...]
    increase: float
    low: float | None
    high: float | None
    by_fold: tuple[float, ...]
    is_read: bool
    matters: bool


class ColumnImportance(BaseModel):
    """What the columns of a study are worth to its best trial, the most important group first.

    `value` is the trial's mean error over all `parts` of all windows by the study's `metric`, and each group was
    permuted `repeats` times. `confidence` is that of each interval, None if there is only one part. `fingerprints` are
    those of the fold jobs. If the metric cannot score forecasts of permuted columns, there are no groups, and `failure`
    says why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str
    trial: int
    metric: str
    method: int = METHOD
    fingerprints: tuple[str, ...]
    repeats: int = REPEATS
    parts: int = 0
    value: float = 0.0
    confidence: float | None = None
    groups: tuple[GroupImportance, ...] = ()
    failure: str | None = None

    def measured(self, groups: Sequence[ColumnGroup], folds: Sequence[PermutedFold]) -> Self:
        """Return the importance of these groups, permuted on the folds of the fingerprints."""
        errors = np.concatenate([fold.errors for fold in folds])
        value, folds_stop = float(errors.mean()), np.cumsum([len(fold.errors) for fold in folds])
        increases = np.hstack([fold.increases for fold in folds])
        increases[(np.abs(increases) <= _ROUNDING * abs(value)).all(axis=1)] = 0.0
        confidence, half = _intervals(increases)
        found = [
            _importance(group, np.split(own, folds_stop[:-1]), None if half is None else float(half[place]))
            for place, (group, own) in enumerate(zip(groups, increases, strict=True))
        ]
        found.sort(key=lambda each: (not each.matters, -each.increase))
        measured = {"parts": len(errors), "value": value, "confidence": confidence, "groups": tuple(found)}
        return self.model_copy(update=measured)

    @property
    def unit(self) -> float:
        """What an increase is a share of: the error if it is above zero, else 1."""
        return self.value if self.value > 0 else 1.0

    def shown(self, increase: float, digits: int | None = 2) -> str:
        """Return an increase as a share of the error, or by itself if the error is not above zero."""
        return percent(increase / self.value, digits) if self.value > 0 else short(increase)

    @property
    def mattering(self) -> tuple[GroupImportance, ...]:
        """The groups that matter."""
        return tuple(group for group in self.groups if group.matters)


def columns_of_best(
    plan: StudyPlan, result: TuningResult, folder: str, *, on_each: OnEach, anew: bool = False
) -> ColumnImportance:
    """Return what the columns are worth to the best trial, and write it to the study's folder as `columns.json`.

    What the folder has of the same jobs is reused, unless `anew`. Otherwise each fold is fitted again by `on_each`.
    Raises what it does, except `FitError`, and `KallosError` if the folder cannot be written.
    """
    jobs = [_renamed(job) for job in plan.trial_jobs(result.best.number, result.best.params)]
    empty = ColumnImportance(
        study=result.study_name,
        trial=result.best.number,
        metric=plan.spec.metric,
        fingerprints=tuple(job.fingerprint for job in jobs),
    )
    kept = None if anew else _read(folder)
    if kept is None or not _is_of_the_same(kept, empty):
        kept = _measure(plan, empty, jobs, on_each)
    made = kept.model_copy(update={"study": empty.study, "trial": empty.trial})
    Folder(folder).write(COLUMNS, made.model_dump_json(indent=1) + "\n")
    return made


def _measure(plan: StudyPlan, empty: ColumnImportance, jobs: Sequence[FoldJob], on_each: OnEach) -> ColumnImportance:
    groups = column_groups(read_snapshot(plan.snapshot), plan.spec.features)
    work = partial(permuted_errors, groups=groups, scorer=Scorer.of(plan.spec))
    try:
        return empty.measured(groups, on_each(work, jobs))
    except FitError as error:  # It would be raised again by every run.
        return empty.model_copy(update={"failure": str(error)})


def read_columns(result: TuningResult, folder: str) -> ColumnImportance | None:
    """Return what the folder says of the best trial's columns, or None if it says nothing that can be read."""
    kept = _read(folder)
    of_best = (result.study_name, result.best.number, tuple(score.fingerprint for score in result.best.scores))
    return kept if kept is not None and (kept.study, kept.trial, kept.fingerprints) == of_best else None


def columns_line(importance: ColumnImportance) -> str:
    """Return in a sentence which columns matter."""
    if importance.failure is not None:
        return f"which columns matter is not known: {importance.failure}"
    if importance.confidence is None:
        return "a single part of a single window does not show which columns matter"
    names, of = [group.name for group in importance.mattering], counted(len(importance.groups), "column")
    return f"columns that matter: {shorten(names, 8)} (of {of})" if names else f"none of {of} is shown to matter"


def _importance(group: ColumnGroup, by_fold: Sequence[Array], half: float | None) -> GroupImportance:
    """Return the importance of a group from its increases in each fold, and half the width of their mean's interval."""
    every = np.concatenate(by_fold)
    increase, is_read = float(every.mean()), bool(every.any())
    return GroupImportance(
        name=group.name,
        columns=group.columns,
        increase=increase,
        low=None if half is None else increase - half,
        high=None if half is None else increase + half,
        by_fold=tuple(float(own.mean()) for own in by_fold),
        is_read=is_read,
        matters=is_read and half is not None and increase > half,
    )


def _intervals(increases: Array) -> tuple[float | None, Array | None]:
    """Return the confidence of the intervals of each group's mean over the parts, and half their widths.

    `increases` has the shape (groups, parts). The intervals are Student's, by the standard error of the mean over the
    parts, and as wide as Bonferroni's inequality asks for if as many groups are looked at as the forecasts read: that
    any group's interval lies above zero whose mean does not has at most the probability `FALSE_ALARM`.
    """
    from scipy.stats import t

    n_parts = increases.shape[1]
    if n_parts < 2:
        return None, None
    tail = FALSE_ALARM / max(int(increases.any(axis=1).sum()), 1)
    error = increases.std(axis=1, ddof=1) / np.sqrt(n_parts)
    return 1 - 2 * tail, np.asarray(t.isf(tail, n_parts - 1) * error)


def _renamed(job: FoldJob) -> FoldJob:
    """Return the job under a name of its own, as it is another fit."""
    return replace(job, name=f"columns-{job.name}")


def _is_of_the_same(kept: ColumnImportance, empty: ColumnImportance) -> bool:
    return all(
        getattr(kept, field) == getattr(empty, field) for field in ("fingerprints", "metric", "method", "repeats")
    )


def _read(folder: str) -> ColumnImportance | None:
    content = Folder(folder).read(COLUMNS)
    try:
        return None if content is None else ColumnImportance.model_validate_json(content)
    except ValidationError:
        return None
