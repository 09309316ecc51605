import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kallos.datasets import prepare_darts_timeseries
from kallos.errors import DataError, FitError
from kallos.folds.columns import group_columns, prepare_fold, study_frame
from kallos.folds.cut import Fold
from kallos.specs.data import FeatureSpec
from tests.samples import make_features

FOLD = Fold(number=1, train_start=0, train_stop=300, validation_start=300, validation_stop=360)
FRAME = make_features()


def covariate(prepared, name: str) -> np.ndarray:
    order = [column for columns in group_columns(FRAME.columns, FeatureSpec()).values() for column in columns]
    return prepared.past_covariates.values()[:, order.index(name)]


def standardised(values: np.ndarray, n_fit: int = 300) -> np.ndarray:
    return (values - values[:n_fit].mean()) / values[:n_fit].std()


def test_columns_go_to_the_first_group_whose_pattern_fits():
    columns = FRAME.columns.drop("weekday").append(pd.Index(["realised_volatility"]))
    assert group_columns(columns, FeatureSpec()) == {
        "volume": ["volume"],
        "bounded": ["rsi_14"],
        "unbounded": ["macd"],
        "rate_of_change": ["roc_5"],
        "log_return": ["log_return_open"],
        "volatility": ["realised_volatility"],
        "other": [],
    }


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("volume", lambda x: standardised(np.log1p(x))),
        ("rsi_14", lambda x: np.clip((x - x[:300].min()) / (x[:300].max() - x[:300].min()), 0, 1)),
        ("macd", lambda x: (x - np.median(x[:300])) / np.subtract(*np.percentile(x[:300], [95, 5]))),
        ("roc_5", lambda x: standardised(np.sign(x) * np.log1p(np.abs(x)))),
        ("log_return_open", standardised),
        ("weekday", standardised),
    ],
)
def test_each_group_is_normalised_over_the_training_rows(column, expected):
    prepared = prepare_darts_timeseries(FRAME, FOLD)
    values = covariate(prepared, column)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected(FRAME[column].to_numpy()[:360]), rtol=1e-5, atol=1e-6)


def test_forecasts_come_back_to_the_targets_own_units():
    prepared = prepare_darts_timeseries(FRAME, FOLD)
    restored = prepared.target_scale.restore(prepared.target.values()[:, 0])
    np.testing.assert_allclose(restored, FRAME["log_return_close"].to_numpy()[:360], atol=1e-8)
    assert prepared.target.dtype == np.float32


def test_principal_components_keep_the_share_of_variance_asked_for():
    rng = np.random.default_rng(5)
    signal = rng.normal(size=400)
    # Three columns of which two carry the same signal: two components hold nearly everything.
    frame = FRAME.assign(log_return_high=signal, log_return_low=2 * signal, log_return_open=rng.normal(size=400))
    spec = FeatureSpec(log_return_pca=0.99, exclude=("volume", "rsi*", "macd", "roc*", "weekday"))
    assert prepare_darts_timeseries(frame, FOLD, spec).past_covariates.width == 2


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    fold=st.sampled_from([FOLD, Fold(2, 50, 250, 256, 300), Fold(3, 0, 300, 310, 400)]),
    pca=st.sampled_from([None, 0.9]),
)
def test_nothing_after_the_training_end_moves_training_series_or_scalers(seed, fold, pca):
    spec = FeatureSpec(log_return_pca=pca)
    changed = FRAME.copy()
    rng = np.random.default_rng(seed)
    changed.iloc[fold.train_stop :] = np.abs(rng.normal(size=changed.iloc[fold.train_stop :].shape)) * 1e3
    before, after = (prepare_darts_timeseries(frame, fold, spec) for frame in (FRAME, changed))
    n_train = fold.train_stop - fold.train_start
    assert before.target_scale == after.target_scale
    assert before.target[:n_train] == after.target[:n_train]
    assert before.past_covariates[:n_train] == after.past_covariates[:n_train]
    # The change is real: it shows behind the training end.
    assert before.past_covariates != after.past_covariates


def test_rows_of_inner_validation_scale_nothing_when_they_are_not_to_fit():
    changed = FRAME.copy()
    changed.iloc[200:300] += 1.0
    before, after = (prepare_darts_timeseries(frame, FOLD, fit_rows=200) for frame in (FRAME, changed))
    assert before.target_scale == after.target_scale
    assert before.past_covariates[:200] == after.past_covariates[:200]


def test_a_target_alone_has_no_covariates():
    assert prepare_darts_timeseries(FRAME[["log_return_close"]], FOLD).past_covariates is None


def test_a_target_that_is_constant_in_training_cannot_be_fitted():
    # The standard deviation of equal 0.1s is not zero in binary.
    frame = FRAME.assign(log_return_close=np.r_[np.full(300, 0.1), np.ones(100)])
    with pytest.raises(FitError, match="'log_return_close' must not be constant over the 300 training rows"):
        prepare_darts_timeseries(frame, FOLD)


def test_a_forward_label_is_stamped_when_it_is_known():
    frame = FRAME.assign(label=np.arange(400.0))
    frame.loc[frame.index[-7:], "label"] = np.nan  # not realised yet
    study = study_frame(frame, FeatureSpec(target="label", label_horizon=7))
    assert study.columns[0] == "label"
    assert study.index[0] == frame.index[7]
    assert study["label"].tolist() == list(range(393))
    assert study["rsi_14"].equals(frame["rsi_14"].iloc[7:])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_with_its_first_row(value):
    frame = FRAME.copy()
    frame.iloc[[17, 40], frame.columns.get_loc("roc_5")] = value
    with pytest.raises(DataError, match="1 of 7 columns are not: roc_5 at 2 rows, first 2020-01-18 00:00:00"):
        study_frame(frame, FeatureSpec())


def test_forward_filling_takes_the_last_known_value_and_never_a_later_one():
    frame = FRAME.copy()
    frame.iloc[[17, 18], frame.columns.get_loc("roc_5")] = np.nan
    filled = study_frame(frame, FeatureSpec(), fill="forward")["roc_5"]
    assert filled.iloc[17] == filled.iloc[18] == FRAME["roc_5"].iloc[16]
    frame.iloc[0, frame.columns.get_loc("roc_5")] = np.nan
    with pytest.raises(DataError, match="roc_5 at 1 rows, first 2020-01-01"):
        study_frame(frame, FeatureSpec(), fill="forward")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"sector": "tech", "is_open": True},
            r"numbers, and 2 of 9 columns are not: sector \(text\), is_open \(boolean\); encode them as numbers",
        ),
        (
            {"is_open": np.array([True, None] * 200, dtype=object), "day": FRAME.index.date, "since": FRAME.index},
            r"is_open \(boolean\), day \(dates\), since \(dates\)",
        ),
        ({"volume": -1.0}, "group 'volume' must not be negative: volume at 400 rows"),
    ],
)
def test_columns_that_no_model_can_take_are_named(change, said):
    with pytest.raises(DataError, match=said):
        study_frame(FRAME.assign(**change), FeatureSpec())


def test_a_target_that_is_not_there_is_named_with_the_nearest_column():
    with pytest.raises(DataError, match="'log_return_clos' is not a column: did you mean 'log_return_close'"):
        study_frame(FRAME, FeatureSpec(target="log_return_clos"))


def test_excluded_columns_are_not_used():
    columns = study_frame(FRAME.assign(note="x"), FeatureSpec(exclude=("note", "week*"))).columns
    assert set(columns) == set(FRAME.columns) - {"weekday"}


BRACKETS = pd.DataFrame(
    np.random.default_rng(3).normal(size=(50, 7)), columns=["y", "ret[1]", "ret1", "bb_*", "bb_up", "volume*", "*"]
)


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (("ret[1]",), ["ret1", "bb_*", "bb_up", "volume*", "*"]),
        (("ret[[]1]",), ["ret1", "bb_*", "bb_up", "volume*", "*"]),
        (("bb_*",), ["ret[1]", "ret1", "bb_up", "volume*", "*"]),
        (("bb_?*",), ["ret[1]", "ret1", "volume*", "*"]),
        (("ret[1]", "ret*", "*olume*"), ["bb_*", "bb_up", "*"]),
        # Beside the exact name all its like are left out by a pattern that is none of the names.
        (("ret[12]",), ["ret[1]", "bb_*", "bb_up", "volume*", "*"]),
    ],
)
def test_a_pattern_that_is_the_name_of_a_column_stands_for_that_column_alone(exclude, left):
    features = FeatureSpec(target="y", exclude=exclude)
    study = study_frame(BRACKETS.abs(), features)
    assert study.columns.tolist() == ["y", *left]
    # What was left out is not there any more to be named, and what stays is what was chosen.
    grouped = group_columns(study.columns, features)
    assert sorted(name for names in grouped.values() for name in names) == sorted(left)
    assert prepare_fold(study, Fold(1, 0, 40, 40, 50), features).past_covariates.width == len(left)


def test_every_field_of_patterns_reads_an_exact_name_first():
    features = FeatureSpec(target="y", columns=("ret[1]", "bb_*"), volume=("ret[1]",))
    frame = BRACKETS.abs()
    assert study_frame(frame, features).columns.tolist() == ["y", "ret[1]", "bb_*"]
    grouped = group_columns(frame.columns, FeatureSpec(target="y", bounded=("ret[1]",)))
    assert grouped["bounded"] == ["ret[1]"]
    # Nobody has written the defaults: they are patterns, whatever a column is called.
    assert grouped["volume"] == ["volume*"]
    assert len(study_frame(frame, FeatureSpec(target="y")).columns) == 7


def test_an_integer_index_is_as_good_as_timestamps():
    frame = FRAME.set_index(pd.RangeIndex(1000, 1400))
    assert prepare_darts_timeseries(frame, FOLD).target == prepare_darts_timeseries(FRAME, FOLD).target


@pytest.mark.parametrize(("field", "pattern"), [("exclude", "week"), ("volume", "vlume*")])
def test_a_pattern_that_fits_no_column_is_a_typo(field, pattern):
    with pytest.raises(DataError, match=f"'{re.escape(pattern)}' in '{field}' matches none; did you mean"):
        study_frame(FRAME, FeatureSpec.model_validate({field: [pattern]}))


def test_a_label_that_looks_beyond_the_table_is_refused():
    with pytest.raises(DataError, match="it is 400, and there are 400 rows"):
        study_frame(FRAME, FeatureSpec(label_horizon=400))
