"""What forecasts look like on a terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kallos.models.forecasting import Forecasts
from kallos.words import counted, day

# Wider than any table, to see how wide it would be.
_WIDE = 10_000


def show_forecasts(console: Console, forecasts: Forecasts) -> None:
    """Print a table a target, with a row a step: the forecast with the members' range, or the median and quantiles."""
    for number, target in enumerate(forecasts.targets):
        if number:
            console.print()
        _show_target(console, forecasts, target)
    console.print(f"model {forecasts.model_id}", soft_wrap=True)


def _show_target(console: Console, forecasts: Forecasts, target: str) -> None:
    if not forecasts.quantiles:
        members = list(zip(*forecasts.by_seed.values(), strict=True))
        over_seeds = {"least over seeds": [*map(min, members)], "greatest over seeds": [*map(max, members)]}
        columns = {"forecast": forecasts.values, **(over_seeds if len(forecasts.by_seed) > 1 else {})}
        console.print(_table(forecasts, target, columns))
        return
    named = {f"q{level}": values for level, values in forecasts.quantiles.items()}
    names, middle = list(named), len(named) // 2
    # The outer ones say most where not all fit.
    for n_outer in range(middle, -1, -1):
        outer = names[:n_outer] + names[len(names) - n_outer :]
        columns = {"median": forecasts.values, **{name: named[name] for name in outer}}
        table = _table(forecasts, target, columns, digits=4)
        if console.measure(table, options=console.options.update(width=_WIDE)).maximum <= console.width:
            break
    console.print(table)
    if n_outer < middle:
        console.print(f"and {counted(2 * (middle - n_outer), 'more quantile')} between, in the file of --output")


def _table(forecasts: Forecasts, target: str, columns: Mapping[str, Sequence[float]], *, digits: int = 6) -> Table:
    """Return a row a step of one target, with these columns of the values at all places."""
    title = f"{target} of {forecasts.asset_id} as of {day(forecasts.as_of)}"
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    table.add_column("step", justify="right")
    table.add_column("known at")
    for heading in columns:
        table.add_column(heading, justify="right")
    for place, (name, step, time) in enumerate(forecasts.places):
        if name == target:
            shown = (f"{values[place]:.{digits}g}" for values in columns.values())
            table.add_row(str(step), "" if time is None else day(time), *shown)
    return table
