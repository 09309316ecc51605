"""Running a study: trials are asked and told in order; each is the mean error of a parameter set over the folds."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from queue import SimpleQueue

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from kallos.cache import FoldCache
from kallos.choosing.front import front, pick
from kallos.errors import FitError, StudyError, require, require_callable, require_whole
from kallos.planning import StudyPlan
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.machine import environment_sha256, installed_versions
from kallos.scoring.metrics import means_of_defined, score_by
from kallos.scoring.score import FoldScore, Scorer
from kallos.specs.metrics import metric_of
from kallos.study.budget import Budget, BudgetSpentError
from kallos.study.events import (
    Event,
    FoldScored,
    StudyFinished,
    StudyStarted,
    TrialFinished,
    TrialStarted,
    Watcher,
    ignore,
)
from kallos.study.record import StudyRecord, quiet_optuna
from kallos.study.result import TuningResult
from kallos.study.sampling import TrialSource
from kallos.study.trials import (
    ENVIRONMENT,
    PARAMS,
    REASON,
    SCORES,
    TRY_AGAIN,
    StudyTrial,
    TrialRecord,
    best_of,
)
from kallos.workers.queue import EvaluateFold, FoldQueue, Through, directly

# The number of trials that show whether a study can work.
_FIRST_TRIALS = 5


def objective(
    trial: optuna.Trial,
    plan: StudyPlan,
    *,
    evaluate: EvaluateFold = evaluate_fold,
    watcher: Watcher = ignore,
) -> tuple[float, ...]:
    """Return the mean over the folds of each objective, of the parameters that the trial draws.

    `functools.partial(objective, plan=plan)` is an objective for Optuna's `optimize`, in a study with the directions of
    the plan's objectives. With one objective each fold's score is reported, and a pruner may end the trial after each
    fold but the last; with several, no trial ends early. Raises `FitError` if a fold cannot be fitted.
    """
    require(optuna.trial.BaseTrial, trial=trial)
    require(StudyPlan, plan=plan)
    require_callable(evaluate=evaluate, watcher=watcher)
    params = plan.space.draw(trial)
    trial.set_user_attr(PARAMS, params)
    watcher(TrialStarted(trial.number, params))
    jobs = plan.trial_jobs(trial.number, params)
    return _mean_scores(trial, jobs, Scorer.of(plan.spec), evaluate, watcher)


def _mean_scores(
    trial: optuna.Trial, jobs: Sequence[FoldJob], scorer: Scorer, evaluate: EvaluateFold, watcher: Watcher
) -> tuple[float, ...]:
    scores: list[FoldScore] = []
    # Optuna refuses reports of several objectives.
    may_be_pruned = len(scorer.objectives) == 1
    try:
        for job in jobs:
            score = scorer.score(evaluate(job), job.fingerprint)
            scores.append(score)
            watcher(FoldScored(trial.number, job.number, score))
            if may_be_pruned:
                trial.report(score.value, job.number)
                if len(scores) < len(jobs) and trial.should_prune():
                    raise optuna.TrialPruned
    finally:
        trial.set_user_attr(SCORES, [score.model_dump() for score in scores])
    means = means_of_defined([score.values for score in scores])
    return tuple(score_by(means, name) for name in scorer.objectives)


def run_tuning(
    plan: StudyPlan,
    *,
    evaluate: EvaluateFold = evaluate_fold,
    through: Through = directly,
    workers: int = 1,
    has_room: Callable[[], bool] = lambda: True,
    record: StudyRecord | None = None,
    more_trials: int | None = None,
    budget: Budget | None = None,
    watcher: Watcher = ignore,
) -> TuningResult:
    """Start or continue a planned study and return its result, which depends only on the plan.

    `evaluate` is `evaluate_fold` or a wrapper that returns the same forecasts; up to `workers` calls run at the same
    time, which `FoldPool.evaluate` allows and `evaluate_fold` does not. `through` reads and stores results, as
    `FoldCache.through` does. If there may be fewer workers than `workers`, `has_room` says whether one is idle; only
    then are folds run ahead.

    Trials in the `record` are not run again, except from the first one that failed with other code or packages.
    `more_trials` and the `budget`, which counts only fits, end the study after its first k trials, with the result of a
    plan for k trials. If none of these is complete, the result covers all trials that have ended. `pending` counts the
    trials that it does not cover.

    Raises `StudyError` if no trial is complete, or if most of the first trials fail the same way. Other errors of
    `evaluate` end the run; the record keeps its trials.
    """
    return run_study(
        plan,
        evaluate=evaluate,
        through=through,
        workers=workers,
        has_room=has_room,
        record=record,
        more_trials=more_trials,
        budget=budget,
        watcher=watcher,
    ).result


def run_study(
    plan: StudyPlan,
    *,
    evaluate: EvaluateFold = evaluate_fold,
    through: Through = directly,
    workers: int = 1,
    has_room: Callable[[], bool] = lambda: True,
    record: StudyRecord | None = None,
    more_trials: int | None = None,
    budget: Budget | None = None,
    watcher: Watcher = ignore,
) -> StudyFinished:
    """Run a planned study as `run_tuning` does, and return its result with this run's number of fits."""
    require(StudyPlan, plan=plan)
    require_callable(evaluate=evaluate, through=through, has_room=has_room, watcher=watcher)
    require_whole(1, workers=workers)
    require((StudyRecord, type(None)), record=record)
    require((Budget, type(None)), budget=budget)
    if more_trials is not None:
        require_whole(1, more_trials=more_trials)
    budget = budget or Budget()
    evaluate = through(budget.within(evaluate))
    with quiet_optuna():
        study = _Study(plan, record or StudyRecord(), more_trials, watcher)
        with FoldQueue(evaluate, workers, has_room) as folds:
            try:
                study.run(folds, workers)
            except BaseException:
                # Closing the queue waits for running folds; those that wait for a worker must not begin.
                budget.end()
                raise
        result = study.result(evaluate)
    finished = StudyFinished(result, budget.fits, study.spared, study.stopped)
    watcher(finished)
    return finished


def forget(plan: StudyPlan, record: StudyRecord, cache: FoldCache) -> None:
    """Remove a study's recorded trials and cached scores, so that everything is computed again."""
    require(StudyPlan, plan=plan)
    require(StudyRecord, record=record)
    require(FoldCache, cache=cache)
    for number, trial in enumerate(record.trials()):
        params = trial.begun.user_attrs[PARAMS]
        current_job = plan.current_job(number, params)
        for job in (*plan.trial_jobs(number, params), *((current_job,) if current_job else ())):
            cache.remove(job.fingerprint)
    record.forget_from(0)


@dataclass(frozen=True)
class _Ended:
    """How a trial has ended; `state` is None if the budget or an error ended the run."""

    number: int
    state: TrialState | None
    values: tuple[float, ...] | None = None
    reason: str | None = None
    error: BaseException | None = None


class _Study:
    """The coordinator of a run, which asks, tells and records in the calling thread."""

    def __init__(self, plan: StudyPlan, record: StudyRecord, more_trials: int | None, watcher: Watcher) -> None:
        self._plan = plan
        self._record = record
        self._watcher = watcher
        self._scorer = Scorer.of(plan.spec)
        self._metric = metric_of(plan.spec.metric)
        self._environment = environment_sha256()
        self._again_from = _forget_failures(record, self._environment)
        self._trials = record.trials()
        self._warm_start = record.warm_start
        self._first = plan.first_params(self._warm_start.params)
        # Read now, because others may be installed before a long run ends.
        self._versions = installed_versions()
        self._told = self._count_told()
        self._n_trials = plan.spec.n_trials
        if more_trials is not None:
            self._n_trials = min(self._n_trials, self._told + more_trials)
        self._told = min(self._told, self._n_trials)
        self._records = [self._record_of(number) for number in range(self._told)]
        self._open: dict[int, Trial] = {}
        self._begun_now: set[int] = set()
        self._inbox: SimpleQueue[Event | _Ended] = SimpleQueue()
        self.stopped: str | None = None
        self.spared = 0

    @cached_property
    def _source(self) -> TrialSource:
        spec = self._plan.spec
        return TrialSource(
            self._plan.study_name,
            seed=self._plan.sampler_seed,
            max_pending_trials=spec.max_pending_trials,
            pruner=spec.pruner,
            directions=[metric_of(name).direction for name in spec.objectives],
        )

    def run(self, folds: FoldQueue, workers: int) -> None:
        """Run trials until there are enough or the budget is spent."""
        recorded = sum(trial.ended is not None for trial in self._trials[: self._n_trials])
        self._watcher(StudyStarted(self._plan, recorded, self._n_trials, self._warm_start, self._again_from))
        _refuse_hopeless(self._records[:_FIRST_TRIALS])
        self._open_trials(folds, workers)
        while self._open:
            event = self._inbox.get()
            if not isinstance(event, _Ended):
                self._watcher(event)
                continue
            if event.error is not None:
                raise event.error
            self._end(event)
            self._tell()
            self._open_trials(folds, workers)
            # Only now may idle threads run ahead, because nothing is more urgent.
            ahead = folds.close(event.number)
            if event.state is TrialState.PRUNED:
                # Folds that idle threads fitted ahead were not spared.
                self.spared += len(self._plan.folds) - self._trials[event.number].n_scored - ahead

    def result(self, evaluate: EvaluateFold) -> TuningResult:
        """Return the result of the told trials, or of all ended ones if a budget left no told trial complete."""
        plan, trials, begun = self._plan, self._records, self._trials[: self._n_trials]
        best = pick(trials, plan.spec)
        if best is None and self.stopped:
            # Trials are told in order, so complete ones may follow a pending one.
            trials = [self._record_of(number) for number, trial in enumerate(begun) if trial.ended]
            best = pick(trials, plan.spec)
        pending = len(begun) - len(trials)
        if best is None:
            raise _no_whole_trial(trials, pending, self.stopped)
        current_score, current_reason = _score_current_window(plan, best, evaluate)
        return TuningResult(
            best=best,
            front=tuple(trial.number for trial in front(trials, plan.spec.objectives)),
            trials=tuple(trials),
            pending=pending,
            baseline=plan.baseline,
            baseline_value=plan.baseline_value,
            baseline_values=plan.baseline_values,
            windows=plan.windows,
            current_window=None if plan.current_fold is None else plan.current_fold.window,
            current_score=current_score,
            current_reason=current_reason,
            study_name=plan.study_name,
            warm_start=self._warm_start,
            longest_input=plan.longest_input,
            holdout_start=plan.holdout_start,
            holdout_end=plan.holdout_end,
            data=plan.data,
            spec=plan.spec,
            versions=self._versions,
        )

    def _open_trials(self, folds: FoldQueue, workers: int) -> None:
        for number in range(self._told, self._n_trials):
            if len(self._open) >= workers or self.stopped or number >= self._told + self._plan.spec.max_pending_trials:
                return
            if number in self._open or (number < len(self._trials) and self._trials[number].ended):
                continue
            trial = self._draw(number)
            params = trial.user_attrs[PARAMS]
            jobs = self._plan.trial_jobs(number, params)
            folds.open(number, jobs)
            self._open[number] = trial
            self._begun_now.add(number)
            self._watcher(TrialStarted(number, params))
            threading.Thread(
                target=self._score_trial, args=(trial, jobs, folds), name=f"trial-{number}", daemon=True
            ).start()

    def _draw(self, number: int) -> Trial:
        """Return a trial with its parameters drawn; a new one is recorded."""
        is_new = number == len(self._trials)
        begun = None if is_new else self._trials[number].begun
        fixed = self._first[number] if number < len(self._first) else None
        trial = self._source.ask(self._trials[:number], begun=begun, fixed=fixed)
        trial.set_user_attr(PARAMS, self._plan.space.draw(trial))
        if is_new:
            self._trials.append(StudyTrial(_frozen(trial)))
            self._record.begin(number, self._trials[number].begun)
        return trial

    def _score_trial(self, trial: Trial, jobs: Sequence[FoldJob], folds: FoldQueue) -> None:
        ended = partial(_Ended, trial.number)
        try:
            values = _mean_scores(trial, jobs, self._scorer, lambda _: folds.result(trial.number), self._inbox.put)
            self._inbox.put(ended(TrialState.COMPLETE, values))
        except optuna.TrialPruned:
            self._inbox.put(ended(TrialState.PRUNED))
        except FitError as error:
            self._inbox.put(ended(TrialState.FAIL, reason=str(error)))
        except BudgetSpentError as spent:
            self._inbox.put(ended(None, reason=str(spent)))
        except BaseException as error:
            self._inbox.put(ended(None, error=error))

    def _end(self, event: _Ended) -> None:
        trial = self._open.pop(event.number)
        if event.state is None:
            self.stopped = event.reason
            return
        if event.reason is not None:
            trial.set_user_attr(REASON, event.reason)
            trial.set_user_attr(ENVIRONMENT, self._environment)
        trial.study.tell(trial, event.values, state=event.state)
        ended = _frozen(trial)
        begun = self._trials[event.number].begun
        self._record.end(event.number, begun, ended)
        self._trials[event.number] = StudyTrial(begun, ended)

    def _tell(self) -> None:
        """Add the ended trials to the records, in their order."""
        for number in range(self._told, min(self._count_told(), self._n_trials)):
            self._told = number + 1
            self._records.append(self._record_of(number))
            if number in self._begun_now:
                self._watcher(TrialFinished(self._records[-1], best_of(self._records, self._metric)))
            if self._told == _FIRST_TRIALS:
                _refuse_hopeless(self._records)

    def _count_told(self) -> int:
        """Return how many of the first trials have ended without a gap."""
        return next((number for number, trial in enumerate(self._trials) if not trial.ended), len(self._trials))

    def _record_of(self, number: int) -> TrialRecord:
        ended = self._trials[number].ended
        assert ended is not None
        return TrialRecord.of(number, ended)


def _forget_failures(record: StudyRecord, environment: str) -> int | None:
    """Remove the first trial that failed in another environment, with all trials after it, and return its number."""
    failed = (number for number, trial in enumerate(record.trials()) if trial.has_failed_elsewhere(environment))
    first = next(failed, None)
    if first is not None:
        record.forget_from(first)
    return first


def _frozen(trial: Trial) -> FrozenTrial:
    return trial.study.get_trials(deepcopy=False)[trial.number]


def _score_current_window(
    plan: StudyPlan, best: TrialRecord, evaluate: EvaluateFold
) -> tuple[FoldScore | None, str | None]:
    """Return the best trial's score on the current window, or why there is none."""
    job = plan.current_job(best.number, best.params)
    if job is None:
        return None, None
    try:
        return Scorer.of(plan.spec).score(evaluate(job), job.fingerprint), None
    except (FitError, BudgetSpentError) as error:
        return None, str(error)


def _no_whole_trial(trials: list[TrialRecord], pending: int, stopped: str | None) -> StudyError:
    """Return the error of a study without a complete trial."""
    more = f"; {pending} pending; finished folds are kept: continue with a larger budget" if stopped else ""
    if not trials:
        return StudyError(f"a study needs a complete trial, and none has ended: {stopped}{more}")
    if stopped:
        why = trials[-1].reason or "it was pruned"
        return StudyError(
            f"a study needs a complete trial, and none of the {len(trials)} that ended is: {stopped}; the last trial: "
            f"{why}{more}"
        )
    return StudyError(f"none of {len(trials)} trials could be scored; the last trial: {trials[-1].reason}; {TRY_AGAIN}")


def _refuse_hopeless(trials: list[TrialRecord]) -> None:
    if len(trials) < _FIRST_TRIALS:
        return
    reasons = [trial.reason for trial in trials if trial.reason]
    commonest = max(reasons, key=reasons.count, default=None)
    if commonest and reasons.count(commonest) > _FIRST_TRIALS // 2:
        raise StudyError(
            f"a study stops if most of its first {_FIRST_TRIALS} trials fail the same way, and "
            f"{reasons.count(commonest)} did: {commonest}; {TRY_AGAIN}"
        )
