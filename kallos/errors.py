"""What can go wrong, as one tree.

KallosError                 one line for the user: the rule, the value, the remedy
├── UsageError              the request is wrong: a flag, a specification, a setting   (exit code 2)
├── DatabaseError           the database cannot be reached or refuses                  (exit code 1)
├── DataError               the rows or columns are unfit for tuning                   (exit code 1)
├── FitError                one fold cannot be fitted: a property of the job, so the
│                           trial fails, is not retried, and the study goes on
└── StudyError              the study as a whole has no result                         (exit code 1)
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class KallosError(Exception):
    """An error that its message explains in full; it is shown without a traceback."""

    exit_code = 1


class UsageError(KallosError):
    """The request itself is wrong."""

    exit_code = 2


class DatabaseError(KallosError):
    """The database cannot be reached, or refuses."""


class DataError(KallosError):
    """The rows or columns are unfit for what was asked."""


class FitError(KallosError):
    """A fold cannot be fitted or scored: it will fail the same way each time."""


class StudyError(KallosError):
    """The study has no result."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the closest known word as a question, and otherwise the whole list."""
    words = sorted(known)
    close = get_close_matches(word, words, n=1, cutoff=0.5)
    choices = "one of " + ", ".join(words) if words else "nothing there to choose from"
    return f"did you mean {close[0]!r}? ({choices})" if close else choices


def shorten(items: Sequence[object], most: int = 5) -> str:
    """Return the first few items in words, with the number of those left out."""
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"
