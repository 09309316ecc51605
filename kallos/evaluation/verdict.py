"""From tests to a decision: ship the model, keep the champion, or the model is not shown."""

from collections.abc import Mapping, Sequence

from kallos.evaluation.results import Comparison, Decision, Verdict
from kallos.specs.baselines import HAR, RIDGE
from kallos.words import counted

LEVEL = 0.01
# No honest model is known to save so large a share of the error on returns.
_TOO_GOOD = 0.2
# Scores that differ by a smaller share than this count as equal.
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
    score: str = "RMSE",
) -> Verdict:
    """Return the verdict: "ship" needs significance at `LEVEL` against the best baseline and the champion.

    Each p-value is multiplied by the number of tests on this hold-out (Bonferroni). Choosing the best of several
    baselines needs no correction, because the choice makes it harder to beat. A series is like returns if zero
    forecasts it better than the last value. `baseline_rules` has the rule of the best baseline, for each target if they
    differ. HAR and ridge, in `beside`, give reasons where the model is not shown to be better. `score` names what the
    skills are shares of.
    """

    def is_better(comparison: Comparison) -> bool:
        return comparison.p_value * tests <= LEVEL

    decision: Decision = "not shown"
    if is_better(against_baseline):
        decision = "ship" if against_champion is None or is_better(against_champion) else "keep"
    reasons = [_sentence(f"the best baseline ({against_baseline.other})", against_baseline, tests, score)]
    if against_champion is not None:
        reasons.append(_sentence("the champion", against_champion, tests, score))
    for name, comparison in beside.items():
        # The first reason is about the best baseline.
        if name != against_baseline.other and not is_better(comparison):
            how = "worse" if comparison.skill < -_ABOUT_EQUAL else "not significantly better"
            reasons.append(
                f"The model is {how} than {_REGRESSIONS[name]}, which takes seconds to fit: its {score} is "
                f"{_difference(comparison.skill)}."
            )
    if is_like_returns and against_baseline.skill > _TOO_GOOD and set(baseline_rules) <= set(_RULES_OF_RETURNS):
        reasons.append(
            f"A skill of {against_baseline.skill:.0%} is too good to be true for a series that behaves like returns, "
            f"as this one does ({against_baseline.other} is its best baseline): look for a leak (kallos-run audit) "
            f"before you trust the model."
        )
    if holdout_evaluations > 1:
        reasons.append(
            f"This hold-out has been used for {holdout_evaluations} evaluations ({counted(tests, 'test')})"
            + (f", so each test has a level of {100 * LEVEL:g}% / {tests} = {LEVEL / tests:.2%}." if tests > 1 else ".")
        )
    return Verdict(decision=decision, reasons=tuple(reasons))


def _sentence(other: str, comparison: Comparison, tests: int, score: str) -> str:
    corrected = min(comparison.p_value * tests, 1.0)
    adverb = "significantly" if corrected <= LEVEL else "not significantly"
    p_value = "p < 0.0001" if corrected < 0.0001 else f"p = {corrected:.2g}"
    return (
        f"The model is {adverb} better than {other} at the {100 * LEVEL:g}% level: its {score} is "
        f"{_difference(comparison.skill)} ({comparison.confidence:.0%} confidence interval of the skill: "
        f"{comparison.low:.1%} to {comparison.high:.1%}; "
        f"{p_value}{f', corrected for {tests} tests' if tests > 1 else ''})."
    )


def _difference(skill: float) -> str:
    if abs(skill) < _ABOUT_EQUAL:
        return "the same to within 0.05%"
    return f"{abs(skill):.1%} {'lower' if skill > 0 else 'higher'}"
