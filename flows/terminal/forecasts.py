"""Forecasts on the terminal."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.terminal.tables import WIDE
from kallos.models.forecasting import Forecasts
from kallos.words import counted, day

Array = npt.NDArray[np.float64]


def show_forecasts(console: Console, forecasts: Forecasts) -> None:
    """Print a table for each target, with a row for each step."""
    for position in range(len(forecasts.targets)):
        if position:
            console.print()
        show = _show_quantiles if len(forecasts.levels) > 1 else _show_points
        show(console, forecasts, position)
    console.print(f"model {forecasts.model_id}", soft_wrap=True)


def _show_points(console: Console, forecasts: Forecasts, target: int) -> None:
    members = np.stack([each[:, target] for each in forecasts.by_member.values()])
    over_members = {"least of members": members.min(axis=0), "greatest of members": members.max(axis=0)}
    columns = {"forecast": forecasts.point[:, target], **(over_members if len(members) > 1 else {})}
    console.print(_table(forecasts, target, columns))


def _show_quantiles(console: Console, forecasts: Forecasts, target: int) -> None:
    named = {f"q{level}": forecasts.quantiles[:, target, i] for i, level in enumerate(forecasts.levels)}
    names, middle = list(named), len(named) // 2
    # If not all quantiles fit, show the outer ones.
    for n_outer in range(middle, -1, -1):
        outer = names[:n_outer] + names[len(names) - n_outer :]
        columns = {"forecast": forecasts.point[:, target], **{name: named[name] for name in outer}}
        table = _table(forecasts, target, columns, digits=4)
        if console.measure(table, options=console.options.update(width=WIDE)).maximum <= console.width:
            break
    console.print(table)
    if n_outer < middle:
        console.print(
            f"{counted(2 * (middle - n_outer), 'more quantile')} in between: write them to a file with --output"
        )


def _table(forecasts: Forecasts, target: int, columns: Mapping[str, Array], *, digits: int = 6) -> Table:
    """Return a table of one target with a row for each step."""
    title = f"{forecasts.targets[target]} of {forecasts.asset_id} as of {day(forecasts.as_of)}"
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    table.add_column("step", justify="right")
    table.add_column("known at")
    for heading in columns:
        table.add_column(heading, justify="right")
    for step, time in enumerate(forecasts.target_times):
        shown = (f"{values[step]:.{digits}g}" for values in columns.values())
        table.add_row(str(step + 1), "" if time is None else day(time), *shown)
    return table
