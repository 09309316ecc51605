"""`kallos-run train` through its flow on a real Prefect server."""

import logging
from contextlib import nullcontext
from pathlib import Path

import pytest
from prefect.artifacts import Artifact

from flows.cli import main
from kallos.models.files import load_model
from kallos.scoring.fold import evaluate_fold
from kallos.study.again import plan_again
from kallos.study.choice import Choice, Member
from kallos.study.names import artifact_key
from kallos.study.replication import replicate
from tests.samples import stand_in_pool
from tests.small_models import finished_study, small_model

pytestmark = [
    pytest.mark.usefixtures("prefect_server", "home"),
    pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens"),
]


@pytest.fixture
def in_this_process(monkeypatch) -> None:
    # Processes take seconds to start, and the tests about them have their own.
    monkeypatch.setattr("flows.train.FoldPool", lambda *_, **__: nullcontext(stand_in_pool(evaluate_fold)))
    monkeypatch.setattr(
        "flows.commands.train.set_environment",
        lambda **given: [monkeypatch.setenv(name, value) for name, value in given.items() if value],
    )
    # The command quietens the process that it has for itself.
    monkeypatch.setattr(logging, "raiseExceptions", True)


def test_train_leaves_the_model_that_the_library_trains_as_a_directory_and_an_artifact(
    home, in_this_process, monkeypatch, capsys
):
    study = finished_study(home)
    arguments = ["train", "--params-file", study.file, "--seeds", "2", "--workers", "1"]
    monkeypatch.setattr("sys.argv", ["kallos-run", *arguments])
    main()
    shown = capsys.readouterr().out
    (folder,) = Path("kallos-results/models").iterdir()
    model = load_model(str(folder))
    assert folder.name == model.model_id
    assert f"written to {folder}" in " ".join(shown.split())
    replicated = model.manifest.seed_replication
    assert replicated.values[0] == study.best.best_value
    assert model.files() == small_model(study).files()
    assert small_model(study, seed_replication=replicated).model_id == model.model_id
    artifact = Artifact.get("model-gru-abc")
    assert model.model_id in artifact.data


def test_an_ensemble_is_replicated_trained_and_shown_like_a_trial(home, in_this_process, monkeypatch, capsys):
    study = finished_study(home, model_name="gru,ridge")
    space = study.best.spec.search_space
    members = tuple(
        Member(trial=trial, params=space.defaults(name), weight=weight)
        for trial, name, weight in ((1, "ridge", 0.75), (2, "gru", 0.25))
    )
    ensemble = Choice(choose="ensemble", members=members)
    monkeypatch.setattr("kallos.models.trainer.chosen", lambda best, choose: ensemble)
    arguments = ["--params-file", study.file, "--seeds", "2", "--workers", "1", "--choose", "ensemble"]
    monkeypatch.setattr("sys.argv", ["kallos-run", "train", *arguments])
    main()
    shown = " ".join(capsys.readouterr().out.split())
    (folder,) = Path("kallos-results/models").iterdir()
    model = load_model(str(folder))
    assert model.labels == ("1-42", "2-42", "2-43")
    assert model.manifest.choice.choose == "ensemble"
    assert "an ensemble of ridge (trial 1) 75%, gru (trial 2) 25%" in shown
    # The seed replication scores the weighted mean: it is that of folds fitted here.
    plan = plan_again(study.best, study.rows, study.snapshot)
    assert model.manifest.seed_replication == replicate(plan, members, seeds=2)
    artifact = Artifact.get(artifact_key("model", study.best.spec))
    assert "| gru, trial 2, weight 0.25 | value |" in artifact.data
