"""Normalisation: fitted on training rows, applied to any later ones, and stored without a pickle."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, FiniteFloat

from kallos.architectures import Widths
from kallos.errors import DataError, FitError
from kallos.folds.derived import sources_of
from kallos.specs.data import FeatureSpec, TargetTransform

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
    "FlooredLog": ("floor_",),
}


@dataclass(frozen=True)
class TargetScale:
    """Each target's mean and standard deviation over the training rows; targets are the last axis of values.

    With `transform` log they are those of the target's logarithm.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    transform: TargetTransform = "none"

    def normalise(self, values: Array) -> Array:
        """Return values in standard deviations from the mean."""
        return np.asarray((transformed(values, self.transform) - np.asarray(self.mean)) / np.asarray(self.std))

    def restore(self, values: npt.ArrayLike) -> Array:
        """Return normalised values in the target's own units."""
        scaled = np.asarray(values, np.float64) * np.asarray(self.std) + np.asarray(self.mean)
        return np.asarray(np.exp(scaled) if self.transform == "log" else scaled)


def transformed(values: Array, transform: TargetTransform) -> Array:
    """Return the values that a model is trained on, before they are scaled."""
    return np.log(values) if transform == "log" else values


class FlooredLog:
    """The logarithm of values, each at least the smallest positive one that the column had when it was fitted.

    A range is zero on a day without a trade, which has no logarithm.
    """

    floor_: Array

    def fit_transform(self, values: Array) -> Array:
        """Take the floors from these values, and return their logarithms; a column without positive values gets 0."""
        positive = np.where(values > 0, values, np.inf).min(axis=0)
        self.floor_ = np.where(np.isfinite(positive), positive, 1.0)
        return self.transform(values)

    def transform(self, values: Array) -> Array:
        """Return the logarithms of values of shape (rows, columns)."""
        return np.asarray(np.log(np.maximum(values, self.floor_)))


@dataclass(frozen=True, eq=False)
class GroupScaler:
    """The fitted transformers of one feature group, applied to its columns in sequence."""

    group: str
    columns: tuple[str, ...]
    steps: tuple[Any, ...]

    @property
    def outputs(self) -> tuple[str | None, ...]:
        """The names of the output columns; principal components, which may be fewer than the input's, have none."""
        components = getattr(self.steps[-1], "components_", None)
        return self.columns if components is None else (None,) * len(components)

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
    transform: TargetTransform
    mean: Numbers
    std: Numbers
    groups: tuple[GroupDocument, ...]
    known_groups: tuple[GroupDocument, ...]


@dataclass(frozen=True)
class PreparedSeries:
    """The normalised float32 series of some rows, on a `RangeIndex` from the first of them.

    `past_covariates` and `known` are None if there are no such columns. `known` may have more rows than the others,
    since its values are known ahead.
    """

    target: "TimeSeries"
    past_covariates: "TimeSeries | None"
    known: "TimeSeries | None"
    preparation: "Preparation"

    @property
    def target_scale(self) -> TargetScale:
        """The scale that restores the target's own units."""
        return self.preparation.target_scale


@dataclass(frozen=True, eq=False)
class Preparation:
    """The scale of the targets and the scalers of the feature groups, fitted on training rows.

    `known_scalers` are those of the columns that are known ahead, `added` the names of the means and lags that the
    study adds.
    """

    targets: tuple[str, ...]
    target_scale: TargetScale
    scalers: tuple[GroupScaler, ...]
    known_scalers: tuple[GroupScaler, ...]
    added: frozenset[str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs: the targets, then group by group, those that are known ahead last."""
        scalers = (*self.scalers, *self.known_scalers)
        return (*self.targets, *(name for scaler in scalers for name in scaler.columns))

    @property
    def widths(self) -> Widths:
        """The numbers of columns in its output; a principal component is no added column."""
        names = [name for scaler in self.scalers for name in scaler.outputs]
        known = sum(len(scaler.outputs) for scaler in self.known_scalers)
        added = tuple(place for place, name in enumerate(names) if name in self.added)
        return Widths(len(self.targets), len(names), known, added)

    @classmethod
    def fit(
        cls, rows: pd.DataFrame, features: FeatureSpec, groups: Mapping[str, list[str]], known: Collection[str]
    ) -> Self:
        """Fit the scales of the targets and the groups on these rows; raises `FitError` if a target is constant."""
        transform = features.target_transform
        columns = [transformed(rows[name].to_numpy(np.float64), transform) for name in features.targets]
        for name, target in zip(features.targets, columns, strict=True):
            # The standard deviation of equal values may be rounding noise instead of zero.
            if not np.ptp(target) > 0:
                raise FitError(f"the target {name!r} must not be constant over the {len(target)} training rows")
        scale = TargetScale(
            mean=tuple(float(each.mean()) for each in columns),
            std=tuple(float(each.std()) for each in columns),
            transform=transform,
        )
        past, ahead = (
            {group: [name for name in names if (name in known) == is_known] for group, names in groups.items()}
            for is_known in (False, True)
        )
        added = frozenset(sources_of(rows.columns, features))
        return cls(
            features.targets, scale, _fit_groups(rows, past, features), _fit_groups(rows, ahead, features), added
        )

    def apply(self, rows: pd.DataFrame, ahead: pd.DataFrame | None = None) -> PreparedSeries:
        """Return the series of rows with these columns; raises `FitError` if a covariate exceeds float32.

        `ahead` has the columns that are known ahead in the rows that follow.
        """
        from darts import TimeSeries

        target = self.target_scale.normalise(rows[list(self.targets)].to_numpy(np.float64)).astype(np.float32)
        known_rows = rows if ahead is None else pd.concat([rows[list(ahead.columns)], ahead])
        return PreparedSeries(
            target=TimeSeries.from_values(target, columns=list(self.targets)),
            past_covariates=_covariates(rows, self.scalers),
            known=_covariates(known_rows, self.known_scalers),
            preparation=self,
        )

    def document(self) -> PreparationDocument:
        """Return the preparation for JSON; `restore` restores it exactly."""
        return PreparationDocument(
            targets=self.targets,
            transform=self.target_scale.transform,
            mean=self.target_scale.mean,
            std=self.target_scale.std,
            groups=tuple(map(_group_document, self.scalers)),
            known_groups=tuple(map(_group_document, self.known_scalers)),
        )

    @classmethod
    def restore(cls, document: PreparationDocument, features: FeatureSpec) -> Self:
        """Return the preparation of a document; raises `DataError` if it does not match these features."""
        if document.targets != features.targets:
            raise DataError(f"the target must be {features.target_label!r}, as in its features")
        if document.transform != features.target_transform:
            raise DataError(f"`target_transform` must be {features.target_transform}, as in its features")
        if not len(document.mean) == len(document.std) == len(features.targets):
            raise DataError("there must be one mean and one standard deviation for each target")
        names = [name for group in (*document.groups, *document.known_groups) for name in group.columns]
        return cls(
            targets=features.targets,
            target_scale=TargetScale(document.mean, document.std, document.transform),
            scalers=tuple(_restore_group(each, features) for each in document.groups),
            known_scalers=tuple(_restore_group(each, features) for each in document.known_groups),
            added=frozenset(sources_of(pd.Index(names), features)),
        )


def _covariates(rows: pd.DataFrame, scalers: tuple[GroupScaler, ...]) -> "TimeSeries | None":
    from darts import TimeSeries

    if not scalers:
        return None
    covariates = np.hstack([each.transform(_values(rows, each.columns)) for each in scalers]).astype(np.float32)
    if not np.isfinite(covariates).all():
        raise FitError("normalised covariates must be finite in float32; look for values on another scale")
    return TimeSeries.from_values(covariates)


def _values(rows: pd.DataFrame, names: list[str] | tuple[str, ...]) -> Array:
    positions = [rows.columns.get_loc(name) for name in names]
    return np.asarray(rows.to_numpy(np.float64)[:, positions])


def _fit_groups(rows: pd.DataFrame, groups: Mapping[str, list[str]], features: FeatureSpec) -> tuple[GroupScaler, ...]:
    return tuple(_fit_group(group, names, _values(rows, names), features) for group, names in groups.items() if names)


def _fit_group(group: str, columns: list[str], values: Array, features: FeatureSpec) -> GroupScaler:
    steps = _steps(group, features)
    for step in steps:
        values = step.fit_transform(values)
    return GroupScaler(group, tuple(columns), steps)


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
        case "volatility":
            return FlooredLog(), StandardScaler()
        case "log_return" if features.log_return_pca is not None:
            return StandardScaler(), PCA(features.log_return_pca, svd_solver="full")
        case _:
            return (StandardScaler(),)


def _signed_log1p(values: Array) -> Array:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def _group_document(scaler: GroupScaler) -> GroupDocument:
    steps = tuple(map(_step_document, scaler.steps))
    return GroupDocument(group=scaler.group, columns=scaler.columns, steps=steps)


def _restore_group(document: GroupDocument, features: FeatureSpec) -> GroupScaler:
    steps = _steps(document.group, features)
    if [type(step).__name__ for step in steps] != [step.kind for step in document.steps]:
        raise DataError(f"the scaler of group {document.group!r} must be the one of its features")
    for step, fitted in zip(steps, document.steps, strict=True):
        _restore_step(step, fitted, len(document.columns))
    return GroupScaler(document.group, document.columns, steps)


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
