"""What many studies look like while they run."""

import io

from rich.console import Console

from flows.session import BoardChanged
from flows.terminal.grid import shown_studies
from kallos.report.leaderboard import Leaderboard, LeaderboardEntry
from kallos.study.best_params import BestParams
from kallos.study.record import open_record
from kallos.tuner import run_tuning
from tests.samples import by_parameters, small_plan


def test_each_line_says_what_was_fitted_what_carried_on_and_what_not_run_again(tmp_path):
    text = io.StringIO()
    plan = small_plan(tmp_path, pruner="none")
    waiting = Leaderboard(entries=(LeaderboardEntry.waiting(plan.spec),))
    with shown_studies(Console(file=text, width=100)) as shown:
        for more in (1, None):
            with open_record(f"sqlite:///{tmp_path}/studies.db", plan) as record:
                result = run_tuning(plan, evaluate=by_parameters, record=record, more_trials=more, watcher=shown)
            entry = LeaderboardEntry.of(plan.spec, BestParams.of(result))
            shown(BoardChanged(entry, waiting.updated(entry)))
        cut_short = entry.model_copy(update={"trials": 2, "pending": 1})
        shown(BoardChanged(cut_short, waiting.updated(cut_short)))
        found = entry.model_copy(update={"is_found": True})
        shown(BoardChanged(found, waiting.updated(found)))
        told = shown.fitted(waiting)
    starts, fresh, carries, carried_on, cut_short_line, passed_over = text.getvalue().splitlines()
    assert starts.endswith(": new, 3 trials, the first 1 now")
    assert carries.endswith(": 1 of 3 trials recorded, and not run again")
    assert "(" not in fresh.replace(f"({result.baseline})", "")
    assert carried_on.endswith("(continued from 1 trial)")
    assert cut_short_line.endswith("(2 of 3 trials, 1 pending)")
    assert passed_over.endswith("(complete, skipped)")
    # Three trials of two folds.
    assert told == "6 folds fitted in this run"
