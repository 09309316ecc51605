"""Tables on the terminal."""

from rich.table import Table
from rich.text import Text

# Wider than any table, to measure how wide a table is.
WIDE = 10_000


def titled(title: str, *words: str, numbers: tuple[str, ...] = ()) -> Table:
    """Return a table with a title, columns of words, and then columns of numbers."""
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for heading in words:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table
