import pytest

from kallos.evaluation.results import Comparison
from kallos.evaluation.verdict import decide
from kallos.specs.metrics import BUILT_IN

DIRECTION = BUILT_IN["direction"]


def against(other, *, p, skill=0.05):
    return Comparison(
        other=other,
        skill=skill,
        low=skill - 0.02,
        high=skill + 0.02,
        confidence=0.98,
        block_length=3,
        statistic=2.0,
        p_value=p,
    )


def verdict(
    baseline=0.001,
    ridge=0.001,
    champion=None,
    *,
    skill=0.05,
    by="last",
    ridge_skill=0.03,
    har=0.001,
    har_skill=0.03,
    is_like_returns=True,
    holdout_evaluations=1,
    tests=1,
    metric=BUILT_IN["rmse"],
):
    return decide(
        against(by, p=baseline, skill=skill),
        {"har": against("har", p=har, skill=har_skill), "ridge": against("ridge", p=ridge, skill=ridge_skill)},
        None if champion is None else against("champion", p=champion),
        baseline_rules=(by,),
        is_like_returns=is_like_returns,
        holdout_evaluations=holdout_evaluations,
        tests=tests,
        metric=metric,
    )


@pytest.mark.parametrize(
    ("baseline", "champion", "tests", "decision"),
    [
        (0.009, None, 1, "ship"),
        (0.011, None, 1, "not shown"),
        (0.009, 0.009, 1, "ship"),
        (0.009, 0.011, 1, "keep"),
        (0.011, 0.001, 1, "not shown"),
        # Each p value counts as often as there were tests.
        (0.004, None, 2, "ship"),
        (0.004, None, 3, "not shown"),
        (0.001, 0.004, 3, "keep"),
    ],
)
def test_a_model_is_shipped_if_it_beats_the_best_baseline_forecast_and_the_champion(
    baseline, champion, tests, decision
):
    assert verdict(baseline, champion=champion, tests=tests, holdout_evaluations=tests).decision == decision


def test_the_first_reason_says_against_what_and_by_how_much():
    assert verdict(0.00123).reasons == (
        "The model is significantly better than the best baseline (last) at the 1% level: its RMSE is 5.0% lower "
        "(98% confidence interval of the skill: 3.0% to 7.0%; p = 0.0012).",
    )
    assert "is not significantly better than the best baseline (zero)" in verdict(0.5, by="zero").reasons[0]
    assert "its RMSE is 2.0% higher (" in verdict(0.8, skill=-0.02).reasons[0]
    assert "the champion" in verdict(champion=0.5).reasons[1]


def test_a_difference_of_directions_is_said_as_one_and_higher_is_better():
    reasons = verdict(0.001, skill=0.041, har=0.3, har_skill=0.0004, ridge=0.9, ridge_skill=-0.0123, metric=DIRECTION)
    assert reasons.reasons == (
        "The model is significantly better than the best baseline (last) at the 1% level: its direction is 0.041 "
        "higher (98% confidence interval of the skill: +0.021 to +0.061; p = 0.001).",
        "The model is not significantly better than HAR, a regression on the means of the last 1, 5 and 22 values, "
        "which takes seconds to fit: its direction is the same to within 0.0005.",
        "The model is worse than the baseline ridge, a regression on lags, which takes seconds to fit: its direction "
        "is 0.0123 lower.",
    )
    leak = verdict(skill=0.25, by="zero", metric=DIRECTION).reasons[-1]
    assert leak.startswith("A skill of +0.25 is too good to be true")


def test_evaluations_are_said_with_the_level_that_they_leave():
    reasons = verdict(0.004, holdout_evaluations=5, tests=4).reasons
    assert "p = 0.016, corrected for 4 tests)" in reasons[0]
    assert reasons[-1] == (
        "This hold-out has been used for 5 evaluations (4 tests), so each test has a level of 1% / 4 = 0.25%."
    )
    assert verdict(holdout_evaluations=2).reasons[-1] == "This hold-out has been used for 2 evaluations (1 test)."


@pytest.mark.parametrize(
    ("skill", "by", "is_like_returns", "warns"),
    [
        (0.3, "zero", True, True),
        (0.3, "mean", True, True),
        (0.3, "seasonal", True, False),
        (0.1, "zero", True, False),
        # A level that comes back to its mean.
        (0.3, "mean", False, False),
    ],
)
def test_a_skill_that_returns_do_not_allow_is_a_reason_to_look_for_a_leak(skill, by, is_like_returns, warns):
    reasons = verdict(skill=skill, by=by, is_like_returns=is_like_returns).reasons
    assert any("kallos-run audit" in reason for reason in reasons) == warns


def test_it_is_said_where_har_does_as_well_but_once():
    assert "HAR" not in " ".join(verdict(har=0.001).reasons)
    assert verdict(har=0.1, har_skill=0.01).reasons[-1] == (
        "The model is not significantly better than HAR, a regression on the means of the last 1, 5 and 22 values, "
        "which takes seconds to fit: its RMSE is 1.0% lower."
    )
    assert len(verdict(0.5, har=0.5, by="har").reasons) == 1


def test_it_is_said_where_ridge_does_as_well():
    assert "ridge" not in " ".join(verdict(ridge=0.001).reasons)
    assert verdict(ridge=0.7, ridge_skill=-0.01).reasons[-1] == (
        "The model is worse than the baseline ridge, a regression on lags, which takes seconds to fit: its RMSE is "
        "1.0% higher."
    )
    assert verdict(ridge=0.1, ridge_skill=0.01).reasons[-1] == (
        "The model is not significantly better than the baseline ridge, a regression on lags, which takes seconds to "
        "fit: its RMSE is 1.0% lower."
    )
