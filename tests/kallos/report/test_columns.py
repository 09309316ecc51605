import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kallos.errors import FitError
from kallos.folds.groups import ColumnGroup
from kallos.report import tables
from kallos.report.columns import ColumnImportance, columns_line, columns_of_best, read_columns
from kallos.report.page import report_html
from kallos.scoring.permutation import PermutedFold
from kallos.tuner import run_tuning
from tests.report_samples import study_result
from tests.samples import by_parameters, small_plan

EMPTY = ColumnImportance(study="gru-ABC-1", trial=3, metric="rmse", fingerprints=("a", "b"))
TRUE = {"x0", "x1", "x2"}


def measured(increases: np.ndarray, *, error: float = 2.0, parts: int = 4) -> ColumnImportance:
    """Return the importance of groups with these increases, of shape (groups, parts of all folds)."""
    groups = [ColumnGroup(f"x{number}", (f"x{number}",)) for number in range(len(increases))]
    folds = [
        PermutedFold(np.full(own.shape[1], error), own)
        for own in np.split(increases, range(parts, increases.shape[1], parts), axis=1)
    ]
    return EMPTY.measured(groups, folds)


def here(work, jobs) -> list[PermutedFold]:
    return [work(job) for job in jobs]


def planted(seed: int, n_columns: int = 30, effect: float = 0.6) -> pd.DataFrame:
    """Return columns of noise, the first three of which move the next row's target."""
    random = np.random.default_rng(seed)
    columns = random.normal(size=(700, n_columns))
    target = random.normal(size=700)
    target[1:] += effect * columns[:-1, :3].sum(axis=1)
    index = pd.date_range("2020-01-01", periods=700, name="timestamp", unit="ns")
    named = {f"x{number}": columns[:, number] for number in range(n_columns)}
    return pd.DataFrame({"y": target, **named}, index=index)


def found_in(folder, frame: pd.DataFrame, model_name: str, **params) -> ColumnImportance:
    """Return what the columns are worth to the only trial of a study on four windows of 60 rows."""
    space = {name: {"type": "constant", "value": value} for name, value in params.items()}
    over = {"folds": {"n_folds": 4, "window": 60}, "features": {"target": "y"}, "n_trials": 1}
    plan = small_plan(folder, frame, model_name=model_name, space=space, training={"max_epochs": 12}, **over)
    return columns_of_best(plan, run_tuning(plan), str(folder / "own"), on_each=here)


def test_an_interval_is_students_with_the_confidence_that_bonferroni_leaves():
    random = np.random.default_rng(0)
    increases = random.normal(size=(30, 12)) + np.r_[np.linspace(2.5, 0.5, 6), np.zeros(24)][:, None]
    importance = measured(increases)
    tests = stats.ttest_1samp(increases, 0, axis=1, alternative="greater")
    is_found = tests.pvalue <= 0.05 / 30
    assert 3 <= is_found.sum() < 12
    assert {group.name for group in importance.mattering} == {f"x{place}" for place in np.flatnonzero(is_found)}
    assert importance.confidence == pytest.approx(1 - 2 * 0.05 / 30)
    for group in importance.groups:
        own = increases[int(group.name[1:])]
        interval = stats.ttest_1samp(own, 0).confidence_interval(importance.confidence)
        assert (group.increase, group.low, group.high) == pytest.approx((own.mean(), interval.low, interval.high))
        assert group.by_fold == pytest.approx(own.reshape(3, 4).mean(axis=1))
        assert group.matters == (group.low > 0)
    # Those that matter first, then by their increase.
    assert [group.matters for group in importance.groups] == sorted(is_found, reverse=True)


def test_in_few_studies_is_any_column_said_to_matter_that_does_not():
    random = np.random.default_rng(1)
    false, n_found = [], []
    for _ in range(1000):
        # Skewed, as squared errors are, and of unlike sizes in each part.
        noise = (random.gamma(4, size=(30, 16)) - 4) * random.gamma(2, size=16)
        mattering = {group.name for group in measured(noise + 8 * np.r_[np.ones(3), np.zeros(27)][:, None]).mattering}
        false.append(bool(mattering - TRUE))
        n_found.append(len(mattering & TRUE))
    assert np.mean(false) < 0.05
    assert np.mean(n_found) > 2


def test_a_column_that_no_forecast_reads_is_not_searched_among():
    random = np.random.default_rng(2)
    read = random.normal(1.0, 1.0, size=(1, 12))
    unread = np.full((50, 12), 1e-9)
    importance = measured(np.vstack([read, unread]))
    assert [group.name for group in importance.groups if group.is_read] == ["x0"]
    # Alone, its interval is the usual one of 90 %.
    assert importance.confidence == pytest.approx(0.9)
    assert {group.increase for group in importance.groups[1:]} == {0.0}
    nothing = measured(unread)
    assert not nothing.mattering
    assert columns_line(nothing) == "none of 50 columns is shown to matter"


def test_a_single_part_has_no_interval():
    importance = measured(np.array([[1.0], [0.0]]))
    assert (importance.confidence, importance.groups[0].low, importance.mattering) == (None, None, ())
    assert columns_line(importance) == "a single part of a single window does not show which columns matter"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_three_planted_columns_of_thirty_are_found_and_no_other(tmp_path, seed):
    importance = found_in(tmp_path, planted(seed), "ridge")
    assert {group.name for group in importance.mattering} == TRUE
    assert columns_line(importance).startswith("columns that matter: x")


def test_a_network_finds_planted_columns(tmp_path):
    # Its own level would be read from the target: a column that matters to the network, and was not planted.
    params = {"lr": 0.01, "input_chunk_length": 10, "use_reversible_instance_norm": False}
    importance = found_in(tmp_path, planted(0, n_columns=10, effect=1.0), "gru", **params)
    assert {group.name for group in importance.mattering} == TRUE


def test_pure_noise_has_no_column_that_matters(tmp_path):
    frame = planted(3).assign(y=np.random.default_rng(3).normal(size=700))
    assert not found_in(tmp_path, frame, "ridge").mattering


@pytest.mark.slow
def test_over_many_tables_few_have_a_false_find_and_most_planted_columns_are_found(tmp_path):
    found = [
        {group.name for group in found_in(tmp_path / str(seed), planted(100 + seed), "ridge").mattering}
        for seed in range(20)
    ]
    # At a chance of 5 %, four or more of 20 have one in 1.6 % of the cases.
    assert sum(bool(names - TRUE) for names in found) < 4
    assert np.mean([len(names & TRUE) for names in found]) > 2.5


@pytest.fixture
def plan(tmp_path):
    return small_plan(tmp_path, model_name="gru")


def test_a_rerun_of_the_same_study_fits_nothing(plan, tmp_path):
    result, folder, calls = run_tuning(plan, evaluate=by_parameters), str(tmp_path / "own"), []

    def on_each(work, jobs):
        calls.append([job.name for job in jobs])
        n_groups = len(work.keywords["groups"])
        return [PermutedFold(np.ones(4), np.eye(n_groups, 4)) for _ in jobs]

    of_best = partial(columns_of_best, plan, result, folder, on_each=on_each)
    first = of_best()
    assert calls == [[f"columns-trial-{result.best.number}-fold-{fold}" for fold in (1, 2)]]
    assert of_best() == first == read_columns(result, folder)
    assert len(calls) == 1
    of_best(anew=True)
    assert len(calls) == 2
    (tmp_path / "own" / "columns.json").write_text("{cut")
    assert read_columns(result, folder) is None
    assert of_best() == first
    another = result.model_copy(update={"best": next(each for each in result.trials if each != result.best)})
    assert read_columns(another, folder) is None
    columns_of_best(plan, another, folder, on_each=on_each)
    assert len(calls) == 4


def test_what_cannot_be_scored_is_said_and_not_tried_again(plan, tmp_path):
    result, folder, calls = run_tuning(plan, evaluate=by_parameters), str(tmp_path / "own"), []

    def on_each(work, jobs):
        calls.append(jobs)
        raise FitError("forecasts must be positive")

    first = columns_of_best(plan, result, folder, on_each=on_each)
    assert first == columns_of_best(plan, result, folder, on_each=on_each)
    assert (first.failure, first.groups, len(calls)) == ("forecasts must be positive", (), 1)
    assert columns_line(first) == "which columns matter is not known: forecasts must be positive"
    assert "Not shown: forecasts must be positive." in report_html(result, columns=first)


def test_other_errors_leave_no_file(plan, tmp_path):
    def on_each(work, jobs):
        raise OSError("a worker was lost")

    with pytest.raises(OSError, match="lost"):
        columns_of_best(plan, run_tuning(plan, evaluate=by_parameters), str(tmp_path / "own"), on_each=on_each)
    assert not (tmp_path / "own").exists()


def test_the_file_says_what_it_is_in_plain_json(tmp_path):
    importance = measured(np.ones((2, 8)) + np.linspace(0, 0.1, 8))
    document = json.loads(importance.model_dump_json())
    assert document["confidence"] == pytest.approx(0.95)
    assert document["groups"][0]["matters"] is True
    assert document["groups"][0]["columns"] == ["x0"]
    assert len(document["groups"][0]["by_fold"]) == 2


def test_the_page_shows_which_columns_matter_and_folds_the_rest(tmp_path):
    result = study_result(tmp_path)
    random = np.random.default_rng(4)
    increases = random.normal(0, 0.1, size=(30, 12)) + np.r_[0.5, np.zeros(29)][:, None]
    increases[-1] = 0
    importance = measured(increases, error=2.0)
    page = report_html(result, columns=importance)
    assert "Which columns matter" in page
    assert "1 of 30 columns matters (filled bars): its interval, the line, lies above zero." in page
    assert "The trial does not read 1 column." in page
    assert f"{importance.groups[0].increase / 2:.2%}" in page
    shown = tables.column_table(result, importance, importance.groups[: tables.MOST_GROUPS])
    assert len(shown.rows) == 15
    assert shown.rows[0][0] == "x0"
    assert 'with one of the other columns permuted <span class="count">15 rows' in page
    assert report_html(result, columns=importance) == page
    # Colour is not needed: the picture's description names those that matter.
    assert "Columns that matter: x0." in page


def test_a_page_without_columns_says_why(tmp_path):
    result = study_result(tmp_path)
    assert "Not shown: this study has no stored columns." in report_html(result)
    assert "Not shown: `timeout` 5 s is over." in report_html(result, no_columns="`timeout` 5 s is over")
