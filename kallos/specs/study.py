"""What a study is: frozen, hashable specifications, and the one place for every default.

They are the flow's parameters (Prefect draws its form from them), the content of a study file, and
the command line's flags.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from kallos.architectures import registry
from kallos.architectures.lookup import AUTO, architecture_names, canonical, get_architecture
from kallos.architectures.study_space import StudySpace, study_space
from kallos.errors import UsageError, explain
from kallos.specs.data import DEFAULT_TARGET, DataSpec, FeatureSpec, Spec
from kallos.specs.metrics import MEDIAN, OF_QUANTILES, RMSE, check_metric, metric_label

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CalendarWindow = Literal["day", "week", "month", "quarter", "year"]


def _known_architectures(model_name: str) -> str:
    try:
        return canonical(model_name)
    except UsageError as error:
        raise ValueError(str(error).removeprefix("model_name ")) from None


def _offer_architectures(schema: dict[str, Any]) -> None:
    one = rf"\s*(?:{'|'.join([*registry(), AUTO])}|[\w.]+:\w+)\s*"
    schema["anyOf"] = [
        {"type": schema.pop("type"), "enum": [*registry(), AUTO], "title": "One, or all"},
        {"type": "string", "pattern": rf"^{one}(?:,{one})*$", "title": "Several by commas, or module:NAME"},
    ]


ArchitectureName = Annotated[str, AfterValidator(_known_architectures), Field(json_schema_extra=_offer_architectures)]


def _known_metric(metric: str) -> str:
    try:
        return check_metric(metric)
    except UsageError as error:
        raise ValueError(str(error).removeprefix("metric ")) from None


SomeSpec = TypeVar("SomeSpec", bound=Spec)


class FoldSpec(Spec):
    """The walk-forward folds."""

    n_folds: PositiveInt = Field(5, description="Number of validation windows, the last complete ones.")
    window: CalendarWindow | PositiveInt | None = Field(
        None,
        description="Validation window: a calendar period, or a number of rows counted from the first row; "
        "default: quarter for days, month for anything shorter, year for weeks and anything longer, "
        "100 rows for integers.",
        union_mode="left_to_right",
    )
    train_rows: PositiveInt | None = Field(
        None, description="Rolling training windows of so many rows; default: expanding from the first row."
    )
    gap: int = Field(0, ge=0, description="Rows left out of training before a validation window.")
    holdout: int = Field(
        0,
        ge=0,
        description="Last complete windows that no part of the study sees, with the current one behind them: kept for "
        "the evaluation of what it chose.",
    )


class TrainingSpec(Spec):
    """How one model is trained."""

    max_epochs: PositiveInt = Field(30, description="Most passes over the training rows.")
    patience: PositiveInt = Field(5, description="Epochs without a better inner validation loss before a stop.")
    inner_validation: float = Field(
        0.15,
        gt=0,
        lt=0.5,
        description="Share of the training rows, the last ones, that early stopping watches.",
    )


class TuneSpec(Spec):
    """A whole study. Given the same rows, it always has the same result."""

    model_name: ArchitectureName = Field(
        "gru",
        description="Architecture that is tuned; several by commas, or 'auto' for all, let each trial draw one. "
        "module:NAME is one of your own.",
    )
    space: dict[str, Any] = Field(
        default_factory=dict,
        description="Tables of parameters, laid over the search spaces of the architectures: see 'kallos-run space'.",
    )
    data: DataSpec
    features: FeatureSpec = FeatureSpec()
    folds: FoldSpec = FoldSpec()
    training: TrainingSpec = TrainingSpec()
    horizon: PositiveInt = Field(1, description="Steps forecast from each origin.")
    metric: Annotated[str, AfterValidator(_known_metric)] = Field(
        RMSE,
        description="What is minimised: 'rmse', 'mae', with a likelihood 'pinball' or 'crps', or module:NAME of a "
        "function of your own.",
    )
    likelihood: Literal["quantile"] | None = Field(
        None,
        description="'quantile': networks forecast quantiles, of which the median is the point forecast.",
    )
    quantiles: tuple[float, ...] = Field(
        QUANTILES,
        description="Quantiles of likelihood 'quantile': the median, and as many below as above it.",
    )
    n_trials: PositiveInt = Field(20, description="Parameter sets that are tried.")
    seed: int = Field(42, ge=0, lt=2**32, description="Seed of the sampler and of every fit.")
    pruner: Literal["folds", "none", "median"] = Field(
        "folds",
        description="What ends a hopeless trial early: 'folds' (not in the best third on the same folds), 'median' "
        "(Optuna's), or 'none'.",
    )
    max_pending_trials: PositiveInt = Field(
        4,
        description="Trials that may be open at once; a trial's parameters are drawn from what the trials so far "
        "before it have shown. Part of the study: at least twice the most workers meant.",
    )
    warm_start: int = Field(
        0,
        ge=0,
        description="First trials that take the best parameters of the latest study on earlier folds of the same "
        "asset, model, space, target and horizon.",
    )

    @field_validator("quantiles")
    @classmethod
    def _quantiles_are_sound(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        ordered = tuple(sorted(set(quantiles)))
        mirrored = tuple(round(1 - level, 9) for level in reversed(ordered))
        if (
            len(ordered) != len(quantiles)
            or not all(0 < level < 1 for level in ordered)
            or 0.5 not in ordered
            or mirrored != tuple(round(level, 9) for level in ordered)
        ):
            raise ValueError(
                f"must lie between 0 and 1, each once, with 0.5 and with 1 - p for each p, not {list(quantiles)}"
            )
        return ordered

    @field_validator("space")
    @classmethod
    def _space_is_sound(cls, tables: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "model_name" in info.data:
            study_space(info.data["model_name"], tables)
        return tables

    def __hash__(self) -> int:
        """Hash the content: tables of a space are no values that hash."""
        return hash(self.model_dump_json())

    @property
    def metric_label(self) -> str:
        """The metric's name for people: `RMSE`."""
        return metric_label(self.metric)

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles that are forecast; of point forecasts the median's level alone."""
        return (MEDIAN,) if self.likelihood is None else self.quantiles

    @property
    def in_own_units(self) -> bool:
        """Whether errors are counted in the target's own units: of several targets or assets in standard deviations."""
        return len(self.features.targets) == len(self.data.assets) == 1

    @property
    def search_space(self) -> StudySpace:
        """What each trial draws, the study's own tables laid over the recipes, of which some cannot forecast so."""
        laid = study_space(self.model_name, self.space)
        return laid.for_forecasts(self.horizon, has_quantiles=self.likelihood is not None)

    @property
    def model_label(self) -> str:
        """What is tuned, as the study's name and its files' have it: `gru`, `gru+lstm`, `auto`."""
        return self.model_name.replace(",", "+")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for target in self.features.targets:
            if target in self.features.exclude:
                raise ValueError(f"the target {target!r} is excluded: take it out of 'exclude'")
        if len(self.data.assets) > 1 and self.features.log_return_pca is not None:
            raise ValueError("log_return_pca takes one asset: each has components of its own; leave it out")
        # Raises where a parameter has no value that fits the horizon and the likelihood.
        _ = self.search_space
        if self.likelihood is None:
            if self.metric in OF_QUANTILES:
                raise ValueError(f"metric {self.metric!r} needs forecasts of quantiles: give likelihood 'quantile' too")
            if self.quantiles != QUANTILES:
                raise ValueError("quantiles need likelihood 'quantile': give it, or take them out")
            return self
        unfit = [name for name in architecture_names(self.model_name) if not get_architecture(name).stops_early]
        if unfit:
            raise ValueError(f"likelihood 'quantile' needs networks, and {unfit[0]!r} is none: name others")
        return self


def parse_space(model_name: str, tables: Mapping[str, Any]) -> StudySpace:
    """Return the search space of these architectures and tables, or raise `UsageError` as for a whole specification."""
    try:
        return study_space(canonical(model_name), tables)
    except ValidationError as error:
        raise UsageError(explain(error, "space")) from None


def require_holdout(spec: TuneSpec) -> None:
    """Raise `UsageError` for a study that keeps no hold-out, where its model is to be judged."""
    spec.data.refuse_several()
    if not spec.folds.holdout:
        raise UsageError(
            "a night needs a hold-out to judge its model on: keep the last windows from the study, say by a "
            "`holdout` of 2"
        )


def parse_tune_spec(values: Mapping[str, Any]) -> TuneSpec:
    """Return the specification, or raise `UsageError` with a line that names each field at fault."""
    if "all" in values:
        raise UsageError(
            "a study file with a table [all] is of many studies, and one is wanted here: 'kallos-run tune-all' takes "
            "it (prefect.yaml: flows.deploying.read_grid), or take [all] out"
        )
    return parse_spec(TuneSpec, values)


def parse_spec(kind: type[SomeSpec], values: Mapping[str, Any]) -> SomeSpec:
    """Return a specification of this kind, or raise `UsageError` with a line that names each field at fault."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError(explain(error, model=kind)) from None


def study_title(spec: TuneSpec) -> str:
    """Return what a study is of, as a title: `gru on BTC`, or `gru on BTC (rsi_14, 3 steps ahead)` of other targets."""
    of = [] if spec.features.target == DEFAULT_TARGET else [spec.features.target_label]
    of += [f"{spec.horizon} steps ahead"] if spec.horizon > 1 else []
    return f"{spec.model_label} on {spec.data.asset_label}" + (f" ({', '.join(of)})" if of else "")


def unit(spec: TuneSpec) -> str:
    """Return what errors are counted in: the target's own units, of several targets or assets standard deviations."""
    return "own" if spec.in_own_units else "standard deviations"


def metric_with_unit(spec: TuneSpec) -> str:
    """Return the metric's name for people, with the unit where it is not the target's: `RMSE`."""
    return spec.metric_label if unit(spec) == "own" else f"{spec.metric_label} (in {unit(spec)})"
