"""From tests to a decision: ship the model, keep the champion, or the model is not shown."""

from collections.abc import Mapping, Sequence

from kallos.evaluation.results import Comparison, Decision, Verdict
from kallos.specs.baselines import HAR, RIDGE
from kallos.specs.metrics import BUILT_IN, RMSE, Metric
from kallos.words import counted, signed

LEVEL = 0.01
# No honest model is known to have so large a skill on returns: to save such a share of the error, or to guess the
# direction so much more often.
_TOO_GOOD = 0.2
# Skills that are smaller than this count as none.
_ABOUT_EQUAL = 0.0005
_RULES_OF_RETURNS = ("zero", "mean")
_REGRESSIONS = {
    HAR: "HAR, a regression on the means of the last 1, 5 and 22 values",
    RIDGE: "the baseline ridge, a regression on lags",
}


def decide(
    against_baseline: Comparison,
    beside: Mapping[str, Comparison],
    against_champion: Comparison | None,
    *,
    baseline_rules: Sequence[str],
    is_like_returns: bool,
    holdout_evaluations: int,
    tests: int,
    metric: Metric = BUILT_IN[RMSE],
) -> Verdict:
    """Return the verdict: "ship" needs significance at `LEVEL` against the best baseline and the champion.

    Each p-value is multiplied by the number of tests on this hold-out (Bonferroni). Choosing the best of several
    baselines needs no correction, because the choice makes it harder to beat. A series is like returns if zero
    forecasts it better than the last value. `baseline_rules` has the rule of the best baseline, for each target if they
    differ. HAR and ridge, in `beside`, give reasons where the model is not shown to be better. The skills are
    by `metric`.
    """

    def is_better(comparison: Comparison) -> bool:
        return comparison.p_value * tests <= LEVEL

    decision: Decision = "not shown"
    if is_better(against_baseline):
        decision = "ship" if against_champion is None or is_better(against_champion) else "keep"
    reasons = [_sentence(f"the best baseline ({against_baseline.other})", against_baseline, tests, metric)]
    if against_champion is not None:
        reasons.append(_sentence("the champion", against_champion, tests, metric))
    for name, comparison in beside.items():
        # The first reason is about the best baseline.
        if name != against_baseline.other and not is_better(comparison):
            how = "worse" if comparison.skill < -_ABOUT_EQUAL else "not significantly better"
            reasons.append(
                f"The model is {how} than {_REGRESSIONS[name]}, which takes seconds to fit: its {metric.label} is "
                f"{_difference(comparison.skill, metric)}."
            )
    if is_like_returns and against_baseline.skill > _TOO_GOOD and set(baseline_rules) <= set(_RULES_OF_RETURNS):
        reasons.append(
            f"A skill of {_rounded(against_baseline.skill, metric)} is too good to be true for a series that behaves "
            f"like returns, as this one does ({against_baseline.other} is its best baseline): look for a leak "
            f"(kallos-run audit) before you trust the model."
        )
    if holdout_evaluations > 1:
        reasons.append(
            f"This hold-out has been used for {holdout_evaluations} evaluations ({counted(tests, 'test')})"
            + (f", so each test has a level of {100 * LEVEL:g}% / {tests} = {LEVEL / tests:.2%}." if tests > 1 else ".")
        )
    return Verdict(decision=decision, reasons=tuple(reasons))


def _sentence(other: str, comparison: Comparison, tests: int, metric: Metric) -> str:
    corrected = min(comparison.p_value * tests, 1.0)
    adverb = "significantly" if corrected <= LEVEL else "not significantly"
    p_value = "p < 0.0001" if corrected < 0.0001 else f"p = {corrected:.2g}"
    return (
        f"The model is {adverb} better than {other} at the {100 * LEVEL:g}% level: its "
        f"{metric.label} is {_difference(comparison.skill, metric)} ({comparison.confidence:.0%} confidence interval "
        f"of the skill: {_shown(comparison.low, metric)} to {_shown(comparison.high, metric)}; "
        f"{p_value}{f', corrected for {tests} tests' if tests > 1 else ''})."
    )


def _difference(skill: float, metric: Metric) -> str:
    """Return how the model's score differs: `8.0% lower`, or `0.012 higher`."""
    if abs(skill) < _ABOUT_EQUAL:
        return f"the same to within {f'{_ABOUT_EQUAL:.2%}' if metric.skill_is == 'share' else _ABOUT_EQUAL}"
    is_higher = (skill > 0) == metric.is_maximised
    return f"{_shown(abs(skill), metric).lstrip('+')} {'higher' if is_higher else 'lower'}"


def _shown(skill: float, metric: Metric) -> str:
    return f"{skill:.1%}" if metric.skill_is == "share" else signed(skill, metric.skill_is)


def _rounded(skill: float, metric: Metric) -> str:
    return f"{skill:.0%}" if metric.skill_is == "share" else signed(skill, metric.skill_is)
