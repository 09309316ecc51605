"""`kallos-run cache`: the size of the fold cache and the snapshots, and their pruning."""

import time
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.commands.studies import studies_address
from flows.flags import StorageUrl
from flows.wording import say
from kallos.cache import FoldCache
from kallos.errors import UsageError
from kallos.features.snapshots import prune_snapshots, snapshot_holdings
from kallos.settings import Settings
from kallos.storage import Holdings
from kallos.words import scrubbed

_DAY, _MEGABYTE = 86_400, 1_000_000
_FOLDS, _SNAPSHOTS = "folds", "snapshots"


def info() -> None:
    """Show how large the fold cache and the snapshots are."""
    settings = Settings.read()
    for what, folder, holdings in (
        (_FOLDS, settings.fold_cache, FoldCache(settings.fold_cache).holdings()),
        (_SNAPSHOTS, settings.snapshots, snapshot_holdings(settings.snapshots)),
    ):
        since = f", the oldest from {datetime.fromtimestamp(holdings.oldest):%Y-%m-%d}" if holdings.oldest else ""
        say(f"{_amount(holdings, what)}{since}, in {scrubbed(folder)}")


def prune(
    *,
    older_than: Annotated[
        float | None,
        Parameter(help="Remove cached folds and snapshots that are older, in days.", validator=Number(gte=0)),
    ] = None,
    larger_than: Annotated[
        float | None,
        Parameter(
            help="Remove the oldest cached folds, and the oldest snapshots, until each are no larger, in MB.",
            validator=Number(gte=0),
        ),
    ] = None,
    storage_url: StorageUrl = None,
) -> None:
    """Remove old cached folds and snapshots.

    Keeps snapshots of the last hour and of studies that are running. If a study needs a removed fold again, it is
    fitted again; a removed snapshot is written again.
    """
    from kallos.study.catalogue import rows_in_use

    if older_than is None and larger_than is None:
        raise UsageError("cache prune needs a limit: give --older-than DAYS or --larger-than MB")
    settings = Settings.read()
    written_before = None if older_than is None else time.time() - older_than * _DAY
    max_bytes = None if larger_than is None else int(larger_than * _MEGABYTE)
    # Ask the storage first: if it does not answer, nothing is removed.
    needed = rows_in_use(studies_address(storage_url))
    folds = FoldCache(settings.fold_cache).prune(written_before=written_before, max_bytes=max_bytes)
    say(f"{_amount(folds, _FOLDS)} removed")
    snapshots = prune_snapshots(settings.snapshots, needed=needed, written_before=written_before, max_bytes=max_bytes)
    say(f"{_amount(snapshots, _SNAPSHOTS)} removed")


def _amount(holdings: Holdings, what: str) -> str:
    if not holdings.entries:
        return f"no {what}"
    return f"{holdings.entries} {what}, {holdings.size_bytes / 1000:.0f} KB"
