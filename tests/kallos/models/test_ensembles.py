"""Models of several members: a ridge regression and a small network with two seeds, of quantiles in logarithms."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from kallos.errors import DataError
from kallos.evaluation.models import ModelWithRows, evaluate_model, scored_dates
from kallos.features.snapshots import write_snapshot
from kallos.models.files import load_model, write_model
from kallos.models.forecasting import forecast_next, forecast_windows
from kallos.models.holdout_evaluations import EvaluationCount
from kallos.models.manifest import Choice
from kallos.models.registry import Registry
from kallos.models.summary import model_lines, model_markdown
from kallos.models.trained import TrainedModel
from kallos.models.trainer import train
from kallos.scoring.fold import fit_fold, forecasts_of
from kallos.study.again import plan_again
from kallos.study.choice import Member
from kallos.study.members import Recorded
from kallos.study.replication import replicate
from kallos.study.reproduction import compare
from kallos.workers.processes import FoldPool
from tests.samples import fold_result, make_features
from tests.small_models import FinishedStudy, are_same, finished_study, forge, on_rows

RIDGE, GRU = 3, 5
LABELS = ("3-42", "5-42", "5-43")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> FinishedStudy:
    return finished_study(
        tmp_path_factory.mktemp("study"),
        model_name="gru,ridge",
        folds={"holdout": 1},
        horizon=2,
        features={"target": "volume", "target_transform": "log"},
        likelihood="quantile",
        quantiles=(0.1, 0.5, 0.9),
    )


def member(study: FinishedStudy, name: str, trial: int, weight: float) -> Member:
    return Member(trial=trial, params=study.best.spec.search_space.defaults(name), weight=weight)


def members_of(study: FinishedStudy) -> tuple[Member, ...]:
    return member(study, "ridge", RIDGE, 0.75), member(study, "gru", GRU, 0.25)


def trained(study: FinishedStudy, *members: Member, **arguments) -> TrainedModel:
    choice = Choice(choose="ensemble", members=members)
    return train(study.best, study.snapshot, choice, **{"seeds": 2, **arguments})


@pytest.fixture(scope="module")
def model(study) -> TrainedModel:
    return trained(study, *members_of(study))


@pytest.fixture(scope="module")
def alone(study) -> tuple[TrainedModel, TrainedModel]:
    """Return the two trials, each trained as a model of its own."""
    return trained(study, member(study, "ridge", RIDGE, 1.0)), trained(study, member(study, "gru", GRU, 1.0))


@pytest.fixture(scope="module")
def written(model, tmp_path_factory) -> Path:
    return Path(write_model(model, str(tmp_path_factory.mktemp("models") / "model")))


@pytest.fixture
def copied(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copied"))


def test_a_trial_that_no_seed_changes_is_one_member_and_the_seeds_of_others_share_their_weight(model, written):
    assert model.labels == LABELS
    assert model.weights == (0.75, 0.125, 0.125)
    assert model.manifest.model_label == "gru+ridge"
    assert model.model_id.startswith("gru+ridge-ABC-")
    assert sorted(path.name for path in written.iterdir()) == [
        "manifest.json",
        "preparation-3.json",
        "preparation-5.json",
        "weights-3-42.safetensors",
        "weights-5-42.safetensors",
        "weights-5-43.safetensors",
    ]


def test_a_member_is_the_model_that_its_trial_is_alone(study, model, alone):
    files = model.files()
    for single in alone:
        assert single.files().items() <= files.items()
    windows = forecast_windows(model, study.rows, 300, 330)
    for single in alone:
        for label, forecast in forecast_windows(single, study.rows, 300, 330).items():
            assert forecast.quantiles.tobytes() == windows[label].quantiles.tobytes()
            assert forecast.mean.tobytes() == windows[label].mean.tobytes()


def test_a_new_process_forecasts_the_weighted_mean_of_the_members_level_by_level(study, model, alone, written):
    code = f"""
import pickle, sys
from kallos.features.snapshots import read_snapshot
from kallos.features.snapshots import write_snapshot
from kallos.models.files import load_model
from kallos.models.forecasting import forecast_next, forecast_windows
model, rows = load_model({str(written)!r}), read_snapshot({study.snapshot!r})
mean = model.mean_of(forecast_windows(model, rows, 300, 330))
sys.stdout.buffer.write(pickle.dumps((mean, forecast_next(model, rows))))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    mean, following = pickle.loads(done.stdout)
    each = {label: forecast for one in alone for label, forecast in forecast_windows(one, study.rows, 300, 330).items()}
    for part in ("point", "mean", "rms"):
        a, b, c = (getattr(each[label], part) for label in LABELS)
        np.testing.assert_array_equal(getattr(mean, part), 0.75 * a + 0.125 * b + 0.125 * c)
    for level in range(3):
        a, b, c = (each[label].quantiles[..., level] for label in LABELS)
        np.testing.assert_array_equal(mean.quantiles[..., level], 0.75 * a + 0.125 * b + 0.125 * c)
    assert are_same(following, forecast_next(model, study.rows))
    assert tuple(following.by_member) == LABELS
    a, b, c = (following.by_member[label] for label in LABELS)
    # A study that minimises the root mean squared error forecasts means, which differ from medians in logarithms.
    np.testing.assert_array_equal(following.point, 0.75 * a + 0.125 * b + 0.125 * c)
    assert (following.point > following.quantiles[..., 1]).all()


def test_each_member_forecasts_as_a_fold_of_its_rows_does_to_the_bit(study):
    """Scalers are fitted where weights are: a regression's on all rows, a network's on those before its inner ones."""
    plan = plan_again(study.best, study.rows, study.snapshot)
    past = plan.folds[0].folds[0]
    whole = study.rows.iloc[: past.train_stop]
    both = train(
        on_rows(study.best, whole),
        write_snapshot(whole, study.snapshots),
        Choice(choose="ensemble", members=members_of(study)),
        seeds=1,
    )
    forecasts = forecast_windows(both, study.rows, past.validation_start, past.validation_stop)
    for each in members_of(study):
        job = plan.trial_jobs(each.trial, each.params)[0]
        (of_fold,) = forecasts_of(job, fit_fold(job))
        np.testing.assert_array_equal(forecasts[f"{each.trial}-42"].quantiles, of_fold.quantiles)
        np.testing.assert_array_equal(forecasts[f"{each.trial}-42"].mean, of_fold.mean)


def kill_once(marker: Path, work, job):
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return work(job)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize("processes", [1, 2])
def test_any_number_of_processes_trains_the_same_files_and_a_killed_one_costs_a_retry(
    study, model, tmp_path, caplog, processes
):
    marker = tmp_path / "killed"
    with FoldPool(processes, retries=1) as pool:
        again = trained(
            study,
            *members_of(study),
            run=lambda work, job: pool.run(partial(kill_once, marker, work), job),
            workers=processes,
        )
    assert marker.exists()
    assert sum("was killed" in line and line.endswith("trying again") for line in caplog.messages) == 1
    assert again.files() == model.files()
    assert again.model_id == model.model_id


def test_of_one_fit_no_process_is_asked(study):
    def refuse(work, job):
        raise AssertionError

    assert trained(study, member(study, "ridge", RIDGE, 1.0), seeds=1, run=refuse).labels == ("3-42",)


@pytest.mark.parametrize("name", ["preparation-3.json", "preparation-5.json", "weights-5-43.safetensors"])
def test_a_directory_whose_member_lacks_a_file_or_has_another_is_refused_in_one_line(copied, name):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[:-1])
    with pytest.raises(DataError, match=f"its file {name} was changed"):
        load_model(str(copied))
    (copied / name).unlink()
    with pytest.raises(DataError, match=f"its file {name} is missing") as raised:
        load_model(str(copied))
    assert "\n" not in str(raised.value)


def test_members_are_those_of_the_choice_with_its_weights(copied):
    values = json.loads((copied / "manifest.json").read_text())
    for change, said in (
        ({"weight": 0.5}, "members must be those of the choice"),
        ({"trial": 4}, "members must be those of the choice"),
        ({"architecture": "lstm"}, "must agree with the other fields"),
    ):
        members = [{**values["members"][0], **change}, *values["members"][1:]]
        (copied / "manifest.json").write_text(json.dumps({**values, "members": members}))
        with pytest.raises(DataError, match=f"damaged: .*{said}"):
            load_model(str(copied))
    for members, said in (
        ([{**each, "weight": 0.75} for each in values["choice"]["members"]], "must add up to 1"),
        ([{**each, "trial": 3, "weight": 0.5} for each in values["choice"]["members"]], "must be distinct trials"),
    ):
        changed = {**values, "choice": {**values["choice"], "members": members}}
        (copied / "manifest.json").write_text(json.dumps(changed))
        with pytest.raises(DataError, match=f"damaged: .*{said}"):
            load_model(str(copied))


def test_weights_of_one_member_are_no_weights_of_another(copied):
    shutil.copy(copied / "weights-5-42.safetensors", copied / "weights-3-42.safetensors")
    forge(copied)
    with pytest.raises(DataError, match=r"weights-3-42\.safetensors must hold the weights of this architecture"):
        load_model(str(copied))


def test_an_ensemble_is_evaluated_and_registered_like_any_model(study, model, alone, written, tmp_path):
    dates = scored_dates(model.manifest)
    rows = make_features()[list(model.manifest.columns)].loc[: dates.end]
    challenger, champion = (ModelWithRows(each, rows) for each in (model, alone[0]))
    count = EvaluationCount(holdout_evaluations=1, tests=1)
    evaluation = evaluate_model(challenger, dates, count=count, champion=champion).evaluation
    holdout = challenger.holdout(dates)
    each = forecast_windows(model, holdout.frame, holdout.start, len(holdout.frame))
    a, b, c = (each[label].mean for label in LABELS)
    actual = np.lib.stride_tricks.sliding_window_view(holdout.frame["volume"].to_numpy()[holdout.start :], 2)
    errors = (0.75 * a + 0.125 * b + 0.125 * c)[..., 0] - actual
    assert evaluation.scores["model"].values["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-12)
    assert tuple(evaluation.rmse_by_member) == LABELS
    assert evaluation.rmse_by_member["5-43"] == pytest.approx(np.sqrt(((c[..., 0] - actual) ** 2).mean()), rel=1e-12)
    assert evaluation.rmse_by_member["3-42"] == pytest.approx(evaluation.scores["champion"].values["rmse"], rel=1e-12)
    registry = Registry(str(tmp_path / "registry"))
    entry = registry.add(str(written))
    assert (entry.model_name, entry.slot.target) == ("gru+ridge", "volume")
    registry.promote(model.model_id, "")
    assert load_model(registry.folder_of(model.model_id)).files() == model.files()


def test_people_read_which_trials_with_which_weights_and_how_they_were_trained(model):
    chosen, _, training = model_lines(model.manifest)
    assert chosen.endswith("an ensemble of ridge (trial 3) 75%, gru (trial 5) 25%")
    epochs = ", ".join(str(each.best_epoch) for each in model.manifest.members[1:])
    assert training.endswith(f": 2 networks with early stopping ({epochs} epochs) and 1 model fitted once")
    text = model_markdown(model.manifest, "there")
    assert "| ridge, trial 3, weight 0.75 | value |" in text
    assert "| gru, trial 5, weight 0.25 | value |" in text


def plan_of(study: FinishedStudy):
    return plan_again(study.best, study.rows, study.snapshot)


def off_by(job) -> float:
    """Return a forecast of this constant error: a ridge's is below and a network's above, by the fold and the seed."""
    sign = -1.0 if job.fit.model_name == "ridge" else 3.0
    return sign * job.number + 8.0 * (job.fit.seed - 42) * (sign > 0)


def test_a_seed_replication_scores_the_mean_of_the_members_and_fits_each_fold_once(study):
    asked = []

    def forecast(job):
        asked.append(job.fingerprint)
        return fold_result(job, off_by(job), best_epoch=job.number + (job.fit.model_name == "gru"))

    replicated = replicate(plan_of(study), members_of(study), seeds=2, evaluate=forecast, workers=2)
    # Fold n: |.75 * -n + .25 * (3 n + 8 s)| = 2 s for seed s.
    assert replicated.values == (0.0, 2.0)
    assert replicated.mean == 1.0
    # Folds 1 and 2 of two seeds each: best epochs 1, 2, 1, 2 and 2, 3, 2, 3.
    assert replicated.median_epochs == (2, 2)
    assert len(asked) == len(set(asked)) == 2 * 2 * 2


def test_median_epochs_are_those_of_each_member(study):
    def forecast(job):
        return fold_result(job, 1.0, best_epoch=2 if job.fit.params.get("hidden_dim") == 8 else 1)

    first = member(study, "gru", 5, 0.5)
    second = first.model_copy(update={"trial": 6, "params": {**first.params, "hidden_dim": 8}})
    ridge = member(study, "ridge", 3, 0.25)
    members = (first, second.model_copy(update={"weight": 0.25}), ridge)
    replicated = replicate(plan_of(study), members, seeds=1, evaluate=forecast)
    model = trained(study, *members, seeds=1, refit="median-epochs", seed_replication=replicated)
    assert [each.best_epoch for each in model.manifest.members] == [1, 2, 0]


def test_a_reproduction_compares_each_record_by_the_mean_of_its_members_and_fits_each_fold_once(study):
    asked = []

    def forecast(job):
        asked.append(job.fingerprint)
        return fold_result(job, off_by(job))

    ridge, gru = members_of(study)
    records = (
        Recorded("trial 3", (ridge.model_copy(update={"weight": 1.0}),), (1.0, 2.0), 1.5),
        Recorded("ensemble", (ridge, gru.model_copy(update={"weight": 0.75})), (1.0, 2.5), 1.5),
    )
    compared = list(compare(records, plan_of(study), evaluate=forecast, workers=2))
    assert [(each.name, each.is_same) for each in compared] == [
        ("trial 3, fold 1", True),
        ("trial 3, fold 2", True),
        ("trial 3, mean", True),
        ("ensemble, fold 1", True),
        ("ensemble, fold 2", False),
        ("ensemble, mean", True),
    ]
    assert len(asked) == len(set(asked)) == 4
