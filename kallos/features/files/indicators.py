"""Indicators of daily or intraday bars, each computed from the bar and earlier ones only."""

import numpy as np
import pandas as pd

TARGET = "log_return_close"
# Wilder's and exponential averages depend on all earlier bars, but on those more than this many bars ago by less than
# 1e-9 standard deviations of any indicator.
SETTLED_BARS = 400


def compute_indicators(bars: pd.DataFrame) -> pd.DataFrame:
    """Return one row of features per bar, without the warm-up rows.

    `bars` has float columns open, high, low, close and volume over a sorted index. The names of the features imply
    their group (see `kallos.specs.data.FeatureSpec`). The default target is `log_return_close`, log(close_t /
    close_{t-1}). `kallos.features.files.columns.COLUMNS` says what each is. Definitions are TA-Lib's, with the MACD
    parts divided by the close to be comparable over years; those of the variances are in `_range_estimates`.
    """
    import talib

    opened, high, low, close, volume = (
        bars[name].to_numpy(np.float64) for name in ("open", "high", "low", "close", "volume")
    )
    macd, macd_signal, macd_histogram = talib.MACD(close, fastperiod=12, slowperiod=26, signalperiod=9)
    stoch_k, stoch_d = talib.STOCH(high, low, close, fastk_period=14, slowk_period=3, slowd_period=3)
    sma_20 = talib.SMA(close, timeperiod=20)
    log_return = _log_return(close)
    columns = {
        TARGET: log_return,
        "log_return_open": _log_return(opened),
        "log_return_high": _log_return(high),
        "log_return_low": _log_return(low),
        "log_return_sma_10": _log_return(talib.SMA(close, timeperiod=10)),
        "log_return_ema_20": _log_return(talib.EMA(close, timeperiod=20)),
        **_range_estimates(opened, high, low, close),
        "squared_return": log_return**2,
        "volume": volume,
        # A running sum may fall a little below zero after a very large volume.
        "volume_sma_20": np.maximum(talib.SMA(volume, timeperiod=20), 0.0),
        "rsi_14": talib.RSI(close, timeperiod=14),
        "mfi_14": talib.MFI(high, low, close, volume, timeperiod=14),
        "stoch_k": stoch_k,
        "stoch_d": stoch_d,
        "adx_14": talib.ADX(high, low, close, timeperiod=14),
        "macd": macd / close,
        "macd_signal": macd_signal / close,
        "macd_histogram": macd_histogram / close,
        "diff_close_sma_20": close / sma_20 - 1,
        "diff_high_low": (high - low) / close,
        "roc_5": talib.ROC(close, timeperiod=5),
        "roc_10": talib.ROC(close, timeperiod=10),
        "natr_14": talib.NATR(high, low, close, timeperiod=14),
    }
    features = pd.DataFrame(columns, index=bars.index)
    complete = features.notna().all(axis=1).to_numpy()
    first = int(complete.argmax()) if complete.any() else len(features)
    return features.iloc[first:]


def _range_estimates(opened: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray) -> dict[str, np.ndarray]:
    """Return the log range of each bar, and estimates of its variance from its prices alone.

    M. Parkinson, Journal of Business 53(1), 1980, 61-65; M. B. Garman and M. J. Klass, Journal of Business 53(1), 1980,
    67-78, their practical estimator; L. C. G. Rogers and S. E. Satchell, Annals of Applied Probability 1(4), 1991,
    504-512. The latter two are below zero only if the open or close lies outside of the range, where they measure
    nothing. A variance cannot be negative, so these are 0.
    """
    log_range, log_body = np.log(high / low), np.log(close / opened)
    rogers_satchell = np.log(high / close) * np.log(high / opened) + np.log(low / close) * np.log(low / opened)
    return {
        "log_range": log_range,
        "parkinson": log_range**2 / (4 * np.log(2)),
        "garman_klass": np.maximum(log_range**2 / 2 - (2 * np.log(2) - 1) * log_body**2, 0.0),
        "rogers_satchell": np.maximum(rogers_satchell, 0.0),
    }


def _log_return(values: np.ndarray) -> np.ndarray:
    returns = np.full(len(values), np.nan)
    returns[1:] = np.log(values[1:] / values[:-1])
    return returns
