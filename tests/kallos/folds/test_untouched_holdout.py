"""The rows of a hold-out: whatever they hold, no check, no audit and no study says anything else."""

import sqlite3
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kallos.audit import audit_study
from kallos.audit.query import audit_query
from kallos.checks import (
    RowReader,
    examine,
    examine_each,
    examine_together,
    load_features_to_score,
    load_sound_features,
)
from kallos.checks.examination import examine_stamped, look_at_timestamps
from kallos.errors import DataError
from kallos.features.rows import tidy
from kallos.features.store import FeatureStore
from kallos.planning import plan_study
from kallos.specs.study import TuneSpec
from tests.samples import make_features, small_spec

FRAME = make_features()
NOW = pd.Timestamp("2021-06-01")
# Of 400 rows in windows of 40 the last two windows.
HOLDOUT = {"holdout": 2}
FIRST = 320


def as_read(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename_axis("timestamp").reset_index()


def spec_of(**over: Any) -> TuneSpec:
    return small_spec(folds=HOLDOUT, **over)


def seen_by(frame: pd.DataFrame, spec: TuneSpec) -> tuple[Any, ...]:
    """Return what the check finds and sees, and the name of the study and the hash of its rows."""
    rows = as_read(frame)
    examination = examine(rows, spec, now=NOW)
    plan = plan_study(tidy(rows, spec.data), spec, "memory://untouched")
    return examination.findings, examination.summary(), plan.study_name, plan.data


def correlated(frame: pd.DataFrame) -> pd.DataFrame:
    """Make a column the target of tomorrow in the hold-out alone."""
    changed = frame.copy()
    changed.iloc[FIRST:-1, frame.columns.get_loc("macd")] = changed["log_return_close"].to_numpy()[FIRST + 1 :]
    return changed


def put(value: Any, column: str = "macd", rows: slice = slice(350, 352)) -> Any:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        changed = frame.astype({column: object}) if isinstance(value, str) else frame.copy()
        changed.iloc[rows, frame.columns.get_loc(column)] = value
        return changed

    return change


CHANGES = {
    "missing": put(np.nan),
    "missing target": put(np.nan, "log_return_close"),
    "missing to the end": put(np.nan, rows=slice(FIRST, 400)),
    "infinite": put(np.inf, "roc_5"),
    "a word": put("n/a"),
    "a word for a target": put("n/a", "log_return_close"),
    "negative volume": put(-1.0, "volume"),
    "a jump": lambda frame: frame.assign(volume=frame["volume"].where(np.arange(400) < FIRST, frame["volume"] * 1e4)),
    "an outlier": put(1e9, "log_return_close", slice(399, 400)),
    "constant": put(0.0, "log_return_close", slice(FIRST, 400)),
    "correlated": correlated,
}


@pytest.mark.parametrize("label_horizon", [0, 5])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_a_holdout_holds_the_findings_and_the_study_stay_as_they_are(change, label_horizon):
    spec = spec_of(features={"label_horizon": label_horizon})
    before = seen_by(FRAME, spec)
    assert before[0] == ()
    assert before[1]["rows"] + before[1]["rows_of_holdout"] == 400
    assert seen_by(change(FRAME), spec) == before


@settings(max_examples=40, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(FIRST, 399), st.integers(0, 6)), min_size=1, max_size=30),
    value=st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 0.0, 1e30, 1e300]),
    label_horizon=st.sampled_from([0, 1, 7]),
    fill=st.sampled_from(["none", "forward"]),
)
def test_no_value_of_a_holdout_moves_a_finding_or_the_study(places, value, label_horizon, fill):
    spec = spec_of(features={"label_horizon": label_horizon}, data={"fill": fill})
    changed = FRAME.copy()
    for row, column in places:
        changed.iloc[row, column] = value
    assert seen_by(changed, spec) == seen_by(FRAME, spec)


def test_labels_that_are_known_behind_the_cut_are_no_more_looked_at_than_the_holdout():
    spec = spec_of(features={"label_horizon": 7})
    last = examine(as_read(FRAME), spec).rows - 7
    for value in (np.nan, 1e9):
        changed = put(value, "log_return_close", slice(last, 400))(FRAME)
        assert seen_by(changed, spec) == seen_by(FRAME, spec)
    # The one before is the study's.
    assert examine(as_read(put(np.nan, "log_return_close", slice(last - 1, last))(FRAME)), spec).errors


@pytest.mark.parametrize("label_horizon", [0, 5])
def test_faults_before_the_holdout_are_found_as_ever(label_horizon):
    spec = spec_of(features={"label_horizon": label_horizon})
    for change in (put(np.nan, rows=slice(200, 201)), put(1e9, "log_return_close", slice(250, 251))):
        with_holdout = examine(as_read(change(FRAME)), spec, now=NOW).findings
        assert with_holdout
        alone = examine(as_read(change(FRAME).iloc[:280]), small_spec(features=spec.features.model_dump()), now=NOW)
        assert [finding.fault for finding in alone.findings] == [finding.fault for finding in with_holdout]


def test_timestamps_of_a_holdout_are_looked_at_since_they_say_where_it_begins():
    rows = as_read(FRAME).drop(index=[350])
    assert [finding.fault for finding in examine(rows, spec_of(), now=NOW).errors] == ["missing-rows"]


def test_a_holdout_that_is_too_short_for_a_verdict_is_found_before_the_study_refuses_it():
    spec = small_spec(folds={"holdout": 1, "window": 25})
    (finding,) = examine(as_read(FRAME), spec, now=NOW).errors
    with pytest.raises(DataError) as refused:
        plan_study(FRAME, spec, "memory://untouched")
    assert (finding.fault, finding.line) == ("too-few-rows", str(refused.value).replace(": take", "; take"))


def test_of_several_assets_none_of_the_holdout_is_looked_at():
    spec = small_spec(data={"asset_id": ["ABC", "XYZ"]}, folds=HOLDOUT)
    frames = {"ABC": FRAME, "XYZ": make_features(seed=1)}

    def said(frames: dict[str, pd.DataFrame]) -> Any:
        each = examine_each({asset: as_read(frame) for asset, frame in frames.items()}, spec, now=NOW)
        return {asset: (one.findings, one.summary()) for asset, one in each.items()}, examine_together(
            pd.concat(frames), spec
        )

    before = said(frames)
    assert before[0]["XYZ"][1]["rows_of_holdout"] == 80
    for change in (put(np.nan), put(1e9, "log_return_close")):
        assert said({**frames, "XYZ": change(frames["XYZ"])}) == before


@pytest.mark.parametrize("label_horizon", [0, 5])
@pytest.mark.parametrize("name", ["missing", "a word", "correlated", "an outlier"])
def test_whatever_a_holdout_holds_the_audit_says_the_same(name, label_horizon):
    spec = spec_of(features={"label_horizon": label_horizon}, model_name="ridge")
    assert audit_study(CHANGES[name](FRAME), spec) == audit_study(FRAME, spec)


def test_an_audit_of_a_query_stops_at_the_holdout(monkeypatch):
    asked: list[str | None] = []

    def load(end_date: str | None) -> pd.DataFrame:
        asked.append(end_date)
        return FRAME.loc[:end_date]

    seen: list[int] = []

    def watched(own, features, **arguments):
        seen.append(len(own(None)))
        return audit_query(own, features, **arguments)

    monkeypatch.setattr("kallos.audit.study.audit_query", watched)
    audit_study(FRAME, spec_of(model_name="ridge"), load=load)
    assert seen == [FIRST]
    assert max(pd.Timestamp(end) for end in asked if end) < FRAME.index[FIRST]


@pytest.fixture
def database(home):
    url = f"sqlite:///{home / 'features.db'}"
    with FeatureStore(url) as store:
        store.write({"ABC": FRAME})
    with sqlite3.connect(home / "features.db") as connection:
        connection.execute("update features set macd = null where timestamp like '2020-12-24%'")
    return url


def test_a_missing_value_in_the_holdout_stops_no_study_and_is_refused_where_the_holdout_is_judged(database):
    spec = spec_of()
    features, examination = load_sound_features(RowReader(database), spec)
    assert examination.findings == ()
    assert plan_study(features, spec, "memory://untouched").data.rows == FIRST
    to_score = spec.model_copy(update={"folds": spec.folds.model_copy(update={"holdout": 0})})
    with pytest.raises(DataError) as refused:
        load_features_to_score(RowReader(database), to_score)
    (line,) = str(refused.value).splitlines()
    assert line.startswith("features must be finite, and macd is missing in 1 row, first 2020-12-24 00:00:00; ")
    assert "`test_end_date`" in line
    ending_before = to_score.model_copy(update={"data": to_score.data.model_copy(update={"end_date": "2020-12-23"})})
    assert len(load_features_to_score(RowReader(database), ending_before)[0]) == 358


def test_a_jump_in_the_holdout_is_warned_of_where_it_is_judged():
    stamped = look_at_timestamps(as_read(CHANGES["an outlier"](FRAME)), small_spec(), None)
    (finding,) = examine_stamped(stamped, small_spec(), 400).findings
    assert (finding.fault, finding.column, finding.timestamps) == (
        "outlier", "log_return_close", (str(FRAME.index[399]),)
    )  # fmt: skip
