"""How often the Diebold-Mariano test rejects a model that is no better, and how often it finds one that is.

    python -m benchmarks.dm_size [SERIES]

Returns are independent and normal, or of Student's t with 5 degrees of freedom and changing variance (GARCH).

Size: both forecasters take a signal of their own as forecast of all steps; both signals say nothing and vary alike, so
that neither is better. They are new at each origin, or remember the last one (autocorrelation 0.9), by which
overlapping forecasts err together. Beside it what textbooks have: horizon - 1 autocovariances of equal weight (none
where that is negative), and Student's t with n - 1 degrees of freedom.

Verdict: forecasts are twice what they should be, by which they are as good as zeros and no better, and are held against
the baseline that is best on the hold-out. Power: forecasts are what they should be.
"""

import math
import sys
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.stats import t

from kallos.baselines.forecasts import baseline_forecasts
from kallos.baselines.window import Window
from kallos.evaluation.significance import diebold_mariano, long_run_variance
from kallos.features.frequency import Frequency
from kallos.specs.study import TuneSpec

Array = npt.NDArray[np.float64]

_BASELINES = ("zero", "last", "mean", "drift", "seasonal")

SERIES = 4000
LEVEL = 0.01
CASES = ((1, 30), (1, 92), (1, 365), (5, 60), (5, 92), (5, 365), (24, 120), (24, 720))
KINDS = ("normal", "t, GARCH")
# A share of the standard deviation, as what is known of returns.
_SIGNAL = 0.15
_BURN_IN = 200
_KNOWN = 500
_SPEC = TuneSpec.model_validate({"data": {"asset_id": "simulated"}, "features": {"target": "y"}})


def returns(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> Array:
    """Return series of variance one that nothing forecasts, a row each."""
    n_series, n = shape
    if kind == "normal":
        return rng.normal(size=shape)
    series, variance = np.empty((n + _BURN_IN, n_series)), np.ones(n_series)
    for row, shock in enumerate(rng.standard_t(5, size=series.shape) / math.sqrt(5 / 3)):
        series[row] = np.sqrt(variance) * shock
        variance = 0.05 + 0.1 * series[row] ** 2 + 0.85 * variance
    return series[_BURN_IN:].T


def signals(rng: np.random.Generator, memory: float, shape: tuple[int, int]) -> Array:
    """Return autoregressions of variance one, a row each."""
    series = rng.normal(size=shape)
    for row in range(1, shape[1]):
        series[:, row] = memory * series[:, row - 1] + math.sqrt(1 - memory**2) * series[:, row]
    return series


def equal_losses(rng: np.random.Generator, kind: str, memory: float, horizon: int, shape: tuple[int, int]) -> Array:
    """Return losses of two forecasters of whom neither is better, of shape (2, series, origins)."""
    n_series, n = shape
    actual = np.lib.stride_tricks.sliding_window_view(returns(rng, kind, (n_series, n + horizon - 1)), horizon, axis=1)
    forecasts = [_SIGNAL * signals(rng, memory, shape)[:, :, None] for _ in range(2)]
    return np.array([np.square(actual - forecast).mean(axis=-1) for forecast in forecasts])


def textbook_p_value(model: Array, other: Array, horizon: int) -> float:
    """Return the p value by horizon - 1 autocovariances of equal weight, of Harvey, Leybourne & Newbold (1997)."""
    difference = other - model
    n, centred = len(difference), difference - difference.mean()
    variance = long_run_variance(difference, 1)
    wide = variance + 2 * sum(float(centred[lag:] @ centred[:-lag]) / n for lag in range(1, horizon))
    correction = math.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    statistic = correction * difference.mean() / math.sqrt((wide if wide > 0 else variance) / n)
    return float(t.sf(statistic, n - 1))


def size_table(rng: np.random.Generator, n_series: int) -> Table:
    """Return how often a model that is no better is called better, by horizon, origins, returns and signal."""
    table = Table("horizon", "origins", "returns", "signal's memory", "here", "textbook", title="size at 1 %")
    for horizon, n in CASES:
        for kind in KINDS:
            for memory in (0.0, 0.9):
                model, other = equal_losses(rng, kind, memory, horizon, (n_series, n))
                ours = [diebold_mariano(*pair, overlap=horizon).p_value for pair in zip(model, other, strict=True)]
                book = [textbook_p_value(*pair, horizon) for pair in zip(model, other, strict=True)]
                table.add_row(str(horizon), str(n), kind, str(memory), _share(ours), _share(book))
    return table


def known_signals(
    rng: np.random.Generator, kind: str, skill: float, n: int, n_series: int
) -> Iterator[tuple[Window, Array]]:
    """Yield series with a signal, and the true forecast, which saves this share of the RMSE of zeros."""
    share = 1 - (1 - skill) ** 2
    shape = (n_series, _KNOWN + n)
    signal, rest = signals(rng, 0.5, shape), returns(rng, kind, shape)
    for true, noise in zip(math.sqrt(share) * signal, math.sqrt(1 - share) * rest, strict=True):
        days = pd.bdate_range("2001-01-01", periods=_KNOWN + n)
        rows = pd.DataFrame({"y": true + noise}, index=days)
        yield Window.of_holdout(rows, slice(_KNOWN, _KNOWN + n), _SPEC, Frequency("D", has_gaps=True)), true[_KNOWN:]


def p_against_best_baseline(holdout: Window, forecast: Array) -> float:
    """Return the p value of forecasts one step ahead against the baseline of least error on the hold-out."""
    actual = holdout.actual.ravel()
    baselines = baseline_forecasts(holdout, _BASELINES).values()
    baseline = min((np.square(each.point.ravel() - actual) for each in baselines), key=np.mean)
    return diebold_mariano(np.square(forecast - actual), baseline).p_value


def verdict_table(rng: np.random.Generator, n_series: int) -> Table:
    """Return how often a model beats the best baseline at the level, by the skill that is there."""
    skills = (0.01, 0.02, 0.05, 0.1, 0.2)
    table = Table("origins", "returns", "no better", *(f"skill {skill:.0%}" for skill in skills), title="better at 1 %")
    for n in (92, 250, 365, 1000):
        for kind in KINDS:
            twice = [p_against_best_baseline(*_twice(*each)) for each in known_signals(rng, kind, 0.01, n, n_series)]
            found = [
                _share([p_against_best_baseline(*each) for each in known_signals(rng, kind, skill, n, n_series // 4)])
                for skill in skills
            ]
            table.add_row(str(n), kind, _share(twice), *found)
    return table


def _twice(holdout: Window, forecast: Array) -> tuple[Window, Array]:
    return holdout, 2 * forecast


def _share(p_values: list[float]) -> str:
    return f"{np.mean(np.array(p_values) <= LEVEL):.1%}"


def main() -> None:
    n_series = int(sys.argv[1]) if len(sys.argv) > 1 else SERIES
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    for table in (size_table(rng, n_series), verdict_table(rng, n_series)):
        Console().print(table)
    Console(stderr=True).print(f"{time.perf_counter() - started:.0f} seconds", highlight=False)


if __name__ == "__main__":
    main()
