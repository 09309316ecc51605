import numpy as np
import pandas as pd

from kallos.evaluation.results import Comparison, ForecastScores, HoldoutEvaluation, Verdict
from kallos.report.evaluation import evaluation_markdown, headline, score_rows
from kallos.report.holdout_pictures import evaluation_png

SCORES = {"rmse": 0.02, "mae": 0.015, "mase": 0.7, "direction": 0.55, "rank_ic": None}


def small_evaluation() -> HoldoutEvaluation:
    against = Comparison(
        other="zero",
        skill=0.0125,
        low=0.004,
        high=0.021,
        confidence=0.95,
        block_length=3.2,
        statistic=-2.9,
        p_value=0.0019,
    )
    return HoldoutEvaluation(
        model_id="gru-BTC-0123456789ab",
        champion_id=None,
        asset_id="BTC",
        target="log_return_close",
        horizon=1,
        test_start="2024-01-01T00:00:00",
        test_end="2024-03-31T00:00:00",
        n_origins=91,
        data_sha256="0" * 64,
        level=0.01,
        scores={
            "model": ForecastScores(values=SCORES),
            "zero": ForecastScores(values={**SCORES, "rmse": 0.0203}),
            "last": ForecastScores(values=SCORES),
        },
        rmse_by_member={"3-42": 0.021, "3-43": 0.0215},
        baseline="zero",
        against_baseline=against,
        beside={"ridge": against.model_copy(update={"other": "ridge", "skill": -0.01})},
        against_champion=None,
        holdout_evaluations=2,
        tests=1,
        metric="rmse",
        direction="minimize",
        loss="squared error",
        compared_by_metric="rmse",
        verdict=Verdict(decision="ship", reasons=("the model is better than zero",)),
    )


def test_the_verdict_comes_first_with_its_interval_and_the_hold_out():
    assert headline(small_evaluation()) == (
        "ship: 1.25% better than zero (95% confidence interval +0.40% to +2.10%, p = 0.0019), "
        "over 91 forecasts from 2024-01-01 to 2024-03-31"
    )
    text = evaluation_markdown(small_evaluation())
    assert text.startswith("# ship: gru-BTC-0123456789ab\n\n- the model is better than zero\n")
    assert "1.00% worse than ridge" in text
    assert "1 step ahead. Level\n1%; 2 evaluations on this hold-out,\n1 test." in text
    assert [row["forecaster"] for row in score_rows(small_evaluation())] == ["model", "last", "zero"]
    assert "| model | - | 0.02 | 0.015 | 0.7 | 0.55 | - |" in text
    # The last value errs as much as the model, and zero by .0203.
    assert "| last | 0.00% | 0.02 |" in text
    assert "| zero | +1.48% | 0.0203 |" in text


def test_the_picture_is_the_same_for_the_same_evaluation():
    timestamps = pd.date_range("2024-01-01", periods=91)
    actual, forecast = np.random.default_rng(0).normal(size=(2, 91))
    pictures = [evaluation_png(small_evaluation(), timestamps, actual, forecast) for _ in range(2)]
    assert pictures[0] == pictures[1]
    assert pictures[0] != evaluation_png(small_evaluation(), timestamps, actual, forecast + 1)
