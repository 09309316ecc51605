"""What trading on the forecasts would have earned, if the target is a return.

At each origin a position is taken by the forecast of the first step: by its sign (long 1, short 1, none at zero), or
proportional to it. Further steps are not traded, since their positions would overlap. The first position is bought, and
the last one is not sold. Each target is a strategy of its own, and a result is the mean over those targets for which it
is defined, or no number.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kallos.errors import UsageError, require_number, require_positive, require_whole
from kallos.scoring.agreement import varies

Array = npt.NDArray[np.float64]

_BASIS_POINT = 1e-4


@dataclass(frozen=True)
class Trading:
    """How positions are held.

    `cost_bps` is what buying or selling costs, in hundredths of a percent of what is traded. If `rows_per_year` is
    `nan`, nothing that is annualised has a number. A position is held for `rows_held` rows, those of a label that looks
    so far ahead, and only every such row is traded, from the first one on. Raises `UsageError` for numbers that are
    none.
    """

    cost_bps: float = 0.0
    rows_per_year: float = math.nan
    rows_held: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        require_number(0, cost_bps=self.cost_bps)
        if not (isinstance(self.rows_per_year, float) and math.isnan(self.rows_per_year)):
            require_positive(rows_per_year=self.rows_per_year)
        require_whole(1, rows_held=self.rows_held)
        for name, value in (("cost_bps", self.cost_bps), ("rows_per_year", self.rows_per_year)):
            if math.isinf(value):
                raise UsageError(f"{name} must be finite, not {value}")

    @property
    def trades_per_year(self) -> float:
        """How often a year a position is taken, or no number."""
        return self.rows_per_year / self.rows_held


@dataclass(frozen=True, eq=False)
class Positions:
    """Positions, what was traded to take them, and what they earned after costs, of shape (times, targets)."""

    held: Array
    traded: Array
    earned: Array
    trades_per_year: float

    @classmethod
    def by_sign(cls, forecast: Array, actual: Array, trading: Trading, unit: Array | float = 1.0) -> "Positions":
        """Return positions of 1 in the direction of the forecast.

        The arrays have the shape (origins, steps, targets), and are in units of `unit`, of shape (targets,).
        """
        return cls._of(np.sign(forecast), actual, trading, unit)

    @classmethod
    def proportional(cls, forecast: Array, actual: Array, trading: Trading, unit: Array | float = 1.0) -> "Positions":
        """Return positions as large as the forecast; the arguments are those of `by_sign`."""
        return cls._of(forecast, actual, trading, unit)

    @classmethod
    def _of(cls, size: Array, actual: Array, trading: Trading, unit: Array | float) -> "Positions":
        held, came = (values[:: trading.rows_held, 0, :] for values in (size, actual))
        traded = np.abs(np.diff(held, axis=0, prepend=0.0))
        cost = trading.cost_bps * _BASIS_POINT / np.asarray(unit)
        return cls(held, traded, held * came - cost * traded, trading.trades_per_year)

    def sharpe(self) -> float:
        """Return the annualised ratio of mean to standard deviation of what was earned.

        Sharpe (1994), "The Sharpe ratio", without a riskless rate; the deviation is that of a sample. The ratio does
        not depend on the size of all positions together. It is no number if all times earned the same.
        """
        if len(self.earned) < 2:
            return math.nan
        mean, deviation = self.earned.mean(axis=0), self.earned.std(axis=0, ddof=1)
        defined = varies(self.earned)
        ratios = mean[defined] / deviation[defined]
        return _mean(ratios * math.sqrt(self.trades_per_year))

    def turnover(self) -> float:
        """Return how often a year the mean position is bought or sold; turning from long to short counts twice."""
        sizes, traded = np.abs(self.held).mean(axis=0), self.traded.mean(axis=0)
        return float(np.where(sizes > 0, traded / np.where(sizes > 0, sizes, 1), 0).mean() * self.trades_per_year)

    def expectancy(self) -> float:
        """Return what was earned after costs for each time with a position, in the target's unit."""
        taken = (self.held != 0).sum(axis=0)
        return _mean(self.earned.sum(axis=0)[taken > 0] / taken[taken > 0])

    def hit_rate(self) -> float:
        """Return the share of the times with a position that earned something after costs."""
        taken = self.held != 0
        hits, times = (taken & (self.earned > 0)).sum(axis=0), taken.sum(axis=0)
        return _mean(hits[times > 0] / times[times > 0])


# By the names of the metrics in `kallos.specs.metrics`.
BY_SIGN: dict[str, Callable[[Positions], float]] = {
    "hit_rate": Positions.hit_rate,
    "expectancy": Positions.expectancy,
    "sharpe": Positions.sharpe,
    "turnover": Positions.turnover,
}
PROPORTIONAL: dict[str, Callable[[Positions], float]] = {
    "sharpe_proportional": Positions.sharpe,
    "turnover_proportional": Positions.turnover,
}


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else math.nan
