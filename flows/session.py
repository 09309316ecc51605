"""What the flows of one command or run share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pandas as pd

from flows.places import Pools, SharedPools, open_pools
from kallos import checks
from kallos.checks import RowReader
from kallos.features.chunks import OnRows
from kallos.planning import DataSummary, StudyPlan, plan_study
from kallos.report.leaderboard import Leaderboard, LeaderboardEntry
from kallos.settings import Settings
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec
from kallos.study.again import plan_again, study_rows
from kallos.study.best_params import BestParams
from kallos.study.events import Event


@dataclass(frozen=True)
class BoardChanged:
    """A study of a grid has ended and changed the leaderboard."""

    entry: LeaderboardEntry
    board: Leaderboard


FlowEvent = Event | BoardChanged
FlowWatcher = Callable[[FlowEvent], None]


@dataclass(frozen=True)
class Prepared:
    """A study's plan, and warnings about its rows."""

    plan: StudyPlan
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Session:
    """The watchers, the rows that were read last, the prepared study, and the pools that studies share."""

    watchers: tuple[FlowWatcher, ...] = ()
    reader: RowReader | None = None
    prepared: Prepared | None = None
    pools: SharedPools | None = None

    def tell(self, event: FlowEvent) -> None:
        """Tell all watchers."""
        for watcher in self.watchers:
            watcher(event)

    def prepared_for(self, spec: TuneSpec, data: DataSummary | None = None) -> Prepared | None:
        """Return the prepared study, or None if it is another study or has other rows than `data`."""
        if self.prepared is None:
            return None
        plan = self.prepared.plan
        return self.prepared if plan.spec == spec and data in (None, plan.data) else None

    def pools_of(self, run: RunSpec) -> AbstractContextManager[Pools]:
        """Return the shared pools, or pools that a study opens for itself."""
        return open_pools(run) if self.pools is None else self.pools.lent()


_ALONE = Session()
# Prefect runs each flow and task in a copy of the context that calls it.
_session: ContextVar[Session] = ContextVar("session", default=_ALONE)


def session() -> Session:
    """Return the session of this flow or task."""
    return _session.get()


@contextmanager
def _changed(changed: Session) -> Iterator[None]:
    token = _session.set(changed)
    try:
        yield
    finally:
        _session.reset(token)


def watching(watcher: FlowWatcher) -> AbstractContextManager[None]:
    """Tell the watcher about all events of flows inside this block."""
    return _changed(replace(session(), watchers=(watcher, *session().watchers)))


def handing_over(prepared: Prepared | None) -> AbstractContextManager[None]:
    """Let the flow that is called inside this block use a prepared study."""
    return _changed(replace(session(), prepared=prepared))


def keeping_rows() -> AbstractContextManager[None]:
    """Let consecutive flows and tasks inside this block read the same rows only once."""
    return _changed(replace(session(), reader=new_reader()))


@contextmanager
def sharing_pools(run: RunSpec) -> Iterator[None]:
    """Let studies inside this block, which run one after the other, share their pools."""
    with closing(SharedPools(run)) as pools, _changed(replace(session(), pools=pools)):
        yield


def new_reader(on_rows: OnRows | None = None) -> RowReader:
    """Return a reader of the database in the settings."""
    settings = Settings.read()
    return RowReader(settings.features_url, timeout=settings.db_timeout, on_rows=on_rows)


def reader() -> RowReader:
    """Return the session's reader, which keeps the rows that it read last, or else a new one."""
    return session().reader or new_reader()


def read_sound_features(rows: RowReader, spec: TuneSpec) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return a study's features and the warnings about them; raises `DataError` if they are unsound."""
    features, examination = checks.load_sound_features(rows, spec, now=datetime.now(UTC))
    return features, tuple(warning.line for warning in examination.warnings)


def prepare(rows: RowReader, spec: TuneSpec) -> Prepared:
    """Read the rows of a study and plan it."""
    features, warnings = read_sound_features(rows, spec)
    return Prepared(plan_study(features, spec, Settings.read().snapshots), warnings)


def prepare_again(best: BestParams) -> Prepared:
    """Plan a finished study on its own rows, from their snapshot or else from the database.

    Raises `DataError` if the rows in the database have changed.
    """
    settings = Settings.read()
    rows, snapshot = study_rows(
        best, settings.snapshots, features_url=settings.features_url, timeout=settings.db_timeout
    )
    return Prepared(plan_again(best, rows, snapshot), warnings=())
