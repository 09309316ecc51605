"""What a study is: frozen, hashable specifications, and the one place for every default.

They are the flow's parameters (Prefect draws its form from them), the content of a study file, and
the command line's flags.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
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
from kallos.errors import UsageError, explain, shorten
from kallos.metrics import OF_QUANTILES, RMSE, check_metric, metric_label
from kallos.query_text import one_statement
from kallos.targets import target_label
from kallos.time_zones import check_zone

# A moment in the features' index: an ISO date or timestamp, or an integer, as text.
Moment = Annotated[str, BeforeValidator(lambda value: value if value is None else str(value))]
Patterns = tuple[str, ...]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CalendarStep = Literal["day", "week", "month", "quarter", "year"]
DEFAULT_TARGET = "log_return_close"
# Longer names of several assets are shortened: a study's name has 512 characters in Optuna's database.
_LONGEST_LABEL = 60


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


def _known_zone(zone: str | None) -> str | None:
    return None if zone is None else check_zone(zone)


# What every study was before it could be chosen is not written down: their documents and hashes stay as they were.
def _unwritten(default: Any) -> Any:
    return lambda value: value == default


def _name_or_names(value: Any) -> Any:
    names = value if isinstance(value, list | tuple) else [value]
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"must be a name or a list of names, not {value!r}")
    if "" in names:
        raise ValueError(f"must have at least 1 character, not {value!r}")
    return value


def _each_once(target: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(target, str):
        return target
    if len(set(target)) != len(target):
        raise ValueError(f"must name each column once, not {list(target)}")
    return target[0] if len(target) == 1 else target


def _sorted_assets(asset_id: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Return assets in one order: whoever names the same ones means the same study."""
    if isinstance(asset_id, str):
        return asset_id
    if len(set(asset_id)) != len(asset_id):
        raise ValueError(f"must name each asset once, not {list(asset_id)}")
    return asset_id[0] if len(asset_id) == 1 else tuple(sorted(asset_id))


class Spec(BaseModel):
    """A frozen specification; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SomeSpec = TypeVar("SomeSpec", bound=Spec)


class DataSpec(Spec):
    """Which rows of which table, view or query."""

    asset_id: Annotated[str | tuple[str, ...], BeforeValidator(_name_or_names), AfterValidator(_sorted_assets)] = Field(
        description="Asset whose features are loaded; a list in a study file has one model learn from all of them, "
        "scored in standard deviations.",
    )
    start_date: Moment | None = Field(None, description="First row to load, inclusive.")
    end_date: Moment | None = Field(None, description="Last row to load, inclusive (a date alone means its whole day).")
    features_table: str = Field("features", description="Table or view with one row per asset and timestamp.")
    timestamp_column: str = Field("timestamp", description="Column of timestamps or integers.")
    asset_column: str = Field("asset_id", description="Column of the asset's name.")
    single_asset: bool = Field(False, description="The table holds one asset alone, and has no column of its name.")
    query: Annotated[str, AfterValidator(one_statement)] | None = Field(
        None,
        description="SQL query in place of a table; it may name the bound :asset_id, :start_date and :end_date.",
    )
    frequency: str | None = Field(
        None,
        description="A pandas frequency such as 'D' or 'h' (no row may be missing), 'sessions' (rows may be missing), "
        "both as in 'sessions:h', or 'rows' (integers); found out by default.",
    )
    days_in: Annotated[str | None, AfterValidator(_known_zone)] = Field(
        None,
        description="Zone whose days the timestamps are, such as America/New_York: midnight there, they are its dates. "
        "By default that of their own offsets, where they have some; 'UTC' takes them as moments.",
        exclude_if=_unwritten(None),
    )
    fill: Literal["none", "forward"] = Field(
        "none",
        description="'forward' fills missing values with the last known one; by default they are refused.",
    )

    @model_validator(mode="after")
    def _two_columns(self) -> Self:
        if self.asset_column == self.timestamp_column and not self.single_asset:
            raise ValueError(f"asset and timestamp must be two columns, and both are {self.asset_column!r}")
        return self

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.query is not None and self.features_table != "features":
            raise ValueError(
                f"features come from a table or from a query: take out features_table {self.features_table!r} "
                f"or the query"
            )
        return self

    @model_validator(mode="after")
    def _assets_have_a_column(self) -> Self:
        if self.single_asset and len(self.assets) > 1:
            raise ValueError(f"a table of a single asset holds no {len(self.assets)}: name one as asset_id")
        return self

    @property
    def assets(self) -> tuple[str, ...]:
        """The assets that one model learns from."""
        return (self.asset_id,) if isinstance(self.asset_id, str) else self.asset_id

    @property
    def asset_label(self) -> str:
        """The assets in a name: `BTC`, `BTC+ETH`, of many the first, their number and a hash of them all."""
        label = "+".join(self.assets)
        if len(self.assets) == 1 or len(label) <= _LONGEST_LABEL:
            return label
        return f"{self.assets[0]}+{len(self.assets) - 1}-more-{hashlib.sha256(label.encode()).hexdigest()[:6]}"

    @property
    def only_asset(self) -> str:
        """The asset, for whatever takes one alone; raises `UsageError` where there are several."""
        self.refuse_several()
        return self.assets[0]

    def refuse_several(self) -> None:
        """Raise `UsageError` where there are several assets."""
        if len(self.assets) > 1:
            raise UsageError(
                f"training, evaluation, audits, nights and tune-all take one asset, and the study has "
                f"{len(self.assets)}: {shorten(self.assets)}; tune one of them as `asset_id`"
            )

    def each(self) -> Iterator["DataSpec"]:
        """Yield the rows of each asset by itself."""
        return (self.model_copy(update={"asset_id": asset}) for asset in self.assets)

    @property
    def source(self) -> str:
        """Where the rows come from, in words."""
        return f"table {self.features_table!r}" if self.query is None else "the query"


class FeatureSpec(Spec):
    """The target, and how each column is normalised: by the first group whose pattern fits its name.

    Patterns are a shell's (`rsi*`), or the very name of a column; a column that fits no group is `other`.
    """

    target: Annotated[str | tuple[str, ...], BeforeValidator(_name_or_names), AfterValidator(_each_once)] = Field(
        DEFAULT_TARGET,
        description="Column that is forecast; a list in a study file forecasts several, scored in standard deviations.",
    )
    label_horizon: int = Field(
        0,
        ge=0,
        description="Rows that the target looks ahead of its own stamp (0: known when stamped). "
        "L > 0 stamps it when it is known, and purges L-1 rows before every cut.",
    )
    volume: Patterns = Field(("volume*",), description="log(1 + x), then standardised.")
    bounded: Patterns = Field(("rsi*", "mfi*", "stoch*", "adx*"), description="Scaled to [0, 1].")
    unbounded: Patterns = Field(
        ("macd*", "diff*"), description="Centred on the median, scaled by the 5th to 95th percentile."
    )
    rate_of_change: Patterns = Field(("roc*", "natr*"), description="sign(x) log(1 + |x|), then standardised.")
    log_return: Patterns = Field(("log_return*",), description="Standardised; see log_return_pca.")
    log_return_pca: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Share of variance that principal components of the log returns keep; default: no PCA.",
    )
    columns: Patterns = Field(("*",), description="Columns that are taken, beside the target.")
    known_ahead: Patterns = Field(
        (),
        description="Columns that tell a later row's target and are known all the same, such as the close of a market "
        "that opens where it closed: without this they are refused as leaks.",
    )
    exclude: Patterns = Field((), description="Columns that are left out.")

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that are forecast."""
        return (self.target,) if isinstance(self.target, str) else self.target

    @property
    def target_label(self) -> str:
        """What is forecast, in words."""
        return target_label(self.target)

    @property
    def only_target(self) -> str:
        """The target, for whatever takes one alone; raises `UsageError` where there are several."""
        if not isinstance(self.target, str):
            raise UsageError(
                f"an audit takes one target, and the study has {len(self.targets)}: {shorten(self.targets)}; name one "
                f"as `target`"
            )
        return self.target

    @property
    def lead(self) -> int:
        """Rows from the last known target to the first forecast one: 1 unless the label looks further."""
        return max(self.label_horizon, 1)


class FoldSpec(Spec):
    """The walk-forward folds."""

    n_folds: PositiveInt = Field(5, description="Number of validation windows, the last complete ones.")
    step: CalendarStep | PositiveInt | None = Field(
        None,
        description="Validation window: a calendar step, or a number of rows counted from the first row; "
        "default: quarter for days, month for anything shorter, year for weeks and anything longer, "
        "100 rows for integers.",
        union_mode="left_to_right",
    )
    train_rows: PositiveInt | None = Field(
        None, description="Rolling training windows of so many rows; default: expanding from the first row."
    )
    embargo: int = Field(0, ge=0, description="Rows left out of training before a validation window.")
    holdout: int = Field(
        0,
        ge=0,
        description="Last complete steps that no part of the study sees, with the open one behind them: kept for the "
        "evaluation of what it chose.",
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
    forecast: Literal["rolling", "block"] = Field(
        "rolling",
        description="'rolling': a forecast from every row, with what was known there. 'block': one forecast "
        "over the whole window, which reads covariates of the future; for comparison only.",
    )
    metric: Annotated[str, AfterValidator(_known_metric)] = Field(
        RMSE,
        description="What is minimised: 'rmse', 'mae', with a likelihood 'pinball' or 'crps', or module:NAME of a "
        "function of your own.",
        exclude_if=_unwritten(RMSE),
    )
    likelihood: Literal["quantile"] | None = Field(
        None,
        description="'quantile': networks forecast quantiles, of which the median is the point forecast.",
        exclude_if=_unwritten(None),
    )
    quantiles: tuple[float, ...] = Field(
        QUANTILES,
        description="Quantiles of likelihood 'quantile': the median, and as many below as above it.",
        exclude_if=_unwritten(QUANTILES),
    )
    n_trials: PositiveInt = Field(20, description="Parameter sets that are tried.")
    seed: int = Field(42, ge=0, lt=2**32, description="Seed of the sampler and of every fit.")
    pruner: Literal["folds", "none", "median", "percentile", "wilcoxon", "successive_halving", "hyperband"] = Field(
        "folds",
        description="What ends a hopeless trial early: 'folds' (not in the best third on the same folds), 'none', "
        "or one of Optuna's.",
    )
    lookahead: PositiveInt = Field(
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
    def levels(self) -> tuple[float, ...] | None:
        """The quantiles that are forecast, None where forecasts are points."""
        return None if self.likelihood is None else self.quantiles

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
        if self.forecast == "block" and len(self.features.targets) > 1:
            raise ValueError("forecast 'block' takes one target: choose 'rolling'")
        if len(self.data.assets) > 1:
            if self.forecast == "block":
                raise ValueError("forecast 'block' takes one asset: choose 'rolling'")
            if self.features.log_return_pca is not None:
                raise ValueError("log_return_pca takes one asset: each has components of its own; leave it out")
        if self.forecast == "block" and self.features.label_horizon > 1:
            raise ValueError("forecast 'block' needs a label that looks 1 row ahead at most: choose 'rolling'")
        # Raises where a parameter has no value that fits the horizon and the likelihood.
        _ = self.search_space
        if self.likelihood is None:
            if self.metric in OF_QUANTILES:
                raise ValueError(f"metric {self.metric!r} needs forecasts of quantiles: give likelihood 'quantile' too")
            if self.quantiles != QUANTILES:
                raise ValueError("quantiles need likelihood 'quantile': give it, or take them out")
            return self
        if self.forecast == "block":
            raise ValueError("likelihood 'quantile' needs forecast 'rolling', not 'block'")
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
            "a night needs a hold-out to judge its model on: keep the last steps from the study, say by a "
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
