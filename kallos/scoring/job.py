"""The fold job and its fingerprint."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import pandas as pd

from kallos.architectures import Params, get_architecture
from kallos.architectures.gru.compiler import compiler
from kallos.architectures.lookup import beside_source
from kallos.architectures.losses import MSE, loss_source
from kallos.architectures.study_space import model_of
from kallos.features.snapshots import frame_sha256
from kallos.folds.cut import Fold
from kallos.scoring.machine import installed, machine
from kallos.specs.data import FeatureSpec
from kallos.specs.metrics import MEDIAN
from kallos.specs.study import TrainingSpec, TuneSpec
from kallos.storage import json_sha256

# Raise this whenever a change to preparation, training or forecasting changes a bit of a forecast, or of its file.
EVALUATION_VERSION = 5


@dataclass(frozen=True)
class FitSpec:
    """What is fitted, and how; `quantiles` is None for point forecasts."""

    model_name: str
    params: Params
    features: FeatureSpec
    training: TrainingSpec
    horizon: int
    quantiles: tuple[float, ...] | None
    seed: int

    @classmethod
    def of(cls, spec: TuneSpec, params: Params) -> Self:
        """Return what a study fits with the parameters of a trial."""
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
        """The levels of the forecasts."""
        return self.quantiles or (MEDIAN,)

    @property
    def document(self) -> dict[str, Any]:
        """Everything that the fit depends on besides its rows, as JSON values."""
        architecture = get_architecture(self.model_name)
        return {
            "architecture": [
                self.model_name,
                architecture.source_sha256,
                *beside_source(self.model_name),
                *([installed(architecture.requires)] if architecture.requires else []),
                *([compiler()] if architecture.compiles else []),
            ],
            "params": dict(self.params),
            # The rows show which columns were taken; only scores and some losses depend on which targets are variances.
            "features": self.features.model_dump(mode="json", exclude={"columns", "known_now", "variance"}),
            "training": self.training.model_dump(mode="json", exclude={"loss"}),
            "loss": self._loss if architecture.stops_early else None,
            "horizon": self.horizon,
            "quantiles": self.quantiles,
            "seed": self.seed,
        }

    @property
    def _loss(self) -> list[Any]:
        loss = self.training.loss
        return [loss, loss_source(loss), None if loss == MSE else self.features.variance_powers]


@dataclass(frozen=True)
class FoldJob:
    """Everything that a fold's forecasts depend on, with a name for people and the address of the rows.

    One model learns from the rows of all assets; each asset has its own fold in `folds`.
    """

    name: str
    snapshot: str
    rows_sha256: str
    folds: tuple[Fold, ...]
    fit: FitSpec

    @property
    def number(self) -> int:
        """Number of the fold."""
        return self.folds[0].number

    @property
    def in_own_units(self) -> bool:
        """Whether errors are in the target's own units, as in `TuneSpec.in_own_units`."""
        return len(self.folds) == len(self.fit.features.targets) == 1

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that may change a bit of the forecasts."""
        content = {
            "evaluation": EVALUATION_VERSION,
            "rows": self.rows_sha256,
            "folds": [vars(fold.shifted()) for fold in self.folds],
            "fit": self.fit.document,
            "machine": machine(),
        }
        return json_sha256(content)


def rows_sha256(frame: pd.DataFrame, folds: Sequence[Fold]) -> str:
    """Return the hash of the fold's rows of all assets."""
    return frame_sha256(pd.concat([frame.iloc[fold.rows] for fold in folds]))
