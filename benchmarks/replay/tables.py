"""The score of many parameter sets on every fold of a study, computed once and kept in a file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd

from benchmarks.accuracy import DEVELOPMENT, Series
from kallos.errors import FitError
from kallos.planning import StudyPlan, plan_study
from kallos.specs.study import TuneSpec, parse_tune_spec
from kallos.study.sampling import trial_seed
from kallos.tuner import objective

Array = npt.NDArray[np.float64]

# The last rows of a development series.
ROWS = 1200
# How many parameter sets a table has: those that are cheap to fit have more.
POINTS = {"ridge": 200, "lightgbm": 80, "nlinear": 30, "tide": 12}
TARGETS: dict[str, dict[str, Any]] = {
    "log range": {"features": {"target": "log_range", "target_transform": "log"}, "metric": "mae"},
    "log return": {"features": {"target": "log_return_close"}, "metric": "rmse"},
}
SMALL: dict[str, Any] = {"folds": {"n_folds": 5, "window": 60}, "training": {"max_epochs": 4, "patience": 2}}


@dataclass(frozen=True)
class Table:
    """Parameter sets of one architecture, by Optuna's names, with their scores of shape (sets, folds)."""

    params: tuple[dict[str, Any], ...]
    scores: Array

    @property
    def values(self) -> Array:
        """The mean over the folds of each set."""
        return np.asarray(self.scores.mean(axis=1))


@dataclass(frozen=True)
class Task:
    """A target of a development series, which a study forecasts."""

    series: Series
    target: str
    n_rows: int = ROWS

    @property
    def name(self) -> str:
        """What it is called in tables and files."""
        return f"{self.series.name}, {self.target}"

    def spec(self, model_name: str) -> TuneSpec:
        """Return the specification of its study."""
        over = TARGETS[self.target]
        return parse_tune_spec(
            {
                "model_name": model_name,
                "data": {"asset_id": self.series.name.replace("&", "").replace(" ", "")},
                **SMALL,
                **over,
                "features": {**over["features"], **self.series.added},
            }
        )

    def plan(self, model_name: str, folder: Path) -> StudyPlan:
        """Return the plan of its study, of development rows alone."""
        frame: pd.DataFrame = self.series.load()
        frame = frame[frame.index < self.series.stop].iloc[-self.n_rows :]
        return plan_study(frame, self.spec(model_name), folder / "snapshots")


TASKS = tuple(Task(series, target) for series in DEVELOPMENT for target in TARGETS)


def table_of(task: Task, architecture: str, folder: Path, n_points: int) -> Table:
    """Return a table: the defaults, and parameter sets that are drawn evenly from the space.

    Sets that are not in the folder yet are fitted, and each is written when it is scored. Sets that cannot be fitted
    are left out.
    """
    file = folder / f"{task.name} {architecture}.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    if len(lines) < n_points:
        plan = task.plan(architecture, folder)
        with file.open("a") as appended:
            for number in range(len(lines), n_points):
                lines.append(json.dumps(_scored(plan, number)))
                appended.write(lines[-1] + "\n")
                appended.flush()
    points = [point for point in map(json.loads, lines[:n_points]) if point["scores"]]
    return Table(tuple(point["params"] for point in points), np.array([point["scores"] for point in points]))


def _scored(plan: StudyPlan, number: int) -> dict[str, Any]:
    """Return a parameter set with its score on each fold; no scores if it cannot be fitted."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=trial_seed("table", number)))
    if number == 0:
        (defaults,) = plan.space.default_draws()
        study.enqueue_trial(defaults)
    trial = study.ask()
    try:
        objective(trial, plan)
    except FitError:
        return {"params": trial.params, "scores": []}
    by_fold = study.trials[0].intermediate_values
    return {"params": trial.params, "scores": [by_fold[fold] for fold in sorted(by_fold)]}
