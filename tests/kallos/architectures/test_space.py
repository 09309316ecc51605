"""Search spaces as data: what is drawn, and what a study file makes of it."""

import math
import random
from dataclasses import replace

import pytest

from kallos.architectures import Architecture, get_architecture, registry
from kallos.architectures.description import toml_lines
from kallos.architectures.inputs import INPUT, clipped, nearest_input
from kallos.architectures.overrides import lay_over
from kallos.architectures.space import Categorical, Constant, Float, Int, When, corners, resolve
from kallos.architectures.study_space import study_space
from kallos.errors import UsageError
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.specs.files import read_study_file
from kallos.specs.study import TuneSpec, parse_tune_spec
from kallos.tuner import run_tuning
from tests.samples import fold_result, small_plan, small_spec


def by_what_is_drawn(job: FoldJob) -> FoldResult:
    params = job.fit.params
    noise = random.Random(f"{sorted(params.items())}{job.number}").uniform(0, 0.02)
    error = 0.2 + (math.log10(params["lr"]) + 3) ** 2 + 0.2 * params["dropout"] + 0.002 * params["input_chunk_length"]
    error = (error + noise) * (1 + 0.3 * job.number)
    return fold_result(job, error)


def spec_of(space: dict, model_name: str = "gru") -> TuneSpec:
    return parse_tune_spec({"model_name": model_name, "data": {"asset_id": "BTC"}, "space": space})


def own_space(space: dict, model_name: str = "gru"):
    return spec_of(space, model_name).search_space.spaces[model_name]


def test_a_table_without_a_type_changes_a_range_and_one_with_a_type_replaces_it():
    assert own_space({"hidden_dim": {"high": 256}})["hidden_dim"] == Int(low=16, high=256, log=True)
    assert own_space({"hidden_dim": {"type": "int", "low": 8, "high": 24, "step": 8}})["hidden_dim"] == Int(
        low=8, high=24, step=8
    )
    assert own_space({"dropout": {"high": 0.1}})["dropout"].when == When(parameter="n_rnn_layers", above=1)
    assert own_space({"dropout": {"type": "float", "low": 0, "high": 0.1}})["dropout"] == Float(low=0.0, high=0.1)
    untouched = own_space({"hidden_dim": {"high": 256}})
    assert {name: each for name, each in untouched.items() if name != "hidden_dim"} == {
        name: each for name, each in get_architecture("gru").space.items() if name != "hidden_dim"
    }


def test_a_value_fixes_a_parameter_and_a_list_is_of_choices(tmp_path):
    space = {"hidden_dim": 24, "batch_size": [16, 512], "use_reversible_instance_norm": True}
    result = run_tuning(small_plan(tmp_path, space=space, n_trials=12), evaluate=by_what_is_drawn)
    assert {trial.params["hidden_dim"] for trial in result.trials} == {24}
    assert {trial.params["batch_size"] for trial in result.trials} == {16, 512}
    assert {trial.params["use_reversible_instance_norm"] for trial in result.trials} == {True}


def test_a_custom_condition_holds_in_every_trial(tmp_path):
    space = {
        "batch_size": {
            "type": "categorical",
            "choices": [128, 256],
            "when": {"parameter": "hidden_dim", "below": 32},
            "otherwise": 32,
        }
    }
    trials = run_tuning(small_plan(tmp_path, space=space, n_trials=20), evaluate=by_what_is_drawn).trials
    small = {trial.params["batch_size"] for trial in trials if trial.params["hidden_dim"] < 32}
    large = {trial.params["batch_size"] for trial in trials if trial.params["hidden_dim"] >= 32}
    assert (small, large) == ({128, 256}, {32})


@pytest.mark.parametrize(
    ("model_name", "space", "said"),
    [
        ("gru", {"hidden_dim": {"low": 0}}, "space.hidden_dim must have a low of 1 or more for log, not 0"),
        ("gru", {"hidden_dim": {"low": "few"}}, "space.hidden_dim.low must be a valid integer, not 'few'"),
        ("gru", {"hidden_dim": {"low": 65}}, "space.hidden_dim must have a low that is at most its high"),
        ("gru", {"hidden_dim": {"type": "int", "low": 3}}, "space.hidden_dim.high is missing: give it in the study"),
        (
            "gru",
            {"hidden_dim": {"lwo": 3}},
            "space.hidden_dim.lwo must be a field of type 'int': did you mean 'low'? (there",
        ),
        ("gru", {"batch_size": {"low": 3}}, "space.batch_size.low must be a field of type 'categorical': there are ch"),
        ("gru", {"hidden_dim": {"type": "integer"}}, "space.hidden_dim.type must be a known type, not 'integer': did"),
        ("gru", {"hidden_dim": {"log": True, "step": 2}}, "space.hidden_dim must have log or step, not both"),
        ("gru", {"hidden_dim": 2.5}, "space.hidden_dim must be whole numbers, not 2.5"),
        ("gru", {"hidden_dim": None}, "space.hidden_dim must be a table, a list of choices, or a fixed value"),
        ("gru", {"batch_size": []}, "space.batch_size must have at least one choice"),
        ("gru", {"batch_size": [[32]]}, "space.batch_size.choices.0 must be a number, text, true or false"),
        ("gru", {"lr": float("nan")}, "space.lr must be a table, a list of choices, or a fixed value"),
        ("gru", {"batch_size": [32, "{x}"]}, "space.batch_size must be whole numbers, not '(x)'"),
        ("gru", {"input_chunk_length": 0}, "space.input_chunk_length must be 1 or more, not 0"),
        ("gru", {"batch_size": [64, -1]}, "space.batch_size must be 1 or more, not -1"),
        ("gru", {"n_rnn_layers": {"low": 0}}, "space.n_rnn_layers must be 1 or more, not 0"),
        ("gru", {"gru": {"hidden_dim": -24}}, "space.gru.hidden_dim must be 1 or more, not -24"),
        ("gru", {"dropout": {"low": -0.1}}, "space.dropout must be 0 or more, not -0.1"),
        (
            "gru",
            {"dropout": {"when": {"parameter": "hidden_dim", "above": 16}, "otherwise": -1.0}},
            "0 or more, not -1.0",
        ),
        ("transformer", {"head_width": [0, 4]}, "space.head_width must be 1 or more, not 0"),
        ("transformer", {"d_model": -8}, "space.d_model must be 1 or more, not -8"),
        ("tide", {"temporal_width_past": {"low": -1}}, "space.temporal_width_past must be 0 or more, not -1"),
        ("gru", {"hiden_dim": 3}, "space.hiden_dim must be a parameter of gru: did you mean 'hidden_dim'"),
        ("gru", {"gru": {"hiden_dim": 3}}, "space.gru.hiden_dim must be a parameter of gru: did you mean 'hidden_dim'"),
        ("gru", {"gru": 3}, "space.gru must be a table of the architecture's parameters"),
        ("gru", {"tide": {"hidden_size": {"low": -1}}}, "space.tide.hidden_size must have a low of 1"),
        ("gru", {"dropout": {"when": {"parameter": "lr"}}}, "space.dropout.when must have one of above"),
        (
            "gru",
            {"dropout": {"when": {"parameter": "lr", "above": 1}}},
            "must depend on a parameter that is drawn before",
        ),
        (
            "gru",
            {"lr": {"when": {"parameter": "dropout", "above": 1}}},
            "space.lr must have both 'when' and 'otherwise'",
        ),
        ("transformer", {"d_model": {"low": 3}}, "space.d_model.type must be given"),
        ("gru,tide", {"d_model": 3}, "space.d_model must be a parameter of gru or tide"),
        ("gru", {"dropout": 1.5}, "space.dropout must be 1 or less, not 1.5"),
        ("gru", {"hidden_dim": {"log": "yes"}}, "space.hidden_dim.log must be a valid boolean, not 'yes'"),
        (
            "gru",
            {"tidee": {"dropout": 0.1}},
            "space.tidee must be a parameter of gru, or an architecture: did you mean 'tide'",
        ),
        (
            "tsmixer",
            {"norm_type": ["LayrNorm"]},
            "must be a choice of the recipe, not 'LayrNorm': did you mean 'LayerNorm'",
        ),
        (
            "tsmixer",
            {"dropout": {"when": {"parameter": "norm_type", "above": 1.0}, "otherwise": 0.0}},
            "space.dropout must have 'among' in its condition, not above or below: 'norm_type' may be 'LayerNorm'",
        ),
        (
            "tsmixer",
            {"dropout": {"type": "product", "of": ["norm_type", "num_blocks"]}},
            "space.dropout must be a product of numbers: 'norm_type' may be 'LayerNorm'",
        ),
        (
            "gru",
            {"dropout": {"type": "product", "of": ["n_rnn_layers", "hidden_dim"]}},
            "space.dropout must be 1 or less, not 128",
        ),
        (
            "gru",
            {"batch_size": {"type": "product", "of": ["dropout", "hidden_dim"]}},
            "space.batch_size must be whole numbers, not 0.0",
        ),
        (
            "gru",
            {"dropout": {"when": {"parameter": "n_rnn_layers", "among": []}}},
            "space.dropout.when must have at least one value in among",
        ),
        (
            "gru",
            {"dropout": {"when": {"parameter": "n_rnn_layers", "among": [2, 7]}}},
            "space.dropout must name values that 'n_rnn_layers' can have, not 7",
        ),
        (
            "tsmixer",
            {"dropout": {"when": {"parameter": "norm_type", "among": ["Layer"]}, "otherwise": 0.0}},
            "space.dropout must name values that 'norm_type' can have, not 'Layer'",
        ),
    ],
)
def test_a_fault_is_told_with_its_place_in_one_line(model_name, space, said):
    with pytest.raises(UsageError) as refused:
        spec_of(space, model_name)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_a_recipe_itself_may_draw_is_no_fault():
    assert own_space({"temporal_width_past": 0}, "tide")["temporal_width_past"] == Constant(value=0)
    assert own_space({"dropout": 0}, "tide")["dropout"] == Constant(value=0)
    shifting = Architecture(
        "shifting", {INPUT: Int(low=1, high=9), "shift": Int(low=-3, high=3)}, {INPUT: 1, "shift": 0}, print
    )
    laid = lay_over({"shifting": shifting}, {"shift": [-7, 7]})
    assert laid["shifting"]["shift"] == Categorical(choices=(-7, 7))


def test_all_faults_are_told_at_once():
    with pytest.raises(UsageError, match=r"space\.lr\.low .*; space\.gru\.dropout\.high .*; n_trials"):
        parse_tune_spec(
            {
                "model_name": "gru",
                "data": {"asset_id": "BTC"},
                "space": {"lr": {"low": "a"}, "gru": {"dropout": {"high": "b"}}},
                "n_trials": 0,
            }
        )


def test_a_custom_space_is_another_study_and_the_default_in_full_is_the_same(tmp_path):
    plain = small_plan(tmp_path)
    in_full = "\n".join(toml_lines(study_space("gru")))
    file = tmp_path / "study.toml"
    file.write_text(in_full)
    assert small_plan(tmp_path, space=read_study_file(file)["space"]).study_name == plain.study_name
    # Of an architecture that is not tuned nothing matters.
    assert small_plan(tmp_path, space={"lstm": {"hidden_dim": 3}}).study_name == plain.study_name
    wider = small_plan(tmp_path, space={"hidden_dim": {"high": 65}})
    assert wider.study_name != plain.study_name
    assert wider.family != plain.family
    assert small_plan(tmp_path, space={"gru": {"hidden_dim": {"high": 65}}}).study_name == wider.study_name


@pytest.mark.parametrize("model_name", [*registry(), "gru,ridge", "auto"])
def test_the_toml_of_a_space_is_that_space(tmp_path, model_name):
    file = tmp_path / "study.toml"
    file.write_text("\n".join(toml_lines(study_space(model_name))))
    assert study_space(model_name, read_study_file(file)["space"]) == study_space(model_name)


def test_a_specification_with_a_space_survives_json_and_hashes():
    spec = spec_of({"batch_size": [8, 16], "dropout": {"high": 0.1}})
    assert TuneSpec.model_validate_json(spec.model_dump_json()) == spec
    assert hash(spec) == hash(spec_of({"batch_size": [8, 16], "dropout": {"high": 0.1}}))


def test_an_input_that_is_too_long_is_clipped_to_what_is_drawn():
    def space_with(parameter):
        return {**get_architecture("gru").space, "input_chunk_length": parameter}

    stepped, chosen = space_with(Int(low=10, high=90, step=20)), space_with(Categorical(choices=(48, 96, 24)))
    assert corners(clipped(stepped, 65))[1]["input_chunk_length"] == 50
    assert clipped(chosen, 65)["input_chunk_length"] == Categorical(choices=(48, 24))
    assert (nearest_input(stepped, 65), nearest_input(chosen, 65)) == (50, 48)


def test_a_product_is_of_what_was_drawn_and_may_be_fixed():
    space = own_space({"d_model": 64, "nhead": [4, 8]}, "transformer")
    drawn = resolve(space, lambda _, parameter: parameter.ends()[-1])
    assert (drawn["nhead"], drawn["d_model"]) == (8, 64)
    drawn = resolve(get_architecture("transformer").space, lambda _, parameter: parameter.ends()[-1])
    assert drawn["d_model"] == drawn["nhead"] * drawn["head_width"] == 128


def test_the_document_holds_bounds_and_defaults(tmp_path):
    assert study_space("gru", {"hidden_dim": {"high": 99}}).document()["gru"]["hidden_dim"] == {
        "type": "int",
        "low": 16,
        "high": 99,
        "log": True,
        "default": 32,
    }


def test_what_darts_refuses_for_a_horizon_or_a_likelihood_is_not_drawn():
    def space_of(**over):
        return parse_tune_spec({"model_name": "nlinear,tcn", "data": {"asset_id": "BTC"}, **over}).search_space.spaces

    assert space_of()["tcn"] == get_architecture("tcn").space
    stepped = {"tcn": {INPUT: {"high": 96, "step": 20}}}
    assert space_of(horizon=24)["tcn"][INPUT] == Int(low=25, high=60)
    assert space_of(horizon=40, space=stepped)["tcn"][INPUT] == Int(low=60, high=96, step=20)
    assert space_of(horizon=40, space={INPUT: [24, 48, 40]})["tcn"][INPUT] == Categorical(choices=(48,))
    assert space_of(likelihood="quantile", metric="crps")["nlinear"]["normalize"] == Constant(value=False)
    with pytest.raises(
        UsageError, match=r"of 61 or more for the horizon 60, and its space has at most 60: set \[space\.tcn\."
    ):
        space_of(horizon=60)
    with pytest.raises(UsageError, match=r"needs \[space.nlinear\] normalize = false, not true"):
        space_of(likelihood="quantile", space={"normalize": True})


@pytest.mark.parametrize(
    "over", [{"model_name": "nlinear", "likelihood": "quantile"}, {"model_name": "tcn", "horizon": 24}]
)
def test_the_ends_of_a_space_that_darts_would_refuse_are_fitted(tmp_path, over):
    plan = small_plan(tmp_path, training={"max_epochs": 1}, folds={"n_folds": 1}, **over)
    result = run_tuning(replace(plan, spec=plan.spec.model_copy(update={"n_trials": 3})))
    assert {trial.state for trial in result.trials} == {"complete"}


def test_sound_products_and_conditions_are_no_fault():
    among = {"when": {"parameter": "norm_type", "among": ["LayerNorm"]}, "otherwise": 0.0}
    assert own_space({"dropout": among}, "tsmixer")["dropout"].when.among == ("LayerNorm",)
    wide = {"type": "product", "of": ["n_rnn_layers", "hidden_dim"]}
    assert own_space({"batch_size": wide})["batch_size"].of == ("n_rnn_layers", "hidden_dim")
    two = {"when": {"parameter": "hidden_dim", "among": [24, 64]}, "otherwise": 0.0}
    assert own_space({"dropout": two})["dropout"].when.among == (24, 64)
    assert own_space({"n_rnn_layers": 1})["dropout"].when == When(parameter="n_rnn_layers", above=1)


def test_with_known_columns_a_model_that_reads_them_through_its_input_has_one_as_long_as_the_horizon():
    known = {"calendar": ["weekday"]}
    for name, shortest in {"nhits": 48, "gru": 20, "tcn": 49, "tide": 20, "ridge": 1}.items():
        assert small_spec(model_name=name, horizon=48, features=known).search_space.shortest_input == shortest, name
    assert small_spec(model_name="nhits", horizon=48).search_space.shortest_input == 20
    with pytest.raises(UsageError, match="nhits needs an input_chunk_length of 61 or more for the horizon 61"):
        parse_tune_spec({"model_name": "nhits", "data": {"asset_id": "A"}, "horizon": 61, "features": known})
