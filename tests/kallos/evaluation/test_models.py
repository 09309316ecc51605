"""A trained model on its hold-out: which rows are scored, what they are held against, and what cannot be."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_pinball_loss

from kallos.errors import UsageError
from kallos.evaluation.models import ModelWithRows, ScoredDates, evaluate_model, scored_dates
from kallos.features.snapshots import frame_sha256
from kallos.folds.columns import study_frame
from kallos.models.forecasting import forecast_windows
from kallos.models.holdout_evaluations import EvaluationCount
from kallos.scoring.forecast import Forecast
from tests.samples import make_features
from tests.small_models import finished_study, small_model

FIRST_EVALUATION = EvaluationCount(holdout_evaluations=1, tests=1)
# The hold-out of 400 rows in windows of 40.
HELD_OUT = make_features().index[320:400]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(finished_study(tmp_path_factory.mktemp("study"), folds={"holdout": 2}))


def with_rows(model, frame: pd.DataFrame | None = None) -> ModelWithRows:
    return ModelWithRows(model, study_frame(make_features() if frame is None else frame, model.manifest.spec.features))


def evaluation_of(model, frame=None, *, dates=None, **options):
    dates = scored_dates(model.manifest) if dates is None else dates
    return evaluate_model(with_rows(model, frame), dates, count=FIRST_EVALUATION, **options).evaluation


def test_by_default_the_hold_out_that_the_study_kept_is_scored(model):
    evaluation = evaluation_of(model)
    assert (evaluation.test_start, evaluation.test_end) == (HELD_OUT[0].isoformat(), HELD_OUT[-1].isoformat())
    assert evaluation.n_origins == 80
    rows = with_rows(model).rows
    forecast = Forecast.mean_of(forecast_windows(model, rows, 320, 400).values()).point[:, 0, 0]
    actual = rows["log_return_close"].to_numpy()[320:]
    assert evaluation.scores["model"].values["rmse"] == pytest.approx(
        np.sqrt(np.mean((forecast - actual) ** 2)), rel=1e-12
    )
    assert evaluation.scores["zero"].values["rmse"] == pytest.approx(np.sqrt(np.mean(actual**2)), rel=1e-12)


def test_rows_behind_the_last_date_move_nothing(model):
    longer = make_features(500)
    longer.iloc[:400] = make_features()
    assert evaluation_of(model, longer) == evaluation_of(model)


def test_an_evaluation_is_of_the_rows_that_are_scored_and_those_before(model):
    one = with_rows(model)
    record = one.evaluation_record(one.holdout(scored_dates(model.manifest)), datetime(2024, 1, 1, tzinfo=UTC))
    assert (record.model_id, record.test_start, record.test_end) == (
        model.model_id,
        HELD_OUT[0].isoformat(),
        HELD_OUT[-1].isoformat(),
    )
    assert record.data_sha256 == frame_sha256(one.rows) == evaluation_of(model).data_sha256


def test_rows_that_were_revised_since_the_study_are_said(model):
    revised = make_features()
    revised.iloc[100, 2] *= 2
    assert "Rows that the study saw have changed since it ran." in evaluation_of(model, revised).verdict.reasons
    assert len(evaluation_of(model).verdict.reasons) < len(evaluation_of(model, revised).verdict.reasons)


def test_a_model_is_held_against_the_champion_on_the_same_rows(model):
    other = replace(model, members=model.members[:1], manifest=_first_member_only(model.manifest))
    evaluation = evaluation_of(model, champion=with_rows(other))
    assert evaluation.champion_id == model.model_id
    rows = with_rows(model).rows
    alone = forecast_windows(model, rows, 320, 400)["0-42"].point[:, 0, 0]
    actual = rows["log_return_close"].to_numpy()[320:]
    assert evaluation.scores["champion"].values["rmse"] == pytest.approx(
        np.sqrt(np.mean((alone - actual) ** 2)), rel=1e-12
    )
    assert evaluation.against_champion is not None


def _first_member_only(manifest):
    return manifest.model_copy(update={"members": manifest.members[:1]})


def test_a_champion_that_has_seen_the_hold_out_is_no_baseline(model):
    end = HELD_OUT[10].isoformat()
    seen = model.manifest.model_copy(update={"data": model.manifest.data.model_copy(update={"end": end})})
    with pytest.raises(UsageError, match=r"the champion, gru-ABC-\w+, cannot be compared: `test_start_date`"):
        evaluation_of(model, champion=with_rows(replace(model, manifest=seen)))


def test_a_champion_of_other_values_is_no_baseline(model):
    changed = make_features()
    changed["log_return_close"] *= 2
    with pytest.raises(UsageError, match="the champion must forecast the same values as the model"):
        evaluate_model(
            with_rows(model), scored_dates(model.manifest), count=FIRST_EVALUATION, champion=with_rows(model, changed)
        )


QUANTILES = {"likelihood": "quantile", "quantiles": (0.1, 0.5, 0.9), "metric": "crps"}


def test_quantiles_of_a_model_are_held_against_the_same_of_the_champion(model, tmp_path):
    of_quantiles = small_model(finished_study(tmp_path, folds={"holdout": 2}, **QUANTILES), seeds=1)
    evaluation = evaluation_of(of_quantiles, champion=with_rows(of_quantiles))
    quantiles = forecast_windows(of_quantiles, with_rows(of_quantiles).rows, 320, 400)["0-42"].quantiles[:, :, 0]
    actual = with_rows(of_quantiles).rows["log_return_close"].to_numpy()[320:]
    losses = [
        mean_pinball_loss(actual, quantiles[:, 0, position], alpha=level)
        for position, level in enumerate((0.1, 0.5, 0.9))
    ]
    assert evaluation.by_metric["model"] == pytest.approx(2 * np.mean(losses))
    assert evaluation.scores["champion"] == evaluation.scores["model"]
    with pytest.raises(
        UsageError, match=r"with crps the champion must forecast the same quantiles as the model, and .* points"
    ):
        evaluation_of(of_quantiles, champion=with_rows(model))
    # By RMSE, points are held against the median.
    assert evaluation_of(model, champion=with_rows(of_quantiles)).scores["champion"].values["rmse"] == pytest.approx(
        np.sqrt(np.mean((quantiles[:, 0, 1] - actual) ** 2))
    )


def test_a_model_of_several_targets_is_scored_over_all_of_them(tmp_path):
    names = ["log_return_close", "macd"]
    study = finished_study(tmp_path, model_name="ridge", features={"target": names}, folds={"holdout": 2}, horizon=2)
    two = small_model(study, seeds=1)
    evaluation = evaluation_of(two, champion=with_rows(two))
    assert evaluation.target == tuple(names)
    assert evaluation.n_origins == 79
    rows = with_rows(two).rows
    targets = rows[names].to_numpy()
    actual = np.stack([targets[320:399], targets[321:400]], axis=1)
    errors = (forecast_windows(two, rows, 320, 400)["0-42"].point - actual) / targets[:320].std(axis=0)
    assert evaluation.scores["model"].values["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert evaluation.scores["champion"] == evaluation.scores["model"]
    record = with_rows(two).evaluation_record(
        with_rows(two).holdout(scored_dates(two.manifest)), datetime(2024, 1, 1, tzinfo=UTC)
    )
    assert record.target == "log_return_close, macd"


def test_dates_of_the_study_itself_are_refused(model):
    with pytest.raises(UsageError, match="`test_start_date` must come after the rows that the model's study saw"):
        evaluation_of(model, dates=ScoredDates("2020-06-01", None))


# Few columns, so that few rows are enough to learn from.
SEASONAL: dict[str, Any] = {
    "features": {"columns": ["weekday"]},
    "folds": {"holdout": 3},
    "baselines": ["zero", "last", "mean", "seasonal"],
}


def seasonal_features() -> pd.DataFrame:
    """Return a week's sine and noise of half its size: what forecasts it best saves 29 % of last week's error."""
    frame = make_features()
    days = np.arange(len(frame))
    frame["log_return_close"] = np.sin(2 * np.pi * days / 7) + 0.5 * np.random.default_rng(3).normal(size=len(frame))
    return frame


def test_what_forecasts_a_season_is_shipped_and_kept_where_it_is_the_champion(tmp_path):
    frame = seasonal_features()
    study = finished_study(tmp_path, frame, model_name="ridge", **SEASONAL)
    model = small_model(study, seeds=1)
    evaluation = evaluation_of(model, frame)
    assert (evaluation.verdict.decision, evaluation.baseline) == ("ship", "seasonal")
    assert evaluation.against_baseline.skill == pytest.approx(1 - np.sqrt(0.5), abs=0.08)
    champion = evaluation_of(model, frame, is_champion=True)
    assert champion.verdict.decision == "keep"
    assert champion.verdict.reasons == (*evaluation.verdict.reasons, "The model is the champion.")


def test_a_model_that_nobody_could_be_held_against_is_kept_and_says_why(tmp_path):
    frame = seasonal_features()
    model = small_model(finished_study(tmp_path, frame, model_name="ridge", **SEASONAL), seeds=1)
    evaluation = evaluation_of(model, frame, unopposed="The champion is damaged.")
    assert evaluation.verdict.decision == "keep"
    assert evaluation.verdict.reasons[-1] == "The champion is damaged."
