"""What every architecture keeps to, whichever are there: a new one is tested by being added."""

from pathlib import Path

import optuna
import pytest

from kallos.architectures import create_model, get_architecture, registry
from kallos.architectures.lookup import architecture_names
from kallos.architectures.study_space import study_space
from kallos.contracts import CHECKS, check_architecture, every_corner_of_the_space_fits
from kallos.errors import UsageError

NAMES = list(registry())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check, name, tmp_path):
    check(name, str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_corner_of_the_space_fits(name, tmp_path):
    every_corner_of_the_space_fits(name, str(tmp_path))


def test_the_architectures_that_are_worth_tuning_are_there():
    assert set(NAMES) >= {
        *("gru", "lstm", "rnn", "transformer", "tcn", "nbeats", "nhits", "tide", "tsmixer", "dlinear", "nlinear"),
        *("tft", "ridge", "lightgbm"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_drawn_is_a_full_set_of_parameters_of_plain_values(name):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    space = study_space(name)
    for _ in range(20):
        params = space.draw(study.ask())
        assert params.keys() == get_architecture(name).defaults.keys()
        assert {type(value) for value in params.values()} <= {int, float, bool, str}


def test_a_name_with_a_typo_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="not 'lstn': did you mean 'lstm'"):
        create_model("lstn")


@pytest.mark.parametrize(
    ("name", "width", "heads"), [("transformer", "d_model", "nhead"), ("tft", "hidden_size", "num_attention_heads")]
)
def test_heads_divide_the_width(name, width, heads):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2))
    drawn = [study_space(name).draw(study.ask()) for _ in range(50)]
    assert all(params[width] % params[heads] == 0 for params in drawn)
    assert len({(params[width], params[heads]) for params in drawn}) > 6


def test_auto_is_all_that_need_no_extra():
    assert set(architecture_names("auto")) == set(NAMES) - {"lightgbm"}


OWN = """
from kallos.architectures import Architecture, darts_arguments
from kallos.architectures.recipe import TRAINING_DEFAULTS, TRAINING_SPACE
from kallos.architectures.space import Int

def build(params, context):
    from darts.models import {model}

    return {model}({arguments}**darts_arguments(params, context))

MINE = Architecture(
    "mine", {{"width": Int(low=2, high=8), **TRAINING_SPACE}}, {{"width": 4, **TRAINING_DEFAULTS}}, build
)
"""


def test_the_architecture_that_the_docs_add_keeps_the_contract(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "architectures.md").read_text()
    (tmp_path / "lasso.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    check_architecture("lasso:LASSO")


def test_an_architecture_that_looks_ahead_breaks_the_contract(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    text = OWN.format(model="BlockRNNModel", arguments="") + (
        "\nfrom dataclasses import replace\n"
        "AHEAD = replace(MINE, build=lambda params, context: build(params, replace(context, horizon=1)))\n"
    )
    (tmp_path / "a_model_that_looks_ahead.py").write_text(text)
    with pytest.raises(AssertionError, match="see behind its origin"):
        check_architecture("a_model_that_looks_ahead:AHEAD")
