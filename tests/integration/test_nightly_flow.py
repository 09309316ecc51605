"""The flows `evaluate` and `nightly` on a real Prefect server."""

import json
import re
from contextlib import nullcontext

import pytest
from prefect.artifacts import Artifact

from flows.evaluate import evaluate
from flows.nightly import nightly
from flows.session import watching
from kallos.errors import UsageError
from kallos.evaluation.results import HoldoutEvaluation
from kallos.features.store import FeatureStore
from kallos.models.files import load_model
from kallos.models.holdout_evaluations import evaluations_in
from kallos.models.registry import Registry
from kallos.scoring.fold import evaluate_fold
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.study.events import StepStarted
from tests.kallos.evaluation.test_models import SEASONAL, seasonal_features
from tests.samples import small_spec, stand_in_pool

pytestmark = pytest.mark.usefixtures("prefect_server", "home")

ALONE = RunSpec(workers=1)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch) -> None:
    """Processes take seconds to start, and the tests about them have their own."""
    pool = stand_in_pool(evaluate_fold)
    for module in ("flows.places", "flows.train"):
        monkeypatch.setattr(f"{module}.FoldPool", lambda *_, **__: nullcontext(pool))


def test_a_night_ships_what_forecasts_a_season_keeps_it_the_next_and_counts_its_evaluations(home, tmp_path):
    with FeatureStore(Settings.read().features_url) as store:
        store.write({"ABC": seasonal_features()})
    spec = small_spec(model_name="ridge", n_trials=2, seeds=1, **SEASONAL)
    results = tmp_path / "results"
    told = []
    with watching(told.append):
        first = nightly(spec, ALONE, str(results)).evaluation
    steps = [event.doing for event in told if isinstance(event, StepStarted)]
    assert re.fullmatch(r"replicating trial [01] on 2 folds", steps[0])
    assert steps[1:] == ["training 1 member", "forecasting the hold-out"]
    assert first.verdict.decision == "ship"
    registry = Registry(Settings.read().registry_folder)
    assert registry.champion("ABC", "log_return_close", 1).model_id == first.model_id
    second = nightly(spec, ALONE, str(results)).evaluation
    assert (second.verdict.decision, second.holdout_evaluations, second.tests) == ("keep", 2, 1)
    # What the night leaves: the evaluation, its picture, a page with the verdict first, a model that loads.
    text = (results / f"{first.model_id}_evaluation.json").read_text()
    assert HoldoutEvaluation.model_validate_json(text) == second
    assert (results / f"{first.model_id}_evaluation.png").read_bytes().startswith(b"\x89PNG")
    assert "On the hold-out" in (results / "ridge_ABC_report.html").read_text()
    document = json.loads((results / "ridge_ABC_best_params.json").read_text())
    model = load_model(str(results / "models" / first.model_id))
    assert model.manifest.choice.trials == (document["best_trial"],)
    assert [evaluation.decision for evaluation in evaluations_in(registry.folder_of(first.model_id))].count("ship") == 1
    artifact = Artifact.get("verdict-ridge-abc")
    assert artifact.data.startswith(f"# keep: {first.model_id}")
    assert f"{first.model_id} is champion in" in artifact.data
    # What a person takes out of use stays out, and the evaluation is logged beside the registry, too.
    registry.retire(first.model_id, "bad in live trading")
    assert nightly(spec, ALONE, str(results)).evaluation.verdict.decision == "ship"
    assert registry.show(first.model_id).entry.state == "retired"
    assert {evaluation.evaluation_id for evaluation in evaluations_in(Settings.read().registry_folder)} >= {
        evaluation.evaluation_id for evaluation in evaluations_in(registry.folder_of(first.model_id))
    }
    again = evaluate(registry.folder_of(first.model_id), against="none", output_dir=str(results))
    assert again.verdict.decision == "ship"
    assert again.holdout_evaluations > second.holdout_evaluations


def test_a_night_without_a_hold_out_is_refused_before_anything_runs():
    with pytest.raises(UsageError, match=r"a nightly run needs a hold-out .* set `holdout` to 2"):
        nightly(small_spec())
