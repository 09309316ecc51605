"""The studies in a storage: listed, read and deleted. Reading writes nothing."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict, computed_field
from sqlalchemy.engine import URL

from kallos.errors import StudyError, UsageError
from kallos.features.databases import shown
from kallos.planning import DataSummary, FoldWindow, best_baseline, mean_baseline_values
from kallos.specs.metrics import Direction, Metric, recorded_metric
from kallos.study.locks import running_studies, study_lock
from kallos.study.record import (
    CREATED,
    DATA,
    FORMAT,
    RECORD_FORMAT,
    SPEC,
    WARM,
    WINDOWS,
    must_answer,
    opened_if_there,
    parse_storage_url,
)
from kallos.study.trials import TrialRecord, WarmStart, best_of, complete_trials
from kallos.words import did_you_mean, shorten

if TYPE_CHECKING:
    from optuna.study._frozen import FrozenStudy


_DIRECTIONS: dict[StudyDirection, Direction] = {
    StudyDirection.MINIMIZE: "minimize",
    StudyDirection.MAXIMIZE: "maximize",
}


class TrialCounts(BaseModel):
    """Number of a study's trials by state."""

    model_config = ConfigDict(frozen=True)

    complete: int = 0
    pruned: int = 0
    failed: int = 0
    open: int = 0

    @property
    def ended(self) -> int:
        """Number of trials that have ended."""
        return self.complete + self.pruned + self.failed


class StudySummary(BaseModel):
    """A study in one line; `best_value` is None until a trial is complete.

    Values are mean scores over the folds by the study's metric, the first of its `objectives`, each of which has its
    direction. Times are in UTC.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    asset: str
    model: str
    trials: TrialCounts
    n_trials: int
    metric: str
    objectives: dict[str, Direction]
    best_value: float | None
    baseline: str
    baseline_value: float
    created: datetime
    last_activity: datetime
    is_running: bool

    @computed_field  # type: ignore[prop-decorator]
    @property
    def skill(self) -> float | None:
        """How much better the best trial is than the baseline (`Metric.skill`)."""
        value = self.best_value
        return None if value is None else self.recorded_metric.skill(value, self.baseline_value)

    @property
    def recorded_metric(self) -> Metric:
        """The study's metric, as it was recorded."""
        return recorded_metric(self.metric, self.objectives[self.metric])


class RecordedStudy(BaseModel):
    """A study as its record describes it."""

    model_config = ConfigDict(frozen=True)

    summary: StudySummary
    spec: dict[str, Any]
    data: DataSummary
    windows: tuple[FoldWindow, ...]
    warm_start: WarmStart
    best: TrialRecord | None
    best_trials: tuple[TrialRecord, ...]

    @property
    def folds_won(self) -> int | None:
        """Number of folds in which the best trial beats the baseline; None if no trial is complete."""
        if self.best is None:
            return None
        pairs = zip(self.windows, self.best.scores, strict=True)
        metric, baseline = self.summary.recorded_metric, self.summary.baseline
        return sum(metric.is_better(score.value, window.baseline_values[baseline]) for window, score in pairs)


def list_studies(storage_url: str) -> list[StudySummary]:
    """Return the storage's studies, in the order of their creation, without those of other programs.

    The list is empty if the file or Optuna's tables are missing. Raises `DatabaseError` if the storage does not answer,
    `UsageError` for an invalid URL.
    """
    url = parse_storage_url(storage_url)
    with must_answer(url), opened_if_there(url) as storage:
        if storage is None:
            return []
        studies = _ours(storage)
        running = running_studies(url, [study.study_name for study in studies])
        return [
            _summary(study, trials, study.study_name in running)
            for study in studies
            if (trials := _trials(storage, study)) is not None
        ]


def read_study(storage_url: str, name: str, *, n_best: int | None = 5) -> RecordedStudy:
    """Return one study with its best trials, None being all complete ones.

    Raises as `list_studies` does, and `UsageError` if there is no study of this name.
    """
    url = parse_storage_url(storage_url)
    with must_answer(url), opened_if_there(url) as storage:
        study = _find(_ours(storage), [name], url)[0]
        assert storage is not None
        trials, running = _trials(storage, study), running_studies(url, [name])
    if trials is None:
        raise StudyError(f"a study must exist while it is read, and {name} was just deleted: run the command again")
    attrs = study.user_attrs
    records = [TrialRecord.of(trial.number, trial) for trial in trials if trial.state.is_finished()]
    metric = _metric(study)
    complete = sorted(complete_trials(records), key=lambda each: (metric.as_loss(each.only_value), each.number))
    return RecordedStudy(
        summary=_summary(study, trials, name in running),
        spec=attrs[SPEC],
        data=DataSummary.model_validate(attrs[DATA]),
        windows=_windows(attrs),
        warm_start=WarmStart.model_validate(attrs[WARM]),
        best=best_of(records, metric),
        best_trials=tuple(complete[:n_best]),
    )


def rows_in_use(storage_url: str) -> frozenset[str]:
    """Return the hashes of the rows of all running studies in a storage; raises as `list_studies` does."""
    url = parse_storage_url(storage_url)
    with must_answer(url), opened_if_there(url) as storage:
        studies = _ours(storage)
        running = running_studies(url, [study.study_name for study in studies])
    return frozenset(study.user_attrs[DATA]["sha256"] for study in studies if study.study_name in running)


def delete_studies(storage_url: str, names: Sequence[str]) -> None:
    """Delete these studies from the storage, all or none; the fold cache is kept.

    Raises `StudyError` if one of them is running, and as `read_study` does.
    """
    url = parse_storage_url(storage_url)
    with must_answer(url), opened_if_there(url) as storage, ExitStack() as locks:
        found = _find(_ours(storage), names, url)
        assert storage is not None
        if held := sorted(running_studies(url, [study.study_name for study in found])):
            raise StudyError(f"a running study cannot be deleted: {shorten(held)}; wait until the run ends")
        for study in found:
            locks.enter_context(study_lock(url, study.study_name).held("fail"))
        for study in found:
            storage.delete_study(study._study_id)


def _ours(storage: BaseStorage | None) -> list["FrozenStudy"]:
    """Return the studies that this version recorded; the last attribute of a new one is its warm start."""
    found = [] if storage is None else storage.get_all_studies()
    return [each for each in found if WARM in each.user_attrs and each.user_attrs.get(FORMAT) == RECORD_FORMAT]


def _trials(storage: BaseStorage, study: "FrozenStudy") -> list[FrozenTrial] | None:
    """Return a study's trials, or None if it was deleted since it was found."""
    try:
        return storage.get_all_trials(study._study_id, deepcopy=False)
    except KeyError:
        return None


def _find(studies: Sequence["FrozenStudy"], names: Sequence[str], url: URL) -> list["FrozenStudy"]:
    by_name = {study.study_name: study for study in studies}
    for name in names:
        if name not in by_name:
            known = did_you_mean(name, by_name)
            raise UsageError(f"a study must be in {shown(url)}, and {name!r} is not: {known}")
    return [by_name[name] for name in dict.fromkeys(names)]


def _summary(study: "FrozenStudy", trials: Sequence[FrozenTrial], is_running: bool) -> StudySummary:
    attrs = study.user_attrs
    spec, baseline, created = attrs[SPEC], mean_baseline_values(_windows(attrs)), datetime.fromisoformat(attrs[CREATED])
    states, asset_id = [trial.state for trial in trials], spec["data"]["asset_id"]
    metric = _metric(study)
    name = best_baseline(baseline, spec["baselines"], metric)
    moments = [moment for trial in trials for moment in (trial.datetime_start, trial.datetime_complete) if moment]
    return StudySummary(
        name=study.study_name,
        asset=asset_id if isinstance(asset_id, str) else "+".join(asset_id),
        model=spec["model_name"],
        trials=TrialCounts(
            complete=states.count(TrialState.COMPLETE),
            pruned=states.count(TrialState.PRUNED),
            failed=states.count(TrialState.FAIL),
            open=states.count(TrialState.RUNNING) + states.count(TrialState.WAITING),
        ),
        n_trials=spec["n_trials"],
        metric=spec["metric"],
        best_value=min(
            (trial.values[0] for trial in trials if trial.state is TrialState.COMPLETE and trial.values),
            key=metric.as_loss,
            default=None,
        ),
        objectives={
            name: _DIRECTIONS[direction] for name, direction in zip(spec["objectives"], study.directions, strict=True)
        },
        baseline=name,
        baseline_value=baseline[name],
        created=created,
        last_activity=max((moment.astimezone(UTC) for moment in moments), default=created),
        is_running=is_running,
    )


def _metric(study: "FrozenStudy") -> Metric:
    return recorded_metric(study.user_attrs[SPEC]["metric"], _DIRECTIONS[study.directions[0]])


def _windows(attrs: Mapping[str, Any]) -> tuple[FoldWindow, ...]:
    return tuple(FoldWindow.model_validate(window) for window in attrs[WINDOWS])
