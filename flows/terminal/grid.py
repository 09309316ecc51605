"""Many studies on the terminal: a line for each that has ended, and the leaderboard."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from flows.session import BoardChanged, FlowEvent
from flows.terminal.tables import titled
from flows.wording import in_flags
from kallos.report.leaderboard import Leaderboard, LeaderboardEntry, notes, of, rank_text, value
from kallos.specs.study import study_title
from kallos.study.events import StudyFinished, StudyStarted, TrialFinished
from kallos.study.lines import opening
from kallos.words import counted

_STYLES = {"baseline": "italic", "failed": "red", "waiting": "dim", "done": ""}


@contextmanager
def shown_studies(console: Console) -> Iterator["ShownStudies"]:
    """Yield a watcher that shows the progress of studies on the console."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("trials"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        yield ShownStudies(console, progress)


class ShownStudies:
    """Prints a line for each study that has ended, and shows the current study as a bar, or else as a line."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._task = progress.add_task("starting", total=None)
        self._recorded = 0
        self._fits = 0
        self.board: Leaderboard | None = None

    def __call__(self, event: FlowEvent) -> None:
        """Update the bar, and print a line for a study that has ended."""
        match event:
            case StudyStarted(plan, recorded, n_trials, _):
                title = study_title(plan.spec)
                self._progress.update(self._task, description=title, total=n_trials, completed=recorded)
                self._recorded = recorded
                if not self._console.is_terminal:
                    self._print(next(opening(event)), "dim")
            case TrialFinished(trial, _):
                self._progress.update(self._task, completed=trial.number + 1)
            case StudyFinished(fits=fits):
                self._fits += fits
            case BoardChanged(entry, board):
                self.board = board
                self._note(entry, board)

    def _note(self, entry: LeaderboardEntry, board: Leaderboard) -> None:
        number = sum(each.status != "waiting" for each in board.entries)
        line = f"{number}/{len(board.entries)}  {entry.model} on {entry.asset}  "
        if entry.status == "failed":
            line += f"failed: {in_flags(str(entry.reason))}"
        elif entry.value is not None:
            line += (
                f"{entry.metric} {value(entry.value)}  baseline {value(entry.baseline_value)} ({entry.baseline})  "
                f"{entry.shown_skill}"
            )
        if entry.pending:
            line += f"  ({entry.trials} of {entry.n_trials} trials, {entry.pending} pending)"
        if entry.is_found:
            line += "  (complete, skipped)"
        elif self._recorded:
            line += f"  (continued from {counted(self._recorded, 'trial')})"
        self._recorded = 0
        self._print(line, "red" if entry.status == "failed" else "")

    def fitted(self, board: Leaderboard) -> str:
        """Return in words how many folds this run has fitted."""
        but = "; failed studies are not counted" if board.failed else ""
        return f"{counted(self._fits, 'fold')} fitted in this run{but}"

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()

    def _print(self, line: str, style: str) -> None:
        self._progress.console.print(Text(line, style), soft_wrap=True)


def show_leaderboard(console: Console, board: Leaderboard) -> None:
    """Print the rows by asset, and the notes."""
    table = titled("leaderboard")
    table.add_column("asset", overflow="fold")
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("model", overflow="fold")
    for heading in (board.label, "skill", "won", "trials"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    shown = None
    for row in board.rows:
        if shown not in (None, row.asset):
            table.add_section()
        table.add_row(
            "" if row.asset == shown else row.asset,
            rank_text(row.rank),
            row.model,
            value(row.value),
            row.shown_skill,
            of(row.folds_won, row.folds),
            of(row.trials, row.n_trials),
            "" if row.status in ("done", "baseline") else row.status,
            style=_STYLES[row.status],
        )
        shown = row.asset
    console.print(table)
    for note in notes(board):
        console.print(note)
