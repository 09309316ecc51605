"""Rows are read once a run, a study is planned once, and a fold's forecasts are looked for once."""

import logging
from collections import Counter
from contextlib import nullcontext

import pytest

import flows.places
import flows.session
import flows.tune
from flows.cli import main
from flows.nightly import nightly
from flows.tune import tune
from flows.tune_all import tune_all
from kallos.cache import FoldCache
from kallos.features.store import FeatureStore
from kallos.planning import plan_study
from kallos.scoring.fold import evaluate_fold
from kallos.settings import Settings
from kallos.specs.grid import StudyGrid
from kallos.specs.run import RunSpec
from tests.kallos.evaluation.test_models import SEASONAL, seasonal_features
from tests.samples import by_parameters, make_features, small_spec, stand_in_pool

pytestmark = [
    pytest.mark.usefixtures("prefect_server", "home"),
    pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens"),
]

STUDY = """
model_name = "gru"
n_trials = 1
data = {asset_id = "ABC"}
folds = {n_folds = 2, window = 40}
"""


@pytest.fixture
def counts(monkeypatch) -> Counter:
    """How often rows were read, studies planned, and the fold cache asked."""
    counted: Counter = Counter()

    def count(what, of):
        def counting(*args, **kwargs):
            counted[what] += 1
            return of(*args, **kwargs)

        return counting

    monkeypatch.setattr(FeatureStore, "read", count("reads", FeatureStore.read))
    monkeypatch.setattr(FoldCache, "read", count("looks into the cache", FoldCache.read))
    for module in (flows.session, flows.tune):
        monkeypatch.setattr(module, "plan_study", count("plans", plan_study))
    return counted


# Choosing reads each fold of each trial, and once more for the actual values; then come the best trial's forecasts.
MADE_OF_FOLDS = 3 * 2 + 2 + 1


@pytest.fixture
def stored(home, monkeypatch):
    """A function that stores an asset's features, and lets folds be scored by a function in this process."""

    def store(score, **frames) -> None:
        with FeatureStore(Settings.read().features_url) as features:
            features.write(frames)
        pool = stand_in_pool(score)
        for module in ("flows.places", "flows.train"):
            monkeypatch.setattr(f"{module}.FoldPool", lambda *_, **__: nullcontext(pool))
        monkeypatch.setattr(flows.tune, "report_html", lambda *_, **__: "page")

    return store


def test_the_command_tune_reads_and_plans_once_and_its_flow_takes_what_it_has_prepared(
    stored, counts, monkeypatch, tmp_path, capsys
):
    stored(by_parameters, ABC=make_features())
    (tmp_path / "study.toml").write_text(STUDY)
    monkeypatch.setattr("flows.commands.tune.set_environment", lambda **_: None)
    # The command quietens the process that it has for itself.
    monkeypatch.setattr(logging, "raiseExceptions", True)
    monkeypatch.setattr("sys.argv", ["kallos-run", "tune", "--study", "study.toml", "--workers", "1"])
    main()
    assert "report: kallos-results/gru_ABC_report.html" in capsys.readouterr().out
    assert (counts["reads"], counts["plans"]) == (1, 1)


def test_a_flow_that_nobody_has_prepared_reads_and_plans_once(stored, counts, tmp_path):
    stored(by_parameters, ABC=make_features())
    tune(small_spec(), RunSpec(workers=1), str(tmp_path / "results"))
    assert (counts["reads"], counts["plans"]) == (1, 1)


def test_a_fold_is_looked_for_once_whether_it_is_stored_or_not(stored, counts, tmp_path):
    stored(by_parameters, ABC=make_features())
    # The second run finds in the study's folder what was made of the folds.
    for once_more in (MADE_OF_FOLDS, 0):
        tune(small_spec(pruner="none"), RunSpec(workers=1), str(tmp_path / "results"))
        assert counts["looks into the cache"] == 3 * 2 + once_more
        counts.clear()
        (Settings.read().home_dir / "studies.db").unlink()


def test_a_finished_study_is_not_looked_for_in_the_cache(stored, counts, tmp_path):
    stored(by_parameters, ABC=make_features())
    for looks in (3 * 2 + MADE_OF_FOLDS, 0):
        tune(small_spec(pruner="none"), RunSpec(workers=1), str(tmp_path / "results"))
        assert counts["looks into the cache"] == looks
        counts.clear()


def test_a_night_reads_the_rows_of_study_model_and_model_in_use_once(stored, counts, tmp_path):
    stored(evaluate_fold, ABC=seasonal_features())
    spec = small_spec(model_name="ridge", n_trials=2, seeds=1, **SEASONAL)
    first = nightly(spec, RunSpec(workers=1), str(tmp_path / "results"))
    assert (counts["reads"], counts["plans"]) == (1, 1)
    assert first.evaluation.verdict.decision == "ship"
    counts.clear()
    other = spec.model_copy(update={"seed": 1, "data": spec.data.model_copy(update={"end_date": "2031-01-01"})})
    second = nightly(other, RunSpec(workers=1), str(tmp_path / "results"))
    assert (counts["reads"], counts["plans"]) == (1, 1)
    assert second.evaluation.champion_id == first.evaluation.model_id


def test_many_studies_read_each_asset_once_and_plan_each_study_once(stored, counts, tmp_path):
    stored(by_parameters, ABC=make_features(), DEF=make_features(seed=1))
    grid = StudyGrid(spec=small_spec(n_trials=1), assets=("ABC", "DEF"), models=("gru", "lstm"))
    for _ in range(2):
        tune_all(grid, RunSpec(workers=1), str(tmp_path / "results"))
        assert (counts["reads"], counts["plans"]) == (2, 4)
        counts.clear()
