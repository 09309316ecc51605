"""A finished study and a trained model of two networks, in a few seconds, for the tests of what becomes of them."""

import hashlib
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kallos.features.snapshots import frame_sha256, snapshot_address
from kallos.models.forecast_table import forecast_rows
from kallos.models.forecasting import Forecasts
from kallos.models.manifest import Manifest
from kallos.models.trained import TrainedModel
from kallos.models.trainer import choose, train
from kallos.study.again import study_rows
from kallos.study.best_params import BestParams, read_best_params_file, write_best_params
from kallos.tuner import run_tuning
from tests.samples import small_plan

# For what is not to be asked.
NO_DATABASE = "sqlite:////no/such/file.db"


@dataclass(frozen=True)
class FinishedStudy:
    """A study's file, what it says, and the rows that it saw; their snapshot is in `snapshots`."""

    file: str
    best: BestParams
    rows: pd.DataFrame
    snapshots: str

    @property
    def snapshot(self) -> str:
        """The address of the rows."""
        return snapshot_address(self.best.data.sha256, self.snapshots)


def finished_study(folder: Path, frame: pd.DataFrame | None = None, **over: Any) -> FinishedStudy:
    """Return a study of one trial of two folds."""
    plan = small_plan(folder, frame, **{"n_trials": 1, **over})
    file = write_best_params(BestParams.of(run_tuning(plan)), str(folder / "results"))
    best, snapshots = read_best_params_file(file), str(folder / "snapshots")
    return FinishedStudy(file, best, study_rows(best, snapshots, features_url=NO_DATABASE)[0], snapshots)


def small_model(study: FinishedStudy, **arguments: Any) -> TrainedModel:
    """Return the study's best trial, trained with two seeds."""
    return train(study.best, study.snapshot, choose(study.best), **{"seeds": 2, **arguments})


def are_same(one: Forecasts, other: Forecasts) -> bool:
    """Return whether no bit of two forecasts differs."""
    return pickle.dumps(forecast_rows(one)) == pickle.dumps(forecast_rows(other)) and all(
        np.array_equal(values, other.by_member[label]) for label, values in one.by_member.items()
    )


def on_rows(best: BestParams, rows: pd.DataFrame) -> BestParams:
    """Return a study's outcome as if it had seen these rows."""
    return best.model_copy(update={"data": best.data.model_copy(update={"sha256": frame_sha256(rows)})})


def forge(folder: Path, **changes: Any) -> None:
    """Change a model's manifest, and make its checksums and its id fit whatever the folder holds now."""
    values = json.loads((folder / "manifest.json").read_text())
    values.update(changes)
    for name in values["files"]:
        content = (folder / name).read_bytes()
        values["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    named = Manifest.model_validate(values).named()
    (folder / "manifest.json").write_text(json.dumps(named.model_dump(mode="json")))
