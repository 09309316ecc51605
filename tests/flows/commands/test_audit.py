import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from flows.cli import app
from kallos.audit import audit_revisions
from kallos.audit.revisions import not_comparable
from kallos.features.snapshots import write_snapshot
from kallos.features.store import FeatureStore
from kallos.folds.columns import study_frame
from kallos.specs.data import DataSpec, FeatureSpec
from kallos.specs.study import TuneSpec
from kallos.study.best_params import BestParams
from tests.databases import SqlDatabase
from tests.report_samples import study_result
from tests.samples import make_features

FLAGS = ["--n-folds", "2", "--window", "40"]


@pytest.fixture
def db_url(home) -> str:
    """URL of a database with honest features of ABC, and of XYZ with the target of tomorrow among them."""
    url = f"sqlite:///{home / 'features.db'}"
    honest = make_features().assign(note=0.0)
    leaking = honest.assign(note=np.r_[honest["log_return_close"].to_numpy()[1:], 0.0])
    honest["note"] = np.random.default_rng(1).normal(size=len(honest))
    with FeatureStore(url) as store:
        store.write({"ABC": honest, "XYZ": leaking})
    return url


def test_an_audit_without_a_finding_ends_well_and_says_what_it_could_not_test(db_url, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    app(["audit", "--asset-id", "ABC", *FLAGS, "--db-url", db_url])
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines()[:-1])) <= 80
    assert "8 clean columns" in said
    assert said.splitlines()[-1] == "no leak found; not testable: query, revisions, label"


def test_a_leak_is_shown_first_and_ends_with_exit_code_1(db_url, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        app(["audit", *FLAGS, "--asset-id", "XYZ", "--db-url", db_url])
    assert left.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == ["note", "7 clean columns"]
    assert "LEAK" in rows[0]
    assert lines[-1].startswith("LEAK: association (note): no score of this study can be trusted")


def test_rows_that_were_revised_since_a_snapshot_are_in_the_json_report(db_url, home, capsys):
    with FeatureStore(db_url) as store:
        frame = store.load(DataSpec(asset_id="ABC"))
    earlier = study_frame(frame, FeatureSpec())
    earlier.iloc[5, earlier.columns.get_loc("macd")] += 1
    earlier.to_parquet(home / "earlier.parquet")
    with pytest.raises(SystemExit):
        app(
            [
                "audit",
                "--asset-id",
                "ABC",
                *FLAGS,
                "--db-url",
                db_url,
                "--json",
                "--against",
                str(home / "earlier.parquet"),
            ]
        )
    report = json.loads(capsys.readouterr().out)
    found = [(each["stage"], each["column"]) for each in report["verdicts"] if each["verdict"] == "leak"]
    assert report["has_leak"]
    assert report["sentence"].startswith("LEAK: revisions (macd)")
    assert found == [("revisions", "macd")]


def keep_result(home, url: str, features: FeatureSpec) -> None:
    """Leave a result of ABC, as a study leaves it, on rows in which `volume` was different."""
    with FeatureStore(url) as store:
        rows = study_frame(store.load(DataSpec(asset_id="ABC")), features)
    rows["volume"] += 1
    address = write_snapshot(rows, f"{home}/snapshots")
    spec = TuneSpec(data=DataSpec(asset_id="ABC"), features=features)
    best = BestParams.of(study_result(home))
    data = best.data.model_copy(update={"sha256": Path(address).stem})
    results = home.parent / "results"
    results.mkdir()
    document = best.model_copy(update={"spec": spec, "data": data}).model_dump_json()
    (results / "lightgbm+ridge_ABC_best_params.json").write_text(document)


@pytest.mark.parametrize(
    ("earlier", "untested"),
    [
        (FeatureSpec(), set()),
        (FeatureSpec(label_horizon=3), {"log_return_close"}),
    ],
)
def test_the_rows_of_the_last_result_are_compared_less_what_its_target_is(
    db_url, home, capsys, monkeypatch, earlier, untested
):
    monkeypatch.setattr("kallos.audit.audit_study", revisions_alone)
    monkeypatch.setenv("KALLOS_RESULTS", str(home.parent / "results"))
    keep_result(home, db_url, earlier)
    with suppress(SystemExit):
        app(["audit", "--asset-id", "ABC", *FLAGS, "--db-url", db_url, "--json"])
    found = {each["column"]: each["verdict"] for each in json.loads(capsys.readouterr().out)["verdicts"]}
    assert {name for name, verdict in found.items() if verdict == "leak"} == {"volume"} - untested
    assert untested <= {name for name, verdict in found.items() if verdict == "not testable"}


def revisions_alone(frame, spec, *, earlier, earlier_target, **_):
    """Return the verdicts of the one stage that is asked about, in no time."""
    return audit_revisions(study_frame(frame, spec.features), earlier, earlier_target=earlier_target)


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_the_password_of_a_results_folder_is_not_shown(db_url, capsys, monkeypatch, flags):
    monkeypatch.setattr("kallos.audit.audit_study", lambda *_, no_earlier, **__: [not_comparable(no_earlier)])
    monkeypatch.setenv("KALLOS_RESULTS", "memory://user:s3cret@host/results")
    monkeypatch.setenv("COLUMNS", "300")
    app(["audit", "--asset-id", "ABC", *FLAGS, "--db-url", db_url, *flags])
    said = capsys.readouterr()
    assert "s3cret" not in said.out + said.err
    assert "memory://***@host/results has no earlier result" in said.out


def test_rows_are_counted_while_they_are_read(db_url, monkeypatch):
    shown = []
    monkeypatch.setattr("kallos.audit.audit_study", lambda *_, **__: [])
    monkeypatch.setattr("rich.status.Status.update", lambda _, text: shown.append(text))
    app(["audit", "--asset-id", "ABC", *FLAGS, "--db-url", db_url])
    assert shown == ["reading the features: 400 rows"]


QUERY = """
SELECT timestamp, volume, rsi_14, {column} AS own, LEAD(price, 7) OVER (ORDER BY timestamp) / price - 1 AS target
FROM prices JOIN indicators USING (id, timestamp)
WHERE id = :asset_id AND timestamp BETWEEN :start_date AND :end_date
"""


@pytest.mark.parametrize(
    ("column", "label_horizon", "found"),
    [
        ("price / LAG(price) OVER (ORDER BY timestamp) - 1", 7, set()),
        (
            "price / AVG(price) OVER (ORDER BY timestamp ROWS BETWEEN 3 PRECEDING AND 3 FOLLOWING) - 1",
            7,
            {("query", "own")},
        ),
        ("price / MAX(price) OVER ()", 7, {("query", "own")}),
        ("macd", 6, {("query", "target"), ("label", "target")}),
    ],
)
def test_a_query_runs_again_with_earlier_end_dates(home, tmp_path, capsys, column, label_horizon, found):
    database = SqlDatabase(f"sqlite:///{tmp_path / 'own.db'}")
    database.fill_two_tables()
    query = tmp_path / "own.sql"
    query.write_text(QUERY.format(column=column))
    flags = ["--asset-id", "12", "--query-file", str(query), "--target", "target", "--start-date", "2020-01-02"]
    flags += ["--label-horizon", str(label_horizon), "--fill", "forward", "--json", "--db-url", database.url]
    with suppress(SystemExit):
        app(["audit", *flags, *FLAGS])
    report = json.loads(capsys.readouterr().out)
    assert {(each["stage"], each["column"]) for each in report["verdicts"] if each["verdict"] == "leak"} == found
    assert report["has_leak"] == bool(found)
    assert ("query", "not testable") not in {(each["stage"], each["verdict"]) for each in report["verdicts"]}


def test_a_query_that_takes_from_the_next_row_is_a_leak_and_not_a_missing_value(home, tmp_path, capsys):
    database = SqlDatabase(f"sqlite:///{tmp_path / 'own.db'}")
    database.fill_two_tables()
    query = tmp_path / "own.sql"
    query.write_text(QUERY.format(column="LEAD(volume) OVER (ORDER BY timestamp)"))
    flags = ["--asset-id", "12", "--query-file", str(query), "--target", "target", "--label-horizon", "7"]
    with pytest.raises(SystemExit):
        app(["audit", *flags, *FLAGS, "--json", "--db-url", database.url])
    leaks = [each for each in json.loads(capsys.readouterr().out)["verdicts"] if each["verdict"] == "leak"]
    assert [(each["stage"], each["column"]) for each in leaks] == [("query", "own")]
