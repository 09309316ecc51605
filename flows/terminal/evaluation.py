"""An evaluation on the terminal."""

import textwrap

from rich.console import Console
from rich.text import Text

from flows.terminal.tables import titled
from kallos.evaluation.results import HoldoutEvaluation
from kallos.report.evaluation import loss_line, score_names, score_rows, shown_score, skill_over, span

_STYLES = {"ship": "bold green", "keep": "bold yellow", "not shown": "bold yellow"}
_HEADINGS = {
    "rmse": "RMSE",
    "mae": "MAE",
    "directional_accuracy": "direction",
    "rank_correlation": "rank corr.",
}


def show_evaluation(console: Console, evaluation: HoldoutEvaluation) -> None:
    """Print the verdict, its reasons, and the scores."""
    decision = evaluation.verdict.decision
    console.print(Text.assemble((decision, _STYLES[decision]), f"  {evaluation.model_id}"), soft_wrap=True)
    for reason in evaluation.verdict.reasons:
        console.print(textwrap.fill(reason, console.width - 1, initial_indent="- ", subsequent_indent="  "))
    # With the MASE, the table would be wider than 80 columns.
    names = {name: shown for name, shown in score_names(evaluation).items() if name != "mase"}
    headings = tuple(_HEADINGS.get(name, shown) for name, shown in names.items())
    table = titled(span(evaluation), "forecaster", numbers=("skill over", *headings))
    for row in score_rows(evaluation):
        style = "bold" if row["forecaster"] == "model" else None
        scores = (shown_score(row[name]) for name in names)
        table.add_row(row["forecaster"], skill_over(evaluation, row["forecaster"]), *scores, style=style)
    console.print(table)
    console.print(textwrap.fill(loss_line(evaluation), console.width - 1))
