"""The association stage: does a column say more about the target's future than the past can?"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.audit.regression import Baseline, lagged
from kallos.audit.verdicts import OUTCOMES, AuditVerdict, Outcome, clean, not_testable
from kallos.features.moments import timestamp
from kallos.specs.data import FeatureSpec
from kallos.words import counted, day

Array = npt.NDArray[np.float64]

# Shares of the squared error left by the target's own past that a column removes. If the target covers overlapping
# windows, an honest column knows what leaves the window, which is at most half of that error. The highest share
# measured on real data is .22 (the log return of a 10-row mean), or .06 without overlap.
LEAK, SUSPICIOUS = 0.5, 0.25
CONTROLS = 40
PARTS = 5
# At least a day of hours or three weeks of days, so that the target's own past shows its season.
_FEWEST_LAGS, _MOST_LAGS, _ROWS_PER_LAG = 24, 60, 60
# The longest season: a year of days, or more than two weeks of hours.
_LONGEST_PERIOD, _FEWEST_PERIODS = 400, 3
_FEWEST_ROWS, _MOST_ROWS = 150, 20_000
# A column of steps: their least number, their greatest length, the largest share of rows that begin a step, and the
# least share of distinct values.
_FEWEST_STEPS, _LONGEST_STEP, _MOST_STEPS, _DISTINCT = 60, 60, 0.7, 0.8


@dataclass(frozen=True)
class _Question:
    """Targets with the baseline of their own past, and the origins at which to add a column."""

    baseline: Baseline
    text: str
    n_lags: int
    origins: npt.NDArray[np.int64]
    is_part: bool = False

    def regressors(self, values: Array) -> Array:
        """Return what was known of a column at each target's origin."""
        return lagged(values, self.n_lags)[self.origins]


@dataclass(frozen=True)
class _Answer:
    """The share of the squared error that a column removes, and the largest share of its shifted copies."""

    share: float
    of_copies: float
    text: str
    is_part: bool

    @property
    def finding(self) -> Outcome:
        """The outcome; in a part of the rows, only a share that cannot be chance counts."""
        if self.share <= self.of_copies or self.share < (LEAK if self.is_part else SUSPICIOUS):
            return "clean"
        return "leak" if self.share >= LEAK else "suspicious"


def audit_associations(rows: pd.DataFrame, features: FeatureSpec, *, seed: int = 0) -> list[AuditVerdict]:
    """Return a verdict for each covariate: whether it predicts the target too well to be true.

    `rows` is a frame as `study_frame` returns it. Regressions forecast the target from the rows up to its origin,
    `features.lead` rows before it: from its own past, with and without the column's past. Each of five blocks of rows
    is forecast from the other four. A column knows the future if it removes `LEAK` of the squared error in the median
    block, and more than any of 40 copies of itself that are shifted in time.

    This is repeated in each fifth of the rows, because a column may have been filled in later only there. It is also
    repeated for columns that stand still in steps, at the last row of each step, where one that was filled backwards
    knows the most. A column that repeats itself to the end, such as the day of the week, is known in advance and clean.
    """
    rows = rows.iloc[-_MOST_ROWS:]
    lead = features.lead
    target = rows[features.only_target].to_numpy(np.float64)
    questions = _questions(target, rows.index, lead)
    if not questions:
        evidence = f"{len(rows)} rows are too few to fit and test a regression"
        return [not_testable("association", None, evidence, "bring more rows")]
    questions = [question for question in questions if not question.baseline.is_exact]
    if not questions:
        evidence = "the target's own past determines its future to the last digit"
        return [not_testable("association", None, evidence, "check how the target is computed")]
    rng = np.random.default_rng(seed)
    verdicts = []
    for name in rows.columns:
        if name == features.only_target:
            continue
        values = rows[name].to_numpy(np.float64)
        if (period := repetition(values, rows.index)) is not None:
            verdicts.append(clean("association", name, f"repeats every {period}, and so is known in advance"))
            continue
        shapes = list(_shapes(values))
        answers = [_ask(each.baseline, [each.regressors(shape) for shape in shapes], each, rng) for each in questions]
        if (steps := _at_the_ends_of_steps(target, values, lead)) is not None:
            baseline, message, ends, before = steps
            columns = [np.column_stack([shape[ends], shape[ends] - shape[before]]) for shape in shapes]
            answers.append(_ask(baseline, columns, _Question(baseline, message, 0, ends), rng))
        verdicts.append(_verdict(name, answers))
    return verdicts


def repetition(values: Array, index: pd.Index) -> str | None:
    """Return the period after which all values of a column repeat: 2 to 400 rows, a day, or a week; None if none does.

    Days and weeks are measured by the clock, because rows may be missing. Each value must occur about three times. A
    constant column does not repeat itself.
    """
    spread = float(np.ptp(values))
    # Running means of a repeating column differ by rounding.
    tolerance = 1e-9 * spread + 1e-12 * float(np.abs(values).max())
    if not spread > tolerance:
        return None
    for period in range(2, min(_LONGEST_PERIOD, len(values) // _FEWEST_PERIODS) + 1):
        if (np.abs(values[period:] - values[:-period]) <= tolerance).all():
            return counted(period, "row")
    if not isinstance(index, pd.DatetimeIndex):
        return None
    for name, time in (("day", pd.Timedelta(days=1)), ("week", pd.Timedelta(days=7))):
        of_each_time = pd.Series(values).groupby((index - pd.Timestamp(0)) % time)
        is_repeated = len(values) >= _FEWEST_PERIODS * of_each_time.ngroups
        if is_repeated and ((of_each_time.max() - of_each_time.min()) <= tolerance).all():
            return name
    return None


def _questions(target: Array, index: pd.Index, lead: int) -> list[_Question]:
    """Return the question over all rows, and over each part that has enough rows."""
    found = []
    edges = np.linspace(0, len(target), PARTS + 1).astype(int)
    for start, stop in ((0, len(target)), *pairwise(edges)):
        n_lags = int(np.clip((stop - start) // _ROWS_PER_LAG, _FEWEST_LAGS, _MOST_LAGS))
        places = np.arange(start + n_lags + lead, stop)
        if len(places) < _FEWEST_ROWS:
            continue
        is_part = stop - start < len(target)
        message = "the target's own past leaves"
        if is_part:
            message += f" from {day(timestamp(index[start]))} to {day(timestamp(index[stop - 1]))}"
        baseline = Baseline(target[places], lagged(target, n_lags)[places - lead])
        found.append(_Question(baseline, message, n_lags, places - lead, is_part))
    return found


def _shapes(values: Array) -> Iterator[Array]:
    """Yield a column and, if it is positive, its logarithm: returns are relative changes of a price."""
    yield values
    if (values > 0).all():
        yield np.log(values)


def _ask(baseline: Baseline, columns: list[Array], question: _Question, rng: np.random.Generator) -> _Answer:
    share = max(baseline.partial_r2(column) for column in columns)
    of_copies = 0.0
    if share >= (LEAK if question.is_part else SUSPICIOUS):
        # Only a share that looks too good is compared with chance.
        n_rows = len(columns[0])
        for offset in rng.integers(n_rows // 10, n_rows - n_rows // 10, CONTROLS):
            copies = [baseline.partial_r2(np.roll(column, int(offset), axis=0)) for column in columns]
            of_copies = max(of_copies, *copies)
    return _Answer(share, of_copies, question.text, question.is_part)


def _at_the_ends_of_steps(
    target: Array, values: Array, lead: int
) -> tuple[Baseline, str, npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Return the question at the ends of steps, for a column that stands still for some rows at a time.

    If a step was filled backwards, its value belongs to its last row, so the row before already knows the future.
    Columns with few values are left out, because the target itself often ends their steps, which is honest. The result
    is the baseline, its name, each step's last row, and the last row of the step before.
    """
    starts = np.r_[0, np.flatnonzero(np.diff(values)) + 1]
    lengths = np.diff(np.r_[starts, len(values)])
    ends = starts + lengths - 1
    n_steps, longest = len(starts), int(np.quantile(lengths, 0.9))
    if n_steps > _MOST_STEPS * len(values) or len(np.unique(values)) < _DISTINCT * n_steps or longest > _LONGEST_STEP:
        return None
    # The target's lags cover the whole step, so that a sum over the step adds only its last row.
    n_lags = min(longest + 1, max(n_steps // 8, 1))
    usable = (lengths > lead) & (ends - lead - n_lags > 0) & (starts > 0)
    if usable.sum() < _FEWEST_STEPS:
        return None
    ends, before = ends[usable], starts[usable] - 1
    baseline = Baseline(target[ends], lagged(target, n_lags)[ends - lead])
    return None if baseline.is_exact else (baseline, "the target's own past leaves at the ends of steps", ends, before)


def _verdict(name: str, answers: list[_Answer]) -> AuditVerdict:
    worst = min(answers, key=lambda each: (OUTCOMES.index(each.finding), each.is_part, -each.share))
    message = f"removes {max(worst.share, 0):.0%} of the squared error that {worst.text}"
    if worst.finding == "clean":
        return clean("association", name, message)
    return AuditVerdict(
        stage="association",
        column=name,
        verdict=worst.finding,
        evidence=f"{message} (copies shifted in time: {worst.of_copies:.0%} at most)",
        remedy="look for a shift, or for a window or a fill that reads later rows; or name it in 'exclude'",
    )
