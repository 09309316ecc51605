"""What was chosen from and how well, in sentences."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kallos.architectures.study_space import model_of
from kallos.choosing.ensembles import FEWEST_FOLDS
from kallos.choosing.superiority import RESAMPLES
from kallos.study.choice import NO_CHOICE, ConfidenceSet, Ensemble, HonestChoice, OnLaterFolds, Superiority
from kallos.study.result import TuningResult
from kallos.study.trials import complete_trials
from kallos.words import counted, percent

_TIMES = {1: "", 2: " twice"}

Label = Callable[[Mapping[str, Any]], str]


def choosing_lines(result: TuningResult, found: HonestChoice) -> Iterator[str]:
    """Yield one line about the confidence set, and one about the ensemble; none if nothing was found out."""
    if found == NO_CHOICE:
        return
    trials, folds = len(complete_trials(result.trials)), len(result.windows)

    def architecture_of(params: Mapping[str, Any]) -> str:
        return model_of(result.spec.model_name, dict(params))[0]

    if trials < 2:
        yield "one complete trial: nothing to choose from"
        return
    yield (_no_set(result, trials) if found.confidence is None else confidence_line(found.confidence))
    if found.ensemble is not None:
        yield ensemble_line(found.ensemble, architecture_of)
    elif folds < FEWEST_FOLDS:
        yield f"no ensemble: to pick one on earlier folds takes {FEWEST_FOLDS} folds, and there are {folds}"


def _no_set(result: TuningResult, trials: int) -> str:
    metric = result.metric
    if metric.loss is None:
        return f"which of {trials} trials differ from the best is unknown: {metric.label} is no mean of losses"
    return f"too few forecasts to tell which of {trials} trials differ from the best"


def confidence_line(confidence: ConfidenceSet) -> str:
    """Return how many trials cannot be told from the best."""
    near, every = len(confidence.trials), len(confidence.p_values)
    if confidence.distinct == 1:
        return f"all {every} trials make the same errors"
    alike = "" if confidence.distinct == every else f" ({confidence.distinct} of the {every} differ)"
    if near == every:
        return f"none of {every} trials can be told from the best{alike}"
    if near == 1:
        return f"the best of {every} trials can be told from all others{alike}"
    return f"{near} of {every} trials cannot be told from the best{alike}"


def ensemble_line(ensemble: Ensemble, architecture_of: Label) -> str:
    """Return of what an ensemble consists, and what ensembles are worth on folds later than those that picked them."""
    if len(ensemble.members) == 1:
        what = f"trial {ensemble.members[0].trial} alone: no other one improves it on all folds"
    else:
        what = f"{ensemble.picks} ({_members(ensemble, architecture_of)})"
    compared = _compared(ensemble.on_later_folds)
    return f"an ensemble of {what}; ensembles picked on earlier folds {compared} the best so picked"


def superiority_line(superiority: Superiority) -> str:
    """Return the p-value of the best of all trials against the baseline."""
    # None of so many resamples says no more than this.
    p_value = f"= {superiority.p_value:.2g}" if superiority.p_value else f"< {1 / RESAMPLES:g}"
    return (
        f"the best of {counted(superiority.trials, 'trial')} against the baseline ({superiority.baseline}): "
        f"p {p_value}, corrected for the number of trials"
    )


def _members(ensemble: Ensemble, architecture_of: Label) -> str:
    """Return the members by architecture, or by number if they are all of one."""
    of_each: Counter[str] = Counter()
    for member in ensemble.members:
        of_each[architecture_of(member.params)] += ensemble.times(member)
    if len(of_each) == 1:
        times = {member.trial: ensemble.times(member) for member in ensemble.members}
        return ", ".join(f"trial {trial}{_TIMES.get(each, f' {each} times')}" for trial, each in times.items())
    return ", ".join(f"{name} {times}" for name, times in of_each.most_common())


def _compared(later: OnLaterFolds) -> str:
    """Return a verb with its figure, up to the object of the comparison."""
    if later.saving is None:
        return f"score {later.value:.4g} against {later.best_value:.4g} of"
    if later.saving_is == "share":
        figure = percent(abs(later.saving), 1)
        if figure == "0.0%":
            return "are as good as"
        if later.saving > 0:
            return f"save {figure} more than"
        return f"are {figure} worse than"
    figure = f"{abs(later.saving):.2g}"
    if figure == "0":
        return "are as good as"
    return f"are {figure} {'better' if later.saving > 0 else 'worse'} than"
