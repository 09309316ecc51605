"""How one run carries a study, beside what the study is: the flow's second parameter, and flags of the command line."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from kallos.settings import check_dask_address
from kallos.specs.data import Spec


class RunSpec(Spec):
    """How one run carries a study, and how far: nothing here moves a bit of any trial."""

    workers: PositiveInt | None = Field(
        None,
        description="Folds that are fitted at once; default: one per physical core, or per worker of a Dask cluster.",
    )
    more_trials: PositiveInt | None = Field(
        None, description="Carry the study on by so many trials at most, up to `n_trials` in all."
    )
    timeout: PositiveFloat | None = Field(None, description="Seconds after which no further fold is fitted.")
    max_fold_fits: PositiveInt | None = Field(None, description="Fold fits after which no further fold is fitted.")
    fold_timeout: PositiveFloat = Field(
        3600, description="Seconds after which a fold counts as hanging: its process is ended, and it is tried again."
    )
    refresh_cache: bool = Field(
        False, description="Forget what was recorded and cached of this study, and compute it anew."
    )
    if_running: Literal["wait", "fail"] = Field(
        "wait", description="What to do while another run holds the same study."
    )
    executor: Literal["processes", "dask"] = Field(
        "processes", description="Where folds are fitted: in processes of this machine, or on a Dask cluster."
    )
    dask_address: Annotated[str | None, AfterValidator(check_dask_address)] = Field(
        None, description="Address of the Dask scheduler (tcp://host:8786); default: KALLOS_DASK_ADDRESS."
    )

    @model_validator(mode="after")
    def _address_is_used(self) -> Self:
        if self.dask_address is not None and self.executor != "dask":
            raise ValueError(f"dask_address needs executor 'dask', not {self.executor!r}: give `executor` dask too")
        return self
