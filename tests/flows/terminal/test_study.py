"""What a run's progress looks like, with a bar and without."""

from io import StringIO

import pytest

from flows.terminal.study import show_result, shown_progress
from flows.terminal.workers import shown_workers
from flows.wording import Console
from kallos.report.rows import best_params_markdown, trial_rows
from kallos.report.tables import fold_table
from kallos.study.choice import HonestChoice
from kallos.study.events import StepStarted
from kallos.tuner import run_tuning
from kallos.workers.processes import WorkerLostError, trying_again
from tests.direction_samples import by_trial
from tests.samples import by_parameters, fold_result, small_job, small_plan


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_comes_behind_the_study_is_a_line_each(is_terminal):
    console = Console(width=80, file=StringIO(), force_terminal=is_terminal)
    with shown_progress(console) as shown:
        shown(StepStarted("replicating trial 3 on 15 folds"))
        shown(StepStarted("training 3 networks"))
    lines = [line.removeprefix("\x1b[2K") for line in console.file.getvalue().splitlines()]
    assert [line for line in lines if line.endswith(("folds", "networks"))] == [
        "replicating trial 3 on 15 folds",
        "training 3 networks",
    ]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_study_is_a_bar_on_a_terminal_and_a_line_for_each_trial_elsewhere(tmp_path, is_terminal):
    console = Console(width=80, file=StringIO(), force_terminal=is_terminal)
    plan = small_plan(tmp_path, pruner="none")
    with shown_progress(console) as shown:
        run_tuning(plan, evaluate=by_parameters, watcher=shown)
    printed = console.file.getvalue()
    assert ("1/3  trial 0  rmse " in printed) != is_terminal
    assert ("trial 3/3" in printed) == is_terminal
    assert "6 folds fitted in this run" in printed


def test_a_study_of_two_objectives_shows_both_of_each_trial_and_what_was_picked_in_80_columns(tmp_path):
    console = Console(width=80, file=StringIO())
    over = {"objectives": ["rmse", "direction"], "metrics": ["ic"], "n_trials": 3, "pruner": "none"}
    plan = small_plan(tmp_path, **over)
    with shown_progress(console) as shown:
        result = run_tuning(plan, evaluate=by_trial((0.5, 0.8, 0.9), (0.01, 0.02, 0.015)), watcher=shown)
    show_result(console, result, "results", has_page=False)
    printed = console.file.getvalue()
    lines = printed.splitlines()
    assert "tuned by RMSE (lower is better), direction (higher is better)" in lines
    assert "1/3  trial 0  rmse 0.01, direction 0.5  best 0.01  4.0 s" in lines
    assert "2/3  trial 1  rmse 0.02, direction 0.8  best 0.01  4.0 s" in lines
    baseline = plan.baseline_metrics[plan.baseline]
    assert (
        f"the baseline ({plan.baseline}) has rmse {baseline['rmse']:.4g}, direction {baseline['direction']:.4g}"
        in lines
    )
    row = next(line.split() for line in lines if line.startswith("│ direction"))
    assert [row[3], row[7]] == ["0.5", "higher"]
    assert "trial 0: RMSE 0.01, direction 0.5; picked from 2 trials that no other" in printed
    # Nothing was found out of the choice.
    assert "train takes" not in printed
    show_result(console, result, "results", has_page=False, chosen=HonestChoice(jobs_sha256="0"))
    assert "train takes trial 0, the best one: there is no ensemble" in console.file.getvalue()
    tables = [line for line in lines if line[:1] in "│┏┡├└┃"]
    assert max(map(len, tables)) <= 80


def test_a_study_by_direction_shows_differences_and_the_best_so_far(tmp_path):
    console = Console(width=80, file=StringIO())
    plan = small_plan(tmp_path, metric="direction", n_trials=3, pruner="none")
    with shown_progress(console) as shown:
        result = run_tuning(plan, evaluate=by_trial((0.6, 0.9, 0.7)), watcher=shown)
    show_result(console, result, "results", has_page=False)
    lines = console.file.getvalue().splitlines()
    assert "tuned by direction (higher is better)" in lines
    assert "3/3  trial 2  direction 0.7  best 0.9  4.0 s" in lines
    mean = next(line.split() for line in lines if line.startswith("│ mean"))
    assert mean[-2] == f"+{0.9 - result.baseline_value:.3g}"
    assert "by metric" not in console.file.getvalue()
    assert "picked" not in console.file.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_lost_worker_is_a_line_for_each_time_that_its_fold_is_tried_again(tmp_path, is_terminal):
    console, losses = Console(width=80, file=StringIO(), force_terminal=is_terminal), ["two", "one"]

    def score(job):
        if losses:
            raise WorkerLostError(f"the Dask worker tcp://{losses.pop()} was lost at {job.name}")
        return by_parameters(job)

    with shown_progress(console), shown_workers(console):
        trying_again(score, small_job(tmp_path), retries=2)
    losses[:] = ["three"]
    with pytest.raises(WorkerLostError):
        trying_again(score, small_job(tmp_path), retries=0)
    printed = console.file.getvalue()
    lines = [line[line.index("warning") :].removesuffix("\x1b[0m") for line in printed.splitlines() if "lost" in line]
    assert lines == [
        f"warning: the Dask worker tcp://{name} was lost at trial-0-fold-1; trying again" for name in ("one", "two")
    ]


def test_a_skill_is_above_zero_in_every_view_where_the_best_trial_is_the_better_one(tmp_path):
    def better_at_first(job):
        rmse = 0.005 if job.number == 1 else 0.05
        return fold_result(job, rmse)

    result = run_tuning(small_plan(tmp_path, n_trials=1), evaluate=better_at_first)
    pairs = zip(result.windows, result.best.scores, strict=True)
    skills = [
        (each.baseline_rmse[result.baseline] - score.rmse) / each.baseline_rmse[result.baseline]
        for each, score in pairs
    ]
    assert skills[1] < 0 < skills[0]
    shown, console = [f"{skill:+.2%}" for skill in skills], Console(width=80, file=StringIO())
    show_result(console, result, "results", has_page=False)
    terminal = [line.split()[-2] for line in console.file.getvalue().splitlines() if " to 20" in line]
    markdown = [line.split()[-2] for line in best_params_markdown(result).splitlines() if " to 20" in line]
    page = fold_table(result)
    in_page = [row[page.headings.index("skill")].replace("\u2212", "-") for row in page.rows]
    assert terminal == markdown[:2] == shown
    assert in_page[:2] == [each.removeprefix("+") for each in shown]
    assert " skill ┃" in console.file.getvalue()
    best = trial_rows(result)[result.best.number]
    assert best["skill over the baseline"] == pytest.approx(result.skill, abs=1e-4)
