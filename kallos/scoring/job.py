"""The unit of all work: a fold's job, its fingerprint, and its score."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict

from kallos.architectures import Params, get_architecture
from kallos.architectures.lookup import beside_source
from kallos.architectures.study_space import model_of
from kallos.features.snapshots import frame_sha256
from kallos.folds.grid import Fold
from kallos.scoring.machine import installed, machine
from kallos.specs.data import FeatureSpec
from kallos.specs.metrics import MEDIAN, metric_source
from kallos.specs.study import TrainingSpec, TuneSpec
from kallos.storage import json_sha256

# Raise this whenever a change to preparation, training or scoring moves a single bit of a score.
EVALUATION_VERSION = 2


class FoldScore(BaseModel):
    """How one parameter set did on one fold; less is better, and errors are in what `error_unit` says.

    `value` is by the study's metric, and so are `by_asset` and `by_target`, an error each. All others are means over
    the assets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    rmse: float
    mae: float
    by_asset: tuple[float, ...]
    by_target: tuple[float, ...]
    n_forecasts: int
    epochs: int
    best_epoch: int
    seconds: float


@dataclass(frozen=True)
class FitSpec:
    """What is fitted, and how: an architecture with its parameters, on which columns, to forecast what.

    `quantiles` are those that it learns, None where it learns points.
    """

    model_name: str
    params: Params
    features: FeatureSpec
    training: TrainingSpec
    horizon: int
    quantiles: tuple[float, ...] | None
    seed: int

    @classmethod
    def of(cls, spec: TuneSpec, params: Params) -> Self:
        """Return what a study fits with the parameters that one of its trials has drawn."""
        model_name, own_params = model_of(spec.model_name, params)
        return cls(
            model_name=model_name,
            params=own_params,
            features=spec.features,
            training=spec.training,
            horizon=spec.horizon,
            quantiles=None if spec.likelihood is None else spec.quantiles,
            seed=spec.seed,
        )

    @property
    def lead(self) -> int:
        """Rows from the last known target to the first forecast one."""
        return self.features.lead

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of its forecasts."""
        return self.quantiles or (MEDIAN,)

    @property
    def document(self) -> dict[str, Any]:
        """All that the fit depends on beside its rows, as JSON can hold it."""
        architecture = get_architecture(self.model_name)
        return {
            "architecture": [
                self.model_name,
                architecture.source_sha256,
                *beside_source(self.model_name),
                # What only some architectures need is not among what every machine has.
                *([installed(architecture.requires)] if architecture.requires else []),
            ],
            "params": dict(self.params),
            # Which columns were taken is seen in the rows.
            "features": self.features.model_dump(mode="json", exclude={"columns", "known_future"}),
            "training": self.training.model_dump(mode="json"),
            "horizon": self.horizon,
            "quantiles": self.quantiles,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class FoldJob:
    """All that a fold's score depends on, and beside it a name for people and the rows' address.

    One model learns from the rows of each asset, which has a fold of its own in `folds`.
    """

    name: str
    snapshot: str
    rows_sha256: str
    folds: tuple[Fold, ...]
    fit: FitSpec
    metric: str

    @property
    def number(self) -> int:
        """Number of the fold."""
        return self.folds[0].number

    @property
    def in_own_units(self) -> bool:
        """Whether errors are counted in the target's own units, as `TuneSpec.in_own_units`."""
        return len(self.folds) == len(self.fit.features.targets) == 1

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that may move a bit of the score."""
        content = {
            "evaluation": EVALUATION_VERSION,
            "rows": self.rows_sha256,
            "folds": [vars(fold.shifted()) for fold in self.folds],
            "fit": self.fit.document,
            "metric": [self.metric, metric_source(self.metric)],
            "machine": machine(),
        }
        return json_sha256(content)


def rows_sha256(frame: pd.DataFrame, folds: Sequence[Fold]) -> str:
    """Return the hash of the rows that a fold sees of each asset."""
    return frame_sha256(pd.concat([frame.iloc[fold.rows] for fold in folds]))
