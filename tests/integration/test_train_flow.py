"""`kallos-run train` through its flow on a real Prefect server."""

import logging
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect.artifacts import Artifact

from flows.cli import main
from kallos.models.files import load_model
from kallos.scoring.fold import evaluate_fold
from tests.small_models import finished_study, small_model

pytestmark = [
    pytest.mark.usefixtures("prefect_server", "home"),
    pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens"),
]


def test_train_leaves_the_model_that_the_library_trains_as_a_directory_and_an_artifact(
    home, tmp_path, monkeypatch, capsys
):
    # Processes take seconds to start, and the tests about them have their own.
    monkeypatch.setattr(
        "flows.train.FoldPool", lambda *_, **__: nullcontext(SimpleNamespace(evaluate=evaluate_fold)), raising=True
    )
    monkeypatch.setattr(
        "flows.commands.train.set_environment",
        lambda **given: [monkeypatch.setenv(name, value) for name, value in given.items() if value],
    )
    # The command quietens the process that it has for itself.
    monkeypatch.setattr(logging, "raiseExceptions", True)
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
