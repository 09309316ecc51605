"""The study: trials asked and told in order, each the mean RMSE of one parameter set over the folds."""

import hashlib
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import optuna
from optuna.trial import TrialState
from pydantic import BaseModel, ConfigDict

from kallos.errors import FitError, StudyError
from kallos.planning import DataSummary, FoldWindow, StudyPlan, mean
from kallos.scoring import FoldJob, FoldScore, evaluate_fold
from kallos.specs import TuneSpec

ScoreFold = Callable[[FoldJob], FoldScore]

# So many trials show whether a study can work at all.
_FIRST_TRIALS = 5


class TrialRecord(BaseModel):
    """One trial; `value` is None unless all its folds were scored."""

    model_config = ConfigDict(frozen=True)

    number: int
    state: Literal["complete", "failed"]
    params: dict[str, Any]
    value: float | None
    scores: tuple[FoldScore, ...]
    reason: str | None = None

    @property
    def seconds(self) -> float:
        """Time that its fold fits took, wherever they ran."""
        return sum(score.seconds for score in self.scores)


class TuningResult(BaseModel):
    """What came out of a study, beside what naive forecasts reach on the same folds."""

    model_config = ConfigDict(frozen=True)

    best: TrialRecord
    trials: tuple[TrialRecord, ...]
    naive: str
    naive_value: float
    naive_values: dict[str, float]
    windows: tuple[FoldWindow, ...]
    open_window: FoldWindow | None
    open_score: FoldScore | None
    open_reason: str | None
    data: DataSummary
    spec: TuneSpec
    versions: dict[str, str]

    @property
    def best_params(self) -> dict[str, Any]:
        """Parameters of the best trial, complete."""
        return self.best.params

    @property
    def best_value(self) -> float:
        """Mean RMSE of the best trial over the folds, in the target's own units."""
        assert self.best.value is not None
        return self.best.value

    @property
    def gain(self) -> float:
        """Share of the naive forecast's RMSE that the best trial saves; below zero it is worse."""
        return 1 - self.best_value / self.naive_value


@dataclass(frozen=True)
class StudyStarted:
    """The first trial is about to be asked for."""

    plan: StudyPlan


@dataclass(frozen=True)
class TrialStarted:
    """A trial has drawn its parameters."""

    number: int
    params: dict[str, Any]


@dataclass(frozen=True)
class FoldScored:
    """One fold of a trial is scored."""

    trial: int
    fold: int
    score: FoldScore


@dataclass(frozen=True)
class TrialFinished:
    """A trial has ended; `best` is the best of all so far, None while none is complete."""

    trial: TrialRecord
    best: TrialRecord | None


Event = StudyStarted | TrialStarted | FoldScored | TrialFinished
Watcher = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Watch a study without doing anything."""


def objective(
    trial: optuna.Trial,
    plan: StudyPlan,
    *,
    score_fold: ScoreFold = evaluate_fold,
    watcher: Watcher = ignore,
) -> float:
    """Return the mean RMSE over the folds of the parameters that the trial draws, in the target's own units.

    `functools.partial(objective, plan=plan)` is an objective for Optuna's own `optimize`. Each fold's score is
    reported, and a pruner may end the trial behind it. Raises `FitError` if a fold cannot be fitted.
    """
    params = plan.architecture.suggest(trial)
    trial.set_user_attr("params", params)
    watcher(TrialStarted(trial.number, params))
    scores: list[FoldScore] = []
    for job in plan.trial_jobs(trial.number, params):
        score = score_fold(job)
        scores.append(score)
        trial.set_user_attr("scores", [each.model_dump() for each in scores])
        watcher(FoldScored(trial.number, job.fold.number, score))
        trial.report(score.rmse, job.fold.number)
        if trial.should_prune():
            raise optuna.TrialPruned
    return mean([score.rmse for score in scores])


def run_tuning(plan: StudyPlan, *, score_fold: ScoreFold = evaluate_fold, watcher: Watcher = ignore) -> TuningResult:
    """Run a planned study and return its result, which depends on the plan alone.

    `score_fold` is `evaluate_fold`, or something around it that returns the same score for the same job.

    Raises `StudyError` if no trial is complete, or most of the first trials fail the same way; whatever else
    `score_fold` raises ends the study.
    """
    spec = plan.spec
    trials: list[TrialRecord] = []
    best: TrialRecord | None = None
    with _quiet_optuna():
        study = optuna.create_study(direction="minimize", pruner=optuna.pruners.NopPruner())
        watcher(StudyStarted(plan))
        for number in range(spec.n_trials):
            # The sampler of a trial depends on the study's seed and the trial's number, not on what ran before.
            study.sampler = optuna.samplers.TPESampler(seed=trial_seed(spec.seed, number))
            trial = study.ask()
            try:
                value = objective(trial, plan, score_fold=score_fold, watcher=watcher)
            except FitError as error:
                study.tell(trial, state=TrialState.FAIL)
                record = _record(trial, value=None, reason=str(error))
            else:
                study.tell(trial, value)
                record = _record(trial, value=value)
            trials.append(record)
            best = _best(trials)
            watcher(TrialFinished(record, best))
            _refuse_hopeless(trials)
    if best is None:
        raise StudyError(f"none of {len(trials)} trials could be scored; the last says: {trials[-1].reason}")
    open_score, open_reason = _score_open_step(plan, best, score_fold)
    return TuningResult(
        best=best,
        trials=tuple(trials),
        naive=plan.naive,
        naive_value=plan.naive_value,
        naive_values=plan.naive_values,
        windows=plan.windows,
        open_window=None if plan.open_fold is None else plan.open_fold.window,
        open_score=open_score,
        open_reason=open_reason,
        data=plan.data,
        spec=spec,
        versions=_versions(),
    )


def trial_seed(study_seed: int, number: int) -> int:
    """Return the seed of a trial's sampler, which no other trial shares."""
    digest = hashlib.sha256(f"{study_seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _score_open_step(plan: StudyPlan, best: TrialRecord, score_fold: ScoreFold) -> tuple[FoldScore | None, str | None]:
    """Return the best trial's score on the step that is not over, or why there is none: no study ends for it."""
    job = plan.open_job(best.number, best.params)
    if job is None:
        return None, None
    try:
        return score_fold(job), None
    except FitError as error:
        return None, str(error)


def _record(trial: optuna.Trial, *, value: float | None, reason: str | None = None) -> TrialRecord:
    return TrialRecord(
        number=trial.number,
        state="failed" if value is None else "complete",
        params=trial.user_attrs["params"],
        value=value,
        scores=tuple(FoldScore(**score) for score in trial.user_attrs.get("scores", [])),
        reason=reason,
    )


def _best(trials: list[TrialRecord]) -> TrialRecord | None:
    complete = [(trial.value, trial.number, trial) for trial in trials if trial.value is not None]
    return min(complete)[2] if complete else None


def _refuse_hopeless(trials: list[TrialRecord]) -> None:
    if len(trials) != _FIRST_TRIALS:
        return
    reasons = [trial.reason for trial in trials if trial.reason]
    commonest = max(reasons, key=reasons.count, default=None)
    if commonest and reasons.count(commonest) > _FIRST_TRIALS // 2:
        raise StudyError(
            f"a study ends when most of its first {_FIRST_TRIALS} trials fail the same way, and "
            f"{reasons.count(commonest)} did: {commonest}"
        )


def _versions() -> dict[str, str]:
    names = ("kallos", "darts", "torch", "optuna", "numpy", "pandas", "scikit-learn")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
