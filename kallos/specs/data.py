"""Which rows a study takes, and what their columns are to it."""

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from kallos.errors import UsageError
from kallos.specs.query_text import one_statement
from kallos.specs.time_zones import check_zone
from kallos.words import shorten, target_label

# A moment in the features' index: an ISO date or timestamp, or an integer, as text.
Moment = Annotated[str, BeforeValidator(lambda value: value if value is None else str(value))]


Patterns = tuple[str, ...]


DEFAULT_TARGET = "log_return_close"


# Longer names of several assets are shortened: a study's name has 512 characters in Optuna's database.
_LONGEST_LABEL = 60


def _known_zone(zone: str | None) -> str | None:
    return None if zone is None else check_zone(zone)


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
        description="Rows that the target looks ahead of its own timestamp (0: known when stamped). "
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
    known_future: Patterns = Field(
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
