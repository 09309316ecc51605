"""The specification of a study, with all defaults.

It defines the flow's parameters (and so Prefect's form), the content of a study file, and the command line's flags.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from kallos.architectures import registry
from kallos.architectures.lookup import AUTO, architecture_names, canonical, get_architecture
from kallos.architectures.losses import MSE, check_loss, get_loss
from kallos.architectures.study_space import StudySpace, study_space
from kallos.errors import UsageError, explain
from kallos.specs.baselines import ALWAYS_SCORED, DEFAULT_BASELINES, check_baselines
from kallos.specs.data import DEFAULT_TARGET, DataSpec, FeatureSpec, Spec, checked
from kallos.specs.metrics import MAE, MEDIAN, RMSE, check_metric, check_objective, metric_label, metric_of

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CalendarWindow = Literal["day", "week", "month", "quarter", "year"]
FIRST_THEN_SECOND: Literal["first within one standard error, then best on the second"] = (
    "first within one standard error, then best on the second"
)
Choose = Literal["best", "simplest", "ensemble"]
PickRule = Literal["first within one standard error, then best on the second", "first"]


def _check_pick(value: object) -> object:
    if value in get_args(PickRule) or (isinstance(value, int) and value >= 0):
        return value
    raise ValueError(f"must be the number of a trial, 'first', or {FIRST_THEN_SECOND!r}, not {value!r}")


def _offer_architectures(schema: dict[str, Any]) -> None:
    one = rf"\s*(?:{'|'.join([*registry(), AUTO])}|[\w.]+:\w+)\s*"
    schema["anyOf"] = [
        {"type": schema.pop("type"), "enum": [*registry(), AUTO], "title": "One, or all"},
        {"type": "string", "pattern": rf"^{one}(?:,{one})*$", "title": "Several, separated by commas, or module:NAME"},
    ]


ArchitectureName = Annotated[str, checked(canonical, "model_name"), Field(json_schema_extra=_offer_architectures)]
SomeSpec = TypeVar("SomeSpec", bound=Spec)


class FoldSpec(Spec):
    """The walk-forward folds."""

    n_folds: PositiveInt = Field(5, description="Number of folds, whose windows are the last complete ones.")
    window: CalendarWindow | PositiveInt | None = Field(
        None,
        description="Validation window: a calendar period, or a number of rows, counted from the first row. "
        "Default: quarter for daily rows, month for more frequent rows, year for weekly and less frequent rows, "
        "100 rows for integers.",
        union_mode="left_to_right",
    )
    train_rows: PositiveInt | None = Field(
        None,
        description="Number of rows in rolling training windows; by default they expand from the first row.",
    )
    gap: int = Field(0, ge=0, description="Number of rows left out of training before each window.")
    holdout: int = Field(
        0,
        ge=0,
        description="Number of last complete windows that, with the current window, no part of the study sees; they "
        "are kept for evaluating the model that it chose.",
    )


class TrainingSpec(Spec):
    """How one model is trained."""

    loss: Annotated[str, checked(check_loss, "loss")] = Field(
        MSE,
        description="Loss that networks are trained on: 'mse', 'mae', 'huber', 'directional' (a penalty on wrong "
        "signs), 'qlike' (needs target_transform 'log'), or module:Class of a custom loss.",
    )
    max_epochs: PositiveInt = Field(30, description="Maximum number of passes over the training rows.")
    patience: PositiveInt = Field(
        5, description="Number of epochs without a better inner validation loss after which training stops."
    )
    inner_validation: float = Field(
        0.15,
        gt=0,
        lt=0.5,
        description="Last share of the training rows, on which early stopping watches the loss.",
    )


class TuneSpec(Spec):
    """A study; the same specification on the same rows always has the same result."""

    model_name: ArchitectureName = Field(
        # Chosen with `choose` on the development series (benchmarks/README.md).
        "lightgbm,ridge",
        description="Architecture to tune. With several, separated by commas, or 'auto' for all, each trial draws one. "
        "module:NAME is a custom architecture.",
    )
    data: DataSpec
    features: FeatureSpec = FeatureSpec()
    folds: FoldSpec = FoldSpec()
    training: TrainingSpec = TrainingSpec()
    # Behind `training`, whose loss has parameters of its own.
    space: dict[str, Any] = Field(
        default_factory=dict,
        description="Tables of parameters that override the architectures' search spaces; see 'kallos-run space'.",
    )
    horizon: PositiveInt = Field(1, description="Number of steps to forecast from each origin.")
    metric: Annotated[str, checked(check_objective, "metric")] = Field(
        RMSE,
        description="Metric to tune by: 'rmse', 'mae', 'mase' or 'smape'; 'qlike' for a volatility or variance; "
        "'pinball' or 'crps' if a likelihood is set; 'direction', 'ic' or 'rank_ic', of which more is better; or "
        "module:function of a custom metric.",
    )
    objectives: tuple[Annotated[str, checked(check_objective, "metric")], ...] = Field(
        (),
        description="Several metrics to tune by, each in its own direction, in place of `metric`. The verdict goes by "
        "the first. The study keeps the trials that no other trial dominates, and `pick` picks one of them.",
    )
    pick: Annotated[Annotated[int, Field(ge=0)] | PickRule, BeforeValidator(_check_pick)] = Field(
        FIRST_THEN_SECOND,
        description="Which trial is picked with several objectives: of those within one standard error of the best by "
        "the first, the best by the second (and then by the next ones); the best by the 'first' alone; or the number "
        "of a trial.",
    )
    metrics: tuple[Annotated[str, checked(check_metric, "metric")], ...] = Field(
        (), description="Further metrics to show beside the objectives; nothing is chosen by them."
    )
    cost_bps: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="What buying or selling costs, in hundredths of a percent, for metrics of positions, as sharpe.",
    )
    choose: Choose = Field(
        "ensemble",
        description="What to train: an 'ensemble', the mean of up to five trials, which needs four folds; the 'best' "
        "trial; or the 'simplest', the cheapest trial that cannot be told from the best.",
    )
    seeds: PositiveInt = Field(
        3, description="Number of seeds with which each chosen trial is trained; the forecast is their mean."
    )
    baselines: Annotated[tuple[str, ...], checked(check_baselines, "baselines")] = Field(
        DEFAULT_BASELINES,
        description="Baselines that the model has to beat: 'zero', 'last', 'mean', 'drift', 'seasonal', 'ewma', 'har', "
        "'ridge', 'garch:COLUMN' with the column of a volatility's returns, 'column:COLUMN' with a column that "
        "forecasts the target. HAR and ridge are always shown.",
    )
    likelihood: Literal["quantile"] | None = Field(
        None,
        description="'quantile' makes networks forecast quantiles; the median is the point forecast.",
    )
    quantiles: tuple[float, ...] = Field(
        QUANTILES,
        description="Quantiles to forecast with likelihood 'quantile': the median, and as many below it as above.",
    )
    n_trials: PositiveInt = Field(20, description="Number of parameter sets to try.")
    seed: int = Field(42, ge=0, lt=2**32, description="Seed of the sampler and of every fit.")
    pruner: Literal["folds", "none", "median"] = Field(
        "folds",
        description="Rule that ends a hopeless trial early: 'folds' (it is worse than the best one on the same folds "
        "by more than folds scatter), 'median' (Optuna's median pruner), or 'none'.",
    )
    max_pending_trials: PositiveInt = Field(
        4,
        description="Number of trials that may be pending at the same time: a trial's parameters are drawn from the "
        "results of the trials at least this many numbers before it. It changes the study; set it to at least twice "
        "the workers that you will use.",
    )
    warm_start: int = Field(
        0,
        ge=0,
        description="Number of first trials that reuse the best parameters of the latest study on earlier folds with "
        "the same asset, model, space, target and horizon.",
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
                f"must be distinct, lie between 0 and 1, and contain 0.5 and 1 - p for each p, not {list(quantiles)}"
            )
        return ordered

    @field_validator("space")
    @classmethod
    def _space_is_sound(cls, tables: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if info.data.keys() >= {"model_name", "training"}:
            study_space(info.data["model_name"], tables, info.data["training"].loss)
        return tables

    def __hash__(self) -> int:
        """Hash the content, because the tables of a space are not hashable."""
        return hash(self.model_dump_json())

    @property
    def scored_metrics(self) -> tuple[str, ...]:
        """The metrics that folds are scored by: the objectives, RMSE and MAE, and those to show beside them."""
        return tuple(dict.fromkeys((*self.objectives, RMSE, MAE, *self.metrics)))

    @property
    def metric_label(self) -> str:
        """The metric's name for people: `RMSE`."""
        return metric_label(self.metric)

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles that are forecast; for point forecasts, only the median."""
        return (MEDIAN,) if self.likelihood is None else self.quantiles

    @property
    def scored_baselines(self) -> tuple[str, ...]:
        """The baselines that are scored: those that count, and those that are always shown."""
        return tuple(dict.fromkeys((*self.baselines, *ALWAYS_SCORED)))

    @property
    def in_own_units(self) -> bool:
        """Whether errors are in the target's own units, as with one target and asset, not in standard deviations."""
        return len(self.features.targets) == len(self.data.assets) == 1

    @property
    def search_space(self) -> StudySpace:
        """What each trial draws: the architectures' spaces with the study's tables, without what cannot forecast so."""
        laid = study_space(self.model_name, self.space, self.training.loss)
        return laid.for_forecasts(
            self.horizon, has_quantiles=self.likelihood is not None, has_known=self.features.has_known_columns
        )

    @property
    def model_label(self) -> str:
        """The model as part of a name: `gru`, `gru+lstm`, `auto`."""
        return self.model_name.replace(",", "+")

    @model_validator(mode="before")
    @classmethod
    def _metric_is_the_first_objective(cls, values: Any) -> Any:
        """Let `metric` alone be the only objective, and the first of several objectives be the metric."""
        if not isinstance(values, Mapping):
            return values
        objectives = values.get("objectives") or ()
        several = (objectives,) if isinstance(objectives, str) else tuple(objectives)
        metric = values.get("metric") or (several[0] if several else RMSE)
        if several and several[0] != metric:
            raise ValueError(
                f"the first of 'objectives' must be the metric, and is {several[0]!r} with metric {metric!r}: leave "
                f"'metric' out, or make {metric!r} the first of 'objectives'"
            )
        if len(set(several)) < len(several):
            raise ValueError(f"'objectives' must name each objective once, not {', '.join(several)}")
        return {**values, "metric": metric, "objectives": several or (metric,)}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for target in self.features.targets:
            if target in self.features.exclude:
                raise ValueError(f"the target {target!r} is excluded: remove it from 'exclude'")
        if len(self.data.assets) > 1 and self.features.log_return_pca is not None:
            raise ValueError("log_return_pca needs a single asset, because each has its own components: remove it")
        local = [name for name in architecture_names(self.model_name) if get_architecture(name).is_local]
        if local and len(self.data.assets) > 1:
            raise ValueError(f"{local[0]} forecasts each series alone: name a single asset, or other models")
        unfit_loss = loss_that_does_not_fit(self)
        if unfit_loss is not None:
            raise ValueError(unfit_loss)
        if isinstance(self.pick, int) and self.pick >= self.n_trials:
            raise ValueError(f"'pick' must be the number of a trial below n_trials, {self.n_trials}, not {self.pick}")
        # Raises if a parameter has no value that fits the horizon and the likelihood.
        _ = self.search_space
        if self.likelihood is None:
            for name in self.scored_metrics:
                if metric_of(name).needs_likelihood:
                    raise ValueError(f"metric {name!r} needs quantile forecasts: set likelihood to 'quantile'")
            if self.quantiles != QUANTILES:
                raise ValueError("quantiles need likelihood 'quantile': set it, or remove them")
            return self
        unfit = [name for name in architecture_names(self.model_name) if not get_architecture(name).learns_quantiles]
        if unfit:
            raise ValueError(
                f"likelihood 'quantile' needs other models than {unfit[0]!r}, which forecasts points alone"
            )
        return self


def loss_that_does_not_fit(spec: TuneSpec) -> str | None:
    """Return why networks cannot be trained on the study's loss, with a remedy, or None if they can."""
    name, features = spec.training.loss, spec.features
    if name == MSE:
        return None
    if not any(get_architecture(each).stops_early for each in architecture_names(spec.model_name)):
        return f"loss {name!r} is for networks, and the study names none: remove it, or add a model such as gru"
    if spec.likelihood is not None:
        return f"likelihood {spec.likelihood!r} is a loss of its own, beside loss {name!r}: remove one of them"
    if name == "qlike" and features.target_transform != "log":
        return "loss 'qlike' needs positive forecasts: set target_transform to 'log', or choose another loss"
    if name == "directional" and features.target_transform == "log":
        return "loss 'directional' needs a target with signs, and target_transform 'log' a positive one: change one"
    if get_loss(name).reads_units and len(spec.data.assets) > 1:
        return f"loss {name!r} needs a single asset, because each has its own scale: name one, or choose another loss"
    return None


def parse_space(model_name: str, tables: Mapping[str, Any], loss: str = MSE) -> StudySpace:
    """Return the search space of these architectures, tables and loss.

    Raises `UsageError` that names the invalid field.
    """
    try:
        return study_space(canonical(model_name), tables, check_loss(loss))
    except ValidationError as error:
        raise UsageError(explain(error, "space")) from None


def require_holdout(spec: TuneSpec) -> None:
    """Raise `UsageError` for a nightly study without a hold-out, or with several assets."""
    spec.data.refuse_several()
    if not spec.folds.holdout:
        raise UsageError("a nightly run needs a hold-out to judge its model on: set `holdout` to 2, for example")


def parse_tune_spec(values: Mapping[str, Any]) -> TuneSpec:
    """Return the specification, or raise `UsageError` with one line that names each invalid field."""
    if "all" in values:
        raise UsageError(
            "a study file with a table [all] describes many studies: use 'kallos-run tune-all' (prefect.yaml: "
            "flows.deploying.read_grid), or remove [all] to tune one"
        )
    return parse_spec(TuneSpec, values)


def parse_spec(kind: type[SomeSpec], values: Mapping[str, Any]) -> SomeSpec:
    """Return a specification of this kind, or raise `UsageError` with one line that names each invalid field."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError(explain(error, model=kind)) from None


def study_title(spec: TuneSpec) -> str:
    """Return a study's title: `gru on BTC`, or `gru on BTC (rsi_14, 3 steps ahead)` if not the default target."""
    of = [] if spec.features.target == DEFAULT_TARGET else [spec.features.target_label]
    of += [f"{spec.horizon} steps ahead"] if spec.horizon > 1 else []
    return f"{spec.model_label} on {spec.data.asset_label}" + (f" ({', '.join(of)})" if of else "")


def unit(spec: TuneSpec) -> str:
    """Return the unit of errors: the target's own, standard deviations with several targets or assets, or none."""
    if metric_of(spec.metric).unit == "none":
        return "none"
    return "own" if spec.in_own_units else "standard deviations"


def metric_with_unit(spec: TuneSpec) -> str:
    """Return the metric's name for people, with the unit if it is standard deviations: `RMSE`."""
    return f"{spec.metric_label} (in {unit(spec)})" if unit(spec) == "standard deviations" else spec.metric_label
