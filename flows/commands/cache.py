"""`kallos-run cache`: how much the fold cache holds, and an end to what is old or too much."""

import time
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from kallos.cache import FoldCache, Holdings
from kallos.errors import UsageError, scrubbed
from kallos.settings import Settings

_DAY, _MEGABYTE = 86_400, 1_000_000


def info() -> None:
    """Say how much the cache holds."""
    folder = Settings.read().fold_cache
    holdings = FoldCache(folder).holdings()
    since = f", the oldest from {datetime.fromtimestamp(holdings.oldest):%Y-%m-%d}" if holdings.oldest else ""
    _say(f"{_amount(holdings)}{since}, in {scrubbed(folder)}")


def prune(
    *,
    older_than: Annotated[float | None, Parameter(help="Age in days that scores may have.", show_default=False)] = None,
    larger_than: Annotated[
        float | None, Parameter(help="Size in MB that the cache may have; the oldest go first.", show_default=False)
    ] = None,
) -> None:
    """Remove old scores; a fold that a study needs again is computed again."""
    if older_than is None and larger_than is None:
        raise UsageError("cache prune must know what may stay: give --older-than DAYS or --larger-than MB")
    for flag, value in (("--older-than", older_than), ("--larger-than", larger_than)):
        if value is not None and value < 0:
            raise UsageError(f"{flag} must not be negative: not {value:g}")
    removed = FoldCache(Settings.read().fold_cache).prune(
        written_before=None if older_than is None else time.time() - older_than * _DAY,
        max_bytes=None if larger_than is None else int(larger_than * _MEGABYTE),
    )
    _say(f"{_amount(removed)} removed")


def _amount(holdings: Holdings) -> str:
    if not holdings.entries:
        return "no fold scores"
    return f"{holdings.entries} fold scores, {holdings.size_bytes / 1000:.0f} KB"


def _say(line: str) -> None:
    Console(soft_wrap=True, highlight=False, markup=False).print(line)
