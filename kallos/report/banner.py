"""The top of a report: what to do, why, and the key figures."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kallos.choosing.lines import choosing_lines, superiority_line
from kallos.evaluation.results import Comparison, HoldoutEvaluation
from kallos.specs.metrics import Metric
from kallos.study.choice import Deflation, HonestChoice, Simplest
from kallos.study.lines import near_regressions
from kallos.study.result import TuningResult
from kallos.words import compared_to, counted, day, skill_text

Tone = Literal["good", "caution", "bad", "open"]

_HEADS: dict[str, tuple[Tone, str]] = {
    "ship": ("good", "Ship it"),
    "keep": ("caution", "Keep the champion"),
    "not shown": ("bad", "Not shown"),
}


@dataclass(frozen=True)
class KeyFigure:
    """A number, its name, and a note."""

    value: str
    name: str
    note: str


@dataclass(frozen=True)
class Banner:
    """The top of a report; the head expresses the tone in words, so that colour is not needed."""

    tone: Tone
    head: str
    lead: str
    reasons: tuple[str, ...]
    figures: tuple[KeyFigure, ...]
    note: str | None


def banner(
    result: TuningResult,
    evaluation: HoldoutEvaluation | None,
    chosen: HonestChoice,
) -> Banner:
    """Return the verdict of a hold-out evaluation; without one, the results of the folds."""
    deflation = chosen.deflation
    of_folds = _on_folds(result, deflation)
    of_choice = [_counting_trials(result, deflation), *map(_sentence, _choosing(result, chosen))]
    note = None if deflation is None else f"{_sentence(deflation.method)} Sources: {_sentence(deflation.source)}"
    if evaluation is None:
        return Banner(
            tone="open",
            head="No verdict yet",
            lead="This report includes no hold-out evaluation. The results below come from the folds, and the best "
            "trial was chosen on these very folds, so they are optimistic.",
            reasons=(_folds_say(result), *of_choice),
            figures=of_folds,
            note=note,
        )
    tone, head = _HEADS[evaluation.verdict.decision]
    return Banner(
        tone=tone,
        head=head,
        lead=f"The model made {counted(evaluation.n_origins, 'forecast')} of {evaluation.asset_id} on the hold-out, "
        f"{day(evaluation.test_start)} to {day(evaluation.test_end)}, which its study never saw.",
        reasons=(*(_sentence(reason) for reason in evaluation.verdict.reasons), *of_choice),
        figures=(*_on_holdout(evaluation), *of_folds),
        note=note,
    )


def _on_holdout(evaluation: HoldoutEvaluation) -> tuple[KeyFigure, ...]:
    baseline = evaluation.against_baseline
    return (
        KeyFigure(
            skill_text(baseline.skill, evaluation.compared_by.skill_is),
            f"skill over the baseline ({evaluation.baseline}) on the hold-out",
            interval(baseline, evaluation.compared_by),
        ),
        KeyFigure(
            f"{min(baseline.p_value * evaluation.tests, 1):.2g}",
            "p-value of this skill",
            ("" if evaluation.tests == 1 else f"corrected for {evaluation.tests} tests; ")
            + f"the verdict's level is {evaluation.level:g}",
        ),
        KeyFigure(
            str(evaluation.holdout_evaluations),
            "evaluation on this hold-out" if evaluation.holdout_evaluations == 1 else "evaluations on this hold-out",
            counted(evaluation.tests, "test")
            + ("" if evaluation.holdout_evaluations == 1 else "; each makes a false positive more likely"),
        ),
    )


def interval(comparison: Comparison, metric: Metric) -> str:
    """Return the confidence interval of a skill by this metric in words."""
    low, high = (skill_text(each, metric.skill_is) for each in (comparison.low, comparison.high))
    return f"{low} to {high} ({comparison.confidence:.0%} confidence)"


def _on_folds(result: TuningResult, deflation: Deflation | None) -> tuple[KeyFigure, ...]:
    skill_is = result.metric.skill_is
    name = f"skill over the baseline ({result.baseline}) on the folds"
    skill = KeyFigure(skill_text(result.skill, skill_is), name, _won(result))
    if deflation is None:
        return (skill,)
    note = f"the choice overfits in {deflation.overfitting:.0%} of splits"
    return skill, KeyFigure(skill_text(deflation.skill, skill_is), "skill after deflation for the choice", note)


def _folds_say(result: TuningResult) -> str:
    which = "trial picked from" if result.is_picked else "best of"
    comparison = compared_to(result.skill, f"baseline ({result.baseline})", result.metric.skill_is)
    return (
        f"The {which} {counted(len(result.trials), 'trial')} is {comparison}, with a mean {result.metric.label} of "
        f"{result.best_value:.6g} against {result.baseline_value:.6g}, and is {_won(result)}{near_regressions(result)}."
    )


def _counting_trials(result: TuningResult, deflation: Deflation | None) -> str:
    if deflation is None:
        return (
            "It is unknown how much of the skill is due to choosing the best trial: an estimate needs at least two "
            "complete trials and three folds."
        )
    apparent, deflated = (
        skill_text(skill, result.metric.skill_is) for skill in (deflation.apparent_skill, deflation.skill)
    )
    left = "no skill" if deflation.skill <= 0 else f"a skill of {deflated}"
    # Not the trial that a rule has picked: only the best by the metric is chosen on every part of the folds.
    which = f"best by {result.metric.label} of" if result.is_picked else "best of"
    return (
        f"The {which} {counted(deflation.trials, 'complete trial')} has a skill of {apparent} "
        f"on the folds that chose it, and a trial chosen in this way has {left} on other folds. If the folds are split "
        f"into two halves, the best trial of one half is no better than the median trial on the other half in "
        f"{deflation.overfitting:.0%} of splits."
    )


def _choosing(result: TuningResult, chosen: HonestChoice) -> Iterator[str]:
    """Yield what choosing among the trials has found."""
    if chosen.superiority is not None:
        yield superiority_line(chosen.superiority)
    yield from choosing_lines(result, chosen)
    if chosen.simplest is not None:
        yield _simplest(result, chosen.simplest)


def _simplest(result: TuningResult, simplest: Simplest) -> str:
    if simplest.trial == result.best.number:
        return (
            f"no trial that cannot be told from the best is cheaper than the best itself (trial {simplest.trial}, "
            f"{simplest.operations:,} multiply-adds per forecast)"
        )
    return (
        f"trial {simplest.trial} is the cheapest that cannot be told from the best: it needs "
        f"{simplest.operations:,} multiply-adds per forecast instead of {simplest.best_operations:,}, and its mean "
        f"{result.spec.metric_label} is {simplest.value:.6g}"
    )


def _won(result: TuningResult) -> str:
    return f"better in {result.folds_won} of {counted(len(result.windows), 'fold')}"


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")
