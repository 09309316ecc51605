"""From tests to a decision: ship the model, keep the champion, or neither beats what anyone can forecast."""

from collections.abc import Sequence

from kallos.evaluation.results import Comparison, Decision, Verdict
from kallos.words import counted

LEVEL = 0.01
# On returns, nothing honest is known to save so large a share of the error.
_TOO_GOOD = 0.2
# Below this share of a score nobody would call one the better.
_ABOUT_EQUAL = 0.0005
_AS_OF_RETURNS = ("zero", "mean")


def decide(
    against_naive: Comparison,
    against_ridge: Comparison,
    against_champion: Comparison | None,
    *,
    naive_rules: Sequence[str],
    is_like_returns: bool,
    holdout_evaluations: int,
    tests: int,
    level: float = LEVEL,
    score: str = "RMSE",
) -> Verdict:
    """Return the verdict: "ship" takes a test at the level against the best naive forecast, and the champion.

    Each p value is multiplied by the number of tests on this hold-out (Bonferroni), a model on a window each. That the
    naive forecast is the best of several needs no correction: it was chosen to be hard to beat. Of a series that is
    like returns, zero is a better forecast than the last value. `naive_rules` is what the best naive forecast is made
    of, a rule or, of several targets, one for each. `score` is what the skills are shares of.
    """

    def is_better(comparison: Comparison) -> bool:
        return comparison.p_value * tests <= level

    decision: Decision = "no better than naive"
    if is_better(against_naive):
        decision = "ship" if against_champion is None or is_better(against_champion) else "keep"
    reasons = [_sentence(f"the best naive forecast ({against_naive.other})", against_naive, tests, level, score)]
    if against_champion is not None:
        reasons.append(_sentence("the champion", against_champion, tests, level, score))
    if not is_better(against_ridge):
        how = "does better" if against_ridge.skill < -_ABOUT_EQUAL else "is not shown to be worse"
        reasons.append(
            f"A ridge regression on lags, fitted in seconds, {how}: the model's {score} is "
            f"{_below_or_above(against_ridge.skill)} its own."
        )
    if is_like_returns and against_naive.skill > _TOO_GOOD and set(naive_rules) <= set(_AS_OF_RETURNS):
        reasons.append(
            f"A skill of {against_naive.skill:.0%} is too good to be true where {against_naive.other} is the best "
            f"naive forecast, as for returns: look for a leak (kallos-run audit) before you believe it."
        )
    if holdout_evaluations > 1:
        reasons.append(
            f"This hold-out has been evaluated on {holdout_evaluations} times, as {counted(tests, 'test')}"
            + (f": the level of each test is {100 * level:g}% / {tests} = {level / tests:.2%}." if tests > 1 else ".")
        )
    return Verdict(decision=decision, reasons=tuple(reasons))


def _sentence(other: str, comparison: Comparison, tests: int, level: float, score: str) -> str:
    corrected = min(comparison.p_value * tests, 1.0)
    verb = "is better" if corrected <= level else "is not shown to be better"
    return (
        f"The model {verb} than {other} at the level of {100 * level:g}%: its {score} is "
        f"{_below_or_above(comparison.skill)} that one's ({comparison.confidence:.0%} interval of the skill "
        f"{comparison.low:.1%} to {comparison.high:.1%}; "
        f"{_p(corrected)}{f' with {tests} tests counted' if tests > 1 else ''})."
    )


def _below_or_above(skill: float) -> str:
    if abs(skill) < _ABOUT_EQUAL:
        return "within 0.05% of"
    return f"{abs(skill):.1%} {'below' if skill > 0 else 'above'}"


def _p(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.2g}"
