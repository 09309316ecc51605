"""The score of a fold: a view of its forecasts by the metrics of a study."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from pydantic import BaseModel, ConfigDict

from kallos.errors import FitError
from kallos.scoring.forecast import Forecast
from kallos.scoring.metrics import Scoring, mean, measure
from kallos.scoring.positions import Trading
from kallos.scoring.result import AssetForecasts, FoldResult
from kallos.specs.metrics import MAE, QLIKE, RMSE, metric_of_one_target
from kallos.specs.study import TuneSpec


class FoldScore(BaseModel):
    """The scores of one parameter set on one fold, in units of `error_unit`.

    `values` has those by each metric of the study, RMSE and MAE; one that is only shown is `nan` where it is not
    defined. `value`, `by_asset` and `by_target` are by the study's metric, the first objective. All but `by_asset` are
    means over the assets. `fingerprint` is that of the fold job, under which the fold's forecasts are kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    value: float
    values: dict[str, float]
    by_asset: tuple[float, ...]
    by_target: tuple[float, ...]
    n_forecasts: int
    epochs: int
    best_epoch: int
    seconds: float

    @property
    def rmse(self) -> float:
        """The root of the mean square."""
        return self.values[RMSE]

    @property
    def mae(self) -> float:
        """The mean absolute error."""
        return self.values[MAE]


@dataclass(frozen=True)
class Scorer:
    """How a study scores forecasts; `objectives` are the first of its `metrics`.

    `powers` are those of `FeatureSpec.variance_powers`.
    """

    objectives: tuple[str, ...]
    metrics: tuple[str, ...]
    powers: tuple[int, ...]
    trading: Trading = field(default_factory=Trading)

    @classmethod
    def of(cls, spec: TuneSpec) -> Self:
        """Return the scoring of a study."""
        return cls(spec.objectives, spec.scored_metrics, spec.features.variance_powers)

    @classmethod
    def by(cls, metric: str, powers: tuple[int, ...]) -> Self:
        """Return the scoring by one metric, with RMSE and MAE."""
        return cls((metric,), tuple(dict.fromkeys((metric, RMSE, MAE))), powers)

    def score(self, result: FoldResult, fingerprint: str) -> FoldScore:
        """Return the score of a fold; it covers all (origin, step) pairs and is the mean over the assets.

        Raises `FitError` if a metric cannot score such forecasts.
        """
        first = self.objectives[0]
        pairs = list(zip(result.forecasts(), result.assets, strict=True))
        each = [{name: self._measure(name, *pair) for name in self.metrics} for pair in pairs]
        values = {name: mean_of_defined([asset[name] for asset in each]) for name in self.metrics}
        if values.get(QLIKE) == math.inf and QLIKE in self.objectives:
            raise FitError(
                "forecasts must be positive with metric qlike, and some are not: set `target_transform` to 'log'"
            )
        targets = range(len(self.powers))
        return FoldScore(
            fingerprint=fingerprint,
            value=values[first],
            values=values,
            by_asset=tuple(asset[first] for asset in each),
            by_target=tuple(mean([self._measure_target(first, i, *pair) for pair in pairs]) for i in targets),
            n_forecasts=sum(asset.actual.size for asset in result.assets),
            **result.fit.model_dump(),
        )

    def _measure(self, name: str, forecast: Forecast, asset: AssetForecasts) -> float:
        scoring = self.scoring_of(asset)
        return measure(name, forecast.over(asset.unit), asset.actual / asset.unit, scoring)

    def _measure_target(self, name: str, target: int, forecast: Forecast, asset: AssetForecasts) -> float:
        own, actual = forecast.over(asset.unit).of_target(target), (asset.actual / asset.unit)[:, :, [target]]
        return measure(metric_of_one_target(name), own, actual, self.scoring_of(asset).of_target(target))

    def scoring_of(self, asset: AssetForecasts) -> Scoring:
        """Return what metrics need besides an asset's forecasts and actual values, in its units."""
        reference = asset.reference[:, None, :] / asset.unit
        return Scoring(self.powers, asset.unit, asset.change, reference, self.trading)


def mean_of_defined(values: Sequence[float]) -> float:
    """Return the mean of the values that are numbers, or `nan` if none is."""
    defined = [value for value in values if not math.isnan(value)]
    return mean(defined) if defined else math.nan
