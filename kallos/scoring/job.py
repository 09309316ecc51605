"""The unit of all work: a fold's job, its fingerprint, and its score."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from kallos.architectures import Params, get_architecture
from kallos.architectures.lookup import beside_source
from kallos.features.snapshots import frame_sha256
from kallos.folds.grid import Fold
from kallos.specs.data import FeatureSpec
from kallos.specs.metrics import RMSE, metric_source
from kallos.specs.study import TrainingSpec
from kallos.storage import json_sha256

if TYPE_CHECKING:
    pass
from kallos.scoring.machine import installed, machine

# Raise this whenever a change to preparation, training or scoring moves a single bit of a score.
EVALUATION_VERSION = 1


class FoldScore(BaseModel):
    """How one parameter set did on one fold; errors are in the target's own units, of several as `error_unit` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rmse: float
    mae: float
    n_forecasts: int
    epochs: int
    best_epoch: int
    seconds: float
    # Not written where it is the RMSE: such scores are as they were when nothing else could be minimised.
    measured: float | None = Field(None, exclude_if=lambda measured: measured is None)
    # Errors of each asset by the metric, of several: the others are means over the assets then.
    by_asset: tuple[float, ...] | None = Field(None, exclude_if=lambda by_asset: by_asset is None)
    # Errors of each target by the metric, of several; the cache has scores of before there were any.
    by_target: tuple[float, ...] | None = Field(None, exclude_if=lambda by_target: by_target is None)

    @property
    def value(self) -> float:
        """The error that the study minimises: `measured` by its metric, or the RMSE."""
        return self.rmse if self.measured is None else self.measured


@dataclass(frozen=True)
class FoldJob:
    """All that a fold's score depends on, and beside it a name for people and the rows' address.

    Where one model learns from several assets, `fold` is the first one's, and the others' are `beside` it.
    """

    name: str
    snapshot: str
    rows_sha256: str
    fold: Fold
    model_name: str
    params: Params
    features: FeatureSpec
    training: TrainingSpec
    horizon: int
    forecast: str
    seed: int
    metric: str = RMSE
    quantiles: tuple[float, ...] | None = None
    beside: tuple[Fold, ...] = ()

    @property
    def folds(self) -> tuple[Fold, ...]:
        """The fold of each asset."""
        return (self.fold, *self.beside)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that may move a bit of the score."""
        architecture = get_architecture(self.model_name)
        content = {
            "evaluation": EVALUATION_VERSION,
            "rows": self.rows_sha256,
            "fold": vars(self.fold.shifted()),
            # Which columns were taken is seen in the rows.
            "features": self.features.model_dump(mode="json", exclude={"columns", "known_ahead"}),
            "architecture": [
                self.model_name,
                architecture.source_sha256,
                *beside_source(self.model_name),
                # What only some architectures need is not among what every machine has.
                *([installed(architecture.requires)] if architecture.requires else []),
            ],
            "params": dict(self.params),
            "training": self.training.model_dump(mode="json"),
            "horizon": self.horizon,
            "forecast": self.forecast,
            "seed": self.seed,
            "machine": machine(),
            # What every job was before it could be chosen is not in the hash.
            **({} if self.metric == RMSE else {"metric": [self.metric, metric_source(self.metric)]}),
            **({} if self.quantiles is None else {"quantiles": self.quantiles}),
            **({"beside": [vars(fold.shifted()) for fold in self.beside]} if self.beside else {}),
        }
        return json_sha256(content)


def rows_sha256(frame: pd.DataFrame, folds: Sequence[Fold]) -> str:
    """Return the hash of the rows that a fold sees of each asset."""
    parts = [frame.iloc[fold.rows] for fold in folds]
    return frame_sha256(parts[0] if len(parts) == 1 else pd.concat(parts))
