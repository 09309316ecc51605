"""The score of a fold: a view of its forecasts by the metrics of a study."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict

from kallos.errors import FitError
from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import (
    Measured,
    Scores,
    Scoring,
    mean,
    mean_of_each,
    means_of_defined,
    measure,
    measured,
    score_by,
)
from kallos.scoring.positions import Trading
from kallos.scoring.result import AssetForecasts, FoldResult
from kallos.specs.metrics import MAE, QLIKE, RMSE
from kallos.specs.study import TuneSpec


class FoldScore(BaseModel):
    """The scores of one parameter set on one fold, in units of `error_unit`.

    `values` has those by each metric of the study, RMSE and MAE; one that is only shown is None where it is not
    defined. `value`, `by_asset` and `by_target` are by the study's metric, the first objective. All but `by_asset` are
    means over the assets. `fingerprint` is that of the fold job, under which the fold's forecasts are kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    value: float
    values: Scores
    by_asset: tuple[float, ...]
    by_target: tuple[float, ...]
    n_forecasts: int
    epochs: int
    best_epoch: int
    seconds: float

    @property
    def rmse(self) -> float:
        """The root of the mean square."""
        return score_by(self.values, RMSE)

    @property
    def mae(self) -> float:
        """The mean absolute error."""
        return score_by(self.values, MAE)


@dataclass(frozen=True)
class Scorer:
    """How a study scores forecasts: by its objectives, and by the metrics that are shown beside them.

    `powers` are those of `FeatureSpec.variance_powers`.
    """

    objectives: tuple[str, ...]
    shown: tuple[str, ...]
    powers: tuple[int, ...]
    cost_bps: float = 0.0
    rows_held: int = 1

    @classmethod
    def of(cls, spec: TuneSpec) -> Self:
        """Return the scorer of a study."""
        features = spec.features
        shown = tuple(name for name in spec.scored_metrics if name not in spec.objectives)
        return cls(spec.objectives, shown, features.variance_powers, spec.cost_bps, features.lead)

    @classmethod
    def by(cls, metric: str, powers: tuple[int, ...]) -> Self:
        """Return the scorer by one metric, with RMSE and MAE."""
        return cls((metric,), tuple(name for name in (RMSE, MAE) if name != metric), powers)

    def score(self, result: FoldResult, fingerprint: str) -> FoldScore:
        """Return the score of a fold; it covers all (origin, step) pairs and is the mean over the assets.

        Raises `FitError` if an objective cannot score such forecasts.
        """
        each = self.measured(list(result.forecasts()), result.assets)
        first, values = self.objectives[0], means_of_defined([asset.values for asset in each])
        for name in self.objectives:
            value = score_by(values, name)
            if name == QLIKE and value == math.inf:
                raise FitError(
                    "forecasts must be positive with metric qlike, and some are not: set `target_transform` to 'log'"
                )
            if not math.isfinite(value):
                raise FitError(f"a fold's score must be finite, and its {name} is {value}")
        return FoldScore(
            fingerprint=fingerprint,
            value=score_by(values, first),
            values=values,
            by_asset=tuple(score_by(asset.values, first) for asset in each),
            by_target=mean_of_each([asset.by_target for asset in each]),
            n_forecasts=sum(asset.actual.size for asset in result.assets),
            **result.fit.model_dump(),
        )

    def measured(self, forecasts: Sequence[Forecast], assets: Sequence[AssetForecasts]) -> list[Measured]:
        """Return the scores of forecasts of each asset's window, by all metrics; the assets have what scores them."""
        return [
            measured(
                self.objectives,
                self.shown,
                forecast.over(asset.unit),
                asset.actual / asset.unit,
                self.scoring_of(asset),
            )
            for forecast, asset in zip(forecasts, assets, strict=True)
        ]

    def scoring_of(self, asset: AssetForecasts) -> Scoring:
        """Return what metrics need besides an asset's forecasts and actual values, in its units."""
        trading = Trading(self.cost_bps, float(asset.rows_per_year[0]), self.rows_held)
        return Scoring(self.powers, asset.unit, asset.change, asset.reference[:, None, :] / asset.unit, trading)

    def value_of_mean(self, results: Sequence[FoldResult], weights: Sequence[float]) -> float:
        """Return the score of the weighted mean of several forecasts of one fold, by the study's metric.

        That of a single forecast is the value of its score to the bit.
        """
        means = [
            Forecast.mean_of(of_asset, weights)
            for of_asset in zip(*(each.forecasts() for each in results), strict=True)
        ]
        return self.value_of(means, results[0].assets)

    def value_of(self, forecasts: Sequence[Forecast], assets: Sequence[AssetForecasts]) -> float:
        """Return the score of forecasts by the study's metric alone, the mean over the assets."""
        return mean(
            [
                measure(
                    self.objectives[0], forecast.over(asset.unit), asset.actual / asset.unit, self.scoring_of(asset)
                )
                for forecast, asset in zip(forecasts, assets, strict=True)
            ]
        )
