"""Normalisation: fitted on training rows, applied to any later ones, and stored without a pickle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, FiniteFloat

from kallos.errors import DataError, FitError
from kallos.specs.data import FeatureSpec

if TYPE_CHECKING:
    from darts import TimeSeries

Array = npt.NDArray[np.float64]
Numbers = tuple[FiniteFloat, ...]

# The fitted attributes that each of scikit-learn's transformers needs to transform.
_FITTED: Mapping[str, tuple[str, ...]] = {
    "FunctionTransformer": (),
    "StandardScaler": ("mean_", "scale_"),
    "MinMaxScaler": ("min_", "scale_"),
    "RobustScaler": ("center_", "scale_"),
    "PCA": ("mean_", "components_"),
}


@dataclass(frozen=True)
class TargetScale:
    """Each target's mean and standard deviation over the training rows; targets are the last axis of values."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def normalise(self, values: Array) -> Array:
        """Return values in standard deviations from the mean."""
        return np.asarray((values - np.asarray(self.mean)) / np.asarray(self.std))

    def restore(self, values: npt.ArrayLike) -> Array:
        """Return normalised values in the target's own units."""
        return np.asarray(np.asarray(values, np.float64) * np.asarray(self.std) + np.asarray(self.mean))


@dataclass(frozen=True, eq=False)
class GroupScaler:
    """The fitted transformers of one feature group, applied to its columns in sequence."""

    group: str
    columns: tuple[str, ...]
    steps: tuple[Any, ...]

    @property
    def n_outputs(self) -> int:
        """Number of output columns; principal components may be fewer than the input columns."""
        return len(getattr(self.steps[-1], "components_", self.columns))

    def transform(self, values: Array) -> Array:
        """Return normalised values of shape (rows, outputs)."""
        for step in self.steps:
            values = step.transform(values)
        return values


class StepDocument(BaseModel):
    """One transformer: its class, and its fitted arrays of one or two dimensions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    fitted: dict[str, Numbers | tuple[Numbers, ...]]
    # The memory order of a matrix affects the last bit of a product.
    order: Literal["C", "F"] = "C"


class GroupDocument(BaseModel):
    """The transformers of one feature group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    columns: tuple[str, ...]
    steps: tuple[StepDocument, ...]


class PreparationDocument(BaseModel):
    """A preparation for JSON, from which every float is restored exactly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: tuple[str, ...]
    mean: Numbers
    std: Numbers
    groups: tuple[GroupDocument, ...]


@dataclass(frozen=True)
class PreparedSeries:
    """The normalised float32 series of some rows, on a `RangeIndex` from the first of them.

    `past_covariates` is None if there are no columns besides the targets.
    """

    target: "TimeSeries"
    past_covariates: "TimeSeries | None"
    preparation: "Preparation"

    @property
    def target_scale(self) -> TargetScale:
        """The scale that restores the target's own units."""
        return self.preparation.target_scale


@dataclass(frozen=True, eq=False)
class Preparation:
    """The scale of the targets and the scalers of the feature groups, fitted on training rows."""

    targets: tuple[str, ...]
    target_scale: TargetScale
    scalers: tuple[GroupScaler, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs: the targets, then group by group."""
        return (*self.targets, *(name for scaler in self.scalers for name in scaler.columns))

    @property
    def n_covariates(self) -> int:
        """Number of past covariates in its output."""
        return sum(scaler.n_outputs for scaler in self.scalers)

    @classmethod
    def fit(cls, rows: pd.DataFrame, features: FeatureSpec, groups: Mapping[str, list[str]]) -> Self:
        """Fit the scales of the targets and the groups on these rows; raises `FitError` if a target is constant."""
        columns = [rows[name].to_numpy(np.float64) for name in features.targets]
        for name, target in zip(features.targets, columns, strict=True):
            # The standard deviation of equal values may be rounding noise instead of zero.
            if not np.ptp(target) > 0:
                raise FitError(f"the target {name!r} must not be constant over the {len(target)} training rows")
        scale = TargetScale(
            mean=tuple(float(each.mean()) for each in columns), std=tuple(float(each.std()) for each in columns)
        )
        scalers = (
            _fit_group(group, tuple(names), _values(rows, names), features) for group, names in groups.items() if names
        )
        return cls(features.targets, scale, tuple(scalers))

    def apply(self, rows: pd.DataFrame) -> PreparedSeries:
        """Return the series of rows with these columns; raises `FitError` if a covariate exceeds float32."""
        from darts import TimeSeries

        target = self.target_scale.normalise(rows[list(self.targets)].to_numpy(np.float64)).astype(np.float32)
        covariates = self._covariates(rows)
        return PreparedSeries(
            target=TimeSeries.from_values(target, columns=list(self.targets)),
            past_covariates=None if covariates is None else TimeSeries.from_values(covariates),
            preparation=self,
        )

    def _covariates(self, rows: pd.DataFrame) -> npt.NDArray[np.float32] | None:
        if not self.scalers:
            return None
        parts = [scaler.transform(_values(rows, scaler.columns)) for scaler in self.scalers]
        covariates: npt.NDArray[np.float32] = np.hstack(parts).astype(np.float32)
        if not np.isfinite(covariates).all():
            raise FitError("normalised covariates must be finite in float32; look for values on another scale")
        return covariates

    def document(self) -> PreparationDocument:
        """Return the preparation for JSON; `restore` restores it exactly."""
        return PreparationDocument(
            targets=self.targets,
            mean=self.target_scale.mean,
            std=self.target_scale.std,
            groups=tuple(
                GroupDocument(group=each.group, columns=each.columns, steps=tuple(map(_step_document, each.steps)))
                for each in self.scalers
            ),
        )

    @classmethod
    def restore(cls, document: PreparationDocument, features: FeatureSpec) -> Self:
        """Return the preparation of a document; raises `DataError` if it does not match these features."""
        if document.targets != features.targets:
            raise DataError(f"the target must be {features.target_label!r}, as in its features")
        if not len(document.mean) == len(document.std) == len(features.targets):
            raise DataError("there must be one mean and one standard deviation for each target")
        scalers = []
        for each in document.groups:
            steps = _steps(each.group, features)
            if [type(step).__name__ for step in steps] != [step.kind for step in each.steps]:
                raise DataError(f"the scaler of group {each.group!r} must be the one of its features")
            width = len(each.columns)
            for step, fitted in zip(steps, each.steps, strict=True):
                _restore_step(step, fitted, width)
            scalers.append(GroupScaler(each.group, each.columns, steps))
        return cls(features.targets, TargetScale(mean=document.mean, std=document.std), tuple(scalers))


def _values(rows: pd.DataFrame, names: list[str] | tuple[str, ...]) -> Array:
    positions = [rows.columns.get_loc(name) for name in names]
    return np.asarray(rows.to_numpy(np.float64)[:, positions])


def _fit_group(group: str, columns: tuple[str, ...], values: Array, features: FeatureSpec) -> GroupScaler:
    steps = _steps(group, features)
    for step in steps:
        values = step.fit_transform(values)
    return GroupScaler(group, columns, steps)


def _steps(group: str, features: FeatureSpec) -> tuple[Any, ...]:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, StandardScaler

    match group:
        case "volume":
            return FunctionTransformer(np.log1p), StandardScaler()
        case "bounded":
            # Later values may exceed the training range.
            return (MinMaxScaler(clip=True),)
        case "unbounded":
            return (RobustScaler(quantile_range=(5, 95)),)
        case "rate_of_change":
            return FunctionTransformer(_signed_log1p), StandardScaler()
        case "log_return" if features.log_return_pca is not None:
            return StandardScaler(), PCA(features.log_return_pca, svd_solver="full")
        case _:
            return (StandardScaler(),)


def _signed_log1p(values: Array) -> Array:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def _step_document(step: Any) -> StepDocument:
    fitted = {name: getattr(step, name) for name in _FITTED[type(step).__name__]}
    in_fortran = any(array.ndim == 2 and not array.flags.c_contiguous for array in fitted.values())
    return StepDocument(
        kind=type(step).__name__,
        fitted={name: array.tolist() for name, array in fitted.items()},
        order="F" if in_fortran else "C",
    )


def _restore_step(step: Any, document: StepDocument, width: int) -> None:
    names = _FITTED[document.kind]
    if set(document.fitted) != set(names):
        raise DataError(f"a {document.kind} must have exactly the fitted values {', '.join(names) or '(none)'}")
    for name in names:
        array = np.array(document.fitted[name], dtype=np.float64, order=document.order)
        if array.shape != ((width,) if array.ndim == 1 else (len(array), width)):
            raise DataError(f"{name} of a {document.kind} must have {width} columns")
        setattr(step, name, array)
    if names:
        step.n_features_in_ = width
