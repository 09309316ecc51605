"""Lines about a study for the terminal, logs and artifacts."""

from collections.abc import Iterator, Sequence

from kallos.architectures.study_space import ARCHITECTURE
from kallos.planning import StudyPlan
from kallos.scoring.metrics import Scores, score_by
from kallos.specs.baselines import ALWAYS_SCORED
from kallos.specs.metrics import metric_label, metric_of
from kallos.specs.study import TuneSpec
from kallos.study.events import Event, FoldScored, StudyFinished, StudyStarted, TrialFinished, TrialStarted
from kallos.study.result import TuningResult
from kallos.study.trials import TrialRecord
from kallos.words import compared_to, counted, short

# A regression that the best trial beats by less deserves a word.
_NEAR = {"share": 0.05, "difference": 0.01}


def verdict(result: TuningResult) -> str:
    """Return a sentence that compares the best value with the baseline, and says how it was chosen."""
    baseline, near = f"the baseline ({result.baseline})", near_regressions(result)
    comparison = compared_to(result.skill, baseline, result.metric.skill_is)
    trials = counted(len(result.trials), "trial")
    if result.skill <= 0 and not result.is_picked:
        return f"{comparison}: no trial beat it{near}"
    return (
        f"{comparison}, in {result.folds_won} of {len(result.windows)} folds{near}; "
        f"{'picked from' if result.is_picked else 'the best of'} {trials}, chosen on the same folds"
    )


def pick_line(result: TuningResult) -> str:
    """Return the scores by each objective of the trial that was picked, and the rule that picked it."""
    scores = ", ".join(
        f"{metric_label(name)} {score_by(result.best.values, name):.6g}" for name in result.spec.objectives
    )
    return f"trial {result.best.number}: {scores}; {picked_by(result)}"


def picked_by(result: TuningResult) -> str:
    """Return how the best trial was picked, and from how many trials."""
    first, *others = (metric_label(name) for name in result.spec.objectives)
    dominated_by_none = f"{counted(len(result.front), 'trial')} that no other dominates"
    pick = result.spec.pick
    if pick == result.best.number:
        return f"picked by its number; there {'is' if len(result.front) == 1 else 'are'} {dominated_by_none}"
    rule = f"of those within one standard error of the best {first}, the best by {', then '.join(others)}"
    by_rule = rule if others and pick != "first" else f"the best by {first}"
    incomplete = f", because trial {pick} is not complete" if isinstance(pick, int) else ""
    return f"picked from {dominated_by_none}{incomplete}: {by_rule}"


def metric_line(spec: TuneSpec) -> str | None:
    """Return which scores by the objectives are better, or None if the only one is an error."""
    metrics = [metric_of(name) for name in spec.objectives]
    if len(metrics) == 1 and not metrics[0].is_maximised:
        return None
    return "tuned by " + ", ".join(metric.label_with_better for metric in metrics)


def near_regressions(result: TuningResult) -> str:
    """Return how the best trial compares with HAR and ridge where they come near it: `; 1.20% worse than ridge`.

    The baseline itself is left out.
    """
    near = {
        name: skill
        for name, skill in result.skills.items()
        if name in ALWAYS_SCORED and name != result.baseline and skill < _NEAR[result.metric.skill_is]
    }
    return "".join(f"; {compared_to(skill, name, result.metric.skill_is)}" for name, skill in near.items())


def log_lines(event: Event, plan: StudyPlan) -> Iterator[str]:
    """Yield the lines of a run's log about an event."""
    spec = plan.spec
    match event:
        case StudyStarted():
            yield from opening(event)
        case TrialStarted(number, params):
            shown = ", ".join(f"{name}={short(value)}" for name, value in params.items())
            yield f"trial {number} started: {shown}"
        case FoldScored(trial, fold, score):
            yield f"trial {trial} fold {fold}: {scores_in_words(score.values, spec.objectives)}, {score.seconds:.1f} s"
        case TrialFinished(trial, best):
            of_first = f"{spec.metric} " if len(spec.objectives) > 1 else ""
            so_far = f"best {of_first}{best.value:.6g} (trial {best.number})" if best else "no best yet"
            baseline = f"baseline {plan.baseline_value:.6g} ({plan.baseline})"
            yield (
                f"{trial_label(trial)} finished: {outcome(trial, spec.objectives)}, {so_far}, {baseline}, "
                f"{trial.seconds:.1f} s of fits"
            )
        case StudyFinished():
            yield run_summary(event)


def trial_label(trial: TrialRecord) -> str:
    """Return a trial's label, with the architecture if it was drawn: `trial 3 (gru)`."""
    drawn = trial.params.get(ARCHITECTURE)
    return f"trial {trial.number}" if drawn is None else f"trial {trial.number} ({drawn})"


def scores_in_words(scores: Scores, names: Sequence[str], digits: int = 6) -> str:
    """Return the scores by some metrics: `rmse 0.0104, direction 0.53`."""
    return ", ".join(f"{name} {score_by(scores, name):.{digits}g}" for name in names)


def outcome(trial: TrialRecord, objectives: Sequence[str], digits: int = 6) -> str:
    """Return how a trial has ended, for people."""
    match trial.state:
        case "complete":
            return scores_in_words(trial.values, objectives, digits)
        case "pruned":
            return f"pruned after fold {len(trial.scores)}"
        case _:
            return f"failed: {trial.reason}"


def opening(started: StudyStarted) -> Iterator[str]:
    """Yield lines that say which study a run starts or continues, and from which parameters."""
    name, n_trials = started.plan.study_name, started.n_trials
    if started.recorded:
        yield f"study {name}: {started.recorded} of {counted(n_trials, 'trial')} recorded, and not run again"
    else:
        wanted = counted(started.plan.spec.n_trials, "trial")
        yield f"study {name}: new, {wanted}" + (
            f", the first {n_trials} now" if n_trials < started.plan.spec.n_trials else ""
        )
    if started.again_from is not None:
        yield (f"trial {started.again_from} failed with other code or packages: running it and all later trials again")
    if started.warm_start.study:
        sets = counted(len(started.warm_start.params), "parameter set")
        yield f"warm start: the best {sets} of {started.warm_start.study}"
    elif started.plan.spec.warm_start and not started.recorded:
        yield "cold start: no study on earlier folds is recorded"
    if (directions := metric_line(started.plan.spec)) is not None:
        yield directions


def run_summary(finished: StudyFinished) -> str:
    """Return a sentence about the folds that a run fitted and was spared, and the budget that ended it, if any."""
    result = finished.result
    took = f"{counted(finished.fits, 'fold')} fitted in this run"
    if finished.spared:
        took += f", {finished.spared} spared by pruning"
    failed = sum(trial.state == "failed" for trial in result.trials)
    if failed:
        took += f"; {failed} of {counted(len(result.trials), 'trial')} failed"
    if finished.stopped is None:
        return took
    numbers = [trial.number for trial in result.trials]
    share = f"{len(numbers)} of {counted(result.spec.n_trials, 'trial')}"
    covered = f"first {share}" if numbers == list(range(len(numbers))) else f"{share} that ended"
    pending = f", without {result.pending} pending" if result.pending else ""
    return f"{finished.stopped}: {took}; the result covers the {covered}{pending}; run the same command to continue"
