"""A trained model on a hold-out, beside the model in use."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.baselines.holdout import Holdout
from kallos.errors import UsageError
from kallos.evaluation.forecasts import evaluate_forecasts
from kallos.evaluation.results import HoldoutEvaluation, Stamp
from kallos.evaluation.window import find_window
from kallos.features.moments import moment, stamp
from kallos.features.snapshots import frame_sha256
from kallos.models.forecasting import forecast_windows, mean_forecast
from kallos.models.looks import Look, LookCount
from kallos.models.manifest import Manifest
from kallos.models.trainer import TrainedModel
from kallos.scoring.metrics import Forecast
from kallos.specs.metrics import OF_QUANTILES
from kallos.specs.study import TuneSpec
from kallos.words import shorten

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Contender:
    """A model, and the rows of its own specification up to the last one that is scored."""

    model: TrainedModel
    rows: pd.DataFrame

    def holdout(self, window: "ScoredDates") -> Holdout:
        """Return the rows that are scored, behind all that the model's study saw; raises as `find_window`."""
        manifest = self.model.manifest
        scored = find_window(
            self.rows.index, manifest.spec, study_end=manifest.data.end, start_date=window.start, end_date=window.end
        )
        return Holdout(
            self.rows.iloc[: scored.stop],
            scored.start,
            scored.stop,
            manifest.target,
            manifest.horizon,
            manifest.lead,
            manifest.frequency,
            manifest.spec.levels,
        )

    def look(self, holdout: Holdout, time: datetime) -> Look:
        """Return the look at the hold-out that an evaluation is."""
        manifest = self.model.manifest
        return Look(
            model_id=manifest.model_id,
            asset_id=manifest.asset_id,
            target=manifest.target_label,
            horizon=manifest.horizon,
            test_start=stamp(holdout.frame.index[holdout.start]),
            test_end=stamp(holdout.frame.index[holdout.stop - 1]),
            data_sha256=frame_sha256(holdout.frame.iloc[: holdout.stop]),
            time=time,
        )

    def forecasts(self, holdout: Holdout) -> dict[str, Array]:
        """Return the forecasts of each seed, of shape (origins, horizon[, targets][, quantiles])."""
        return forecast_windows(self.model, holdout.frame, holdout.start, holdout.stop)

    @property
    def rows_have_changed(self) -> bool:
        """Whether the rows that the study saw are others by now."""
        data = self.model.manifest.data
        first, last = self.rows.index.get_indexer(pd.Index([moment(data.start), moment(data.end)]))
        return first < 0 or last < 0 or frame_sha256(self.rows.iloc[first : last + 1]) != data.sha256


@dataclass(frozen=True)
class ScoredDates:
    """First and last date that is scored, inclusive, as people write them; None is as wide as may be."""

    start: str | None
    end: str | None


@dataclass(frozen=True)
class Evaluated:
    """An evaluation, and what its picture is drawn of: the first step's forecasts and what came, over their stamps.

    Of several targets it is the first one's.
    """

    evaluation: HoldoutEvaluation
    stamps: pd.Index
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
    """Return the dates asked for, and where no start is, the hold-out that the study has kept."""
    if start is not None:
        return ScoredDates(start, end)
    return ScoredDates(_date(manifest.holdout_start), end or _date(manifest.holdout_end))


def evaluate_model(
    contender: Contender,
    dates: ScoredDates,
    *,
    looks: LookCount,
    in_use: Contender | None = None,
    is_in_use: bool = False,
    unopposed: str | None = None,
) -> Evaluated:
    """Return how a model does from the first to the last date, beside naive forecasts, ridge and the model in use.

    `looks` are those at this hold-out, this one among them. A model that is in use itself is kept, not shipped,
    and so is one that could not be held against the one in use, for the reason `unopposed`. Raises
    `UsageError` for dates that the study of either model has seen, or a model in use that forecasts something else, and
    `DataError` if there are too few rows.
    """
    holdout = contender.holdout(dates)
    forecasts, metric = contender.forecasts(holdout), contender.model.manifest.spec.metric
    evaluation = evaluate_forecasts(
        holdout,
        forecasts,
        model_id=contender.model.model_id,
        asset_id=contender.model.manifest.asset_id,
        looks=looks.looks,
        tests=looks.tests,
        in_use_id=None if in_use is None else in_use.model.model_id,
        in_use=None if in_use is None else _forecast_in_use(in_use, opposing(in_use, dates, holdout, metric), metric),
        metric=metric,
    )
    if is_in_use:
        evaluation = _kept(evaluation, "It is the model in use.")
    if unopposed is not None:
        evaluation = _kept(evaluation, unopposed)
    if contender.rows_have_changed:
        evaluation = _with_reason(evaluation, "Rows that the study saw have changed since it ran.")
    rows = slice(holdout.start, holdout.stop - holdout.horizon + 1)
    first_step = Forecast.of(mean_forecast(forecasts), holdout.levels).point[:, 0]
    return Evaluated(
        evaluation,
        holdout.frame.index[rows],
        _of_first_target(holdout.observed[rows]),
        _of_first_target(first_step),
    )


def opposing(in_use: Contender, dates: ScoredDates, holdout: Holdout, metric: str) -> Holdout:
    """Return the rows that the model in use is scored on.

    Raises `UsageError` if its study has seen them, or it forecasts other values than the hold-out's, or other quantiles
    where the metric is of these.
    """
    model_id = in_use.model.model_id
    try:
        its_own = in_use.holdout(dates)
    except UsageError as error:
        raise UsageError(f"the model in use, {model_id}, cannot be held against: {error}") from None
    scored, its_scored = (each.observed[each.start :] for each in (holdout, its_own))
    if its_own.horizon != holdout.horizon or not np.array_equal(its_scored, scored):
        raise UsageError(f"the model in use must forecast the same values, and {model_id} forecasts others")
    if metric in OF_QUANTILES and its_own.levels != holdout.levels:
        raise UsageError(
            f"by {metric} the model in use must forecast the same quantiles, and {model_id} forecasts "
            f"{'points' if its_own.levels is None else shorten(its_own.levels)}"
        )
    return its_own


def _forecast_in_use(in_use: Contender, holdout: Holdout, metric: str) -> Array:
    """Return what the model in use forecasts, points unless the metric is of quantiles."""
    forecast = Forecast.of(mean_forecast(in_use.forecasts(holdout)), holdout.levels)
    return forecast.quantiles if metric in OF_QUANTILES and forecast.quantiles is not None else forecast.point


def _of_first_target(values: Array) -> Array:
    return values if values.ndim == 1 else values[:, 0]


def _kept(evaluation: HoldoutEvaluation, reason: str) -> HoldoutEvaluation:
    verdict = evaluation.verdict
    if verdict.decision == "ship":
        evaluation = evaluation.model_copy(update={"verdict": verdict.model_copy(update={"decision": "keep"})})
    return _with_reason(evaluation, reason)


def _with_reason(evaluation: HoldoutEvaluation, reason: str) -> HoldoutEvaluation:
    verdict = evaluation.verdict.model_copy(update={"reasons": (*evaluation.verdict.reasons, reason)})
    return evaluation.model_copy(update={"verdict": verdict})


def _date(stamp: Stamp | None) -> str | None:
    return None if stamp is None else str(stamp)
