"""`kallos-run cache`: how much fold cache and snapshots hold, and an end to what is old or too much."""

import time
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter

from flows.commands.studies import Storage, studies_address
from flows.wording import Console
from kallos.cache import FoldCache
from kallos.errors import UsageError
from kallos.features.snapshots import prune_snapshots, snapshot_holdings
from kallos.settings import Settings
from kallos.storage import Holdings
from kallos.words import scrubbed

_DAY, _MEGABYTE = 86_400, 1_000_000
_SCORES, _SNAPSHOTS = "fold scores", "snapshots"


def info() -> None:
    """Say how much the cache holds, and how much the snapshots of studies' rows."""
    settings = Settings.read()
    for what, folder, holdings in (
        (_SCORES, settings.fold_cache, FoldCache(settings.fold_cache).holdings()),
        (_SNAPSHOTS, settings.snapshots, snapshot_holdings(settings.snapshots)),
    ):
        since = f", the oldest from {datetime.fromtimestamp(holdings.oldest):%Y-%m-%d}" if holdings.oldest else ""
        _say(f"{_amount(holdings, what)}{since}, in {scrubbed(folder)}")


def prune(
    *,
    older_than: Annotated[
        float | None, Parameter(help="Age in days that scores and snapshots may have.", show_default=False)
    ] = None,
    larger_than: Annotated[
        float | None,
        Parameter(help="Size in MB that scores, and snapshots, may have; the oldest go first.", show_default=False),
    ] = None,
    storage_url: Storage = None,
) -> None:
    """Remove old scores and snapshots, but no snapshot of the last hour or of a study that runs now.

    A fold that a study needs again is computed again, and its snapshot is written again.
    """
    from kallos.study.catalogue import rows_in_use

    if older_than is None and larger_than is None:
        raise UsageError("cache prune must know what may stay: give --older-than DAYS or --larger-than MB")
    for flag, value in (("--older-than", older_than), ("--larger-than", larger_than)):
        if value is not None and value < 0:
            raise UsageError(f"{flag} must not be negative: not {value:g}")
    settings = Settings.read()
    written_before = None if older_than is None else time.time() - older_than * _DAY
    max_bytes = None if larger_than is None else int(larger_than * _MEGABYTE)
    # First of all: nothing is removed where a storage does not say what runs.
    needed = rows_in_use(studies_address(storage_url))
    scores = FoldCache(settings.fold_cache).prune(written_before=written_before, max_bytes=max_bytes)
    _say(f"{_amount(scores, _SCORES)} removed")
    snapshots = prune_snapshots(settings.snapshots, needed=needed, written_before=written_before, max_bytes=max_bytes)
    _say(f"{_amount(snapshots, _SNAPSHOTS)} removed")


def _amount(holdings: Holdings, what: str) -> str:
    if not holdings.entries:
        return f"no {what}"
    return f"{holdings.entries} {what}, {holdings.size_bytes / 1000:.0f} KB"


def _say(line: str) -> None:
    Console(soft_wrap=True).print(line)
