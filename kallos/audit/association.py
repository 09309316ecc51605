"""Does a column say more of the target's future than a column of the past can?"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.audit.regression import Baseline, lagged
from kallos.audit.verdicts import OUTCOMES, AuditVerdict, Outcome
from kallos.features.moments import timestamp
from kallos.specs.data import FeatureSpec
from kallos.words import counted, day

Array = npt.NDArray[np.float64]

# Share of the squared error, beyond the target's own past, that a column may take away. An honest column tells a target
# over overlapping windows what leaves its window, at most half of what its own past leaves open: .22 was the most that
# was measured on real data (the log return of a 10-row mean). Targets without overlap: .06.
LEAK, SUSPICIOUS = 0.5, 0.25
CONTROLS = 40
PARTS = 5
# At least a day of hours or three weeks of days, that a target's own past may tell its season.
_FEWEST_LAGS, _MOST_LAGS, _ROWS_PER_LAG = 24, 60, 60
# The longest season that is looked for: a year of days, more than two weeks of hours.
_LONGEST_PERIOD, _FEWEST_PERIODS = 400, 3
_FEWEST_ROWS, _MOST_ROWS = 150, 20_000
# A column of steps: how many at least, how long at most, how many of the rows may begin one, how many may be alike.
_FEWEST_STEPS, _LONGEST_STEP, _MOST_STEPS, _DISTINCT = 60, 60, 0.7, 0.8


@dataclass(frozen=True)
class _Question:
    """Targets and what their own past says of them, and where a column is to be asked for more."""

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
    """What a column takes away from the squared error, and the most that a shifted copy of it does."""

    share: float
    of_copies: float
    text: str
    is_part: bool

    @property
    def finding(self) -> Outcome:
        """What it means. In a part of the rows alone, only what cannot be chance counts."""
        if self.share <= self.of_copies or self.share < (LEAK if self.is_part else SUSPICIOUS):
            return "clean"
        return "leak" if self.share >= LEAK else "suspicious"


def audit_associations(rows: pd.DataFrame, features: FeatureSpec, *, seed: int = 0) -> list[AuditVerdict]:
    """Return a verdict per covariate: whether it predicts the target too well to be true.

    `rows` is a frame as `study_frame` returns it. A target is forecast from the rows up to its origin, `features.lead`
    rows before, by regressions on its own past, with and without the column's; five blocks of rows are each forecast
    from the other four. Whoever takes away `LEAK` of the squared error in the median block, and more than any of 40
    copies of itself that are shifted round the clock, knows the future. The same is asked of each fifth of the rows
    alone, since a column may have been filled in later there only; and of columns that stand still in steps, at the
    last row of each step, where one that was filled backwards knows the most. A column that repeats itself to the end,
    such as the day of the week, is known in advance, and clean.
    """
    rows = rows.iloc[-_MOST_ROWS:]
    lead = features.lead
    target = rows[features.only_target].to_numpy(np.float64)
    questions = _questions(target, rows.index, lead)
    if not questions:
        return [_untestable(f"{len(rows)} rows are too few to fit and to test a regression", "bring more rows")]
    questions = [question for question in questions if not question.baseline.is_exact]
    if not questions:
        return [_untestable("the target's own past tells its future to the last digit", "look at the target itself")]
    rng = np.random.default_rng(seed)
    verdicts = []
    for name in rows.columns:
        if name == features.only_target:
            continue
        values = rows[name].to_numpy(np.float64)
        if (period := repetition(values, rows.index)) is not None:
            message = f"repeats every {period}, and so is known in advance"
            verdicts.append(AuditVerdict(stage="association", column=name, verdict="clean", evidence=message))
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
    """Return after how long all values of a column come again: some rows, from 2 to 400 of them, a day, or a week.

    A day and a week are counted by the clock, since rows may be missing. All values must come three times or so; what
    does not vary at all repeats nothing.
    """
    spread = float(np.ptp(values))
    # Running means of what repeats differ by rounding.
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
    """Return what is asked over all rows, and over each part of them, as far as there are rows enough."""
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
    """Yield a column as it is and, if it is positive, in logarithms: a price tells returns by its relative changes."""
    yield values
    if (values > 0).all():
        yield np.log(values)


def _ask(baseline: Baseline, columns: list[Array], question: _Question, rng: np.random.Generator) -> _Answer:
    share = max(baseline.partial_r2(column) for column in columns)
    of_copies = 0.0
    if share >= (LEAK if question.is_part else SUSPICIOUS):
        # Only what looks too good needs to be held against chance.
        n_rows = len(columns[0])
        for offset in rng.integers(n_rows // 10, n_rows - n_rows // 10, CONTROLS):
            copies = [baseline.partial_r2(np.roll(column, int(offset), axis=0)) for column in columns]
            of_copies = max(of_copies, *copies)
    return _Answer(share, of_copies, question.text, question.is_part)


def _at_the_ends_of_steps(
    target: Array, values: Array, lead: int
) -> tuple[Baseline, str, npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Return what to ask of a column that stands still for some rows at a time: at the ends of its steps.

    The value of a step that was filled backwards belongs to its last row; so on the row before, it is of the future.
    Columns of a few values are left out: what ends their steps is often the target itself, and honestly so. Returned
    are the baseline, how to call it, and each step's last row and the last row of the step before.
    """
    starts = np.r_[0, np.flatnonzero(np.diff(values)) + 1]
    lengths = np.diff(np.r_[starts, len(values)])
    ends = starts + lengths - 1
    n_steps, longest = len(starts), int(np.quantile(lengths, 0.9))
    if n_steps > _MOST_STEPS * len(values) or len(np.unique(values)) < _DISTINCT * n_steps or longest > _LONGEST_STEP:
        return None
    # With the target's lags over the whole step, what a sum over the step knows of its last row is left.
    n_lags = min(longest + 1, max(n_steps // 8, 1))
    usable = (lengths > lead) & (ends - lead - n_lags > 0) & (starts > 0)
    if usable.sum() < _FEWEST_STEPS:
        return None
    ends, before = ends[usable], starts[usable] - 1
    baseline = Baseline(target[ends], lagged(target, n_lags)[ends - lead])
    return None if baseline.is_exact else (baseline, "the target's own past leaves at the ends of steps", ends, before)


def _verdict(name: str, answers: list[_Answer]) -> AuditVerdict:
    worst = min(answers, key=lambda each: (OUTCOMES.index(each.finding), each.is_part, -each.share))
    message = f"takes away {max(worst.share, 0):.0%} of the squared error that {worst.text}"
    if worst.finding == "clean":
        return AuditVerdict(stage="association", column=name, verdict="clean", evidence=message)
    return AuditVerdict(
        stage="association",
        column=name,
        verdict=worst.finding,
        evidence=f"{message} (copies shifted in time: {worst.of_copies:.0%} at most)",
        remedy="look for a shift, or a window or a fill that reaches beyond its row; or name it in 'exclude'",
    )


def _untestable(why: str, remedy: str) -> AuditVerdict:
    return AuditVerdict(stage="association", column=None, verdict="not testable", evidence=why, remedy=remedy)
