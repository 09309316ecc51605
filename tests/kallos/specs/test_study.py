from pathlib import Path

import pytest

from kallos.datasets import get_walk_forward_splits, load_features_from_db
from kallos.errors import UsageError
from kallos.settings import Settings
from kallos.specs.files import merge, read_study_file
from kallos.specs.study import TuneSpec, parse_tune_spec
from tests.samples import make_features

VALID = {"data": {"asset_id": "BTC"}}


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"n_trials": -3}, "n_trials must be greater than 0, not -3"),
        ({"n_trials": "many"}, "n_trials must be a valid integer, .*not 'many'"),
        ({"data": {"asset_id": ""}}, "data.asset_id must have at least 1 character"),
        (
            {"folds": {"n_fold": 3}},
            r"^folds.n_fold is not a field: did you mean 'n_folds'\? \(there are gap, .*\)$",
        ),
        ({"n_trial": 3}, "^n_trial is not a field: did you mean 'n_trials'"),
        ({"data": {"xyz": {"q": 3}}}, "^data.xyz is not a field: there are asset_column, asset_id"),
        ({"folds": {"window": "fortnight"}}, "folds.window.*'quarter'"),
        ({"training": {"inner_validation": 0.9}}, "training.inner_validation must be less than 0.5, not 0.9"),
        ({"features": {"exclude": ["log_return_close"]}}, "target 'log_return_close' is excluded"),
        ({"n_trials": 0, "seed": -1}, "n_trials must be .*; seed must be "),
    ],
)
def test_a_wrong_value_is_named_with_its_field_and_rule_in_one_line(over, said):
    with pytest.raises(UsageError, match=said) as caught:
        parse_tune_spec(merge(VALID, over))
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_what_is_missing_is_named_with_its_flag():
    with pytest.raises(UsageError, match=r"data\.asset_id is missing: give it as `asset_id` or in the study file"):
        parse_tune_spec({"data": {}})


def test_a_specification_is_frozen_and_hashable():
    spec = parse_tune_spec(VALID)
    assert hash(spec) == hash(parse_tune_spec(VALID))
    with pytest.raises(ValueError, match="frozen"):
        spec.n_trials = 3


def test_a_specification_survives_json():
    spec = parse_tune_spec(merge(VALID, {"folds": {"window": 50}, "features": {"volume": ["vol*"]}}))
    assert TuneSpec.model_validate_json(spec.model_dump_json()) == spec


def test_values_are_laid_over_a_study_file_table_by_table(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('n_trials = 8\n[data]\nasset_id = "SPX"\nend_date = 2018-06-30\n[folds]\nn_folds = 3\n')
    spec = parse_tune_spec(merge(read_study_file(file), {"folds": {"n_folds": 2}, "data": {}}))
    assert (spec.n_trials, spec.folds.n_folds, spec.data.asset_id, spec.data.end_date) == (8, 2, "SPX", "2018-06-30")


@pytest.mark.parametrize(("text", "said"), [(None, "must be readable"), ("a = [", "must be TOML")])
def test_a_study_file_that_cannot_be_read_is_named(tmp_path, text, said):
    file = tmp_path / "study.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=f"{said}: .*study.toml"):
        read_study_file(file)


def test_settings_come_from_the_environment_and_keep_their_secrets(monkeypatch, tmp_path):
    monkeypatch.setenv("KALLOS_HOME", str(tmp_path))
    monkeypatch.setenv("KALLOS_DB_URL", "postgresql://quant:hunter2@db/features")
    settings = Settings.read()
    assert settings.features_url == "postgresql://quant:hunter2@db/features"
    assert settings.snapshots.startswith(str(tmp_path))
    assert "hunter2" not in repr(settings)


def test_without_a_url_the_features_lie_in_the_home(home):
    assert Settings.read().features_url == f"sqlite:///{home}/features.db"


def test_a_dotenv_file_that_is_no_text_is_said_in_one_line(home, monkeypatch):
    Path(".env").write_bytes(b"KALLOS_HOME=\xff\xfe")
    with pytest.raises(UsageError, match=r"\.env file must be readable text"):
        Settings.read()


def test_the_doors_of_the_library_refuse_in_the_same_words():
    with pytest.raises(UsageError, match="n_folds must be greater than 0, not 0"):
        list(get_walk_forward_splits(make_features(), n_folds=0))
    with pytest.raises(UsageError, match="asset_id must have at least 1 character"):
        load_features_from_db("sqlite:///x.db", "")


def test_a_store_holds_all_that_machines_share(home, monkeypatch):
    monkeypatch.setenv("KALLOS_STORE", "sftp://me:hunter2@host/kallos/")
    settings = Settings.read()
    assert settings.snapshots == "sftp://me:hunter2@host/kallos/snapshots"
    assert settings.fold_cache == "sftp://me:hunter2@host/kallos/fold-cache"
    assert "hunter2" not in repr(settings)
    monkeypatch.setenv("KALLOS_STORE", "shared")
    assert Settings.read().results_folder == str(Path("shared/results").absolute())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["seasnal"], "baselines must be known, and 'seasnal' is not: did you mean 'seasonal'"),
        (["garch"], "garch needs the target's returns, and 'garch' names no column: write garch:COLUMN"),
        (["zero", "column:"], "column needs the column that forecasts the target, and 'column:' names no column"),
        (["zero", "zero"], r"baselines must not repeat a name, as \['zero', 'zero'\] does"),
        ([], "baselines must name at least one of zero, last"),
    ],
)
def test_baselines_that_do_not_exist_are_refused_in_one_line(names, message):
    with pytest.raises(UsageError, match=message):
        parse_tune_spec({"data": {"asset_id": "ABC"}, "baselines": names})


def test_har_and_ridge_are_scored_besides_the_baselines_that_a_study_names():
    spec = parse_tune_spec({"data": {"asset_id": "ABC"}, "baselines": ["garch:r", "column:vix", "har"]})
    assert spec.scored_baselines == ("garch:r", "column:vix", "har", "ridge")
