import numpy as np
import pandas as pd

from kallos.folds.columns import study_frame
from kallos.folds.groups import ColumnGroup, column_groups
from kallos.specs.data import FeatureSpec
from tests.samples import make_features


def groups_of(frame: pd.DataFrame, **features) -> dict[str, tuple[str, ...]]:
    spec = FeatureSpec.model_validate(features)
    return {group.name: group.columns for group in column_groups(study_frame(frame, spec), spec)}


def test_a_column_is_a_group_with_the_means_and_lags_that_are_computed_from_it():
    found = groups_of(make_features(), means={"target": [5], "macd": [3, 9]}, lags={"macd": [2]})
    assert next(iter(found)) == "log_return_close"
    assert found["log_return_close"] == ("log_return_close", "log_return_close_mean_5")
    assert found["macd"] == ("macd", "macd_mean_3", "macd_mean_9", "macd_lag_2")
    assert found["volume"] == ("volume",)
    assert list(found)[1:] == ["log_return_open", "volume", "rsi_14", "macd", "roc_5", "weekday"]


def test_means_of_a_targets_logarithm_belong_to_the_target():
    frame = make_features().assign(log_range=lambda rows: rows["log_return_close"].abs() + 0.01)
    found = groups_of(frame, target="log_range", target_transform="log", means={"target": [5]})
    assert found["log_range"] == ("log_range", "log_log_range_mean_5")


def test_each_item_of_the_calendar_is_a_group_and_comes_last():
    found = groups_of(make_features(), calendar=["weekday", "holiday:NYSE"], exclude=["weekday"])
    assert list(found)[-2:] == ["calendar: weekday", "calendar: holiday:NYSE"]
    assert found["calendar: weekday"][0] == "weekday_mon"
    assert len(found["calendar: holiday:NYSE"]) == 3
    # Every column is in exactly one group.
    columns = [name for group in found.values() for name in group]
    assert len(columns) == len(set(columns)) == 6 + 7 + 3


def test_of_many_columns_those_that_correlate_are_joined_and_targets_and_calendar_stay_alone():
    random = np.random.default_rng(0)
    drivers = random.normal(size=(300, 5))
    copies = {
        f"of{driver}_{number}": (-1) ** number * np.exp(drivers[:, driver]) + 0.01 * random.normal(size=300)
        for number in range(12)
        for driver in range(5)
    }
    frame = pd.DataFrame({"y": random.normal(size=300), **copies, "constant": 1.0})
    frame.index = pd.date_range("2020-01-01", periods=300, unit="ns", name="timestamp")
    spec = FeatureSpec(target="y", calendar=("weekday",))
    table = study_frame(frame, spec)
    target, *joined, weekday = column_groups(table, spec, most=8)
    assert (target, weekday.name) == (ColumnGroup("y", ("y",)), "calendar: weekday")
    together = [{name.partition("_")[0] for name in group.columns} for group in joined]
    assert together == [{"of0"}, {"of1"}, {"of2"}, {"of3"}, {"of4"}, {"constant"}]
    assert joined[0].name == "of0_0, of0_1 and 10 more"
    assert len(column_groups(table, spec)) <= 40
    assert len(column_groups(table, spec, most=1000)) == 63
