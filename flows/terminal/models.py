"""The registry of models on the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.terminal.tables import titled
from kallos.models.holdout_evaluations import EvaluationRecord
from kallos.models.registry import ModelRecord, Registry
from kallos.models.registry_index import Change, Entry, State
from kallos.words import day

_STYLES: dict[State, str] = {"champion": "bold green", "challenger": "yellow", "retired": "dim"}


def show_models(console: Console, entries: Sequence[Entry], registry: Registry) -> None:
    """Print a table for each slot: champion, challengers, retired models, each from the latest to the oldest."""
    for number, slot in enumerate(dict.fromkeys(entry.slot for entry in entries)):
        if number:
            console.print()
        table = titled(str(slot), "state", "model", "data until", "since")
        of_slot = sorted(
            (entry for entry in entries if entry.slot == slot), key=lambda entry: entry.since, reverse=True
        )
        for state in _STYLES:
            for entry in (each for each in of_slot if each.state == state):
                table.add_row(_state(state), Text(entry.model_id), day(entry.data.end), f"{entry.since:%Y-%m-%d}")
        console.print(table)
        before = registry.before(slot)
        if before:
            console.print(f"a roll-back reinstates {before[0]}", soft_wrap=True)


def show_model(console: Console, record: ModelRecord, holdout_evaluations: Sequence[EvaluationRecord]) -> None:
    """Print a model, its hold-out evaluations and its history."""
    entry = record.entry
    facts = Table.grid(padding=(0, 2))
    facts.add_column()
    facts.add_column(overflow="fold")
    facts.add_row("model", Text(entry.model_id, style="bold"))
    facts.add_row("state", Text.assemble(_state(entry.state), f" since {entry.since:%Y-%m-%d %H:%M} UTC"))
    facts.add_row("forecasts", str(entry.slot))
    facts.add_row("architecture", entry.model_name)
    facts.add_row("trained on", f"{entry.data.rows} rows, {day(entry.data.start)} to {day(entry.data.end)}")
    if entry.holdout_start is not None:
        facts.add_row("hold-out", f"from {day(entry.holdout_start)}")
    facts.add_row("folder", record.address)
    console.print(facts)
    if holdout_evaluations:
        table = titled("hold-out evaluations", "time (UTC)", "from", "to", "decision")
        for evaluation in holdout_evaluations:
            table.add_row(
                f"{evaluation.time:%Y-%m-%d %H:%M}",
                day(evaluation.test_start),
                day(evaluation.test_end),
                evaluation.decision or "none",
            )
        console.print(table)
    table = titled("history", "time (UTC)", "change", "reason")
    for change in record.history:
        table.add_row(f"{change.time:%Y-%m-%d %H:%M}", Text(_told(change, entry.model_id)), Text(change.reason))
    console.print(table)


def _told(change: Change, model_id: str) -> str:
    """Return in words what a change meant for a model."""
    if change.model_id != model_id:
        return f"{'rolled back' if change.verb == 'roll-back' else 'replaced'}: {change.model_id} is the champion"
    told = {"add": "added", "promote": "promoted", "roll-back": "champion again", "retire": "retired"}[change.verb]
    return f"{told}, in place of {change.replaces}" if change.replaces else told


def _state(state: State) -> Text:
    return Text(state, style=_STYLES[state])
