import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kallos.architectures import Architecture, references
from kallos.errors import DataError, KallosError
from kallos.models import files
from kallos.models.files import load_model, write_model
from kallos.models.forecasting import forecast_next, forecast_windows
from kallos.models.trained import TrainedModel
from tests.small_models import FinishedStudy, are_same, finished_study, forge, small_model

WEIGHTS = "weights-0-42.safetensors"


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> FinishedStudy:
    return finished_study(
        tmp_path_factory.mktemp("study"), horizon=2, features={"label_horizon": 3, "log_return_pca": 0.9}
    )


@pytest.fixture(scope="module")
def model(study) -> TrainedModel:
    return small_model(study)


@pytest.fixture(scope="module")
def written(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    assert write_model(model, str(folder)) == str(folder)
    return folder


@pytest.fixture
def copied(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copied"))


def test_a_new_process_forecasts_with_a_written_model_to_the_bit(study, model, written):
    code = f"""
import pickle, sys
from kallos.models.forecasting import forecast_next, forecast_windows
from kallos.models.files import load_model
from kallos.features.snapshots import read_snapshot
model, rows = load_model({str(written)!r}), read_snapshot({f"{study.snapshots}/{study.best.data.sha256}.parquet"!r})
windows = forecast_windows(model, rows, 300, 350)
sys.stdout.buffer.write(pickle.dumps((model.model_id, windows, forecast_next(model, rows))))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    model_id, windows, following = pickle.loads(done.stdout)
    assert model_id == model.model_id
    here = forecast_windows(model, study.rows, 300, 350)
    assert windows.keys() == here.keys() == {"0-42", "0-43"}
    assert all(windows[label].quantiles.tobytes() == here[label].quantiles.tobytes() for label in here)
    assert are_same(following, forecast_next(model, study.rows))


def test_the_manifest_says_what_the_model_is_and_the_same_model_is_the_same_bytes(study, model, written, tmp_path):
    manifest = json.loads((written / "manifest.json").read_text())
    assert manifest["model_id"] == model.model_id
    assert manifest["data"] == study.best.data.model_dump()
    assert manifest["choice"]["members"] == [{"trial": 0, "params": study.best.best_params, "weight": 1.0}]
    assert manifest["columns"] == list(study.rows.columns)
    assert (manifest["horizon"], manifest["lead"]) == (2, 3)
    assert sorted(manifest["files"]) == ["preparation-0.json", "weights-0-42.safetensors", "weights-0-43.safetensors"]
    assert sorted(path.name for path in written.iterdir()) == sorted([*manifest["files"], "manifest.json"])
    write_model(small_model(study), str(tmp_path / "again"))
    for path in written.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "over",
    [
        {"likelihood": "quantile", "metric": "pinball", "horizon": 2},
        {"features": {"target": ["log_return_close", "macd"]}},
        {"likelihood": "quantile", "features": {"target": ["macd", "log_return_close"]}, "horizon": 2},
        {"model_name": "ridge", "features": {"target": ["log_return_close", "macd"]}, "horizon": 2},
    ],
    ids=["quantiles", "targets", "quantiles of targets", "regression of targets"],
)
def test_a_model_of_quantiles_or_of_several_targets_comes_back_to_the_bit(tmp_path, over):
    study = finished_study(tmp_path, **over)
    model = small_model(study, seeds=1, refit="median-epochs")
    loaded = load_model(write_model(model, str(tmp_path / "model")))
    assert (loaded.manifest, loaded.files()) == (model.manifest, model.files())
    before, after = (forecast_windows(each, study.rows, 300, 320)["0-42"] for each in (model, loaded))
    assert before.quantiles.tobytes() == after.quantiles.tobytes()
    assert before.mean.tobytes() == after.mean.tobytes()
    assert are_same(forecast_next(loaded, study.rows), forecast_next(model, study.rows))


def test_a_scale_of_other_targets_is_refused(copied):
    edit(copied, "preparation-0.json", targets=["log_return_close", "macd"])
    forge(copied)
    with pytest.raises(DataError, match="the target must be 'log_return_close'"):
        load_model(str(copied))
    edit(copied, "preparation-0.json", targets=["log_return_close"], mean=[0.0, 0.0])
    forge(copied)
    with pytest.raises(DataError, match="there must be one mean and one standard deviation for each target"):
        load_model(str(copied))


def test_a_model_is_written_to_an_object_store_and_read_from_it(study, model):
    write_model(model, "memory://store/models/one")
    loaded = load_model("memory://store/models/one")
    there, here = (forecast_windows(each, study.rows, 300, 310)["0-43"].point for each in (loaded, model))
    np.testing.assert_array_equal(there, here)
    fsspec.filesystem("memory").rm("/store", recursive=True)


def test_a_model_is_never_written_over_another_nor_among_other_files(study, model, copied, tmp_path):
    other = small_model(study, seeds=1)
    before = {path: path.read_bytes() for path in copied.iterdir()}
    with pytest.raises(KallosError, match=f"cannot overwrite another, and {copied} holds {model.model_id}"):
        write_model(other, str(copied))
    assert {path: path.read_bytes() for path in copied.iterdir()} == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(KallosError, match=r"its own folder, and .*notes holds a\.txt"):
        write_model(other, str(tmp_path / "notes"))


def test_writing_the_same_model_again_mends_it(model, copied):
    (copied / WEIGHTS).write_bytes(b"")
    write_model(model, str(copied))
    assert load_model(str(copied)).manifest == model.manifest


def test_a_write_that_fails_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KallosError, match=r"must be writable: .*No space left on device"):
        write_model(model, str(tmp_path / "models" / "model"))
    assert list((tmp_path / "models").iterdir()) == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(folder: Path, name: str, **changes: object) -> None:
    values = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**values, **changes}))


def rename_weight(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    first = next(iter(weights))
    save_file({("x" if name == first else name): value for name, value in weights.items()}, folder / WEIGHTS)


def reshape_weight(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file({name: value[:-1] if value.ndim else value for name, value in weights.items()}, folder / WEIGHTS)


def other_columns(folder: Path) -> None:
    values = json.loads((folder / "preparation-0.json").read_text())
    values["groups"][0]["columns"] = ["other"]
    (folder / "preparation-0.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("damage", "forged", "said"),
    [
        (lambda folder: flip(folder / WEIGHTS), False, "its file weights-0-42.safetensors was changed"),
        (lambda folder: flip(folder / "preparation-0.json"), False, "its file preparation-0.json was changed"),
        (lambda folder: (folder / "preparation-0.json").unlink(), False, "its file preparation-0.json is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), False, "must have a manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), False, "not that of a model"),
        (lambda folder: (folder / "manifest.json").write_text('{"name": "npm"}'), False, "not that of a model"),
        (lambda folder: edit(folder, "manifest.json", format=1), False, "it has format 1, and this version reads 5"),
        (lambda folder: edit(folder, "manifest.json", more=1), False, "damaged: more is not a field"),
        (lambda folder: edit(folder, "manifest.json", horizon=3), False, "damaged: specification must agree with"),
        (lambda folder: edit(folder, "manifest.json", frequency="B"), False, "must not skip nights or weekends"),
        (lambda folder: edit(folder, "manifest.json", study="x"), False, "manifest.json was changed"),
        (lambda folder: edit(folder, "preparation-0.json", mean=float("nan")), True, "json is damaged: mean"),
        (lambda folder: edit(folder, "preparation-0.json", groups=[]), True, "are not those of the manifest"),
        (other_columns, True, "are not those of the manifest"),
        (rename_weight, True, "differ in name, shape or type"),
        (reshape_weight, True, "differ in name, shape or type"),
        (lambda folder: torch.save([1, 2], folder / WEIGHTS), True, "must hold weights and nothing else"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"gone"), True, "must hold weights and nothing else"),
    ],
)  # fmt: skip
def test_a_directory_that_is_not_as_it_was_written_is_refused_in_one_line(copied, damage, forged, said):
    damage(copied)
    if forged:
        forge(copied)
    with pytest.raises(DataError, match=said) as raised:
        load_model(str(copied))
    assert "\n" not in str(raised.value)
    assert str(copied) in str(raised.value)


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("save", [lambda thing, file: file.write_bytes(pickle.dumps(thing)), torch.save])
def test_a_pickle_in_place_of_the_weights_is_refused_and_not_executed_however_well_forged(copied, tmp_path, save):
    mark = tmp_path / "executed"
    save(Malicious(mark), copied / "weights-0-43.safetensors")
    forge(copied)
    with pytest.raises(DataError, match=r"weights-0-43\.safetensors must hold weights and nothing else") as raised:
        load_model(str(copied))
    assert "\n" not in str(raised.value)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd"])
def test_a_manifest_cannot_name_files_outside_of_its_folder(copied, name):
    values = json.loads((copied / "manifest.json").read_text())
    forge(copied)
    values["files"][name] = values["files"].pop("weights-0-43.safetensors")
    (copied / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match="cannot be used"):
        load_model(str(copied))


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({"darts": "0.47.0"}, "darts 0.47.0, and .* is installed"),
        ({"torch": "1.9.0"}, "trained with torch 1.9.0"),
    ],
)
def test_a_model_of_other_releases_is_refused_with_what_to_do(model, copied, versions, said):
    forge(copied, versions={**model.manifest.versions, **versions})
    with pytest.raises(DataError, match=f"{said}.*train it again"):
        load_model(str(copied))


def test_a_model_of_another_patch_release_is_loaded(model, copied):
    patched = f"{model.manifest.versions['torch'].rpartition('.')[0]}.99"
    forge(copied, versions={**model.manifest.versions, "torch": patched})
    assert load_model(str(copied)).labels == model.labels


@pytest.mark.parametrize(
    ("owner", "name", "value", "said"),
    [
        (files, "EVALUATION_VERSION", 999, r"with evaluation version \d of Kallos, and this one has 999"),
        (Architecture, "source_sha256", "0", "the code that builds gru has changed"),
    ],
)
def test_a_model_of_other_code_is_refused_with_what_to_do(written, monkeypatch, owner, name, value, said):
    monkeypatch.setattr(owner, name, value)
    with pytest.raises(DataError, match=f"{said}.*train it again"):
        load_model(str(written))


@pytest.mark.parametrize("named", ["os:abort", "hostile_module:RUN"])
def test_a_model_that_names_code_of_its_own_is_refused_before_any_of_it_is_imported(tmp_path, monkeypatch, named):
    folder = tmp_path / "model"
    write_model(small_model(finished_study(tmp_path), seeds=1), str(folder))
    (tmp_path / "hostile_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["members"][0]["architecture"] = manifest["spec"]["model_name"] = named
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=f"it needs custom code, .{named}.: .*set `trust_code` {named}"):
        load_model(str(folder))


OWN_CODE = """
import torch

def worst(forecasts, actual):
    return abs(forecasts - actual).max()

class Cosh(torch.nn.Module):
    def forward(self, forecast, actual):
        return torch.cosh(forecast - actual)
"""


@pytest.mark.parametrize(
    ("over", "named"),
    [({"metric": "own_code:worst"}, "own_code:worst"), ({"training": {"loss": "own_code:Cosh"}}, "own_code:Cosh")],
)
def test_a_model_of_custom_code_is_loaded_once_that_is_trusted(tmp_path, monkeypatch, over, named):
    (tmp_path / "own_code.py").write_text(OWN_CODE)
    monkeypatch.syspath_prepend(tmp_path)
    folder = str(tmp_path / "model")
    write_model(small_model(finished_study(tmp_path, **over), seeds=1), folder)
    # As in a process that has not heard of it.
    monkeypatch.setattr(references, "_loaded", set())
    with pytest.raises(DataError, match=f"needs custom code, '{named}'.* set `trust_code` own_code:"):
        load_model(folder)
    references.trust(f"math:floor, {named}")
    spec = load_model(folder).manifest.spec
    assert named in (spec.metric, spec.training.loss)
