"""What is shown of the studies of a storage, beside what the library itself computes of them."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import optuna
import pytest
import sqlalchemy

from kallos.errors import StudyError, UsageError
from kallos.features.databases import parse_url
from kallos.study.catalogue import delete_studies, list_studies, read_study
from kallos.study.comparison import compare
from kallos.study.locks import study_lock
from kallos.study.record import open_record
from kallos.tuner import run_tuning
from tests.databases import postgresql_database
from tests.samples import by_parameters, make_features, small_plan


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/studies.db"
        return
    with postgresql_database(request.getfixturevalue("postgres_url"), "catalogue") as database:
        yield database.url


@pytest.fixture
def file_url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


def tuned(url, folder, frame=None, **over):
    """Record a study, and return its result."""
    plan = small_plan(folder, frame, **over)
    with open_record(url, plan) as record:
        return run_tuning(plan, evaluate=by_parameters, record=record)


def test_the_list_says_of_a_study_what_its_result_says(url, tmp_path):
    before = datetime.now(UTC)
    result = tuned(url, tmp_path, n_trials=6, pruner="median")
    (study,) = list_studies(url)
    assert (study.name, study.asset, study.model, study.n_trials) == (result.study_name, "ABC", "gru", 6)
    states = [trial.state for trial in result.trials]
    counts = study.trials
    assert [counts.complete, counts.pruned, counts.failed, counts.open] == [
        states.count("complete"),
        states.count("pruned"),
        0,
        0,
    ]
    assert (study.best_value, study.baseline, study.baseline_value) == (
        result.best_value,
        result.baseline,
        result.baseline_value,
    )
    assert study.skill == pytest.approx(result.skill)
    assert before - timedelta(seconds=1) <= study.last_activity <= datetime.now(UTC) + timedelta(seconds=1)
    assert not study.is_running


def test_a_study_that_a_run_holds_is_running_and_is_not_deleted(url, tmp_path):
    held, other = small_plan(tmp_path), tuned(url, tmp_path, seed=1)
    with open_record(url, held):
        assert {study.name: study.is_running for study in list_studies(url)} == {
            held.study_name: True,
            other.study_name: False,
        }
        with pytest.raises(
            StudyError, match=f"a running study cannot be deleted: {held.study_name}; wait until the run ends"
        ):
            delete_studies(url, [other.study_name, held.study_name])
        assert len(list_studies(url)) == 2
    delete_studies(url, [held.study_name])
    assert [study.name for study in list_studies(url)] == [other.study_name]


def test_one_study_is_shown_with_its_specification_best_trials_and_folds(file_url, tmp_path):
    result = tuned(file_url, tmp_path, n_trials=6, pruner="none")
    study = read_study(file_url, result.study_name, n_best=2)
    assert study.spec == result.spec.model_dump(mode="json")
    assert (study.data, study.windows, study.best) == (result.data, result.windows, result.best)
    values = sorted(trial.value for trial in result.trials)
    assert [trial.value for trial in study.best_trials] == values[:2]
    baseline = [window.baseline_rmse[result.baseline] for window in result.windows]
    assert study.folds_won == sum(score.rmse < each for score, each in zip(result.best.scores, baseline, strict=True))


def test_a_study_of_somebody_else_or_of_another_version_is_not_among_ours(file_url):
    optuna.create_study(storage=parse_url(file_url).render_as_string(), study_name="theirs")
    old = optuna.create_study(storage=parse_url(file_url).render_as_string(), study_name="old")
    old.set_user_attr("warm_start", {})
    assert list_studies(file_url) == []
    with pytest.raises(UsageError, match="'theirs' is not"):
        read_study(file_url, "theirs")


def test_looking_makes_no_file(file_url, tmp_path):
    assert list_studies(file_url) == []
    with pytest.raises(UsageError, match="'gru-ABC-0' is not: there are none"):
        read_study(file_url, "gru-ABC-0")
    assert list(tmp_path.iterdir()) == []


def test_looking_into_a_database_of_somebody_else_leaves_it_as_it_is(url, tmp_path):
    engine = sqlalchemy.create_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE prices (close FLOAT)"))
    before = [path.read_bytes() for path in sorted(tmp_path.iterdir()) if path.is_file()]
    assert list_studies(url) == []
    with pytest.raises(UsageError, match="'gru-ABC-0' is not: there are none"):
        delete_studies(url, ["gru-ABC-0"])
    assert sqlalchemy.inspect(engine).get_table_names() == ["prices"]
    engine.dispose()
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir()) if path.is_file()] == before


def test_a_run_that_starts_while_somebody_looks_at_its_study_is_not_refused(url, tmp_path, monkeypatch):
    plan = small_plan(tmp_path)
    looks = ExitStack()
    looks.enter_context(study_lock(parse_url(url), plan.study_name).held("fail"))
    monkeypatch.setattr("kallos.study.locks.time.sleep", lambda _: looks.close())
    with open_record(url, plan, if_running="fail"):
        assert [study.is_running for study in list_studies(url)] == [True]


def test_a_study_that_is_deleted_while_the_list_is_made_is_left_out(file_url, tmp_path, monkeypatch):
    gone, stays = tuned(file_url, tmp_path), tuned(file_url, tmp_path, seed=1)
    whole = optuna.storages.RDBStorage.get_all_studies

    def and_delete_one(storage):
        studies = whole(storage)
        (study,) = [study for study in studies if study.study_name == gone.study_name]
        storage.delete_study(study._study_id)
        return studies

    monkeypatch.setattr(optuna.storages.RDBStorage, "get_all_studies", and_delete_one)
    assert [study.name for study in list_studies(file_url)] == [stays.study_name]


def test_a_name_that_is_not_there_deletes_nothing(file_url, tmp_path):
    name = tuned(file_url, tmp_path).study_name
    with pytest.raises(UsageError, match=f"did you mean '{name}'"):
        delete_studies(file_url, [name, name[:-1]])
    assert len(list_studies(file_url)) == 1


def test_values_on_the_same_forecasts_can_be_compared_and_others_cannot(file_url, tmp_path):
    def study(frame=None, **over):
        return read_study(file_url, tuned(file_url, tmp_path, frame, **over).study_name)

    base = study()
    assert compare([base, study(model_name="lstm")]).comparable
    assert compare([base, study(features={"exclude": ["macd"]})]).comparable
    other = compare([base, study(folds={"n_folds": 3, "window": 40}, seed=7)])
    assert not other.comparable
    assert other.why == ("folds differ: 2 from 2020-11-16 to 2021-02-03, 3 from 2020-10-07 to 2021-02-03",)
    assert other.settings == {"folds.n_folds": (2, 3), "seed": (42, 7)}
    assert compare([base, study(features={"target": "log_return_open"})]).why == (
        "target differs: log_return_close, log_return_open",
    )
    revised = compare([base, study(make_features(seed=1))])
    assert (revised.comparable, revised.best) == (False, None)
    assert "rows differ" in revised.why[0]


def test_the_best_of_a_comparison_is_the_least_value(file_url, tmp_path):
    results = [tuned(file_url, tmp_path, seed=seed) for seed in (1, 2)]
    comparison = compare([read_study(file_url, result.study_name) for result in results])
    assert comparison.best == min(results, key=lambda result: result.best_value).study_name
