"""What a study recommends, from the kept forecasts of its trials."""

from collections.abc import Callable, Mapping
from typing import Any

from kallos.choosing.confidence import confidence_set, simplest
from kallos.choosing.deflation import deflate
from kallos.choosing.ensembles import ensemble_of
from kallos.choosing.kept import KeptForecasts
from kallos.choosing.superiority import superior_ability
from kallos.errors import KallosError
from kallos.study.choice import ConfidenceSet, HonestChoice, Simplest


def honest_choice(kept: KeptForecasts, operations_of: Callable[[Mapping[str, Any]], int]) -> HonestChoice:
    """Return the confidence set with its simplest trial, an ensemble, and what choosing has made of the skill.

    `operations_of` counts the operations of a forecast by parameters; nobody can count those of some custom
    architectures (`KallosError`), and then there is no simplest trial. Raises what reading a forecast raises.
    """
    result, trials = kept.result, kept.trials
    # Tests of means need losses whose mean is the study's value, which correlations do not have.
    losses = None if result.metric.loss is None else kept.losses
    confidence = None
    if losses is not None:
        numbers = [trial.number for trial in trials]
        confidence = confidence_set(numbers, losses.of(range(1, len(trials) + 1)), seed=result.spec.seed)
    return HonestChoice(
        jobs_sha256=kept.jobs_sha256,
        confidence=confidence,
        simplest=None if confidence is None else _simplest(kept, confidence, operations_of),
        ensemble=ensemble_of(
            kept.candidates(),
            {trial.number: trial.params for trial in trials},
            saving_is=result.metric.skill_is,
        ),
        superiority=None if losses is None else superior_ability(losses, result.baseline, seed=result.spec.seed),
        deflation=deflate(result),
    )


def _simplest(
    kept: KeptForecasts, confidence: ConfidenceSet, operations_of: Callable[[Mapping[str, Any]], int]
) -> Simplest | None:
    try:
        return simplest(confidence, kept.trials, kept.result.best, operations_of, kept.result.metric)
    except KallosError:
        return None
