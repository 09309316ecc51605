"""The harness of accuracy: its smallest run, and its arithmetic."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy import DEVELOPMENT, HAR, RANGES, errors, errors_of_last, index_of_stocks, saving

# Two years; `arch` brings the rows along.
(STOCKS,) = (replace(each, first="2013-01-01") for each in DEVELOPMENT if each.name == "S&P 500")


def test_the_last_value_errs_by_the_change_of_the_ranges_logarithm():
    logs = np.log(index_of_stocks("S&P 500")["log_range"])
    expected = np.square(logs.diff())["2013-01-01":"2014-12-31"]
    pd.testing.assert_series_equal(errors_of_last(STOCKS), expected, check_names=False, check_freq=False)


def test_every_contestant_forecasts_the_same_rows():
    last = errors_of_last(STOCKS)
    for contestant in RANGES:
        found = errors(STOCKS, contestant, 0)
        assert found.index.equals(last.index), contestant.label
        # Over two years, each of them errs less than the last value.
        assert found.mean() < last.mean(), contestant.label


def test_what_one_saves_is_the_mean_share_over_the_series():
    quarters = pd.date_range("2020-01-01", periods=400, freq="D")
    against = pd.Series(np.random.default_rng(0).uniform(1, 2, 400), index=quarters)
    losses = {
        name: pd.DataFrame({"ridge": share**2 * against, HAR: against}) for name, share in (("A", 0.9), ("B", 0.7))
    }
    # The same share in every quarter leaves no doubt.
    assert saving(losses, "ridge", HAR) == pytest.approx((0.2, 0.2, 0.2))
