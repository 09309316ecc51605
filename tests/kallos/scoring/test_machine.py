"""What a result depends on, and what a failure may come from."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

import kallos
from kallos.architectures import get_architecture
from kallos.scoring.machine import environment_sha256, installed, installed_versions, machine, version_here
from kallos.specs.metrics import check_metric

ROOT = Path(kallos.__file__).parents[1]


@pytest.fixture
def environment():
    """A function that returns the hash as a new process would."""

    def look() -> str:
        environment_sha256.cache_clear()
        return environment_sha256()

    yield look
    environment_sha256.cache_clear()


def test_an_environment_is_another_with_each_package_and_each_custom_module(tmp_path, monkeypatch, environment):
    before = environment()
    assert environment() == before
    (tmp_path / "thing-2.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    installed = environment()
    helper = tmp_path / "helper_of_mine.py"
    helper.write_text("LEAVES = 2")
    __import__("helper_of_mine")
    loaded = environment()
    helper.write_text("LEAVES = 3")
    edited = environment()
    assert len({before, installed, loaded, edited}) == 4
    del sys.modules["helper_of_mine"]
    assert environment() == installed


def test_an_environment_is_another_with_the_text_of_any_package_of_kallos(tmp_path, monkeypatch, environment):
    monkeypatch.setattr(kallos, "__file__", str(tmp_path / "kallos" / "__init__.py"))
    seen = set()
    for room in ("study", "scoring", "features/files"):
        file = tmp_path / "kallos" / room / "new.py"
        file.parent.mkdir(parents=True)
        file.write_text(f"ROOM = {room!r}")
        seen.add(environment())
    assert len(seen) == 3


def test_the_environment_of_a_process_stays_what_it_was_at_first(tmp_path, monkeypatch, environment):
    before = environment()
    (tmp_path / "thing-2.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert environment_sha256() == before


def test_an_update_of_the_operating_system_makes_no_other_environment(monkeypatch, environment):
    before = environment()
    monkeypatch.setattr(platform, "platform", lambda *_, **__: "Linux-99.0-x86_64-with-glibc2.99")
    assert environment() == before
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    assert environment() != before


BUILD = """
from kallos.architectures import Architecture
from kallos.architectures.space import Int
from helper_of_{name} import LEAVES

def build(params, context): ...

MINE = Architecture("mine", {{"input_chunk_length": Int(low=1, high=2)}}, {{"input_chunk_length": 1}}, build)

def metric(forecasts, actual):
    return LEAVES
"""


@pytest.mark.parametrize("kind", ["architecture", "metric"])
@pytest.mark.parametrize("edited", ["{name}.py", "helper_of_{name}.py"])
def test_an_environment_has_the_text_that_was_loaded_whatever_the_file_holds_by_now(
    tmp_path, monkeypatch, environment, kind, edited
):
    name = f"own_{kind}_{len(edited)}"
    (tmp_path / f"{name}.py").write_text(BUILD.format(name=name))
    (tmp_path / f"helper_of_{name}.py").write_text("LEAVES = 2")
    monkeypatch.syspath_prepend(tmp_path)
    if kind == "metric":
        check_metric(f"{name}:metric")
    else:
        get_architecture(f"{name}:MINE")
    loaded = environment()
    with (tmp_path / edited.format(name=name)).open("a") as file:
        file.write("\n# An edit")
    assert environment() == loaded


def test_a_library_has_the_version_that_is_loaded_whatever_is_installed_by_now(monkeypatch):
    version_here.cache_clear()
    monkeypatch.setitem(sys.modules, "darts", SimpleNamespace(__version__="0.1"))
    assert version_here("darts") == "0.1"
    monkeypatch.setitem(sys.modules, "darts", SimpleNamespace(__version__="0.2"))
    assert version_here("darts") == "0.1"
    version_here.cache_clear()


@pytest.mark.parametrize(
    "library", ["darts", "lightgbm", "numpy", "pytorch-lightning", "scikit-learn", "scipy", "torch"]
)
def test_a_fold_depends_on_each_library_that_fits_models(library):
    assert machine()[library] == version(library)


def test_the_versions_of_a_result_name_a_library_of_an_extra_only_if_it_is_installed(monkeypatch):
    versions = installed_versions()
    assert {name: versions[name] for name in ("lightgbm", "scipy", "holidays", "arch")} == {
        name: version(name) for name in ("lightgbm", "scipy", "holidays", "arch")
    }
    assert versions.get("statsforecast") == installed("statsforecast")
    monkeypatch.setattr("kallos.scoring.machine.installed", lambda _: None)
    assert installed_versions() == {name: found for name, found in versions.items() if name != "statsforecast"}


MACHINE = """
import json, sys
from kallos.scoring.machine import machine
if len(sys.argv) > 1:
    import torch
print(json.dumps(machine()))
"""


def machine_of(folder: Path, *arguments: str, **environment: str) -> dict:
    """Return what a new process says of its machine, which finds the packages of a folder first."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", MACHINE, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_machine_is_the_same_whatever_is_loaded(tmp_path):
    # A wheel whose metadata leave out the build that the module names.
    (tmp_path / "torch-2.13.0.dist-info").mkdir()
    (tmp_path / "torch-2.13.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 2.13.0\n")
    without, with_torch = machine_of(tmp_path), machine_of(tmp_path, "torch")
    assert without == with_torch
    assert without["torch"] == "2.13.0"


@pytest.mark.parametrize("name", ["NUMBA_CPU_NAME", "OPENBLAS_CORETYPE", "MKL_CBWR"])
def test_a_machine_is_another_with_other_kernels(tmp_path, name):
    assert machine_of(tmp_path, **{name: "generic"}) == {**machine_of(tmp_path), name: "generic"}
