"""The first thing that a report says: what to do, why, and by which numbers."""

from dataclasses import dataclass
from typing import Literal

from kallos.evaluation.results import Comparison, HoldoutEvaluation
from kallos.report.rows import fold_rows
from kallos.study.choice import Deflation, OneStandardError
from kallos.study.result import TuningResult
from kallos.words import compared_to, counted, day, percent

Tone = Literal["good", "caution", "bad", "open"]

_HEADS: dict[str, tuple[Tone, str]] = {
    "ship": ("good", "Ship it"),
    "keep": ("caution", "Keep the champion"),
    "no better than naive": ("bad", "No better than naive"),
}


@dataclass(frozen=True)
class KeyFigure:
    """One number, what it is, and what stands beside it."""

    value: str
    name: str
    note: str


@dataclass(frozen=True)
class Banner:
    """What a report begins with; the tone is never told by colour alone."""

    tone: Tone
    head: str
    lead: str
    reasons: tuple[str, ...]
    figures: tuple[KeyFigure, ...]
    note: str | None


def banner(
    result: TuningResult,
    evaluation: HoldoutEvaluation | None,
    one_se: OneStandardError | None,
    deflation: Deflation | None,
) -> Banner:
    """Return the verdict where a hold-out was looked at, and else what the folds say, which is none."""
    of_folds = (_on_folds(result), *([] if deflation is None else [_remaining(deflation)]))
    of_choice = [_counting_trials(deflation), *([] if one_se is None else [_choice(result, one_se)])]
    note = None if deflation is None else f"{_sentence(deflation.method)} Sources: {_sentence(deflation.source)}"
    if evaluation is None:
        return Banner(
            tone="open",
            head="Not a verdict yet",
            lead="This page knows of no hold-out evaluation. What follows is what the folds say, and the best trial "
            "was chosen on these very folds.",
            reasons=(_folds_say(result), *of_choice),
            figures=of_folds,
            note=note,
        )
    tone, head = _HEADS[evaluation.verdict.decision]
    return Banner(
        tone=tone,
        head=head,
        lead=f"On the hold-out of {evaluation.asset_id}, {day(evaluation.test_start)} to {day(evaluation.test_end)}: "
        f"{counted(evaluation.n_origins, 'forecast')}, none of which the study has seen.",
        reasons=(*(_sentence(reason) for reason in evaluation.verdict.reasons), *of_choice),
        figures=(*_on_holdout(evaluation), *of_folds),
        note=note,
    )


def _on_holdout(evaluation: HoldoutEvaluation) -> tuple[KeyFigure, ...]:
    naive = evaluation.against_naive
    return (
        KeyFigure(percent(naive.skill), f"skill on the hold-out over naive ({evaluation.naive})", interval(naive)),
        KeyFigure(
            f"{min(naive.p_value * evaluation.tests, 1):.2g}",
            "p-value of that skill",
            f"the verdict's level is {evaluation.level:g}"
            + ("" if evaluation.tests == 1 else f", {evaluation.tests} tests counted"),
        ),
        KeyFigure(
            str(evaluation.holdout_evaluations),
            "evaluation on this hold-out" if evaluation.holdout_evaluations == 1 else "evaluations on this hold-out",
            counted(evaluation.tests, "test")
            + ("" if evaluation.holdout_evaluations == 1 else "; each makes a lucky find likelier"),
        ),
    )


def interval(comparison: Comparison) -> str:
    """Return the interval of a skill in words."""
    return f"{percent(comparison.low)} to {percent(comparison.high)} with {comparison.confidence:.0%} confidence"


def _on_folds(result: TuningResult) -> KeyFigure:
    won, n_folds = _won(result), len(result.windows)
    return KeyFigure(
        percent(result.skill), f"skill on the folds over naive ({result.naive})", f"ahead in {won} of {n_folds} folds"
    )


def _remaining(deflation: Deflation) -> KeyFigure:
    return KeyFigure(
        percent(deflation.skill),
        "skill left, counting the trials",
        f"overfitted in {deflation.overfitting:.0%} of splits",
    )


def _folds_say(result: TuningResult) -> str:
    trials = counted(len(result.trials), "trial")
    means = f"mean {result.spec.metric_label} {result.best_value:.6g} against {result.naive_value:.6g}"
    naive = f"naive ({result.naive})"
    if result.skill <= 0:
        return f"The best of {trials} is {compared_to(result.skill, naive)}: {means}. No better than guessing."
    return (
        f"The best of {trials} is {compared_to(result.skill, naive)}: {means}, and is ahead in {_won(result)} "
        f"of {counted(len(result.windows), 'fold')}."
    )


def _counting_trials(deflation: Deflation | None) -> str:
    if deflation is None:
        return "How much of the skill the choice has made is not known: that takes two complete trials and three folds."
    left = "nothing" if deflation.skill <= 0 else percent(deflation.skill)
    return (
        f"A trial chosen so from {counted(deflation.trials, 'complete trial')} saves {left} on folds that did not "
        f"choose it; the best one's skill on the folds that chose it is {percent(deflation.apparent_skill)}. In "
        f"{deflation.overfitting:.0%} of the splits of the folds into halves, the trial chosen on one half is no "
        f"better than the median one on the other."
    )


def _choice(result: TuningResult, one_se: OneStandardError) -> str:
    if one_se.trial == result.best.number:
        return (
            f"Within one standard error of the best there is no cheaper trial than itself (trial {one_se.trial}, "
            f"{one_se.operations:,} multiply-adds a forecast)."
        )
    return (
        f"Within one standard error of the best, trial {one_se.trial} is the cheapest of {one_se.within}: "
        f"{one_se.operations:,} multiply-adds a forecast instead of {one_se.best_operations:,}, with a mean "
        f"{result.spec.metric_label} higher by {one_se.mean_difference:.3g} (standard error "
        f"{one_se.standard_error:.3g}, of which {len(result.windows)} folds allow {one_se.quantile:.3g})."
    )


def _won(result: TuningResult) -> int:
    return sum(row["value"] < row["naive_value"] for row in fold_rows(result)[: len(result.windows)])


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")
