"""The columns that `ingest` makes of prices, in words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PriceColumn:
    """A column: its name, its unit, what it is, and whether only resampled bars have it."""

    name: str
    unit: str
    meaning: str
    is_realised: bool = False


def _of_indices(name: str, meaning: str) -> PriceColumn:
    return PriceColumn(name, "0 to 100", meaning)


def _realised(name: str, unit: str, meaning: str) -> PriceColumn:
    return PriceColumn(name, unit, meaning, is_realised=True)


# All of them, in the order of the table.
COLUMNS = (
    PriceColumn("log_return_close", "log return", "log of the close divided by the row before's; the default target"),
    PriceColumn("log_return_open", "log return", "the same for the open"),
    PriceColumn("log_return_high", "log return", "the same for the high"),
    PriceColumn("log_return_low", "log return", "the same for the low"),
    PriceColumn("log_return_sma_10", "log return", "the same for the close's simple mean of 10 rows"),
    PriceColumn("log_return_ema_20", "log return", "the same for the close's exponential mean of 20 rows"),
    PriceColumn("log_range", "volatility", "log(high / low)"),
    PriceColumn("parkinson", "variance", "log(high / low)² / (4 log 2); Parkinson 1980"),
    PriceColumn(
        "garman_klass",
        "variance",
        "log(high / low)² / 2 - (2 log 2 - 1) log(close / open)², at least 0; Garman & Klass 1980",
    ),
    PriceColumn(
        "rogers_satchell",
        "variance",
        "log(high / close) log(high / open) + log(low / close) log(low / open), at least 0; Rogers & Satchell 1991",
    ),
    PriceColumn("squared_return", "variance", "log_return_close squared"),
    PriceColumn("volume", "volume", "as in the file"),
    PriceColumn("volume_sma_20", "volume", "mean volume of 20 rows"),
    _of_indices("rsi_14", "relative strength index of 14 rows"),
    _of_indices("mfi_14", "money flow index of 14 rows"),
    _of_indices("stoch_k", "slow stochastic oscillator of 14 rows, mean of 3"),
    _of_indices("stoch_d", "mean of stoch_k over 3 rows"),
    _of_indices("adx_14", "average directional index of 14 rows"),
    PriceColumn("macd", "share of close", "exponential mean of the close over 12 rows, minus that over 26"),
    PriceColumn("macd_signal", "share of close", "exponential mean of MACD over 9 rows"),
    PriceColumn("macd_histogram", "share of close", "MACD minus its signal"),
    PriceColumn("diff_close_sma_20", "share of mean", "close minus its mean of 20 rows"),
    PriceColumn("diff_high_low", "share of close", "high minus low"),
    PriceColumn("roc_5", "percent", "change of the close over 5 rows"),
    PriceColumn("roc_10", "percent", "change of the close over 10 rows"),
    PriceColumn("natr_14", "percent of close", "mean true range of 14 rows"),
    _realised(
        "realised_variance", "variance", "sum of the squared log returns of a row's bars; Andersen & Bollerslev 1998"
    ),
    _realised("realised_volatility", "volatility", "square root of realised_variance"),
    _realised(
        "bipower_variation",
        "variance",
        "π / 2 times the sum of the products of absolute log returns and those of the bar before; robust to jumps; "
        "Barndorff-Nielsen & Shephard 2004",
    ),
    _realised(
        "realised_semivariance",
        "variance",
        "sum of the squared negative log returns; Barndorff-Nielsen, Kinnebrock & Shephard 2010",
    ),
    _realised("n_bars", "count", "number of bars that the row is made of"),
)
