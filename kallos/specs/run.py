"""How a run executes a study: the flow's second parameter, and flags of the command line."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from kallos.settings import check_dask_address
from kallos.specs.data import Spec


class RunSpec(Spec):
    """How a run executes a study, and how far; nothing here changes a trial."""

    workers: PositiveInt | None = Field(
        None,
        description="Number of folds to fit at the same time; default: one per physical core, or per Dask worker.",
    )
    more_trials: PositiveInt | None = Field(
        None, description="Maximum number of trials that this run adds to the study, up to `n_trials` in total."
    )
    timeout: PositiveFloat | None = Field(None, description="Seconds after which the run starts no more fits.")
    max_fold_fits: PositiveInt | None = Field(None, description="Maximum number of folds that this run fits.")
    fold_timeout: PositiveFloat = Field(
        3600, description="Seconds after which a fold counts as hung: its process is ended, and the fold is retried."
    )
    refresh_cache: bool = Field(
        False, description="Delete the recorded trials and cached folds of this study, and compute them again."
    )
    column_importance: bool = Field(
        True, description="Measure which columns matter to the best trial, by one more fit of each of its folds."
    )
    if_running: Literal["wait", "fail"] = Field(
        "wait", description="What to do if another run is working on the same study."
    )
    executor: Literal["processes", "dask"] = Field(
        "processes", description="Where to fit folds: in processes on this machine, or on a Dask cluster."
    )
    dask_address: Annotated[str | None, AfterValidator(check_dask_address)] = Field(
        None, description="Address of the Dask scheduler (tcp://host:8786); default: KALLOS_DASK_ADDRESS."
    )

    @property
    def weighs_columns(self) -> bool:
        """Whether a run measures which columns matter: it needs processes of this machine."""
        return self.column_importance and self.executor != "dask"

    @model_validator(mode="after")
    def _address_is_used(self) -> Self:
        if self.dask_address is not None and self.executor != "dask":
            raise ValueError(f"dask_address needs executor 'dask', not {self.executor!r}: set `executor` to dask")
        return self
