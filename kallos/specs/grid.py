"""Many studies at once: each of several models on each of several assets, all else alike."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from kallos.errors import UsageError
from kallos.specs.data import Spec
from kallos.specs.files import merge
from kallos.specs.query_text import parameters_of
from kallos.specs.study import ArchitectureName, TuneSpec, parse_spec, parse_tune_spec
from kallos.words import did_you_mean, shorten

# All assets that the table holds.
ALL = "*"

# What the table `all` of a study file may hold, as one would write it.
_OF_THE_TABLE = {"assets": '["BTC", "ETH"]', "models": '["gru", "lstm"]'}


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1), AfterValidator(_once)]
Models = Annotated[tuple[ArchitectureName, ...], Field(min_length=1), AfterValidator(_once)]


class StudyGrid(Spec):
    """Studies of several models on several assets; asset and model of `spec` are replaced by each of these."""

    spec: TuneSpec
    assets: Names | Literal["*"] = Field(
        description="Assets, each a study per model; '*' for all that the table holds.", union_mode="left_to_right"
    )
    models: Models = Field(description="Architectures, each a study per asset.")

    @model_validator(mode="after")
    def _has_rows_of_each_asset(self) -> Self:
        data = self.spec.data
        if len(self.assets) < 2:
            return self
        if data.single_asset:
            raise ValueError(
                f"a table of a single asset has the same rows for each of {shorten(self.assets)}: name one asset, or "
                f"take out single_asset"
            )
        if data.query is not None and "asset_id" not in parameters_of(data.query):
            raise ValueError(
                f"a query that binds no :asset_id has the same rows for each of {shorten(self.assets)}: name one, or "
                f"bind the asset, as in WHERE {data.asset_column} = :asset_id"
            )
        return self

    @model_validator(mode="after")
    def _has_models(self) -> Self:
        for model in self.models:
            _laid_over(self.spec, self.spec.data.only_asset, model)
        return self

    @property
    def title(self) -> str:
        """What is tuned on what, in a few words: `gru, lstm on BTC, ETH`."""
        return f"{shorten(self.models, 3)} on {'all assets' if self.assets == ALL else shorten(self.assets, 3)}"

    def studies(self, assets: Sequence[str] | None = None) -> tuple[TuneSpec, ...]:
        """Return the specifications, those of one asset next to each other.

        `assets` are those of the table, which must be given where the grid asks for all of them.
        """
        if assets is None:
            if self.assets == ALL:
                raise ValueError("assets of a grid over all of them must be given")
            assets = self.assets
        return tuple(_laid_over(self.spec, asset, model) for asset in assets for model in self.models)


def parse_grid(values: Mapping[str, Any], *, assets: str | None = None, models: str | None = None) -> StudyGrid:
    """Return the grid of a study file's content, its table `all` naming `assets` and `models`.

    What is given by commas as `assets` and `models` counts for more; what is given nowhere is the study's own asset or
    model. Raises `UsageError` with a line that names each field at fault.
    """
    table = values.get("all", {})
    if not isinstance(table, Mapping):
        raise UsageError('all must be a table of the study file: [all] with assets = ["BTC"] and models = ["gru"]')
    for name, names in table.items():
        if name not in _OF_THE_TABLE:
            raise UsageError(f"all.{name} is not a field: {did_you_mean(name, _OF_THE_TABLE)}")
        if not (_are_names(names) or (name, names) == ("assets", ALL)):
            raise UsageError(
                f"all.{name} must be a list of one name or more, not {names!r}: write {name} = {_OF_THE_TABLE[name]}, "
                f"or give `{name}` by commas"
            )
    grid = dict(table)
    for name, given in (("assets", assets), ("models", models)):
        if given is not None:
            grid[name] = ALL if name == "assets" and given.strip() == ALL else _by_commas(name, given)
    base = {name: value for name, value in values.items() if name != "all"}
    data = base.get("data", {})
    if "assets" not in grid and isinstance(data, Mapping) and "asset_id" not in data:
        raise UsageError(
            f"assets are missing: give them as `assets` by commas, or as assets = {_OF_THE_TABLE['assets']} under "
            f"[all] in the study file; '*' is all that the table holds"
        )
    # Where the grid has assets or models, the study itself need not name one.
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
        raise UsageError(f"`{flag}` must be one name or more, by commas, not {given!r}")
    return names


def _are_names(names: object) -> bool:
    return isinstance(names, list) and len(names) > 0 and all(isinstance(name, str) and name for name in names)
