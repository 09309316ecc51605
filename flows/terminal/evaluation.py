"""An evaluation on the terminal."""

import textwrap
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.terminal.tables import WIDE, titled
from kallos.evaluation.results import HoldoutEvaluation
from kallos.report.evaluation import loss_line, score_names, score_rows, shown_score, skill_over, span

_STYLES = {"ship": "bold green", "keep": "bold yellow", "not shown": "bold yellow"}


def show_evaluation(console: Console, evaluation: HoldoutEvaluation) -> None:
    """Print the verdict, its reasons, and the scores, in as many tables as their columns need."""
    decision = evaluation.verdict.decision
    console.print(Text.assemble((decision, _STYLES[decision]), f"  {evaluation.model_id}"), soft_wrap=True)
    for reason in evaluation.verdict.reasons:
        console.print(textwrap.fill(reason, console.width - 1, initial_indent="- ", subsequent_indent="  "))
    for table in _tables(console, evaluation):
        console.print(table)
    console.print(textwrap.fill(loss_line(evaluation), console.width - 1))


def _tables(console: Console, evaluation: HoldoutEvaluation) -> Iterator[Table]:
    """Yield tables that each have as many metrics as fit the console."""
    names, title = evaluation.metrics, span(evaluation)
    while names:
        n_columns = len(names)
        while n_columns > 1 and not _fits(console, _table(evaluation, names[:n_columns], title)):
            n_columns -= 1
        yield _table(evaluation, names[:n_columns], title)
        names, title = names[n_columns:], "further metrics"


def _table(evaluation: HoldoutEvaluation, metrics: Sequence[str], title: str) -> Table:
    """Return a row for each forecaster; only the first table has the model's skill over it."""
    shown, has_skill = score_names(evaluation), metrics[0] == evaluation.metrics[0]
    headings = (*(("skill over",) if has_skill else ()), *(shown[name] for name in metrics))
    table = titled(title, "forecaster", numbers=headings)
    for row in score_rows(evaluation):
        skill = (skill_over(evaluation, row["forecaster"]),) if has_skill else ()
        style = "bold" if row["forecaster"] == "model" else None
        table.add_row(row["forecaster"], *skill, *(shown_score(row[name]) for name in metrics), style=style)
    return table


def _fits(console: Console, table: Table) -> bool:
    return console.measure(table, options=console.options.update(width=WIDE)).maximum <= console.width
