"""The names of the baselines that a study can be compared with."""

from kallos.errors import UsageError
from kallos.words import did_you_mean

HAR, RIDGE = "har", "ridge"
# Always scored and shown, named or not.
ALWAYS_SCORED = (HAR, RIDGE)
DEFAULT_BASELINES = ("zero", "last", "mean", "drift", "seasonal", "ewma", HAR)
# Followed by the name of a column.
GARCH, COLUMN = "garch:", "column:"
_PLAIN = (*DEFAULT_BASELINES, RIDGE)
_OF_A_COLUMN = {GARCH: "the target's returns", COLUMN: "the column that forecasts the target"}


def check_baselines(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of baselines, or raise `UsageError` if one is unknown, lacks its column or is repeated."""
    if not names:
        raise UsageError(f"baselines must name at least one of {', '.join(_PLAIN)}, garch:COLUMN and column:COLUMN")
    for name in names:
        kind, column = kind_and_column(name)
        bare = name.rstrip(":")
        if f"{bare}:" in _OF_A_COLUMN:
            raise UsageError(
                f"baselines: {bare} needs {_OF_A_COLUMN[f'{bare}:']}, and {name!r} names no column: write {bare}:COLUMN"
            )
        if column is None and name not in _PLAIN:
            known = did_you_mean(kind, (*_PLAIN, f"{GARCH}COLUMN", f"{COLUMN}COLUMN"))
            raise UsageError(f"baselines must be known, and {name!r} is not: {known}")
    if len(set(names)) < len(names):
        raise UsageError(f"baselines must not repeat a name, as {list(names)} does")
    return names


def kind_and_column(name: str) -> tuple[str, str | None]:
    """Return a baseline's kind, and its column if it has one: `garch:` and `log_return_close`."""
    kind = next((each for each in _OF_A_COLUMN if name.startswith(each)), name)
    return kind, name.removeprefix(kind) or None
