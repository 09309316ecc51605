"""Rows of days and sessions are those that pandas makes of the same bars, and measure what their names say."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kallos.errors import DataError, KallosError, UsageError
from kallos.features.files.columns import COLUMNS
from kallos.features.files.resampling import Resampling, resample_bars, resample_inputs
from kallos.features.files.rows import Inputs

NEW_YORK = "America/New_York"
SESSION = Resampling("1D", NEW_YORK, "09:30-16:00")
HALF_DAY, THANKSGIVING = "2024-11-29", "2024-11-28"


def bars_at(index: pd.DatetimeIndex, *, seed: int = 0) -> pd.DataFrame:
    """Return random bars whose opens are not the closes before, so that the two cannot be mistaken."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, len(index))))
    opened = close * np.exp(rng.normal(0, 0.001, len(index)))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * 1.0005,
            "low": np.minimum(opened, close) / 1.0005,
            "close": close,
            "volume": rng.integers(1, 100, len(index)).astype(float),
        },
        index=index.rename("timestamp"),
    )


def around_the_clock() -> pd.DataFrame:
    """Minutes of an exchange that never closes, without some hours, and without one day."""
    minutes = pd.date_range("2024-03-01", "2024-03-15 23:59", freq="min")
    hours = minutes.floor("h")
    away = hours.isin(pd.to_datetime(["2024-03-03 00:00", "2024-03-03 01:00", "2024-03-07 23:00", "2024-03-09 12:00"]))
    return bars_at(minutes[~away & (minutes.normalize() != "2024-03-11")])


def new_york_minutes(start: str = "2024-10-21", end: str = "2024-12-06") -> pd.DataFrame:
    """Minutes of an exchange in New York, before and after it too, over the end of summer time and a half day."""
    days = pd.bdate_range(start, end).drop(THANKSGIVING, errors="ignore")
    local = [
        pd.date_range(
            f"{day:%Y-%m-%d} 08:00",
            f"{day:%Y-%m-%d} {'12:59' if day == pd.Timestamp(HALF_DAY) else '17:59'}",
            freq="min",
        )
        for day in days
    ]
    return bars_at(local[0].append(local[1:]).tz_localize(NEW_YORK).tz_convert(None))


def by_pandas(bars: pd.DataFrame) -> pd.DataFrame:
    """Return what plain pandas makes of each local day; the index of the bars is local, and only has the session."""
    rows = {}
    for day, group in bars.groupby(bars.index.date):
        prices = np.concatenate([[group["open"].iloc[0]], group["close"]])
        returns = np.diff(np.log(prices))
        rows[pd.Timestamp(day)] = {
            "open": group["open"].iloc[0],
            "high": group["high"].max(),
            "low": group["low"].min(),
            "close": group["close"].iloc[-1],
            "volume": group["volume"].sum(),
            "realised_variance": sum(each**2 for each in returns),
            "realised_volatility": np.sqrt(sum(each**2 for each in returns)),
            "bipower_variation": np.pi / 2 * sum(abs(one) * abs(two) for one, two in pairwise(returns)),
            "realised_semivariance": sum(each**2 for each in returns if each < 0),
            "n_bars": len(group),
        }
    return pd.DataFrame.from_dict(rows, orient="index").astype(float)


def assert_same(made: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        made, expected, rtol=1e-9, atol=0, check_names=False, check_freq=False, check_index_type=False
    )


def test_days_of_an_exchange_that_never_closes_are_those_of_pandas():
    bars = around_the_clock()

    made = resample_bars(bars, Resampling("1D"))

    assert_same(made, by_pandas(bars))
    assert made.loc[["2024-03-02", "2024-03-03", "2024-03-09"], "n_bars"].tolist() == [1440, 1320, 1380]
    assert pd.Timestamp("2024-03-11") not in made.index


def test_sessions_have_as_many_bars_in_summer_as_in_winter_and_a_half_day_stays():
    bars = new_york_minutes()

    made = resample_bars(bars, SESSION)

    local = bars.set_axis(bars.index.tz_localize("UTC").tz_convert(NEW_YORK).tz_localize(None))
    assert_same(made, by_pandas(local.between_time("09:30", "16:00", inclusive="left")))
    assert made["n_bars"].drop(pd.Timestamp(HALF_DAY)).unique().tolist() == [390]
    assert made.loc[HALF_DAY, "n_bars"] == 210
    assert pd.Timestamp(THANKSGIVING) not in made.index
    assert {"2024-11-01", "2024-11-04"} <= {f"{day:%Y-%m-%d}" for day in made.index}


def test_the_move_of_a_night_is_in_no_row():
    bars = new_york_minutes("2024-10-21", "2024-10-25")
    doubled = bars.copy()
    doubled.loc[doubled.index >= "2024-10-23", ["open", "high", "low", "close"]] *= 2

    measures = [each.name for each in COLUMNS if each.is_realised]
    before, after = (resample_bars(each, SESSION)[measures] for each in (bars, doubled))

    pd.testing.assert_frame_equal(after, before, rtol=1e-12)


@pytest.mark.parametrize(
    ("session", "n_bars", "first"),
    [
        ("18:00-17:00", 23, "2024-10-31 22:00"),
        ("17:00-17:00", 24, "2024-10-31 21:00"),
        ("20:00-00:00", 4, "2024-11-02 00:00"),
    ],
)
def test_a_session_over_midnight_is_of_the_day_on_which_it_ends(session: str, n_bars: int, first: str):
    bars = bars_at(pd.date_range("2024-10-20", "2024-11-20", freq="h"))

    made = resample_bars(bars, Resampling("1D", NEW_YORK, session))

    assert made.loc["2024-11-01", "n_bars"] == n_bars
    assert made.loc["2024-11-01", "open"] == bars.loc[first, "open"]


def test_parts_of_a_day_begin_at_the_opening_and_are_moments_in_utc():
    made = resample_bars(new_york_minutes("2024-11-01", "2024-11-04"), Resampling("1h", NEW_YORK, "09:30-16:00"))

    assert [f"{moment:%d %H:%M}" for moment in made.index] == [
        *(f"01 {hour}:30" for hour in range(13, 20)),
        *(f"04 {hour}:30" for hour in range(14, 21)),
    ]
    assert made["n_bars"].tolist() == 2 * [60, 60, 60, 60, 60, 60, 30]


@pytest.mark.parametrize(("day", "n_bars"), [("2024-03-10", 23), ("2024-11-03", 25)])
def test_a_day_on_which_the_clocks_change_is_one_day_and_no_hour_is_two(day: str, n_bars: int):
    bars = bars_at(pd.date_range(pd.Timestamp(day) - pd.Timedelta(days=2), periods=240, freq="30min"))

    assert resample_bars(bars, Resampling("1D", NEW_YORK)).loc[day, "n_bars"] == 2 * n_bars
    hourly = resample_bars(bars, Resampling("1h", NEW_YORK))
    assert hourly.index.equals(bars.index[::2])


@settings(derandomize=True, database=None, deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1), share=st.floats(0.01, 1.0), zone=st.sampled_from(["UTC", NEW_YORK, "Asia/Kolkata"])
)
def test_whatever_minutes_are_missing_the_rows_are_those_of_pandas(seed: int, share: float, zone: str):
    minutes = pd.date_range("2024-03-08", "2024-03-12", freq="7min")
    bars = bars_at(minutes[np.random.default_rng(seed).random(len(minutes)) < share], seed=seed)

    local = bars.set_axis(bars.index.tz_localize("UTC").tz_convert(zone).tz_localize(None))

    assert_same(resample_bars(bars, Resampling("1D", zone)), by_pandas(local))


def test_the_measures_are_those_of_the_table():
    made = resample_bars(around_the_clock(), Resampling("1D"))

    assert list(made.columns[5:]) == [each.name for each in COLUMNS if each.is_realised]


def test_a_constant_drift_has_the_variances_of_its_closed_forms():
    step, n_bars = 0.001, 1440
    close = np.exp(-step * np.arange(1, n_bars + 1))
    bars = pd.DataFrame(
        {"open": close * np.exp(step), "high": close * np.exp(step), "low": close, "close": close, "volume": 1.0},
        index=pd.date_range("2024-01-01", periods=n_bars, freq="min", name="timestamp"),
    )

    (row,) = resample_bars(bars, Resampling("1D")).to_dict("records")

    assert row["realised_variance"] == pytest.approx(n_bars * step**2)
    assert row["realised_semivariance"] == pytest.approx(n_bars * step**2)
    assert row["bipower_variation"] == pytest.approx(np.pi / 2 * (n_bars - 1) * step**2)
    assert row["realised_volatility"] == pytest.approx(np.sqrt(n_bars) * step)


# Unfinished rows


def resampled(bars: pd.DataFrame, resampling: Resampling = SESSION, **left_out: pd.Series) -> Inputs:
    return resample_inputs(Inputs({"A": bars}, [], left_out), resampling)


def test_a_last_day_that_ends_early_is_left_out_and_named():
    bars = new_york_minutes()
    cut = bars[bars.index < "2024-12-06 18:00"]

    made = resampled(cut)

    assert_same(made.frames["A"], resample_bars(bars, SESSION).iloc[:-1])
    assert made.notes == (
        "rows are 1D of the session 09:30-16:00 in America/New_York, usually of 390 bars (`resample`, `session`, "
        "`days_in`)",
        "last rows left out until later bars show that they are finished: A 2024-12-06 (last bar 12:59:00, usually not "
        "before 15:59:00)",
    )


def test_a_last_day_that_is_whole_stays():
    made = resampled(new_york_minutes())

    assert str(made.frames["A"].index[-1].date()) == "2024-12-06"
    assert len(made.notes) == 1


def test_a_half_day_stays_once_a_later_day_follows():
    bars = new_york_minutes()
    for end, is_there in (("2024-11-30", False), ("2024-12-03", True)):
        made = resampled(bars[bars.index < end]).frames["A"]
        assert (pd.Timestamp(HALF_DAY) in made.index) == is_there


def test_a_last_part_of_a_day_is_compared_with_the_same_parts_of_other_days():
    hourly = Resampling("1h", NEW_YORK, "09:30-16:00")
    bars = new_york_minutes("2024-10-21", "2024-10-29")

    for end, last in (("20:00", "19:30"), ("19:50", "18:30"), ("19:30", "18:30")):
        made = resampled(bars[bars.index < f"2024-10-29 {end}"], hourly).frames["A"]
        assert str(made.index[-1]) == f"2024-10-29 {last}:00"


# Bars that were left out


def test_bars_that_were_left_out_are_noted_only_for_rows_without_any_other():
    bars = around_the_clock()
    at = pd.to_datetime(["2024-03-05 10:00", "2024-03-11 10:00", "2024-03-11 10:01"])

    made = resampled(bars, Resampling("1D"), A=pd.Series(["one", "two", "three"], at), B=pd.Series(["four"], at[:1]))

    assert {asset: dict(rules.items()) for asset, rules in made.left_out.items()} == {
        "A": {pd.Timestamp("2024-03-11"): "two"},
        "B": {pd.Timestamp("2024-03-05"): "four"},
    }


# What is refused


@pytest.mark.parametrize("rule", ["2D", "1W", "B", "ME", "7h", "-1h", "0h", "day", "30h"])
def test_a_rule_that_does_not_divide_a_day_is_refused(rule: str):
    with pytest.raises(
        UsageError, match=rf"`resample` must be 1D or a part of a day such as 4h or 30min, not '{rule}'"
    ):
        Resampling(rule)


@pytest.mark.parametrize("session", ["9-16", "09:30", "09:30-25:00", "09:30-16:60", "24:00-10:00", ""])
def test_a_session_that_is_not_two_times_is_refused(session: str):
    with pytest.raises(UsageError, match="`session` must be two local times such as 09:30-16:00"):
        Resampling("1D", "UTC", session)


@pytest.mark.parametrize(
    ("act", "kind", "said"),
    [
        (lambda: Resampling("1D", "New_York"), UsageError, "`days_in` must be a zone of the IANA database"),
        (lambda: Resampling(1), UsageError, "rule must be a str, not an int"),
        (lambda: Resampling("1D", session=930), UsageError, "session must be a str or None, not an int"),
        (
            lambda: resampled(bars_at(pd.bdate_range("2024-01-01", periods=9)), Resampling("1D")),
            DataError,
            "bars must be shorter than `resample` 1D: the 9 of asset 'A' usually are 'D' apart; give bars of minutes",
        ),
        (
            lambda: resampled(bars_at(pd.date_range("2024-01-01", periods=9, freq="4h")), Resampling("1h")),
            DataError,
            "the 9 of asset 'A' usually are '4h' apart",
        ),
        (
            lambda: resampled(bars_at(pd.date_range("2024-01-01 12:00", periods=9, freq="min")), SESSION),
            DataError,
            "none of the 9 of asset 'A' does, such as that of 2024-01-01 12:00:00 UTC; correct `session` or `days_in`",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_resampled_is_refused_in_one_line(act: Callable[[], object], kind: type[KallosError], said: str):
    with pytest.raises(kind, match=said) as refused:
        act()
    assert "\n" not in str(refused.value)
