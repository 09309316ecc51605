"""What a fold's error becomes if the values of some columns are put in another order in the rows that forecasts read.

Breiman (2001), "Random forests", section 10, for the rows of a validation window, and in whole blocks, so that each
column keeps its own course from row to row. The weights stay as they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.features.snapshots import read_snapshot
from kallos.folds.columns import PreparedFold
from kallos.folds.groups import ColumnGroup
from kallos.folds.scalers import PreparedSeries
from kallos.scoring.fold import FittedFold, as_fit_errors, fit_fold, forecasts_with_actual
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldFit, FoldResult
from kallos.scoring.rolling import look_back, rolling_forecasts_of_each, rows_before
from kallos.scoring.score import Scorer
from kallos.scoring.training import quiet_single_thread
from kallos.specs.metrics import metric_of
from kallos.storage import json_sha256

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

REPEATS = 3
# Raise this whenever a change to the permutations changes an increase.
METHOD = 1

_FEWEST_BLOCKS = 4
_FEWEST_ORIGINS, _MOST_PARTS = 15, 4
# A block whose length has a factor of these may be moved by whole weeks, years or days, which would change no calendar.
_SEASONS = 2 * 3 * 5 * 7


@dataclass(frozen=True, eq=False)
class PermutedFold:
    """The errors of the parts of a fold's window by a study's metric, and by how much they are worse if permuted.

    Those by a metric of which more is better are negative. `errors` has the shape (parts,), and `increases`, the means
    over the repeats with each group permuted, that of (groups, parts).
    """

    errors: Array
    increases: Array


def permuted_errors(
    job: FoldJob, groups: Sequence[ColumnGroup], scorer: Scorer, repeats: int = REPEATS
) -> PermutedFold:
    """Fit a job's model, and forecast its validation window once as it is and `repeats` times with each group permuted.

    All columns of a group are permuted together, and what they are compared with never is. The orders depend on the
    job's fingerprint and the group's name alone. Raises as `evaluate_fold` does, and `FitError` if the metric cannot
    score a permuted forecast.
    """
    fitted, frame, metric = fit_fold(job), read_snapshot(job.snapshot), metric_of(scorer.objectives[0])
    result = _result(job, fitted, frame)
    parts = parts_of(min(len(asset.quantiles) for asset in result.assets), _reach(job))

    def errors_of(result: FoldResult) -> Array:
        scores = (scorer.score(_part(result, part, parts), job.fingerprint).value for part in range(parts))
        return np.array([metric.as_loss(score) for score in scores])

    errors = errors_of(result)
    windows = [_Window.of(job, fitted, frame, asset) for asset in range(len(job.folds))]
    increases = np.zeros((len(groups), parts))
    with quiet_single_thread(), as_fit_errors(job.fit.model_name):
        reads_targets_alone = _reads_targets_alone(job, fitted, result, windows)
        for place, group in enumerate(groups):
            if reads_targets_alone and not set(group.columns) & set(job.fit.features.targets):
                continue
            each = [window.permuted_forecasts(group, repeats) for window in windows]
            permuted = [errors_of(_with_forecasts(result, forecasts)) for forecasts in zip(*each, strict=True)]
            increases[place] = np.mean([own - errors for own in permuted], axis=0)
    return PermutedFold(errors, increases)


def parts_of(n_origins: int, reach: int) -> int:
    """Return into how many parts a window is cut, whose errors are compared one by one.

    A few folds alone would say little. A part has as many origins as let no more than half of its errors overlap with
    those of the next part, which are as far apart as `reach`, from an origin to its last forecast row.
    """
    return int(np.clip(n_origins // max(_FEWEST_ORIGINS, 2 * reach), 1, _MOST_PARTS))


def block_length(n_rows: int, look_back: int, reach: int) -> int:
    """Return how many rows stay together when the rows that a window's forecasts read are permuted.

    As many as a forecast looks back on, so that it reads rows of two blocks at most; as many as lie between an origin
    and its last forecast row (`reach`), so that overlapping errors stay together; and the root of the number of rows,
    for columns that a model reads one row of, and that change slowly. The length is the next one that is a multiple of
    no day, week or year.
    """
    length = max(look_back, reach, math.isqrt(n_rows), 2)
    while math.gcd(length, _SEASONS) > 1:
        length += 1
    return length


def block_order(n_rows: int, length: int, random: np.random.Generator) -> Rows:
    """Return an order of rows in which every block of this length takes the place of another one.

    Blocks are counted from the end; the rows before the first whole block stay. No row of a block comes to stay within
    `length` rows of its place.
    """
    n_blocks = n_rows // length
    order = np.arange(n_rows)
    blocks = order[n_rows - n_blocks * length :].reshape(n_blocks, length)
    # Along a cycle through all blocks, none comes after itself.
    cycle = random.permutation(n_blocks)
    taken = np.empty(n_blocks, np.int64)
    taken[cycle] = np.roll(cycle, 1)
    order[n_rows - n_blocks * length :] = blocks[taken].ravel()
    return order


@dataclass(frozen=True, eq=False)
class _Window:
    """The rows of one asset up to the end of its window, as many as are permuted; forecasts begin in row `start`."""

    job: FoldJob
    fitted: FittedFold
    rows: pd.DataFrame
    series: PreparedFold
    start: int
    length: int
    asset: int

    @classmethod
    def of(cls, job: FoldJob, fitted: FittedFold, frame: pd.DataFrame, asset: int) -> "_Window":
        """Return the rows that the forecasts of a window read, and as many before them as whole blocks need."""
        fold = job.folds[asset]
        n_all, n_window = fold.validation_stop - fold.train_start, fold.validation_stop - fold.validation_start
        n_read = rows_before(fitted.model) + n_window
        length = min(block_length(n_read, look_back(fitted.model), _reach(job)), n_all // 2)
        n_rows = min(max(-(-n_read // length), _FEWEST_BLOCKS) * length, n_all)
        rows = frame.iloc[fold.validation_stop - n_rows : fold.validation_stop]
        return cls(job, fitted, rows, fitted.series[asset], n_rows - n_window, length, asset)

    def permuted_forecasts(self, group: ColumnGroup, repeats: int) -> list[Array]:
        """Return the forecasts of each repeat, in the form of `rolling_forecasts`."""
        seed = json_sha256([self.job.fingerprint, group.name, self.asset])
        random = np.random.default_rng(int(seed, 16))
        orders = [block_order(len(self.rows), self.length, random) for _ in range(repeats)]
        changed = [self._with_order(group.columns, order) for order in orders]
        return rolling_forecasts_of_each(self.fitted.model, changed, self.start, self.job.fit.horizon)

    def _with_order(self, columns: Sequence[str], order: Rows) -> PreparedSeries:
        """Return the normalised series of the rows with some columns in another order."""
        values = self.rows.to_numpy(np.float64, copy=True)
        places = self.rows.columns.get_indexer(list(columns))
        values[:, places] = values[order][:, places]
        return self.series.preparation.apply(pd.DataFrame(values, self.rows.index, self.rows.columns))


def _reads_targets_alone(job: FoldJob, fitted: FittedFold, result: FoldResult, windows: Sequence[_Window]) -> bool:
    """Return whether no forecast changes if all columns but the targets are permuted, as with a classical model."""
    others = tuple(name for name in windows[0].rows.columns if name not in job.fit.features.targets)
    probe = ColumnGroup("", others)
    return all(
        np.array_equal(window.permuted_forecasts(probe, 1)[0], asset.quantiles)
        for window, asset in zip(windows, result.assets, strict=True)
    )


def _reach(job: FoldJob) -> int:
    """Return the number of rows from an origin to its last forecast row."""
    return job.fit.lead + job.fit.horizon - 1


def _result(job: FoldJob, fitted: FittedFold, frame: pd.DataFrame) -> FoldResult:
    fit = FoldFit(epochs=fitted.epochs, best_epoch=fitted.best_epoch, seconds=0.0)
    return FoldResult(fit, job.fit.levels, fitted.to_median, tuple(forecasts_with_actual(job, fitted, frame)))


def _part(result: FoldResult, part: int, parts: int) -> FoldResult:
    """Return a result with a part of its origins, of each asset."""
    cut = []
    for asset in result.assets:
        n_origins = len(asset.quantiles)
        start, stop = part * n_origins // parts, (part + 1) * n_origins // parts
        observed = asset.observed[start : stop + asset.horizon - 1]
        quantiles, reference = asset.quantiles[start:stop], asset.reference[start:stop]
        cut.append(replace(asset, quantiles=quantiles, observed=observed, reference=reference))
    return replace(result, assets=tuple(cut))


def _with_forecasts(result: FoldResult, forecasts: Sequence[Array]) -> FoldResult:
    """Return a result with other forecasts of each asset."""
    return replace(
        result,
        assets=tuple(replace(asset, quantiles=own) for asset, own in zip(result.assets, forecasts, strict=True)),
    )
