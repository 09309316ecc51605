"""Which rows a study takes, and what their columns are to it."""

import hashlib
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, model_validator

from kallos.errors import UsageError
from kallos.specs.calendar import check_calendar, check_market
from kallos.specs.query_text import one_statement
from kallos.specs.time_zones import check_zone
from kallos.words import shorten, target_label

# How many rows a mean covers, or a lag goes back.
Lengths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
TargetTransform = Literal["none", "log"]
Checked = TypeVar("Checked")
# An ISO date or timestamp, or an integer, as text.
Moment = Annotated[str, BeforeValidator(lambda value: value if value is None else str(value))]
Patterns = tuple[str, ...]

DEFAULT_TARGET = "log_return_close"
# Optuna's database limits a study's name to 512 characters.
_LONGEST_LABEL = 60


def checked(check: Callable[[Checked], Checked], field: str) -> AfterValidator:
    """Return a check as a validator, whose errors pydantic prefixes with the field's name."""

    def validate(value: Checked) -> Checked:
        try:
            return check(value)
        except UsageError as error:
            raise ValueError(re.sub(f"^{field}:? ", "", str(error))) from None

    return AfterValidator(validate)


def _name_or_names(value: Any) -> Any:
    names = value if isinstance(value, list | tuple) else [value]
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"must be a name or a list of names, not {value!r}")
    if "" in names:
        raise ValueError(f"must have at least 1 character, not {value!r}")
    return value


def _name_or_many(names: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(names, str):
        return names
    return names[0] if len(_each_once(names)) == 1 else names


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError(f"must not repeat a name, as {list(names)} does")
    return names


def _sorted_assets(asset_id: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Return the assets in sorted order, because their order does not change the study."""
    names = _name_or_many(asset_id)
    return names if isinstance(names, str) else tuple(sorted(names))


class Spec(BaseModel):
    """A frozen specification that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSpec(Spec):
    """The rows of a study, and the table, view or query that they come from."""

    asset_id: Annotated[str | tuple[str, ...], BeforeValidator(_name_or_names), AfterValidator(_sorted_assets)] = Field(
        description="Asset to forecast. A list in a study file trains one model on all of its assets and scores it in "
        "standard deviations.",
    )
    start_date: Moment | None = Field(None, description="First row to load, inclusive.")
    end_date: Moment | None = Field(None, description="Last row to load, inclusive; a date means its whole day.")
    features_table: str = Field("features", description="Table or view with one row per asset and timestamp.")
    timestamp_column: str = Field("timestamp", description="Column with the timestamps or integers.")
    asset_column: str = Field("asset_id", description="Column with the asset's name.")
    single_asset: bool = Field(False, description="The table holds only one asset and has no column with its name.")
    query: Annotated[str, AfterValidator(one_statement)] | None = Field(
        None,
        description="SQL query instead of a table; it may use the bound parameters :asset_id, :start_date and "
        ":end_date.",
    )
    frequency: str | None = Field(
        None,
        description="How far apart rows are: a pandas frequency such as 'D' or 'h' (no row may be missing), 'sessions' "
        "(rows may be missing), both as in 'sessions:h', or 'rows' (integers); detected by default.",
    )
    market: Annotated[str, checked(check_market, "market")] | None = Field(
        None,
        description="Exchange whose holidays the rows follow, such as NYSE: the next rows skip them.",
    )
    days_in: Annotated[str, AfterValidator(check_zone)] | None = Field(
        None,
        description="Time zone in which the timestamps are days, such as America/New_York: midnight there becomes its "
        "date. By default the zone of the timestamps' own offsets, if they have any; 'UTC' reads them as moments.",
    )
    fill: Literal["none", "forward"] = Field(
        "none",
        description="'forward' fills missing values with the last known value; by default they are refused.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.asset_column == self.timestamp_column and not self.single_asset:
            raise ValueError(f"asset_column and timestamp_column must differ, and both are {self.asset_column!r}")
        if self.query is not None and self.features_table != "features":
            raise ValueError(
                f"features come from a table or a query, not both: remove features_table {self.features_table!r} or "
                f"the query"
            )
        if self.single_asset and len(self.assets) > 1:
            raise ValueError(f"single_asset allows one asset_id, not {len(self.assets)}: name one")
        return self

    @property
    def assets(self) -> tuple[str, ...]:
        """The assets that one model learns from."""
        return (self.asset_id,) if isinstance(self.asset_id, str) else self.asset_id

    @property
    def asset_label(self) -> str:
        """The assets as part of a name: `BTC`, `BTC+ETH`, or, if that is too long, the first, a count and a hash."""
        label = "+".join(self.assets)
        if len(self.assets) == 1 or len(label) <= _LONGEST_LABEL:
            return label
        return f"{self.assets[0]}+{len(self.assets) - 1}-more-{hashlib.sha256(label.encode()).hexdigest()[:6]}"

    @property
    def only_asset(self) -> str:
        """The only asset; raises `UsageError` if there are several."""
        self.refuse_several()
        return self.assets[0]

    def refuse_several(self) -> None:
        """Raise `UsageError` if there are several assets."""
        if len(self.assets) > 1:
            raise UsageError(
                f"train, evaluate, audit, nightly and tune-all support one asset, and the study has "
                f"{len(self.assets)} ({shorten(self.assets)}): set `asset_id` to one of them"
            )

    def each(self) -> Iterator["DataSpec"]:
        """Yield the specification of each asset's rows."""
        return (self.model_copy(update={"asset_id": asset}) for asset in self.assets)

    @property
    def source(self) -> str:
        """Where the rows come from, in words."""
        return f"table {self.features_table!r}" if self.query is None else "the query"


CalendarItem = Annotated[str, checked(check_calendar, "calendar")]


class FeatureSpec(Spec):
    """The target, and the group by which each column is normalised: the first whose pattern matches its name.

    A pattern is a shell pattern (`rsi*`) or the exact name of a column. Columns without a group are `other`.
    """

    target: Annotated[str | tuple[str, ...], BeforeValidator(_name_or_names), AfterValidator(_name_or_many)] = Field(
        DEFAULT_TARGET,
        description="Column to forecast. A list in a study file forecasts several columns and scores them in standard "
        "deviations.",
    )
    label_horizon: int = Field(
        0,
        ge=0,
        description="Number of rows that the target looks ahead of its timestamp; 0 if it is known at its timestamp. "
        "A label of L > 0 rows is moved to the row at which it is known, and L-1 rows are purged before every cut.",
    )
    target_transform: TargetTransform = Field(
        "none",
        description="'log' trains on the target's logarithm, as suits a volatility or variance; forecasts and scores "
        "are in the target's own units.",
    )
    means: dict[str, Lengths] = Field(
        default_factory=dict,
        description="Columns to add: the means of a column over its last rows, as in {target = [5, 22, 66]}; 'target' "
        "is each target, or its logarithm if it is trained on.",
    )
    lags: dict[str, Lengths] = Field(
        default_factory=dict,
        description="Columns to add: a column's values so many rows earlier, as in {rsi_14 = [1, 5]}.",
    )
    calendar: Annotated[tuple[CalendarItem, ...], AfterValidator(_each_once)] = Field(
        (),
        description="Columns to add from the timestamps, known ahead: 'weekday', 'month', 'hour', 'turn_of_month', "
        "'holiday:NYSE'.",
    )
    volume: Patterns = Field(("volume*",), description="Columns normalised by log(1 + x), then standardised.")
    bounded: Patterns = Field(("rsi*", "mfi*", "stoch*", "adx*"), description="Columns scaled to [0, 1].")
    unbounded: Patterns = Field(
        ("macd*", "diff*"),
        description="Columns minus their median, divided by the distance between the 5th and 95th percentile.",
    )
    rate_of_change: Patterns = Field(
        ("roc*", "natr*"), description="Columns normalised by sign(x) log(1 + |x|), then standardised."
    )
    log_return: Patterns = Field(("log_return*",), description="Columns that are standardised; see log_return_pca.")
    log_return_pca: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Share of variance that the principal components of the log returns keep; default: no PCA.",
    )
    volatility: Patterns = Field(
        (
            "log_range*",
            "parkinson*",
            "garman_klass*",
            "rogers_satchell*",
            "squared_return*",
            "realised_*",
            "bipower_variation*",
        ),
        description="Columns normalised by their logarithm, then standardised.",
    )
    variance: Patterns = Field(
        ("parkinson*", "garman_klass*", "rogers_satchell*", "squared_return*", "*variance*"),
        description="Targets that are variances; metric qlike squares other targets, as it does a volatility.",
    )
    columns: Patterns = Field(("*",), description="Columns to use, besides the target.")
    known_future: Patterns = Field(
        (),
        description="Columns whose later values are known ahead, such as the dates of announcements: forecasts read "
        "them at the rows that they forecast. Later rows may hold them alone.",
    )
    known_now: Patterns = Field(
        (),
        description="Columns that reveal a later row's target but are known by then, such as the close of a market "
        "that opens where it closed; other such columns are refused as leaks.",
    )
    exclude: Patterns = Field((), description="Columns to leave out.")

    def __hash__(self) -> int:
        """Hash the content, because the tables of means and lags are not hashable."""
        return hash(self.model_dump_json())

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that are forecast."""
        return (self.target,) if isinstance(self.target, str) else self.target

    @property
    def variance_powers(self) -> tuple[int, ...]:
        """The power that makes a variance of each target: 1 if it is one by the patterns of `variance`, else 2."""
        return tuple(
            1 if any(name == each or fnmatchcase(name, each) for each in self.variance) else 2 for name in self.targets
        )

    @property
    def target_label(self) -> str:
        """The names of the targets, for people."""
        return target_label(self.target)

    @property
    def only_target(self) -> str:
        """The only target; raises `UsageError` if there are several."""
        if not isinstance(self.target, str):
            raise UsageError(
                f"an audit supports one target, and the study has {len(self.targets)} ({shorten(self.targets)}): set "
                f"`target` to one of them"
            )
        return self.target

    @property
    def has_known_columns(self) -> bool:
        """Whether there are columns whose later values are known ahead."""
        return bool(self.calendar or self.known_future)

    @property
    def lead(self) -> int:
        """Number of rows from the last known target to the first forecast: the label horizon, but at least 1."""
        return max(self.label_horizon, 1)
