"""What every architecture keeps to, whichever are there: a new one is tested by being added."""

import os
import subprocess
import sys
from inspect import isfunction
from pathlib import Path

import optuna
import pytest

from kallos.architectures import Widths, create_model, get_architecture, registry
from kallos.architectures.lookup import architecture_names
from kallos.architectures.study_space import study_space
from kallos.contracts import CHECKS, BrokenPromiseError, check_architecture, every_corner_of_the_space_fits
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
        *("tft", "ridge", "har", "lightgbm"),
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


@pytest.mark.parametrize("name", NAMES)
def test_all_functions_that_build_a_model_are_in_the_hash_of_its_source(name):
    build = get_architecture(name).build
    module = sys.modules[getattr(build, "func", build).__module__]
    used = {each.__module__ for each in vars(module).values() if isfunction(each)}
    own = ("recipe", "losses", "estimators")
    hashed = (module.__name__, *(f"kallos.architectures.{each}" for each in own))
    # The recipe reads the texts by a function of `references`, which builds nothing.
    fit = {each for each in used if each.startswith("kallos.")} - {"kallos.architectures.references"}
    assert not [each for each in fit if not each.startswith(hashed)]


def test_auto_is_all_that_need_no_extra():
    assert set(architecture_names("auto")) == {name for name in NAMES if registry()[name].requires is None}


OWN = """
from kallos.architectures import Architecture, darts_arguments
from kallos.architectures.recipe import TRAINING_DEFAULTS, TRAINING_SPACE
from kallos.architectures.space import Int

def build(params, context):
    from darts.models import {model}

    return {model}(**darts_arguments(params, context))

MINE = Architecture(
    "mine", {{"hidden_dim": Int(low=2, high=8), **TRAINING_SPACE}}, {{"hidden_dim": 4, **TRAINING_DEFAULTS}}, build
)
"""


def test_the_architectures_that_the_docs_add_keep_the_contract(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "architectures.md").read_text()
    blocks = [each.partition("```")[0] for each in page.split("```python\n")[1:]]
    for name in ("lasso", "narrow"):
        (tmp_path / f"{name}.py").write_text(next(each for each in blocks if f"{name.upper()} = Arch" in each))
    check_architecture("lasso:LASSO")
    check_architecture("narrow:NARROW")


def test_an_architecture_that_looks_ahead_breaks_the_contract(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    text = OWN.format(model="BlockRNNModel") + (
        "\nfrom dataclasses import replace\n"
        "AHEAD = replace(MINE, build=lambda params, context: build(params, replace(context, horizon=1)))\n"
    )
    (tmp_path / "a_model_that_looks_ahead.py").write_text(text)
    with pytest.raises(BrokenPromiseError, match="depend on rows after its origin"):
        check_architecture("a_model_that_looks_ahead:AHEAD")


def broken(tmp_path, name, body):
    """Write an architecture of ridge's space whose `build` has this body, and return its reference."""
    (tmp_path / f"{name}.py").write_text(
        "from dataclasses import replace\n"
        "from kallos.architectures.lagged import RIDGE, build_ridge\n"
        f"def build(params, context):\n    {body}\n"
        "MINE = replace(RIDGE, build=build)\n"
    )
    return f"{name}:MINE"


@pytest.mark.parametrize(
    ("body", "promise", "said"),
    [
        ("raise ValueError('two\\nlines')", "every corner of the space builds", "ValueError: two"),
        (
            "print('chatter'); build.n = getattr(build, 'n', 0) + 1\n"
            "    return build_ridge({**params, 'alpha': 10.0 * build.n}, context)",
            "the same job has the same score to the bit",
            "two fits with one seed must have one score",
        ),
        (
            "from sklearn.tree import DecisionTreeRegressor as Tree\n"
            "    from kallos.architectures.estimators.model import regression\n"
            "    return regression(Tree(random_state=1), context, lags=3, covariate_lags=1)",
            "it saves and loads",
            "KallosError: a model must have learnt coefficients or trees",
        ),
    ],
)
def test_a_broken_promise_is_named_in_the_first_line_and_nothing_else_is_said(
    tmp_path, monkeypatch, capfd, body, promise, said
):
    monkeypatch.syspath_prepend(tmp_path)
    reference = broken(tmp_path, f"broken_{promise.replace(' ', '_')}", body)
    with pytest.raises(BrokenPromiseError) as raised:
        check_architecture(reference)
    first = str(raised.value).splitlines()[0]
    assert f"breaks a promise, '{promise}'" in first
    assert said in first
    assert capfd.readouterr() == ("", "")


def test_a_broken_promise_is_named_by_a_python_that_leaves_assertions_out(tmp_path):
    broken(
        tmp_path,
        "without_asserts",
        "build.n = getattr(build, 'n', 0) + 1\n    return build_ridge({**params, 'alpha': 10.0 * build.n}, context)",
    )
    asks = (
        "from kallos.contracts import CHECKS, check_architecture\n"
        "check = next(each for each in CHECKS if each.__name__.startswith('the_same_job'))\n"
        "check_architecture('without_asserts:MINE', (check,))"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", asks],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{Path.cwd()}{os.pathsep}{tmp_path}"},
        check=False,
    )
    assert "two fits with one seed must have one score" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("kallos.contracts.BrokenPromiseError: without_asserts:MINE breaks")


def test_an_architecture_that_keeps_the_contract_passes_without_a_word(capfd):
    check_architecture("ridge")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", sorted(name for name, each in registry().items() if not each.is_local))
def test_an_architecture_says_whether_its_model_takes_future_covariates(name):
    model = create_model(name, horizon=2, widths=Widths(targets=1, covariates=1, known=1))
    assert model.supports_future_covariates == get_architecture(name).takes_future_covariates
