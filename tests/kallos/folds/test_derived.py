import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallos.errors import DataError, UsageError
from kallos.folds.columns import known_columns, observed_rows, prepare_fold, study_frame, widths_of_columns
from kallos.folds.cut import Fold
from kallos.specs.data import FeatureSpec
from tests.samples import make_features

FRAME = make_features()
RANGES = FRAME.assign(log_range=np.exp(np.random.default_rng(3).normal(-4, 0.5, len(FRAME))))
EVERYTHING = FeatureSpec(
    target="log_range",
    target_transform="log",
    means={"target": (5, 22), "volume": (3,)},
    lags={"rsi_14": (1, 7)},
    calendar=("weekday", "month", "turn_of_month", "holiday:NYSE"),
    known_future=("weekday",),
)


def test_means_and_lags_are_those_of_pandas_and_no_row_is_lost():
    rows = study_frame(RANGES, EVERYTHING)
    logs, volume, rsi = np.log(RANGES["log_range"]), RANGES["volume"], RANGES["rsi_14"]
    expected = {
        "log_log_range_mean_5": logs.rolling(5, min_periods=1).mean(),
        "log_log_range_mean_22": logs.rolling(22, min_periods=1).mean(),
        "volume_mean_3": volume.rolling(3, min_periods=1).mean(),
        "rsi_14_lag_1": rsi.shift(1).fillna(rsi.iloc[0]),
        "rsi_14_lag_7": rsi.shift(7).fillna(rsi.iloc[0]),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(rows[name], values, rtol=1e-9, atol=1e-12)
    assert rows.index.equals(RANGES.index)


def test_without_logarithms_the_means_of_the_target_are_of_the_target_itself():
    rows = study_frame(FRAME, FeatureSpec(means={"target": (5,)}, target=("log_return_close", "macd")))
    np.testing.assert_allclose(rows["macd_mean_5"], FRAME["macd"].rolling(5, min_periods=1).mean(), atol=1e-12)
    assert "log_return_close_mean_5" in rows.columns


def test_the_calendar_of_a_label_that_looks_ahead_is_that_of_the_row_at_which_it_is_known():
    rows = study_frame(FRAME, FeatureSpec(label_horizon=3, calendar=("weekday",)))
    assert rows.index[0] == FRAME.index[3]
    np.testing.assert_array_equal(rows["weekday_thu"], rows.index.dayofweek == 3)


def test_what_is_known_ahead_is_the_calendar_and_the_columns_that_say_so():
    rows = study_frame(RANGES, EVERYTHING)
    known = known_columns(rows.columns, EVERYTHING)
    assert known[0] == "weekday"
    assert {"weekday_mon", "month_12", "turn_of_month", "after_holiday_NYSE"} <= set(known)
    assert not {"log_log_range_mean_5", "rsi_14_lag_1", "volume", "log_range"} & set(known)
    prepared = prepare_fold(rows, Fold(1, 0, 300, 300, 340), EVERYTHING)
    assert prepared.preparation.widths == widths_of_columns(rows.columns, EVERYTHING)
    assert prepared.known.width == len(known)
    names = prepared.preparation.columns[1 : 1 + prepared.preparation.widths.covariates]
    added = {names[place] for place in prepared.preparation.widths.added}
    assert added == {name for name in names if "_mean_" in name or "_lag_" in name}
    assert len(added) == 5


@given(seed=st.integers(0, 2**16), cut=st.integers(0, len(RANGES) - 2))
def test_no_column_of_a_row_moves_with_later_rows(seed, cut):
    changed = RANGES.copy()
    rng = np.random.default_rng(seed)
    changed.iloc[cut + 1 :] = np.abs(rng.normal(size=changed.iloc[cut + 1 :].shape)) + 0.1
    before, after = study_frame(RANGES, EVERYTHING), study_frame(changed, EVERYTHING)
    pd.testing.assert_frame_equal(before.iloc[: cut + 1], after.iloc[: cut + 1], check_exact=True)


@given(seed=st.integers(0, 2**16), fold=st.sampled_from([Fold(1, 0, 300, 300, 340), Fold(2, 50, 250, 256, 300)]))
def test_no_prepared_row_moves_with_rows_behind_the_training_end(seed, fold):
    changed = RANGES.copy()
    rng = np.random.default_rng(seed)
    changed.iloc[fold.train_stop :] = np.abs(rng.normal(size=changed.iloc[fold.train_stop :].shape)) * 10 + 0.1
    before, after = (prepare_fold(study_frame(frame, EVERYTHING), fold, EVERYTHING) for frame in (RANGES, changed))
    n_train = fold.train_stop - fold.train_start
    for name in ("target", "past_covariates", "known"):
        assert getattr(before, name)[:n_train] == getattr(after, name)[:n_train]
    assert before.target_scale == after.target_scale


def test_a_log_target_is_standardised_in_logarithms_and_comes_back_in_its_own_units():
    rows = study_frame(RANGES, EVERYTHING)
    prepared = prepare_fold(rows, Fold(1, 0, 300, 300, 340), EVERYTHING)
    logs = np.log(RANGES["log_range"].to_numpy())
    expected = (logs[:340] - logs[:300].mean()) / logs[:300].std()
    np.testing.assert_allclose(prepared.target.values()[:, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(prepared.target_scale.restore(expected[:, None])[:, 0], RANGES["log_range"].iloc[:340])


def test_a_volatility_of_zero_is_raised_to_the_smallest_positive_one_of_the_training_rows():
    frame = RANGES.assign(parkinson=RANGES["log_range"] ** 2)
    frame.iloc[[10, 320], frame.columns.get_loc("parkinson")] = 0.0
    features = FeatureSpec()
    prepared = prepare_fold(study_frame(frame, features), Fold(1, 0, 300, 300, 340), features)
    (scaler,) = (each for each in prepared.preparation.scalers if each.group == "volatility")
    floor = frame["parkinson"].iloc[:300].replace(0.0, np.nan).min()
    logs = np.log(frame["parkinson"].iloc[:300].clip(lower=floor))
    position = scaler.columns.index("parkinson")
    found = scaler.transform(frame[list(scaler.columns)].to_numpy())[[10, 320], position]
    np.testing.assert_allclose(found, (np.log(floor) - logs.mean()) / logs.std(ddof=0))


def test_rows_that_hold_nothing_but_what_is_known_ahead_are_no_rows_of_the_study():
    later = pd.DataFrame(
        {"weekday": [1.0, 2.0]}, index=pd.date_range(RANGES.index[-1], periods=3, freq="D", name="timestamp")[1:]
    )
    longer = pd.concat([RANGES, later])
    assert observed_rows(longer, EVERYTHING).equals(RANGES)
    pd.testing.assert_frame_equal(study_frame(longer, EVERYTHING), study_frame(RANGES, EVERYTHING))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"means": {"volum": [5]}}, "every name in 'means' must be a column that the study uses, and 'volum' is not"),
        ({"lags": {"volume": [5]}, "exclude": ["volume"]}, "'volume' is not; do not exclude it"),
        ({"target_transform": "log"}, "a target must be above zero for `target_transform` log: log_return_close at"),
        ({"known_future": ["*"]}, "a target is not known ahead, and 'known_future' names log_return_close"),
        ({"known_future": ["fomc"]}, "every pattern must match a column: 'fomc' in 'known_future' matches none"),
    ],
)
def test_what_cannot_be_added_is_refused_with_its_remedy(features, message):
    with pytest.raises(DataError, match=message):
        study_frame(FRAME, FeatureSpec.model_validate(features))


def test_a_column_of_the_table_with_the_name_of_an_added_one_is_refused():
    with pytest.raises(DataError, match="a column that the study adds must have a name of its own, and weekday_mon is"):
        study_frame(FRAME.assign(weekday_mon=0.0), FeatureSpec(calendar=("weekday",)))


def test_a_calendar_needs_timestamps():
    with pytest.raises(UsageError, match="'calendar' needs timestamps"):
        study_frame(FRAME.reset_index(drop=True), FeatureSpec(calendar=("weekday",)))


@pytest.mark.parametrize("groups", [{"volatility": ["*range*"]}, {"volume": ["*range*"]}])
def test_means_of_logarithms_are_standardised_whatever_group_their_name_fits(groups):
    features = FeatureSpec.model_validate(
        {"target": "log_range", "target_transform": "log", "means": {"target": [5]}, **groups}
    )
    prepared = prepare_fold(study_frame(RANGES, features), Fold(1, 0, 300, 300, 340), features)
    (scaler,) = (each for each in prepared.preparation.scalers if "log_log_range_mean_5" in each.columns)
    means = np.log(RANGES["log_range"]).rolling(5, min_periods=1).mean()
    own = scaler.columns.index("log_log_range_mean_5")
    rows = study_frame(RANGES, features)[list(scaler.columns)].to_numpy()
    expected = (means - means.iloc[:300].mean()) / means.iloc[:300].std(ddof=0)
    np.testing.assert_allclose(scaler.transform(rows)[:, own], expected, rtol=1e-6, atol=1e-9)


def test_two_added_columns_with_one_name_are_refused():
    frame = RANGES.rename(columns={"volume": "range"})
    features = FeatureSpec(target="range", target_transform="log", means={"target": (5,), "log_range": (5,)})
    with pytest.raises(DataError, match="a name of its own, and two would be log_range_mean_5"):
        study_frame(frame, features)


def test_a_column_that_is_left_out_does_not_make_a_row_of_the_study():
    days = pd.date_range(RANGES.index[-1], periods=3, freq="D", name="timestamp")[1:]
    longer = pd.concat([RANGES.assign(note="x"), pd.DataFrame({"weekday": [1.0, 2.0], "note": "y"}, index=days)])
    features = EVERYTHING.model_copy(update={"exclude": ("note",)})
    assert len(study_frame(longer, features)) == len(RANGES)
