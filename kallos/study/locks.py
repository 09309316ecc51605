"""Locks that keep two runs from writing the same study; a lock ends with its holder's process."""

import hashlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import sqlalchemy
from filelock import FileLock, Timeout
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from kallos.errors import DatabaseError, StudyError

_log = logging.getLogger(__name__)

IfRunning = Literal["wait", "fail"]

_POLL_SECONDS = 0.5
# Checking whether a file is locked locks it for a moment.
_LOOK_PAUSES = (0.01, 0.05, 0.1)


class TakenOverError(Exception):
    """The lock was lost and is held: by another run, or by our own lost connection, which the server still sees."""


class StudyLock(ABC):
    """The lock of a study, held by one run at a time."""

    def __init__(self, study_name: str) -> None:
        self._study_name = study_name

    @contextmanager
    def held(self, if_running: IfRunning) -> Iterator[None]:
        """Hold the lock for the block; if another run holds it, wait or raise `StudyError`."""
        if not self._take_past_a_look():
            self._say_who_waits(if_running)
            while not self._take():
                time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            self._let_go()

    def look(self, if_running: IfRunning) -> None:
        """Raise at once what `held` would raise: locking fails here or, if asked to fail, another run holds it."""
        if self._take_past_a_look():
            self._let_go()
        elif if_running == "fail":
            self._say_who_waits(if_running)

    @abstractmethod
    def ensure(self) -> None:
        """Take the lock again if it was lost; raises `TakenOverError` if it is held."""

    @abstractmethod
    def _take(self) -> bool: ...

    @abstractmethod
    def _let_go(self) -> None: ...

    def _take_past_a_look(self) -> bool:
        """Take the lock, even while another process briefly checks it."""
        for pause in _LOOK_PAUSES:
            if self._take():
                return True
            time.sleep(pause)
        return self._take()

    def _say_who_waits(self, if_running: IfRunning) -> None:
        if if_running == "fail":
            raise StudyError(
                f"only one run at a time may write a study, and another run holds {self._study_name}: wait until it "
                f"ends, or set `if_running` to wait"
            )
        _log.warning("another run holds the study %s: waiting for it to end", self._study_name)


class FileStudyLock(StudyLock):
    """A lock file next to a SQLite file; the operating system releases it when its holder ends."""

    def __init__(self, url: URL, study_name: str) -> None:
        super().__init__(study_name)
        database = Path(url.database or "").absolute()
        self._folder = database.parent / f"{database.name}.locks"
        self._lock = FileLock(self._folder / hashlib.sha256(study_name.encode()).hexdigest())

    def is_held(self) -> bool:
        """Return whether a run holds the study; writes nothing if no run ever has."""
        if not Path(self._lock.lock_file).exists():
            return False
        is_free = self._take_past_a_look()
        if is_free:
            self._let_go()
        return not is_free

    def ensure(self) -> None:
        """Do nothing, because a file lock does not get lost."""

    def _take(self) -> bool:
        if not self._folder.parent.is_dir():
            raise DatabaseError(f"the folder of the study's storage must exist: create {self._folder.parent}")
        try:
            self._folder.mkdir(exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise DatabaseError(f"the study's storage must be writable: {self._folder}: {reason}") from None
        return True

    def _let_go(self) -> None:
        self._lock.release()


class ServerStudyLock(StudyLock):
    """A PostgreSQL advisory lock; the server releases it when its holder's connection ends."""

    def __init__(self, url: URL, study_name: str) -> None:
        super().__init__(study_name)
        self._key = _advisory_key(study_name)
        self._engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool, isolation_level="AUTOCOMMIT")
        self._connection: sqlalchemy.Connection | None = None

    def ensure(self) -> None:
        """Take the lock again if the server has lost it; raises `TakenOverError` if it is held."""
        try:
            if self._connection is not None:
                self._connection.execute(sqlalchemy.text("SELECT 1"))
                return
        except SQLAlchemyError:
            self._let_go()
        if not self._take():
            raise TakenOverError(f"another run took over {self._study_name} while the database restarted")

    def _take(self) -> bool:
        connection = self._engine.connect()
        taken = connection.execute(sqlalchemy.select(sqlalchemy.func.pg_try_advisory_lock(self._key))).scalar_one()
        if taken:
            self._connection = connection
        else:
            connection.close()
        return bool(taken)

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def study_lock(url: URL, study_name: str) -> StudyLock:
    """Return the lock of a study in this database."""
    kind = FileStudyLock if url.get_backend_name() == "sqlite" else ServerStudyLock
    return kind(url, study_name)


def running_studies(url: URL, study_names: Iterable[str]) -> frozenset[str]:
    """Return which of these studies in this database are running."""
    if url.get_backend_name() == "sqlite":
        return frozenset(name for name in study_names if FileStudyLock(url, name).is_held())
    # PostgreSQL shows a lock's key in two unsigned halves: see pg_locks in its manual.
    query = (
        "SELECT classid::bigint << 32 | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
        "AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool).connect() as connection:
        held = set(connection.execute(sqlalchemy.text(query)).scalars())
    return frozenset(name for name in study_names if _advisory_key(name) in held)


def _advisory_key(study_name: str) -> int:
    digest = hashlib.sha256(f"kallos:{study_name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
