"""`kallos-run studies rescore`."""

import json

import numpy as np
import pytest

from flows.cli import main
from kallos.cache import FoldCache
from kallos.planning import plan_study
from kallos.settings import Settings
from kallos.study.record import open_record
from kallos.tuner import run_tuning
from tests.samples import by_parameters, make_features, small_spec

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


def run(monkeypatch, *words: str) -> int:
    """Run a command, and return its exit code."""
    monkeypatch.setattr("sys.argv", ["kallos-run", "studies", "rescore", *words])
    try:
        main()
    except SystemExit as left:
        return left.code
    return 0


@pytest.fixture
def study(home):
    """The result of a study whose record, forecasts and rows are where the settings say."""
    settings = Settings.read()
    home.mkdir(exist_ok=True)
    plan = plan_study(make_features(), small_spec(pruner="none"), settings.snapshots)
    with open_record(settings.studies_url, plan) as record:
        return run_tuning(plan, evaluate=FoldCache(settings.fold_cache).through(by_parameters), record=record)


def test_trials_by_another_metric_are_one_json_object(study, capsys, monkeypatch):
    assert run(monkeypatch, study.study_name, "--metric", "mae", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    # Each fold has one forecast, of the same error by both metrics.
    assert {each["trial"]: each["value"] for each in document["trials"]} == {
        trial.number: pytest.approx(trial.value) for trial in study.trials
    }
    assert [each["rank"] for each in document["trials"]] == [1, 2, 3]
    target = make_features()["log_return_close"].to_numpy()
    zero = np.mean([np.abs(target[start : start + 40]).mean() for start in (320, 360)])
    assert document["baseline_value"] <= zero * (1 + 1e-12)
    assert (document["study"], document["metric"], document["own_metric"]) == (study.study_name, "mae", "rmse")
    assert document["missing"] == []


def test_trials_by_another_metric_are_a_table_with_the_baseline(study, capsys, monkeypatch):
    assert run(monkeypatch, study.study_name, "--metric", "mae") == 0
    printed = capsys.readouterr().out
    first, heading, best, *_ = printed.splitlines()
    assert first == f"{study.study_name}: 3 complete trials by MAE"
    assert heading.split()[:4] == ["trial", "MAE", "skill", "RMSE"]
    assert best.split()[0] == str(study.best.number)
    assert printed.splitlines()[-1].startswith("baseline (")


def test_what_is_gone_is_said_with_what_brings_it_back(study, home, capsys, monkeypatch):
    FoldCache(Settings.read().fold_cache).remove(study.trials[1].scores[0].fingerprint)
    for snapshot in (home / "snapshots").iterdir():
        snapshot.unlink()
    assert run(monkeypatch, study.study_name, "--metric", "mae") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "2 complete trials by MAE" in printed
    assert "no baseline: the study's rows are in no snapshot any more" in printed
    assert "left out, because their forecasts are no longer in the fold cache: 1; run" in printed
    assert "--refresh-cache" in printed


@pytest.mark.parametrize(
    ("metric", "said"), [("mea", "did you mean 'mae'"), ("crps", "metric 'crps' needs quantile forecasts")]
)
def test_a_metric_that_cannot_be_shown_is_wrong_use_in_one_line(study, capsys, monkeypatch, metric, said):
    assert run(monkeypatch, study.study_name, "--metric", metric) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
