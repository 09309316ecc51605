"""A grid of studies: each of several models on each of several assets."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from kallos.errors import UsageError
from kallos.specs.data import Spec
from kallos.specs.files import merge
from kallos.specs.query_text import parameters_of
from kallos.specs.study import ArchitectureName, TuneSpec, parse_spec, parse_tune_spec
from kallos.words import did_you_mean, shorten

# All assets in the table.
ALL = "*"

# The fields of a study file's table `all`, with examples.
_OF_THE_TABLE = {"assets": '["BTC", "ETH"]', "models": '["gru", "lstm"]'}

_Once = AfterValidator(lambda names: tuple(dict.fromkeys(names)))
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1), _Once]
Models = Annotated[tuple[ArchitectureName, ...], Field(min_length=1), _Once]


class StudyGrid(Spec):
    """Studies of several models on several assets, which replace the model and asset of `spec`."""

    spec: TuneSpec
    assets: Names | Literal["*"] = Field(
        description="Assets to tune, with one study per model; '*' means all assets in the table.",
        union_mode="left_to_right",
    )
    models: Models = Field(description="Architectures to tune, with one study per asset.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        data = self.spec.data
        for model in self.models:
            _laid_over(self.spec, data.only_asset, model)
        if len(self.assets) < 2:
            return self
        if data.single_asset:
            raise ValueError(
                f"with single_asset all of {shorten(self.assets)} have the same rows: name one asset, or remove "
                f"single_asset"
            )
        if data.query is not None and "asset_id" not in parameters_of(data.query):
            raise ValueError(
                f"with a query that does not bind :asset_id all of {shorten(self.assets)} have the same rows: name one "
                f"asset, or bind it, as in WHERE {data.asset_column} = :asset_id"
            )
        return self

    @property
    def title(self) -> str:
        """The models and assets, for people: `gru, lstm on BTC, ETH`."""
        return f"{shorten(self.models, 3)} on {'all assets' if self.assets == ALL else shorten(self.assets, 3)}"

    def studies(self, assets: Sequence[str] | None = None) -> tuple[TuneSpec, ...]:
        """Return the specifications, ordered by asset; a grid over all assets needs the table's `assets`."""
        if assets is None:
            if self.assets == ALL:
                raise ValueError("a grid over all assets needs the table's assets")
            assets = self.assets
        return tuple(_laid_over(self.spec, asset, model) for asset in assets for model in self.models)


def parse_grid(values: Mapping[str, Any], *, assets: str | None = None, models: str | None = None) -> StudyGrid:
    """Return the grid of a study file's content, with the assets and models of its table `all`.

    The comma-separated `assets` and `models` override the table; the study's own asset and model are the defaults.
    Raises `UsageError` with one line that names each invalid field.
    """
    table = values.get("all", {})
    if not isinstance(table, Mapping):
        raise UsageError('all must be a table of the study file: [all] with assets = ["BTC"] and models = ["gru"]')
    for name, names in table.items():
        if name not in _OF_THE_TABLE:
            raise UsageError(f"all.{name} is not a field: {did_you_mean(name, _OF_THE_TABLE)}")
        if not (_are_names(names) or (name, names) == ("assets", ALL)):
            raise UsageError(
                f"all.{name} must be a list of at least one name, not {names!r}: write {name} = {_OF_THE_TABLE[name]}, "
                f"or give `{name}` separated by commas"
            )
    grid = dict(table)
    for name, given in (("assets", assets), ("models", models)):
        if given is not None:
            grid[name] = ALL if name == "assets" and given.strip() == ALL else _by_commas(name, given)
    base = {name: value for name, value in values.items() if name != "all"}
    data = base.get("data", {})
    if "assets" not in grid and isinstance(data, Mapping) and "asset_id" not in data:
        raise UsageError(
            f"assets are missing: give `assets` separated by commas, or write assets = {_OF_THE_TABLE['assets']} under "
            f"[all] in the study file; '*' means all assets in the table"
        )
    # If the grid has assets or models, the study does not need its own.
    first: dict[str, Any] = {"data": {}}
    if "assets" in grid:
        first["data"] = {"asset_id": grid["assets"][0]}
    if "models" in grid:
        first["model_name"] = grid["models"][0]
    spec = parse_tune_spec(merge(base, first))
    return parse_spec(StudyGrid, {"assets": [spec.data.only_asset], "models": [spec.model_name], **grid, "spec": spec})


def _laid_over(spec: TuneSpec, asset: str, model: str) -> TuneSpec:
    over = {"model_name": model, "data": {"asset_id": asset}}
    return TuneSpec.model_validate(merge(spec.model_dump(), over))


def _by_commas(flag: str, given: str) -> list[str]:
    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names:
        raise UsageError(f"`{flag}` must be at least one name, separated by commas, not {given!r}")
    return names


def _are_names(names: object) -> bool:
    return isinstance(names, list) and len(names) > 0 and all(isinstance(name, str) and name for name in names)
