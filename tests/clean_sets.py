"""Series without a leak, of kinds that mislead whoever looks for one, with the query that computes them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kallos.features.files.indicators import compute_indicators
from kallos.specs.data import FeatureSpec


@dataclass(frozen=True)
class CleanSet:
    """What is known of the world, and what a query makes of it; each row from itself and those before it."""

    kind: str
    raw: pd.DataFrame
    compute: Callable[[pd.DataFrame], pd.DataFrame]
    features: FeatureSpec

    def load(self, end_date: str | None) -> pd.DataFrame:
        """Return the rows that the query gives for an end date."""
        end = None if end_date is None else pd.Timestamp(end_date)
        return self.compute(self.raw.loc[:end])


def clean_set(seed: int, *, n_rows: int = 1500) -> CleanSet:
    """Return the clean set of a seed: seven kinds, in turn."""
    makers = (
        _indicators_of_a_random_walk,
        _autoregressions,
        _seasons,
        _changing_variance,
        _walks_and_a_forward_label,
        _days_of_the_week,
        _hours_of_the_day,
    )
    return makers[seed % len(makers)](np.random.default_rng(seed), n_rows)


def make_bars(rng: np.random.Generator, n_rows: int, volatility: np.ndarray | float = 0.02) -> pd.DataFrame:
    """Return daily bars of a random walk that opens where it closed."""
    returns = volatility * rng.standard_t(4, n_rows) / np.sqrt(2)
    close = 100 * np.exp(np.cumsum(returns))
    opened = np.r_[100.0, close[:-1]]
    spread = 1 + 0.01 * np.abs(rng.normal(size=(2, n_rows)))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * spread[0],
            "low": np.minimum(opened, close) / spread[1],
            "close": close,
            "volume": np.exp(rng.normal(10, 0.5, n_rows) + 5 * np.abs(returns)),
        },
        index=pd.date_range("2018-01-01", periods=n_rows, freq="D", name="timestamp", unit="ns"),
    )


def _indicators_of_a_random_walk(rng: np.random.Generator, n_rows: int) -> CleanSet:
    return CleanSet("indicators of a random walk", make_bars(rng, n_rows), compute_indicators, FeatureSpec())


def _autoregressions(rng: np.random.Generator, n_rows: int) -> CleanSet:
    """A target that follows itself and, a little, what came two rows before in another series."""
    noise = rng.normal(size=(4, n_rows))
    driver, other, target = np.zeros((3, n_rows))
    for t in range(2, n_rows):
        driver[t] = 0.9 * driver[t - 1] + noise[0, t]
        other[t] = 0.99 * other[t - 1] + noise[1, t]
        target[t] = 0.5 * target[t - 1] - 0.3 * target[t - 2] + 0.1 * driver[t - 2] + noise[2, t]
    raw = _daily({"y": target, "driver": driver, "other": other, "echo": target + noise[3]})
    return CleanSet("autoregressions", raw, _with_means, FeatureSpec(target="y"))


def _seasons(rng: np.random.Generator, n_rows: int) -> CleanSet:
    """A load with a day and a week, and the weather that it follows; one column stands still for a day at a time."""
    hour = np.arange(n_rows)
    weather = 10 * np.sin(2 * np.pi * hour / (24 * 90)) + np.cumsum(rng.normal(0, 0.2, n_rows))
    load = 50 + 10 * np.sin(2 * np.pi * hour / 24) + 4 * np.sin(2 * np.pi * hour / 168) - 0.5 * np.r_[0, weather[:-1]]
    raw = pd.DataFrame(
        {
            "load": load + rng.normal(0, 1, n_rows),
            "weather": weather,
            "hour": (hour % 24).astype(float),
            "yesterday": np.repeat(rng.normal(size=n_rows // 24 + 1), 24)[:n_rows],
        },
        index=pd.date_range("2020-01-01", periods=n_rows, freq="h", name="timestamp", unit="ns"),
    )

    def compute(known: pd.DataFrame) -> pd.DataFrame:
        days = known["load"].resample("D").mean().shift(1)
        return _with_means(known.assign(mean_of_yesterday=days.reindex(known.index, method="ffill")).iloc[24:])

    return CleanSet("seasons", raw, compute, FeatureSpec(target="load"))


def _changing_variance(rng: np.random.Generator, n_rows: int) -> CleanSet:
    """Returns whose variance comes in waves (GARCH), with the causal indicators of their prices."""
    variance, shock = np.full(n_rows, 4e-4), rng.normal(size=n_rows)
    for t in range(1, n_rows):
        variance[t] = 4e-6 + 0.12 * variance[t - 1] * shock[t - 1] ** 2 + 0.87 * variance[t - 1]
    raw = make_bars(rng, n_rows, np.sqrt(variance))
    return CleanSet("changing variance", raw, compute_indicators, FeatureSpec())


def _walks_and_a_forward_label(rng: np.random.Generator, n_rows: int) -> CleanSet:
    """Levels that wander, one of them towards another, and the return over the next 5 days as the label."""
    anchor = np.cumsum(rng.normal(size=n_rows))
    near = np.zeros(n_rows)
    for t in range(1, n_rows):
        near[t] = near[t - 1] + 0.05 * (anchor[t - 1] - near[t - 1]) + rng.normal()
    bars = make_bars(rng, n_rows).drop(columns="volume")
    raw = bars.assign(anchor=anchor, near=near, stranger=np.cumsum(rng.normal(size=n_rows)))

    def compute(known: pd.DataFrame) -> pd.DataFrame:
        price = known["close"]
        return _with_means(known.assign(label=price.shift(-5) / price - 1), leave_out="label")

    return CleanSet("walks and a forward label", raw, compute, FeatureSpec(target="label", label_horizon=5))


def _days_of_the_week(rng: np.random.Generator, n_rows: int) -> CleanSet:
    """A target with a level for each day of the week, and that day as a number and as dummies."""
    raw = _daily({"y": np.zeros(n_rows), "driver": rng.normal(size=n_rows)})
    days = raw.index.dayofweek.to_numpy()
    raw["y"] = 5 * rng.normal(size=7)[days] + rng.normal(size=n_rows)
    raw["day"] = days.astype(float)
    for day in range(7):
        raw[f"is_{day}"] = (days == day).astype(float)
    return CleanSet("days of the week", raw, _with_means, FeatureSpec(target="y"))


def _hours_of_the_day(rng: np.random.Generator, n_rows: int) -> CleanSet:
    """A target with a level for each hour, and the hour as a number, as a dummy and on a circle, and yesterday's."""
    index = pd.date_range("2020-01-01", periods=n_rows, freq="h", name="timestamp", unit="ns")
    hours = index.hour.to_numpy()
    columns = {
        "y": 3 * rng.normal(size=24)[hours] + rng.normal(size=n_rows),
        "hour": hours.astype(float),
        "is_8": (hours == 8).astype(float),
        "circle": np.sin(2 * np.pi * (np.arange(n_rows) + 1) / 24),
        "is_weekend": (index.dayofweek >= 5).astype(float),
    }

    def compute(known: pd.DataFrame) -> pd.DataFrame:
        return _with_means(known.assign(next_hour_of_yesterday=known["y"].shift(23)).iloc[23:])

    return CleanSet("hours of the day", pd.DataFrame(columns, index=index), compute, FeatureSpec(target="y"))


def _daily(columns: dict[str, np.ndarray]) -> pd.DataFrame:
    n_rows = len(next(iter(columns.values())))
    index = pd.date_range("2018-01-01", periods=n_rows, freq="D", name="timestamp", unit="ns")
    return pd.DataFrame(columns, index=index)


def _with_means(known: pd.DataFrame, *, leave_out: str = "") -> pd.DataFrame:
    """Return the columns with trailing means and changes of each."""
    numbers = known.drop(columns=leave_out, errors="ignore")
    means = numbers.rolling(7).mean().add_suffix("_mean_7")
    changes = numbers.diff(3).add_suffix("_change_3")
    return known.join([means, changes]).iloc[6:]
