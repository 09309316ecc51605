"""What `ingest` has left out as unfit is named by a check, though no gap of a trading calendar shows it."""

from pathlib import Path

import pandas as pd
import pytest

from flows.commands.check import check
from kallos.checks import RowReader, load_sound_features
from kallos.errors import UsageError
from kallos.features.store import FeatureStore
from kallos.features.writing import write_features
from kallos.specs.study import TuneSpec, parse_tune_spec
from tests.samples import make_features, small_spec

SESSIONS = pd.bdate_range("2020-01-01", periods=401, name="timestamp", unit="ns")
MISSING = SESSIONS[300]
RULE = "prices must be above zero"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database of sessions of which one was left out, of two assets, and one before the first."""
    features = make_features().set_index(SESSIONS.delete(300))
    url = f"sqlite:///{tmp_path / 'features.db'}"
    noted = pd.Series([RULE, RULE], pd.DatetimeIndex([pd.Timestamp("2019-06-03"), MISSING]))
    write_features({"ABC": features, "DEF": features.iloc[:, ::-1][features.columns]}, url, left_out={"ABC": noted})
    return url


def warnings(url: str, **over: object) -> list[tuple[str, str | None, tuple[str, ...]]]:
    _, examination = load_sound_features(RowReader(url), small_spec(**over))
    return [(finding.fault, finding.asset, finding.timestamps) for finding in examination.warnings]


def test_a_study_is_told_which_of_its_rows_were_left_out(url: str) -> None:
    assert warnings(url) == [("left-out-rows", None, (str(MISSING),))]


def test_rows_left_out_of_another_asset_or_of_other_dates_are_no_matter(url: str) -> None:
    assert warnings(url, data={"asset_id": "DEF"}) == []
    assert warnings(url, data={"end_date": str((MISSING - pd.Timedelta(days=1)).date())}) == []
    later = {"start_date": str((MISSING + pd.Timedelta(days=1)).date())}
    assert "left-out-rows" not in {fault for fault, *_ in warnings(url, data=later, folds={"window": 15})}


def test_the_last_row_may_be_among_those_left_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'features.db'}"
    noted = pd.Series([RULE], SESSIONS[-1:])
    write_features({"ABC": make_features().set_index(SESSIONS[:-1])}, url, left_out={"ABC": noted})

    assert warnings(url) == [("left-out-rows", None, (str(SESSIONS[-1]),))]


def test_of_several_assets_the_one_is_named(url: str) -> None:
    found = warnings(url, data={"asset_id": ["ABC", "DEF"]})

    assert ("left-out-rows", "ABC", (str(MISSING),)) in found
    assert len([each for each in found if each[0] == "left-out-rows"]) == 1


def test_check_names_the_row_and_the_rule_that_it_breaks(
    url: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(db_url=url, asset_id="ABC", n_folds=2, window=40)

    said = " ".join(capsys.readouterr().out.split())
    assert f"left-out-rows column timestamp, {MISSING}" in said
    assert f"1 in all ({MISSING}: {RULE})" in said
    assert "sound: tune takes ABC of table 'features', with 1 warning" in said


def test_a_query_says_nothing_of_rows_left_out(url: str) -> None:
    with FeatureStore(url) as store:
        query = TuneSpec.model_validate(
            {"data": {"asset_id": "ABC", "query": "SELECT * FROM features WHERE asset_id = :asset_id"}}
        )
        assert store.left_out(query.data).empty


def test_a_zone_that_there_is_not_is_refused_by_a_specification() -> None:
    with pytest.raises(UsageError, match=r"data.days_in must be a zone .* did you mean 'Europe/Berlin'"):
        parse_tune_spec({"data": {"asset_id": "ABC", "days_in": "Europe/Berln"}})
