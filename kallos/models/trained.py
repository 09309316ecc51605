"""A trained model in memory: fitted members, each with its scalers, whose weighted mean is the forecast."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from kallos.errors import DataError, explain
from kallos.folds.scalers import Preparation, PreparationDocument
from kallos.models.manifest import Manifest, MemberRecord
from kallos.scoring.fold import as_fit_errors, model_of_fit
from kallos.scoring.forecast import Forecast
from kallos.scoring.job import FitSpec
from kallos.scoring.training import load_library, quiet_single_thread
from kallos.scoring.weights import restore_weights, weights_bytes
from kallos.specs.data import FeatureSpec

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrainedMember:
    """A fitted Darts model, with the scalers of the rows that it was fitted on."""

    record: MemberRecord
    preparation: Preparation
    model: "GlobalForecastingModel"


@dataclass(frozen=True)
class TrainedModel:
    """A loaded model: its manifest, and its members in the manifest's order."""

    manifest: Manifest
    members: tuple[TrainedMember, ...]

    @classmethod
    def restore(cls, manifest: Manifest, contents: Mapping[str, bytes]) -> Self:
        """Return the model of a manifest and its files; raises `DataError` if a file does not suit the manifest."""

        @cache
        def preparation(name: str) -> Preparation:
            return _restore_preparation(name, contents[name], manifest)

        for record in manifest.members:
            load_library(record.architecture)
        members = []
        with quiet_single_thread():
            for record in manifest.members:
                scalers = preparation(record.preparation)
                members.append(TrainedMember(record, scalers, _restore(record, scalers, contents, manifest)))
        return cls(manifest, tuple(members))

    @property
    def model_id(self) -> str:
        """The id of the model, which contains a hash of its manifest."""
        return self.manifest.model_id

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each member."""
        return tuple(member.record.label for member in self.members)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each member in the forecast."""
        return tuple(member.record.weight for member in self.members)

    def of_each(self, forecast: Callable[[TrainedMember], Array]) -> dict[str, Forecast]:
        """Return the forecast of each member by its label; `forecast` has the form of `rolling_forecasts`."""
        forecasts = {}
        for member in self.members:
            with as_fit_errors(member.record.architecture):
                quantiles = forecast(member)
            to_median = np.asarray(member.record.to_median)
            forecasts[member.record.label] = Forecast.of_quantiles(quantiles, self.manifest.spec.levels, to_median)
        return forecasts

    def mean_of(self, by_member: Mapping[str, Forecast]) -> Forecast:
        """Return the model's forecast, the weighted mean of its members' forecasts."""
        return Forecast.mean_of((by_member[label] for label in self.labels), self.weights)

    def files(self) -> dict[str, bytes]:
        """Return the content of all files but the manifest, by name."""
        preparations = {member.record.preparation: preparation_bytes(member.preparation) for member in self.members}
        return {**preparations, **{member.record.weights: weights_bytes(member.model) for member in self.members}}


def preparation_bytes(preparation: Preparation) -> bytes:
    """Return the file of a preparation, from which every float is restored exactly."""
    return preparation.document().model_dump_json().encode()


def _restore_preparation(name: str, content: bytes, manifest: Manifest) -> Preparation:
    features: FeatureSpec = manifest.spec.features
    try:
        preparation = Preparation.restore(PreparationDocument.model_validate_json(content), features)
    except ValidationError as error:
        raise DataError(f"its {name} is damaged: {explain(error)}") from None
    if sorted(preparation.columns) != sorted(manifest.columns):
        raise DataError(f"the columns of its {name} are not those of the manifest")
    return preparation


def _restore(
    record: MemberRecord, preparation: Preparation, contents: Mapping[str, bytes], manifest: Manifest
) -> "GlobalForecastingModel":
    fit = FitSpec.of(manifest.spec, manifest.choice.member(record.trial).params)
    with as_fit_errors(record.architecture):
        model = model_of_fit(replace(fit, seed=record.seed), preparation.widths, max_epochs=0)
        restore_weights(model, contents[record.weights], preparation.widths, record.weights)
    return model
