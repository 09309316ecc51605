"""Code that is edited while a study runs it, in real processes: no score lies under the fingerprint of other code."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """
from kallos.architectures import Architecture
from kallos.architectures.lagged import build_ridge
from kallos.architectures.space import Float, Int

STRENGTH, SCALE = 1.0, 1.0


def build(params, context):
    return build_ridge({**params, "alpha": STRENGTH * params["alpha"], "covariate_lags": 1, "added_lags": 1}, context)


def error(forecasts, actual):
    return SCALE * abs(forecasts - actual).mean()


SPACE = {"alpha": Float(low=1.0, high=100.0), "input_chunk_length": Int(low=1, high=5)}
MINE = Architecture("mine", SPACE, {"alpha": 10.0, "input_chunk_length": 3}, build, stops_early=False)
"""


def run(folder: Path, *arguments: str) -> dict:
    """Run the study in a new process, and return what it says of itself."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.edited_code", str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{root}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        timeout=200,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own_recipe.py").write_text(RECIPE)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new"),
    [("STRENGTH, SCALE = 1.0", "STRENGTH, SCALE = 1e6"), ("SCALE = 1.0, 1.0", "SCALE = 1.0, 2.0")],
    ids=["architecture", "metric"],
)
def test_scores_of_the_code_before_an_edit_are_not_those_of_the_code_behind_it(folder, old, new):
    first = run(folder, "trial", old, new)
    again = run(folder)
    assert again["study"] != first["study"]
    # Two trials were fitted behind the edit, by the code before it.
    assert (first["fitted"], again["fitted"]) == (6, 6)
    # The code before it, in files that nobody has edited.
    (folder / "own_recipe.py").write_text(RECIPE)
    before = run(folder)
    assert (before["study"], before["values"], before["fitted"]) == (first["study"], first["values"], 0)
    assert all(new != old for new, old in zip(again["values"], before["values"], strict=True))


@pytest.mark.slow
def test_a_worker_that_has_loaded_edited_code_leaves_no_score(folder):
    stopped = run(folder, "worker", "STRENGTH, SCALE = 1.0", "STRENGTH, SCALE = 1e6")
    assert re.search(
        r"code must not change during a run, and a later worker process loaded other code for "
        r"trial-1-fold-1: .* finished folds are kept",
        stopped["refused"],
    )
    again = run(folder)
    assert (again["study"] != stopped["study"], again["fitted"]) == (True, 6)
    (folder / "own_recipe.py").write_text(RECIPE)
    before = run(folder)
    # The first trial alone lies in the cache.
    assert (before["study"], before["fitted"]) == (stopped["study"], 4)
