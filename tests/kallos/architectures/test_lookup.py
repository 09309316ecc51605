"""The architecture as a choice of one study: drawn first, then its own parameters."""

import json
import random

import optuna
import pytest

from kallos.architectures import create_model, get_architecture
from kallos.errors import DataError, FitError, UsageError
from kallos.report.rows import architecture_rows, best_params_markdown, trial_rows
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.specs.study import parse_tune_spec
from kallos.study.best_params import BestParams, write_best_params
from kallos.study.events import StudyFinished
from kallos.study.lines import run_summary, trial_label
from kallos.study.record import open_record
from kallos.tuner import run_tuning
from tests.samples import fold_result, make_features, small_plan


def by_architecture(job: FoldJob) -> FoldResult:
    """Score so that ridge is best, and short inputs are better."""
    noise = random.Random(f"{job.fit.model_name}{sorted(job.fit.params.items())}{job.number}").uniform(0, 0.02)
    error = (
        {"gru": 0.5, "lstm": 0.8, "ridge": 0.3}[job.fit.model_name]
        + 0.002 * job.fit.params["input_chunk_length"]
        + noise
    )
    error *= 1 + 0.3 * job.number
    return fold_result(job, error)


def a_plan(folder, **over):
    return small_plan(folder, **{"model_name": "gru,lstm,ridge", "n_trials": 40, "max_pending_trials": 4, **over})


def test_each_trial_has_the_parameters_of_the_architecture_that_it_drew(tmp_path):
    trials = run_tuning(a_plan(tmp_path), evaluate=by_architecture).trials
    for trial in trials:
        names = {"architecture", *get_architecture(trial.params["architecture"]).defaults}
        assert trial.params.keys() == names
    drawn = [trial.params["architecture"] for trial in trials]
    assert set(drawn) == {"gru", "lstm", "ridge"}
    # The sampler learns which is best.
    assert drawn[20:].count("ridge") > 10


@pytest.mark.parametrize("pruner", ["folds", "none"])
def test_a_choice_of_architectures_is_the_same_on_any_number_of_workers(tmp_path, pruner):
    plan = a_plan(tmp_path, pruner=pruner)
    alone = run_tuning(plan, evaluate=by_architecture)
    assert run_tuning(plan, evaluate=by_architecture, workers=3) == alone


def test_a_choice_that_is_killed_and_carried_on_is_the_same(tmp_path):
    plan, url, calls = a_plan(tmp_path, n_trials=25), f"sqlite:///{tmp_path / 'studies.db'}", []

    def die(job):
        calls.append(job)
        if len(calls) % 19 == 0:
            raise OSError("the power is gone")
        return by_architecture(job)

    for _ in range(20):
        try:
            with open_record(url, plan) as record:
                result = run_tuning(plan, evaluate=die, workers=2, record=record)
            break
        except OSError:
            pass
    assert result == run_tuning(plan, evaluate=by_architecture)
    recorded = optuna.load_study(study_name=plan.study_name, storage=url).trials
    for trial in recorded:
        assert {name.partition(".")[0] for name in trial.params} <= {"architecture", trial.params["architecture"]}


def test_the_order_of_the_names_makes_no_other_study(tmp_path):
    first = a_plan(tmp_path)
    assert a_plan(tmp_path, model_name=" ridge, lstm,gru,gru").study_name == first.study_name
    assert first.study_name.startswith("gru+lstm+ridge-ABC-")
    assert a_plan(tmp_path, model_name="gru,lstm").study_name != first.study_name


def test_names_that_auto_holds_anyway_are_left_out():
    def name(model_name):
        return parse_tune_spec({"model_name": model_name, "data": {"asset_id": "BTC"}}).model_name

    assert (name("auto,lightgbm"), name("theta,auto"), name("gru")) == ("auto", "auto,theta", "gru")


def test_the_result_names_the_architecture_that_was_chosen(tmp_path):
    plan = a_plan(tmp_path, space={"input_chunk_length": {"high": 40}, "ridge": {"alpha": 3}})
    result = run_tuning(plan, evaluate=by_architecture)
    document = BestParams.of(result).model_dump(mode="json")
    assert document["model_name"] == result.model_name == "ridge"
    create_model(document["model_name"], document["best_params"])
    assert document["best_params"].keys() == get_architecture("ridge").defaults.keys()
    # The first trials try the defaults, as far as the study's own tables allow.
    assert document["space"]["ridge"]["alpha"] == {"type": "constant", "value": 3, "default": 3}
    assert {name: each["input_chunk_length"]["high"] for name, each in document["space"].items()} == {
        "gru": 40,
        "lstm": 40,
        "ridge": 40,
    }
    assert write_best_params(BestParams.of(result), str(tmp_path)) == f"{tmp_path}/{result.study_name}/best_params.json"
    assert (tmp_path / "gru+lstm+ridge_ABC_best_params.json").exists()
    json.dumps(document, allow_nan=False)
    assert "| architecture | ridge |" in best_params_markdown(result)
    rows = trial_rows(result)
    assert {row["architecture"] for row in rows} == {"gru", "lstm", "ridge"}
    assert len({tuple(row) for row in rows}) == 1


def test_the_best_of_an_earlier_choice_are_tried_first(tmp_path):
    url, longer = f"sqlite:///{tmp_path / 'studies.db'}", make_features(440)
    before = a_plan(tmp_path, frame=longer[:400], n_trials=15)
    with open_record(url, before) as record:
        first = run_tuning(before, evaluate=by_architecture, record=record)
    # The later study has fewer training rows, and so a clipped space.
    after = a_plan(tmp_path, frame=longer, n_trials=5, warm_start=3, folds={"train_rows": 70})
    with open_record(url, after) as record:
        second = run_tuning(after, evaluate=by_architecture, record=record)
    best = sorted((trial for trial in first.trials if trial.value is not None), key=lambda each: each.value)[:3]
    taken = [trial.params for trial in second.trials[:3]]
    assert [params["architecture"] for params in taken] == [trial.params["architecture"] for trial in best]
    longest = second.longest_input
    assert longest is not None
    assert [params["input_chunk_length"] for params in taken] == [
        min(trial.params["input_chunk_length"], longest) for trial in best
    ]


def test_the_shortest_input_of_every_architecture_must_fit(tmp_path):
    with pytest.raises(DataError, match="samples with the search space's shortest input_chunk_length 20"):
        a_plan(tmp_path, folds={"train_rows": 40})
    assert a_plan(tmp_path, model_name="ridge", folds={"train_rows": 40}).longest_input < 20


@pytest.mark.parametrize(
    ("model_name", "said"),
    [
        ("gru,lstn", "model_name must be a known architecture, not 'lstn': did you mean 'lstm'"),
        (" , ", "model_name must name an architecture"),
        ("no_such_module:X", "'no_such_module:X' cannot be imported: ModuleNotFoundError"),
        ("json:NOTHING", "'json:NOTHING' cannot be imported: AttributeError"),
        ("math:pi", "model_name must name a kallos.architectures.Architecture"),
    ],
)
def test_a_name_that_is_none_is_refused_in_one_line(model_name, said):
    with pytest.raises(UsageError) as refused:
        parse_tune_spec({"model_name": model_name, "data": {"asset_id": "BTC"}})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_package_that_is_missing_is_named_with_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr("kallos.architectures.lookup.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"theta needs the package .* pip install 'statsforecast<3,>=2.0.1'$"):
        small_plan(tmp_path, model_name="gru,theta")


OWN = """
from kallos.architectures import Architecture
from kallos.architectures.space import Float

def build(params, context):
    from darts.models import SKLearnModel
    from sklearn.linear_model import Lasso

    return SKLearnModel(
        lags=params["input_chunk_length"],
        lags_past_covariates=params["input_chunk_length"] if context.widths.covariates else None,
        output_chunk_length=context.horizon,
        output_chunk_shift=context.lead - 1,
        model=Lasso(alpha=params["alpha"]),
    )

def lasso():
    from kallos.architectures.space import Int

    space = {"alpha": Float(low=0.001, high=1.0, log=True), "input_chunk_length": Int(low=1, high=20)}
    return Architecture("lasso", space, {"alpha": 0.01, "input_chunk_length": 5}, build, stops_early=False)
"""


def test_a_custom_architecture_is_tuned_beside_ours(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lasso_of_mine.py").write_text(OWN)
    plan = small_plan(tmp_path, model_name="lasso_of_mine:lasso,ridge", n_trials=8)
    result = run_tuning(plan)
    assert {trial.params["architecture"] for trial in result.trials} == {"lasso_of_mine:lasso", "ridge"}
    assert {score.epochs for trial in result.trials for score in trial.scores} == {0}
    create_model(result.model_name, result.best_params)


def test_an_installed_package_brings_architectures_along_by_an_entry_point(tmp_path, monkeypatch):
    from kallos.architectures.lookup import registry

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lasso_of_theirs.py").write_text(OWN)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kallos.architectures]\nlasso = lasso_of_theirs:lasso\n")
    registry.cache_clear()
    try:
        assert get_architecture("lasso").defaults["alpha"] == 0.01
        assert "lasso" not in small_plan(tmp_path, model_name="auto").space.spaces
        (info / "entry_points.txt").write_text("[kallos.architectures]\nlasso = lasso_of_theirs:lassso\n")
        registry.cache_clear()
        with pytest.raises(UsageError, match="'lasso_of_theirs:lassso' does not: AttributeError"):
            registry()
        (info / "entry_points.txt").write_text("[kallos.architectures]\ngru = lasso_of_theirs:lasso\n")
        registry.cache_clear()
        with pytest.raises(UsageError, match="the name of entry point 'gru' is taken"):
            registry()
    finally:
        registry.cache_clear()


SPREAD = """
from functools import partial
from kallos.architectures import Architecture
from kallos.architectures.lagged import RIDGE_DEFAULTS, RIDGE_SPACE, build_ridge
from kallos.architectures.recurrent import DEFAULTS, SPACE, build
from kallos.architectures.space import Float

def mine(high=1.0, stops_early=False):
    space = {**RIDGE_SPACE, "alpha": Float(low=0.1, high=high)}
    return Architecture("mine", space, RIDGE_DEFAULTS, build_ridge, stops_early=stops_early)

LOW, HIGH, EARLY = mine(), mine(high=9.0), mine(stops_early=True)
GRU, LSTM = (Architecture("mine", SPACE, DEFAULTS, partial(build, cell)) for cell in ("GRU", "LSTM"))
"""


def test_what_the_file_of_its_build_does_not_hold_of_a_custom_one_makes_another_study(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "spread_recipe.py").write_text(SPREAD + "MINE = LOW\n")
    import spread_recipe

    from kallos.architectures import lookup

    seen = {}
    for name in ("LOW", "HIGH", "EARLY", "GRU", "LSTM"):
        monkeypatch.setattr(spread_recipe, "MINE", getattr(spread_recipe, name))
        lookup._referred.cache_clear()
        plan = small_plan(tmp_path, model_name="spread_recipe:MINE")
        job = plan.trial_jobs(0, get_architecture("spread_recipe:MINE").defaults)[0]
        seen[name] = (plan.study_name, plan.family, job.fingerprint)
    lookup._referred.cache_clear()
    names, families, fingerprints = zip(*seen.values(), strict=True)
    assert len(set(names)) == len(set(families)) == 5
    # The space alone moves no fit.
    assert len(set(fingerprints)) == 4
    assert seen["LOW"][2] == seen["HIGH"][2]


HALF_MADE = """
from functools import partial
from kallos.architectures import Architecture
from kallos.architectures.space import Float, Int, Product

def build(params, context):
    raise NotImplementedError

class Builder:
    __call__ = build

ROWS = {{"input_chunk_length": Int(low=1, high=9)}}
{line}
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("MINE = Architecture('a', ROWS, {'input_chunk_length': 3}, Builder())", "a function as build, or a partial"),
        ("MINE = Architecture('a', ROWS, {}, build)", "must have input_chunk_length in its defaults"),
        ("MINE = Architecture('a', {}, {'input_chunk_length': 3}, build)", "must have input_chunk_length in its space"),
        ("MINE = Architecture('a', ROWS, {'input_chunk_length': 3, 'b': 1}, build)", "'b' is only in defaults"),
        (
            "MINE = Architecture('a', {**ROWS, 'b': Int(low=1, high=2)}, {'input_chunk_length': 3}, build)",
            "'b' is only in the space",
        ),
        ("MINE = Architecture('a', {**ROWS, 'b': 3}, {'input_chunk_length': 3, 'b': 1}, build)", "'b' has 3"),
        ("MINE = Int(low=500, high=100)", "Int: must have a low that is at most its high, and 500 is above 100"),
        ("MINE = Int(low=1, high=2, stepp=3)", "Int: stepp: Extra inputs are not permitted"),
        (
            "def MINE(): return Float(low='a', high=2)",
            "an architecture, and raises Float: low: Input should",
        ),
    ],
)
def test_a_custom_one_that_is_half_made_is_refused_in_one_line(tmp_path, monkeypatch, line, said):
    monkeypatch.syspath_prepend(tmp_path)
    module = f"half_made_{abs(hash(line))}"
    (tmp_path / f"{module}.py").write_text(HALF_MADE.format(line=line))
    with pytest.raises(UsageError) as refused:
        get_architecture(f"{module}:MINE")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_factor_that_is_no_parameter_and_a_partial_build_are_no_fault(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    line = (
        "SPACE = {**ROWS, 'heads': Int(low=1, high=4), 'per_head': Int(low=1, high=4), "
        "'width': Product(of=('heads', 'per_head'))}\n"
        "MINE = Architecture('a', SPACE, {'input_chunk_length': 3, 'heads': 2, 'width': 4}, partial(build))"
    )
    (tmp_path / "whole_made.py").write_text(HALF_MADE.format(line=line))
    assert get_architecture("whole_made:MINE").name == "a"


def test_a_result_says_which_architecture_did_what_and_how_many_trials_failed(tmp_path):
    def score(job):
        if job.fit.model_name == "lstm":
            # Of reasons that are all alike a study ends.
            raise FitError(f"{job.name} cannot be fitted")
        return by_architecture(job)

    result = run_tuning(a_plan(tmp_path), evaluate=score)
    rows = {row["architecture"]: row for row in architecture_rows(result)}
    for name, row in rows.items():
        trials = [trial for trial in result.trials if trial.params["architecture"] == name]
        values = [trial.value for trial in trials if trial.state == "complete"]
        assert row["trials"] == len(trials)
        assert row["failed"] == (len(trials) if name == "lstm" else 0)
        assert row["value"] == min(values, default=None)
    assert rows["lstm"]["failed"] > 0
    assert trial_label(result.best) == f"trial {result.best.number} ({result.model_name})"
    failed, n_trials = rows["lstm"]["failed"], len(result.trials)
    finished = StudyFinished(result, fits=3, spared=0, stopped=None)
    assert run_summary(finished) == f"3 folds fitted in this run; {failed} of {n_trials} trials failed"
