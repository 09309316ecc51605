"""The score of a fold: a view of its forecasts by the metrics of a study."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict

from kallos.errors import FitError
from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import ForecastErrors, errors_of, mean, mean_of_each
from kallos.scoring.result import AssetForecasts, FoldResult
from kallos.specs.metrics import QLIKE
from kallos.specs.study import TuneSpec


class FoldScore(BaseModel):
    """The errors of one parameter set on one fold, in units of `error_unit`; lower is better.

    `value`, `by_asset` and `by_target` are by the study's metric. All errors but `by_asset` are means over the assets.
    `fingerprint` is that of the fold job, under which the fold's forecasts are kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    value: float
    rmse: float
    mae: float
    by_asset: tuple[float, ...]
    by_target: tuple[float, ...]
    n_forecasts: int
    epochs: int
    best_epoch: int
    seconds: float


@dataclass(frozen=True)
class Scoring:
    """How a study scores forecasts; `powers` are those of `FeatureSpec.variance_powers`."""

    metric: str
    powers: tuple[int, ...]

    @classmethod
    def of(cls, spec: TuneSpec) -> Self:
        """Return the scoring of a study."""
        return cls(spec.metric, spec.features.variance_powers)

    def score(self, result: FoldResult, fingerprint: str) -> FoldScore:
        """Return the score of a fold; it covers all (origin, step) pairs and is the mean over the assets.

        Raises `FitError` if the metric cannot score such forecasts.
        """
        each = self._errors_of(result.forecasts(), result.assets)
        return FoldScore(
            fingerprint=fingerprint,
            value=self._value_of(each),
            rmse=mean([asset.rmse for asset in each]),
            mae=mean([asset.mae for asset in each]),
            by_asset=tuple(asset.value for asset in each),
            by_target=mean_of_each([asset.by_target for asset in each]),
            n_forecasts=sum(asset.n_forecasts for asset in each),
            **result.fit.model_dump(),
        )

    def value_of_mean(self, results: Sequence[FoldResult], weights: Sequence[float]) -> float:
        """Return the error of the weighted mean of several forecasts of one fold, the mean over the assets.

        That of a single forecast is the value of its score to the bit. Raises `FitError` as `score`.
        """
        means = [
            Forecast.mean_of(of_asset, weights)
            for of_asset in zip(*(each.forecasts() for each in results), strict=True)
        ]
        return self._value_of(self._errors_of(means, results[0].assets))

    def _errors_of(self, forecasts: Iterable[Forecast], assets: Sequence[AssetForecasts]) -> list[ForecastErrors]:
        return [
            errors_of(self.metric, forecast.over(asset.unit), asset.actual / asset.unit, self.powers)
            for forecast, asset in zip(forecasts, assets, strict=True)
        ]

    def _value_of(self, each: Sequence[ForecastErrors]) -> float:
        value = mean([asset.value for asset in each])
        if self.metric == QLIKE and value == math.inf:
            raise FitError(
                "forecasts must be positive with metric qlike, and some are not: set `target_transform` to 'log'"
            )
        return value
