"""What a run's progress looks like, with a bar and without."""

from io import StringIO

import pytest

from flows.terminal.study import show_result, shown_progress
from flows.terminal.workers import shown_workers
from flows.wording import Console
from kallos.report.rows import best_params_markdown, trial_rows
from kallos.report.tables import fold_table
from kallos.study.events import StepStarted
from kallos.tuner import run_tuning
from kallos.workers.processes import WorkerLostError, trying_again
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
