"""The evaluation of a trained model on a hold-out, compared with the champion."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.baselines.window import Window
from kallos.errors import UsageError
from kallos.evaluation.forecasts import evaluate_forecasts
from kallos.evaluation.results import HoldoutEvaluation, Verdict
from kallos.evaluation.window import find_window
from kallos.features.moments import Timestamp, moment, timestamp
from kallos.features.snapshots import frame_sha256
from kallos.models.forecasting import forecast_windows
from kallos.models.holdout_evaluations import EvaluationCount, EvaluationRecord
from kallos.models.manifest import Manifest
from kallos.models.trained import TrainedModel
from kallos.scoring.forecast import Forecast
from kallos.specs.metrics import metric_of
from kallos.specs.study import TuneSpec
from kallos.words import shorten

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ModelWithRows:
    """A model, and the rows of its specification up to the last one that is scored."""

    model: TrainedModel
    rows: pd.DataFrame

    def holdout(self, window: "ScoredDates") -> Window:
        """Return the rows that are scored; raises as `find_window`."""
        manifest = self.model.manifest
        scored = find_window(
            self.rows.index, manifest.spec, study_end=manifest.data.end, start_date=window.start, end_date=window.end
        )
        return Window.of_holdout(self.rows, scored, manifest.spec, manifest.frequency)

    def evaluation_record(self, holdout: Window, time: datetime) -> EvaluationRecord:
        """Return the record of an evaluation on the hold-out."""
        manifest = self.model.manifest
        return EvaluationRecord(
            model_id=manifest.model_id,
            asset_id=manifest.asset_id,
            target=manifest.target_label,
            horizon=manifest.horizon,
            test_start=timestamp(holdout.frame.index[holdout.start]),
            test_end=timestamp(holdout.frame.index[-1]),
            data_sha256=frame_sha256(holdout.frame),
            time=time,
        )

    def forecasts(self, holdout: Window) -> dict[str, Forecast]:
        """Return the forecasts of each member by its label."""
        return forecast_windows(self.model, holdout.frame, holdout.start, len(holdout.frame))

    def mean_forecast(self, holdout: Window) -> Forecast:
        """Return the weighted mean of the members' forecasts."""
        return self.model.mean_of(self.forecasts(holdout))

    @property
    def rows_have_changed(self) -> bool:
        """Whether the rows that the study saw have changed since."""
        data = self.model.manifest.data
        first, last = self.rows.index.get_indexer(pd.Index([moment(data.start), moment(data.end)]))
        return first < 0 or last < 0 or frame_sha256(self.rows.iloc[first : last + 1]) != data.sha256


@dataclass(frozen=True)
class ScoredDates:
    """The first and last date to score, inclusive, as the user wrote them; None means as far as possible."""

    start: str | None
    end: str | None


@dataclass(frozen=True)
class Evaluated:
    """An evaluation, with the first target's first-step forecasts and actual values, for its plot."""

    evaluation: HoldoutEvaluation
    timestamps: pd.Index
    actual: Array
    forecast: Array


def spec_of_rows(manifest: Manifest, test_end: str | None) -> TuneSpec:
    """Return the specification of a model's rows up to the last one that is scored."""
    spec = manifest.spec
    return spec.model_copy(
        update={
            "data": spec.data.model_copy(update={"end_date": test_end}),
            "folds": spec.folds.model_copy(update={"holdout": 0}),
        }
    )


def scored_dates(manifest: Manifest, start: str | None = None, end: str | None = None) -> ScoredDates:
    """Return the dates asked for; without a start, those of the hold-out that the study kept."""
    if start is not None:
        return ScoredDates(start, end)
    return ScoredDates(_date(manifest.holdout_start), end or _date(manifest.holdout_end))


def evaluate_model(
    challenger: ModelWithRows,
    dates: ScoredDates,
    *,
    count: EvaluationCount,
    champion: ModelWithRows | None = None,
    is_champion: bool = False,
    unopposed: str | None = None,
) -> Evaluated:
    """Evaluate a model on the given dates, compared with the baselines and the champion.

    `count` counts the evaluations on this hold-out, including this one. The verdict is "keep" instead of "ship" if the
    model is the champion itself, or if `unopposed` says why it could not be compared with the champion. Raises
    `UsageError` for dates that either model's study saw, or a champion that forecasts something else, and `DataError`
    if there are too few rows.
    """
    holdout = challenger.holdout(dates)
    forecasts = challenger.forecasts(holdout)
    evaluation = evaluate_forecasts(
        holdout,
        forecasts,
        weights=challenger.model.weights,
        model_id=challenger.model.model_id,
        holdout_evaluations=count.holdout_evaluations,
        tests=count.tests,
        champion_id=None if champion is None else champion.model.model_id,
        champion=None if champion is None else champion.mean_forecast(opposing(champion, dates, holdout)),
    )
    decision, reasons = evaluation.verdict.decision, evaluation.verdict.reasons
    for reason in ("The model is the champion." if is_champion else None, unopposed):
        if reason is not None:
            decision, reasons = "keep" if decision == "ship" else decision, (*reasons, reason)
    if challenger.rows_have_changed:
        reasons = (*reasons, "Rows that the study saw have changed since it ran.")
    evaluation = evaluation.model_copy(update={"verdict": Verdict(decision=decision, reasons=reasons)})
    rows = slice(holdout.start, len(holdout.frame) - holdout.horizon + 1)
    powers = holdout.spec.features.variance_powers
    first_step = challenger.model.mean_of(forecasts).scored_by(holdout.spec.metric, powers)[:, 0]
    return Evaluated(evaluation, holdout.frame.index[rows], holdout.observed[rows, 0], first_step[:, 0])


def opposing(champion: ModelWithRows, dates: ScoredDates, holdout: Window) -> Window:
    """Return the rows that the champion is scored on.

    Raises `UsageError` if its study saw them, or it forecasts other values than the model, or other quantiles if the
    metric is one of quantiles.
    """
    model_id = champion.model.model_id
    try:
        its_own = champion.holdout(dates)
    except UsageError as error:
        raise UsageError(f"the champion, {model_id}, cannot be compared: {error}") from None
    scored, its_scored = (each.observed[each.start :] for each in (holdout, its_own))
    if its_own.horizon != holdout.horizon or not np.array_equal(its_scored, scored):
        raise UsageError(f"the champion must forecast the same values as the model, and {model_id} forecasts others")
    metric, levels = holdout.spec.metric, its_own.spec.levels
    if metric_of(metric).needs_likelihood and levels != holdout.spec.levels:
        raise UsageError(
            f"with {metric} the champion must forecast the same quantiles as the model, and {model_id} forecasts "
            f"{shorten(levels) if len(levels) > 1 else 'points'}"
        )
    return its_own


def _date(timestamp: Timestamp | None) -> str | None:
    return None if timestamp is None else str(timestamp)
