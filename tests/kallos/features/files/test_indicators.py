"""The indicators are what their names say, and know nothing of the future."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kallos.features.files.columns import COLUMNS
from kallos.features.files.indicators import TARGET, compute_indicators
from kallos.features.files.prices import read_prices
from kallos.specs.data import FeatureSpec

WARM_UP = 33
RANGES = ("parkinson", "garman_klass", "rogers_satchell")
REAL_PRICES = Path(__file__).parents[5] / "shared" / "data" / "yahoo_crypto_ohlcv_to2024.csv.gz"
GROUPS = {name: field.default for name, field in FeatureSpec.model_fields.items() if isinstance(field.default, tuple)}


def random_bars(n_rows: int = 150, *, seed: int = 0, scale: float = 100.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = scale * np.exp(np.cumsum(rng.normal(0, 0.02, n_rows)))
    opened = close * np.exp(rng.normal(0, 0.01, n_rows))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * (1 + rng.uniform(0, 0.01, n_rows)),
            "low": np.minimum(opened, close) * (1 - rng.uniform(0, 0.01, n_rows)),
            "close": close,
            "volume": scale * rng.lognormal(5, 1, n_rows),
        },
        index=pd.date_range("2020-01-01", periods=n_rows, name="timestamp"),
    )


BARS = random_bars()


def wilder(values: pd.Series, period: int) -> pd.Series:
    """The mean of the first values, then Wilder's smoothing, in plain steps."""
    return _recursive(values, period, 1 / period)


def ema(values: pd.Series, period: int) -> pd.Series:
    return _recursive(values, period, 2 / (period + 1))


def _recursive(values: pd.Series, period: int, weight: float) -> pd.Series:
    known = values.dropna()
    smooth = [known.iloc[:period].mean()]
    for value in known.iloc[period:]:
        smooth.append(smooth[-1] + weight * (value - smooth[-1]))
    return pd.Series(smooth, known.index[period - 1 :]).reindex(values.index)


def returns(values: pd.Series) -> pd.Series:
    return np.log(values) - np.log(values.shift())


def rsi(bars: pd.DataFrame) -> pd.Series:
    change = bars["close"].diff()
    up, down = wilder(change.clip(lower=0), 14), wilder(-change.clip(upper=0), 14)
    return 100 - 100 / (1 + up / down)


def mfi(bars: pd.DataFrame) -> pd.Series:
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3
    flow, change = typical * bars["volume"], typical.diff()
    up = flow.where(change > 0, 0).rolling(14).sum()
    down = flow.where(change < 0, 0).rolling(14).sum()
    return 100 * up / (up + down)


def stoch_k(bars: pd.DataFrame) -> pd.Series:
    low, high = bars["low"].rolling(14).min(), bars["high"].rolling(14).max()
    return (100 * (bars["close"] - low) / (high - low)).rolling(3).mean()


def natr(bars: pd.DataFrame) -> pd.Series:
    before = bars["close"].shift()
    true_range = np.maximum(bars["high"], before) - np.minimum(bars["low"], before)
    return 100 * wilder(true_range, 14) / bars["close"]


def macd(bars: pd.DataFrame) -> pd.Series:
    # Both means start at the 26th bar: the fast one from the 12 bars before it.
    close = bars["close"]
    return ema(close.iloc[14:], 12).reindex(close.index) - ema(close, 26)


def rogers_satchell(bars: pd.DataFrame) -> pd.Series:
    """Their formula as it is written: u(u - c) + d(d - c), from the open."""
    u, d, c = (np.log(bars[name]) - np.log(bars["open"]) for name in ("high", "low", "close"))
    return u * (u - c) + d * (d - c)


INDEPENDENT: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "log_return_close": lambda bars: returns(bars["close"]),
    "log_return_open": lambda bars: returns(bars["open"]),
    "log_return_high": lambda bars: returns(bars["high"]),
    "log_return_low": lambda bars: returns(bars["low"]),
    "log_return_sma_10": lambda bars: returns(bars["close"].rolling(10).mean()),
    "log_return_ema_20": lambda bars: returns(ema(bars["close"], 20)),
    "volume": lambda bars: bars["volume"],
    "volume_sma_20": lambda bars: bars["volume"].rolling(20).mean(),
    "rsi_14": rsi,
    "mfi_14": mfi,
    "stoch_k": stoch_k,
    "stoch_d": lambda bars: stoch_k(bars).rolling(3).mean(),
    "macd": lambda bars: macd(bars) / bars["close"],
    "macd_signal": lambda bars: ema(macd(bars), 9) / bars["close"],
    "macd_histogram": lambda bars: (macd(bars) - ema(macd(bars), 9)) / bars["close"],
    "diff_close_sma_20": lambda bars: bars["close"] / bars["close"].rolling(20).mean() - 1,
    "diff_high_low": lambda bars: (bars["high"] - bars["low"]) / bars["close"],
    "roc_5": lambda bars: 100 * (bars["close"] / bars["close"].shift(5) - 1),
    "roc_10": lambda bars: 100 * (bars["close"] / bars["close"].shift(10) - 1),
    "natr_14": natr,
    "log_range": lambda bars: np.log(bars["high"]) - np.log(bars["low"]),
    "parkinson": lambda bars: (np.log(bars["high"]) - np.log(bars["low"])) ** 2 / 2.772588722239781,
    "garman_klass": lambda bars: (
        0.5 * (np.log(bars["high"]) - np.log(bars["low"])) ** 2
        - 0.3862943611198906 * (np.log(bars["close"]) - np.log(bars["open"])) ** 2
    ),
    "rogers_satchell": rogers_satchell,
    "squared_return": lambda bars: returns(bars["close"]) ** 2,
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_an_indicator_is_what_its_definition_says(name: str) -> None:
    expected = INDEPENDENT[name](BARS).iloc[WARM_UP:]

    np.testing.assert_allclose(compute_indicators(BARS)[name], expected, rtol=1e-8, atol=1e-12)


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(
    last=st.integers(WARM_UP, len(BARS) - 2),
    seed=st.integers(1, 2**32 - 1),
    scale=st.sampled_from([1e-6, 1.0, 100.0, 1e9]),
)
def test_bars_that_change_or_are_yet_to_come_move_no_earlier_row(last: int, seed: int, scale: float) -> None:
    changed = random_bars(seed=seed, scale=scale)
    changed.iloc[: last + 1] = BARS.iloc[: last + 1]
    known = compute_indicators(BARS).iloc[: last + 1 - WARM_UP]

    for bars in (changed, BARS.iloc[: last + 1]):
        rows = compute_indicators(bars)
        assert rows.index[: len(known)].equals(known.index)
        assert rows.iloc[: len(known)].to_numpy().tobytes() == known.to_numpy().tobytes()


def test_a_bar_that_changes_moves_its_own_row() -> None:
    changed = BARS.copy()
    changed.iloc[100] *= 2

    moved = (compute_indicators(changed) != compute_indicators(BARS)).any(axis=1)

    assert moved.idxmax() == BARS.index[100]


@pytest.mark.parametrize("n_bars", [0, 1, 2, 20, WARM_UP, WARM_UP + 1, 100])
def test_the_first_33_bars_give_no_row(n_bars: int) -> None:
    bars = BARS.iloc[:n_bars]

    assert compute_indicators(bars).index.equals(bars.index[WARM_UP:])


@pytest.mark.parametrize("group", [name for name, patterns in GROUPS.items() if patterns])
def test_every_feature_group_has_a_column(group: str) -> None:
    columns = compute_indicators(BARS).columns

    assert any(fnmatchcase(column, pattern) for column in columns for pattern in GROUPS[group])


def test_the_default_target_is_a_column() -> None:
    assert FeatureSpec().target == TARGET
    assert TARGET in compute_indicators(BARS)


@pytest.mark.parametrize(
    "bars",
    [BARS, BARS.assign(volume=0.0), BARS * 0 + 5.0, BARS * 0 + [5.0, 5.0, 5.0, 5.0, 0.0]],
    ids=["random", "no volume", "no movement", "neither"],
)
def test_no_value_is_missing_or_infinite(bars: pd.DataFrame) -> None:
    features = compute_indicators(bars)

    assert len(features) == len(bars) - WARM_UP
    assert np.isfinite(features.to_numpy()).all()


def brownian_bars(drift: float, n_bars: int = 20_000, n_steps: int = 400) -> pd.DataFrame:
    """Return bars whose log price is a Brownian motion of variance 1e-4 a bar, with a drift, seen at each step."""
    rng = np.random.default_rng(3)
    steps = rng.normal(drift / n_steps, 0.01 / np.sqrt(n_steps), (n_bars, n_steps))
    paths = np.exp(np.hstack([np.zeros((n_bars, 1)), np.cumsum(steps, axis=1)]))
    columns = {"open": paths[:, 0], "high": paths.max(axis=1), "low": paths.min(axis=1), "close": paths[:, -1]}
    return pd.DataFrame({**columns, "volume": 1.0}, index=pd.date_range("1960-01-01", periods=n_bars, name="timestamp"))


@pytest.mark.parametrize(("drift", "unbiased"), [(0.0, RANGES), (0.02, ("rogers_satchell",))], ids=["none", "strong"])
def test_ranges_estimate_the_variance_of_a_brownian_motion(drift: float, unbiased: tuple[str, ...]) -> None:
    means = compute_indicators(brownian_bars(drift))[[*RANGES]].mean() / 1e-4

    # A range that is seen at 400 points only has a square some percent too small. A standard error is below 1 %.
    for name in RANGES:
        assert (0.85 < means[name] < 1.01) == (name in unbiased), (name, means[name])


def test_no_variance_is_negative_where_closes_are_adjusted_and_lie_outside_of_the_range() -> None:
    features = compute_indicators(BARS.assign(close=BARS["close"] / 2))

    assert (features["garman_klass"] == 0).all()
    assert (features["rogers_satchell"] >= 0).all()
    assert (features["rogers_satchell"] == 0).any()
    np.testing.assert_array_equal(features["parkinson"], compute_indicators(BARS)["parkinson"])


def test_a_bar_from_one_end_of_its_range_to_the_other_has_no_variance_after_rogers_and_satchell() -> None:
    bars = BARS.assign(open=BARS["low"], close=BARS["high"])

    features = compute_indicators(bars)

    assert (features["rogers_satchell"] == 0).all()
    np.testing.assert_allclose(features["garman_klass"], (1.5 - 2 * np.log(2)) * features["log_range"] ** 2, rtol=1e-12)


def test_the_table_of_columns_has_what_is_computed_in_its_order() -> None:
    assert list(compute_indicators(BARS).columns) == [each.name for each in COLUMNS if not each.is_realised]


def test_the_bars_are_left_as_they_were() -> None:
    bars = random_bars()

    compute_indicators(bars)

    pd.testing.assert_frame_equal(bars, random_bars(), check_exact=True)


@pytest.mark.skipif(not REAL_PRICES.is_file(), reason=f"the real prices are not here: {REAL_PRICES.name}")
@pytest.mark.parametrize(("asset", "rmse"), [("BTC", 0.02544), ("ETH", 0.02936)])
def test_the_zero_forecast_of_real_prices_has_the_known_error(asset: str, rmse: float) -> None:
    target = compute_indicators(read_prices(REAL_PRICES, asset)[asset]).loc["2023":"2024", TARGET]

    assert len(target) == 365 + 366
    assert round(float(np.sqrt((target**2).mean())), 5) == rmse
