"""Arguments of what is called from Python, refused by name before anything is done with them."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from kallos.errors import DataError, UsageError, shorten

if TYPE_CHECKING:
    import pandas as pd

# What is called otherwise than by the name of its type.
_WORDS: dict[type, str] = {type(None): "None", Integral: "a whole number", Real: "a number"}


def require(kind: type | tuple[type, ...], **given: object) -> None:
    """Raise `UsageError` if an argument is of none of these kinds; of a specification's part, it says where that is."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    for name, value in given.items():
        if not isinstance(value, kinds):
            parts = getattr(type(value), "model_fields", ())
            inside = next((f": give its {part!r}" for part in parts if isinstance(getattr(value, part), kinds)), "")
            raise UsageError(f"{name} must be {' or '.join(map(_a, kinds))}, not {_a(type(value))}{inside}")


def require_each(kind: type, **given: object) -> None:
    """Raise `UsageError` if an argument is no list or tuple of this kind."""
    for name, values in given.items():
        if not isinstance(values, list | tuple):
            raise UsageError(f"{name} must be a list of {kind.__name__}, not {_a(type(values))}")
        require(kind, **{f"{name}[{place}]": value for place, value in enumerate(values)})


def require_one_of(choices: tuple[str, ...], **given: object) -> None:
    """Raise `UsageError` if an argument is none of these words."""
    for name, value in given.items():
        if not isinstance(value, str) or value not in choices:
            raise UsageError(f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}")


def require_whole(least: int, **given: object) -> None:
    """Raise `UsageError` if an argument is no whole number of at least so much; True and False are none."""
    for name, value in given.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise UsageError(f"{name} must be a whole number of at least {least}, not {value!r}")


def require_number(least: float, **given: object) -> None:
    """Raise `UsageError` if an argument is no number of at least so much."""
    for name, value in given.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not float(value) >= least:
            raise UsageError(f"{name} must be a number of at least {least}, not {value!r}")


def require_positive(**given: object) -> None:
    """Raise `UsageError` if an argument is no number above zero."""
    for name, value in given.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not float(value) > 0:
            raise UsageError(f"{name} must be a number above 0, not {value!r}")


def require_callable(**given: Callable[..., Any] | None) -> None:
    """Raise `UsageError` if an argument that is given cannot be called."""
    for name, value in given.items():
        if value is not None and not callable(value):
            raise UsageError(f"{name} must be a function, not {_a(type(value))}")


def require_rows(**given: object) -> None:
    """Raise if an argument is no frame of one asset's rows: some, indexed by unique, sorted stamps without a zone.

    Stamps may be integers. Raises `UsageError` for what is no frame, `DataError` for rows that are unfit.
    """
    import pandas as pd

    require(pd.DataFrame, **given)
    for name, frame in given.items():
        _refuse_index(name, frame.index)  # type: ignore[attr-defined]


def require_columns(**given: "pd.DataFrame") -> None:
    """Raise `DataError` if a frame's columns have no names of their own."""
    for name, frame in given.items():
        if odd := [column for column in frame.columns if not isinstance(column, str)]:
            raise DataError(f"the columns of {name} must be named by text, and {shorten(odd, 3)} is none: rename them")
        if not frame.columns.is_unique:
            doubled = frame.columns[frame.columns.duplicated()].unique()
            raise DataError(f"the columns of {name} must have names of their own, and two have {shorten(doubled, 3)}")


def _refuse_index(name: str, index: "pd.Index") -> None:
    import pandas as pd

    if isinstance(index, pd.MultiIndex):
        raise DataError(f"the rows of {name} must be those of one asset, and have an index of {index.nlevels} levels")
    if not isinstance(index, pd.DatetimeIndex) and index.dtype.kind not in "iu":
        raise DataError(
            f"the rows of {name} must be indexed by timestamps or integers, not by {index.dtype}: make a DatetimeIndex "
            f"of them by pandas.to_datetime"
        )
    if index.empty:
        raise DataError(f"{name} must have rows, and is empty")
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        raise DataError(
            f"the timestamps of {name} must have no time zone, and are in {index.tz}: {name}.tz_convert(None) makes "
            f"them UTC, {name}.tz_localize(None) keeps them as they are shown"
        )
    if index.hasnans:
        raise DataError(f"every row of {name} must have a timestamp, and {index.isna().sum()} have none: drop them")
    if not index.is_unique or not index.is_monotonic_increasing:
        raise DataError(
            f"the rows of {name} must be unique and sorted by their index, and are not: sort them by "
            f"{name}.sort_index(), and drop the doubled"
        )


def _a(kind: type) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    return f"{'an' if kind.__name__[0] in 'AEIOUaeiou' else 'a'} {kind.__name__}"
