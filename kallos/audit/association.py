"""Does a column say more of the target's future than a column of the past can?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.audit.regression import BLOCKS, Baseline, lagged
from kallos.audit.verdicts import Verdict
from kallos.planning import stamp
from kallos.specs import FeatureSpec

Array = npt.NDArray[np.float64]

# Share of the squared error, beyond the target's own past, that a column may take away. An honest column tells a target
# over overlapping windows what leaves its window, at most half of what its own past leaves open: .22 was the most that
# was measured on real data (the log return of a 10-row mean). Targets without overlap: .06.
LEAK, SUSPICIOUS = 0.5, 0.25
CONTROLS = 40
_FEWEST_LAGS, _MOST_LAGS, _ROWS_PER_LAG = 5, 60, 60
_FEWEST_ROWS = 150
_MOST_ROWS = 20_000
# Of a step column: fewest ends of steps, and most rows that a step may hold.
_FEWEST_ENDS, _LONGEST_STEP = 60, 60


@dataclass(frozen=True)
class _Experiment:
    """One way to ask: target values, what was known of each at its origin, and for people what was asked."""

    baseline: Baseline
    columns: tuple[Array, ...]
    said: str
    positions: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Found:
    experiment: _Experiment
    median: float
    highest: float
    best_block: int
    highest_control: float


def audit_associations(rows: pd.DataFrame, features: FeatureSpec, *, seed: int = 0) -> list[Verdict]:
    """Return a verdict per covariate: whether it predicts the target too well to be true.

    `rows` is a frame as `study_frame` returns it. A target is forecast from the rows up to its origin, `features.lead`
    rows before, by regressions on its own past, with and without the column's; five blocks of rows are each forecast
    from the other four. Whoever takes away `LEAK` of the squared error in the median block, and more than any of 40
    copies of itself that are shifted round the clock, knows the future. Columns that stand still in steps are asked
    once more at the last row of each step, where one that was filled backwards knows the most.
    """
    rows = rows.iloc[-_MOST_ROWS:]
    lead = features.lead
    target = rows[features.target].to_numpy(np.float64)
    covariates = [name for name in rows.columns if name != features.target]
    n_lags = int(np.clip(len(rows) // _ROWS_PER_LAG, _FEWEST_LAGS, _MOST_LAGS))
    first = n_lags + lead
    if len(rows) - first < _FEWEST_ROWS:
        return [_untestable(f"{len(rows)} rows are too few to fit and to test a regression", "bring more rows")]
    places = np.arange(first, len(rows))
    past = lagged(target, n_lags)
    baseline = Baseline(target[places], past[places - lead])
    if baseline.is_exact:
        return [_untestable("the target's own past tells its future to the last digit", "look at the target itself")]
    rng = np.random.default_rng(seed)
    verdicts = []
    for name in covariates:
        values = rows[name].to_numpy(np.float64)
        columns = tuple(lagged(each, n_lags)[places - lead] for each in _shapes(values))
        asked = [_Experiment(baseline, columns, "the target's own past", places)]
        asked += _at_the_ends_of_steps(target, values, lead)
        findings = [_find(experiment, rng) for experiment in asked]
        verdicts.append(_verdict(name, findings, rows.index))
    return verdicts


def _shapes(values: Array) -> Iterator[Array]:
    """Yield a column as it is and, if it is positive, in logarithms: a price tells returns by its relative changes."""
    yield values
    if (values > 0).all():
        yield np.log(values)


def _find(experiment: _Experiment, rng: np.random.Generator) -> _Found:
    measured = [experiment.baseline.partial_r2(column) for column in experiment.columns]
    median = max(each.median for each in measured)
    best = max(measured, key=lambda each: each.highest)
    highest_control = -np.inf
    if median >= SUSPICIOUS or best.highest >= LEAK:
        # Only what looks too good needs to be held against chance.
        n_rows = len(experiment.columns[0])
        for offset in rng.integers(n_rows // 10, n_rows - n_rows // 10, CONTROLS):
            for column in experiment.columns:
                control = experiment.baseline.partial_r2(np.roll(column, int(offset), axis=0))
                highest_control = max(highest_control, control.median)
    return _Found(experiment, median, best.highest, int(np.argmax(best.by_block)), float(highest_control))


def _at_the_ends_of_steps(target: Array, values: Array, lead: int) -> list[_Experiment]:
    """Return what to ask of a column that stands still for some rows at a time, at the ends of its steps.

    The value of a step that was filled backwards belongs to its last row; so on the row before, it is of the future.
    Columns of a few values are left out: what ends their steps is often the target itself, and honestly so.
    """
    starts = np.r_[0, np.flatnonzero(np.diff(values)) + 1]
    n_steps = len(starts)
    if n_steps < _FEWEST_ENDS or n_steps > 0.7 * len(values) or len(np.unique(values)) < 0.8 * n_steps:
        return []
    ends, lengths = np.r_[starts[1:], len(values)] - 1, np.diff(np.r_[starts, len(values)])
    longest = int(np.quantile(lengths, 0.9))
    if longest > _LONGEST_STEP:
        return []
    n_lags = min(longest + 1, max(n_steps // 8, 1))
    usable = (lengths > lead) & (ends - lead - n_lags > 0) & (starts > 0)
    ends, starts = ends[usable], starts[usable]
    if len(ends) < _FEWEST_ENDS:
        return []
    baseline = Baseline(target[ends], lagged(target, n_lags)[ends - lead])
    if baseline.is_exact:
        return []
    columns = tuple(np.column_stack([each[ends], each[ends] - each[starts - 1]]) for each in _shapes(values))
    return [_Experiment(baseline, columns, f"the target's own past, at the ends of its {n_steps} steps", ends)]


def _verdict(name: str, findings: list[_Found], index: pd.Index) -> Verdict:
    worst = max(findings, key=lambda each: (each.median > each.highest_control, each.median))
    said = worst.experiment.said
    beyond_chance = worst.median > worst.highest_control
    figures = (
        f"takes away {worst.median:.0%} of the squared error that {said} leaves"
        f" (shifted copies: {max(worst.highest_control, 0):.0%} at most)"
    )
    if worst.median >= SUSPICIOUS and beyond_chance:
        return Verdict(
            stage="association",
            column=name,
            verdict="leak" if worst.median >= LEAK else "suspicious",
            evidence=figures,
            remedy="look for a shift or a window that reaches beyond its row, or name it in 'exclude'",
        )
    lively = max(findings, key=lambda each: each.highest)
    if lively.highest >= LEAK and lively.highest > lively.highest_control:
        positions = lively.experiment.positions
        edges = np.linspace(0, len(positions), BLOCKS + 1).astype(int)
        start, stop = positions[edges[lively.best_block]], positions[edges[lively.best_block + 1] - 1]
        return Verdict(
            stage="association",
            column=name,
            verdict="suspicious",
            evidence=f"takes away {lively.highest:.0%} of the squared error that {lively.experiment.said} leaves "
            f"from {stamp(index[start])} to {stamp(index[stop])}, and {lively.median:.0%} in the median part",
            remedy="ask whether these rows were filled in later",
        )
    return Verdict(
        stage="association",
        column=name,
        verdict="clean",
        evidence=f"takes away {max(worst.median, 0):.0%} of the squared error that {said} leaves",
    )


def _untestable(why: str, remedy: str) -> Verdict:
    return Verdict(stage="association", column=None, verdict="not testable", evidence=why, remedy=remedy)
