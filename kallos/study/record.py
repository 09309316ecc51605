"""The record of a study in a database, which survives a crash and is written by one run at a time."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from kallos.errors import DatabaseError, StudyError, UsageError, require, require_one_of
from kallos.features.databases import parse_url, reason_of, shown
from kallos.planning import StudyPlan
from kallos.scoring.score import FoldScore
from kallos.specs.metrics import metric_of
from kallos.specs.study import TuneSpec
from kallos.study.locks import IfRunning, TakenOverError, study_lock
from kallos.study.tables import end_trial, insert_trial, remove_trials
from kallos.study.trials import SCORES, StudyTrial, WarmStart

_log = logging.getLogger(__name__)

Done = TypeVar("Done")

# User attributes of a study.
SPEC, CREATED, DATA, WINDOWS, WARM, FORMAT = "spec", "created", "data", "windows", "warm_start", "format"
# Raise this whenever older records can no longer be read.
RECORD_FORMAT = 3
_FAMILY, _UNTIL = "family", "validation_end"
_ENDED_ATTRS = "attrs_while_running"
# Pauses between tries in seconds, long enough for a database to restart.
_PAUSES = (1, 1, 2, 4, 8, 16, 30)


class StudyRecord:
    """The trials of one study, in memory.

    A trial is written when its parameters are drawn, and again when it ends. The next run continues the trials that
    were left pending.
    """

    def __init__(self) -> None:
        self._trials: list[StudyTrial] = []

    @property
    def warm_start(self) -> WarmStart:
        """Parameters that the first trials take instead of drawing them, fixed when the study was created."""
        return WarmStart()

    def trials(self) -> list[StudyTrial]:
        """Return all trials by number."""
        return list(self._trials)

    def begin(self, number: int, begun: FrozenTrial) -> None:
        """Write a trial whose parameters were drawn."""
        self._trials.append(StudyTrial(begun))

    def end(self, number: int, begun: FrozenTrial, ended: FrozenTrial) -> None:
        """Write how a trial has ended."""
        self._trials[number] = StudyTrial(begun, ended)

    def forget_from(self, first: int) -> None:
        """Remove the trials from this number on, all or none; the warm start stays."""
        del self._trials[first:]


class DatabaseRecord(StudyRecord):
    """The trials of one study, in Optuna's tables, so that Optuna's tools can show them."""

    def __init__(
        self,
        storage: optuna.storages.RDBStorage,
        study_id: int,
        url: URL,
        *,
        guard: Callable[[], None],
        pauses: tuple[float, ...],
    ) -> None:
        self._storage = storage
        self._study_id = study_id
        self._url = url
        self._guard = guard
        self._pauses = pauses
        self._trial_ids: list[int] = []

    @property
    def warm_start(self) -> WarmStart:
        """Parameters that the first trials take instead of drawing them, fixed when the study was created."""
        attrs = self._persistently(lambda _: self._storage.get_study_user_attrs(self._study_id))
        return WarmStart.model_validate(attrs.get(WARM, {}))

    def trials(self) -> list[StudyTrial]:
        """Return all trials by number."""
        n_objectives = len(self._persistently(lambda _: self._storage.get_study_directions(self._study_id)))
        return [_read(trial, n_objectives) for trial in self._persistently(lambda _: self._all_trials())]

    def begin(self, number: int, begun: FrozenTrial) -> None:
        """Write a trial whose parameters were drawn, in one transaction."""

        def write(again: bool) -> None:
            if again:
                self._all_trials()
            if len(self._trial_ids) == number:
                self._trial_ids.append(insert_trial(self._storage, self._study_id, number, begun))

        self._persistently(write)

    def end(self, number: int, begun: FrozenTrial, ended: FrozenTrial) -> None:
        """Write how a trial has ended, in one transaction.

        Its intermediate values are part of its scores, and not written twice.
        """
        noted = {key: value for key, value in ended.system_attrs.items() if key not in begun.system_attrs}
        attrs = {key: value for key, value in ended.user_attrs.items() if key not in begun.user_attrs}
        attrs |= {_ENDED_ATTRS: noted} if noted else {}
        self._persistently(lambda _: end_trial(self._storage, self._trial_ids[number], ended, attrs))

    def forget_from(self, first: int) -> None:
        """Remove the trials from this number on, all or none; the warm start stays."""

        def remove(_: bool) -> None:
            remove_trials(self._storage, self._study_id, first)
            self._all_trials()

        self._persistently(remove)

    def _all_trials(self) -> list[FrozenTrial]:
        trials = self._storage.get_all_trials(self._study_id, deepcopy=False)
        self._trial_ids = [trial._trial_id for trial in trials]
        return trials

    def _persistently(self, act: Callable[[bool], Done]) -> Done:
        """Retry an act while a database restarts, telling it whether this is a retry."""
        for number, pause in enumerate((*self._pauses, None)):
            try:
                self._guard()
                return act(number > 0)
            except TakenOverError as error:
                if pause is None:
                    raise StudyError(
                        f"only one run at a time may write a study, and {error}; finished folds of this run are kept"
                    ) from None
                time.sleep(pause)
            except (StorageInternalError, SQLAlchemyError) as error:
                if pause is None:
                    raise DatabaseError(
                        f"the study's storage must be writable, and writing to {shown(self._url)} failed: "
                        f"{reason_of(error, self._url)}; finished folds are kept: run the same command to continue"
                    ) from None
                reason = reason_of(error, self._url)
                _log.warning("the study's storage does not answer, trying again in %d s: %s", pause, reason)
                time.sleep(pause)
        raise AssertionError


def parse_storage_url(storage_url: str) -> URL:
    """Return the URL of a database that can hold records, or raise `UsageError` without showing its secrets."""
    require(str, storage_url=storage_url)
    try:
        url = parse_url(storage_url)
    except UsageError as error:
        raise UsageError(f"`storage_url`: {error}") from None
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise UsageError("`storage_url` must outlive this process: give SQLite a file")
    return url


def refuse_missing_file(storage_url: str) -> None:
    """Raise `UsageError` if a storage is a SQLite file that does not exist, which reading must not create."""
    url = parse_storage_url(storage_url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        raise UsageError(f"`storage_url` must be the storage of studies, and there is no such file: {url.database}")


@contextmanager
def open_record(storage_url: str, plan: StudyPlan, *, if_running: IfRunning = "wait") -> Iterator[StudyRecord]:
    """Open the record of the plan's study in a SQLite or PostgreSQL database, creating it if necessary.

    The block holds the study's lock. If another run holds it, `if_running` says whether to wait or raise `StudyError`.
    Raises `DatabaseError` if the database cannot be reached or written, `UsageError` for an invalid URL.
    """
    require(StudyPlan, plan=plan)
    require_one_of(("wait", "fail"), if_running=if_running)
    url = parse_storage_url(storage_url)
    is_file = url.get_backend_name() == "sqlite"
    lock = study_lock(url, plan.study_name)
    with must_answer(url), lock.held(if_running), opened_storage(url) as storage:
        study_id = _open_study(storage, plan)
        yield DatabaseRecord(storage, study_id, url, guard=lock.ensure, pauses=() if is_file else _PAUSES)


def check_record(storage_url: str, plan: StudyPlan, *, if_running: IfRunning = "wait") -> None:
    """Raise at once what `open_record` would if the database does not answer or another run holds the study."""
    require(StudyPlan, plan=plan)
    require_one_of(("wait", "fail"), if_running=if_running)
    url = parse_storage_url(storage_url)
    with must_answer(url):
        study_lock(url, plan.study_name).look(if_running)


@contextmanager
def must_answer(url: URL) -> Iterator[None]:
    """Turn a storage's errors into `DatabaseError`, without its secrets."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = reason_of(error, url)
        raise DatabaseError(f"the study's storage must answer, and {shown(url)} did not: {reason}") from None


@contextmanager
def opened_storage(url: URL) -> Iterator[optuna.storages.RDBStorage]:
    """Open the storage of all studies for the block, creating its tables if necessary."""
    with quiet_optuna():
        storage = _open_storage(url)
        if url.get_backend_name() == "sqlite":
            _commit_fast(storage)
        try:
            yield storage
        finally:
            storage.engine.dispose()


@contextmanager
def opened_if_there(url: URL) -> Iterator[optuna.storages.RDBStorage | None]:
    """Open the storage for the block without writing, or yield None if the database has none."""
    if not _is_there(url):
        yield None
        return
    with quiet_optuna():
        storage = _open_storage(url, skip_table_creation=True)
        try:
            yield storage
        finally:
            storage.engine.dispose()


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Run the block without Optuna's log lines, since Kallos logs its own."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _is_there(url: URL) -> bool:
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        return False
    with sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool).connect() as connection:
        tables = sqlalchemy.inspect(connection)
        return tables.has_table("studies") and tables.has_table("version_info")


def _open_storage(url: URL, *, skip_table_creation: bool = False) -> optuna.storages.RDBStorage:
    sqlite = url.get_backend_name() == "sqlite"
    arguments: dict[str, Any] = (
        {"connect_args": {"timeout": 60}} if sqlite else {"pool_pre_ping": True, "isolation_level": "READ COMMITTED"}
    )
    for pause in (0.5, 1, 2, None):
        try:
            return optuna.storages.RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs=arguments,
                skip_table_creation=skip_table_creation,
            )
        except RuntimeError as error:
            # Optuna's message for tables of another version names the command that upgrades them.
            raise DatabaseError(f"the study's storage must match this version of Optuna: {error}") from None
        except (StorageInternalError, SQLAlchemyError):
            # If two runs create the tables at the same time, the second finds them at its next try.
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError


def _commit_fast(storage: optuna.storages.RDBStorage) -> None:
    """Let SQLite commit without waiting for the disk; only a power failure loses trials, and a rerun restores them."""

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def set_pragmas(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    storage.engine.dispose()


def _open_study(storage: optuna.storages.RDBStorage, plan: StudyPlan) -> int:
    study = optuna.create_study(
        study_name=plan.study_name, storage=storage, directions=_directions(plan.spec), load_if_exists=True
    )
    recorded = study.user_attrs
    described: dict[str, Any] = {
        SPEC: plan.spec.model_dump(mode="json"),
        _UNTIL: plan.windows[-1].validation_end,
        CREATED: datetime.now(UTC).isoformat(),
        _FAMILY: plan.family,
        DATA: plan.data.model_dump(mode="json"),
        FORMAT: RECORD_FORMAT,
        WINDOWS: [window.model_dump(mode="json") for window in plan.windows],
    }
    # An earlier run may have been killed here, or have had other baselines and another number of trials.
    for key, value in described.items():
        if key not in recorded or (key in (SPEC, WINDOWS) and recorded[key] != value):
            study.set_user_attr(key, value)
    if WARM not in recorded:
        # The last one: a study is complete once it has its warm start.
        study.set_user_attr(WARM, _warm_start(storage, plan).model_dump(mode="json"))
    return storage.get_study_id_from_name(plan.study_name)


def _directions(spec: TuneSpec) -> list[StudyDirection]:
    return [StudyDirection[metric_of(name).direction.upper()] for name in spec.objectives]


def _warm_start(storage: optuna.storages.RDBStorage, plan: StudyPlan) -> WarmStart:
    """Return the drawn parameters of the best trials of the latest study of the same family on earlier folds.

    Studies on the same folds teach nothing new, and later folds would look ahead.
    """
    if not plan.spec.warm_start:
        return WarmStart()
    until = plan.windows[-1].validation_end
    earlier = [
        study
        for study in optuna.get_all_study_summaries(storage, include_best_trial=False)
        if study.user_attrs.get(_FAMILY) == plan.family
        and type(study.user_attrs[_UNTIL]) is type(until)
        and study.user_attrs[_UNTIL] < until
    ]
    metric = metric_of(plan.spec.metric)
    for latest in sorted(
        earlier, key=lambda study: (study.user_attrs[_UNTIL], study.user_attrs[CREATED]), reverse=True
    ):
        complete = optuna.load_study(study_name=latest.study_name, storage=storage).get_trials(
            deepcopy=False, states=(TrialState.COMPLETE,)
        )
        if complete:
            best = sorted(complete, key=lambda trial: (metric.as_loss(trial.values[0]), trial.number))
            params = tuple(plan.fitting(trial.params) for trial in best[: plan.spec.warm_start])
            return WarmStart(study=latest.study_name, params=params)
    return WarmStart()


def _read(trial: FrozenTrial, n_objectives: int) -> StudyTrial:
    if not trial.state.is_finished():
        return StudyTrial(begun=trial)
    attrs = {**trial.system_attrs, **trial.user_attrs.get(_ENDED_ATTRS, {})}
    # Optuna refuses intermediate values of several objectives.
    reported = trial.user_attrs[SCORES] if n_objectives == 1 else []
    ended = create_trial(
        state=trial.state,
        values=trial.values,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=attrs,
        intermediate_values={fold: FoldScore(**score).value for fold, score in enumerate(reported, start=1)},
    )
    return StudyTrial(begun=trial, ended=ended)
