"""What does a study of several architectures choose, and how good is that on rows that no study saw?

``python -m benchmarks.choice`` runs on the development series of ``benchmarks.accuracy``, on which defaults were
chosen; ``--sealed`` runs on the sealed ones. Whoever chooses by a sealed score has unsealed it: benchmarks/README.md
lists all looks.

On the rows before the first scored year, a study draws its architectures from `--models`, and a study of each alone has
as many trials. What each chooses (its best trial, the simplest, an ensemble) is then fitted again at the beginning of
each year on all earlier rows, and forecasts that year. Contestants beside them are the mean of the best trials of all
architectures, and a ridge and HAR with default parameters. Scores are root mean squared errors, of logarithms for
ranges.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks import accuracy
from benchmarks.accuracy import Series, yearly
from kallos.architectures import Params, get_architecture
from kallos.cache import FoldCache
from kallos.choosing.honest import honest_choice
from kallos.choosing.kept import KeptForecasts
from kallos.features.snapshots import read_snapshot
from kallos.folds.columns import prepare_fold, widths_of_columns
from kallos.folds.study import rows_of_asset
from kallos.planning import plan_study
from kallos.scoring.fold import cuts_of_fit, evaluate_fold, fit_prepared, rows_to_fit
from kallos.scoring.forecast import Forecast
from kallos.scoring.job import FitSpec
from kallos.scoring.operations import count_operations
from kallos.scoring.rolling import rolling_forecasts
from kallos.scoring.targets import windows_of
from kallos.scoring.training import quiet_single_thread
from kallos.specs.study import Choose, TuneSpec, parse_tune_spec
from kallos.study.choice import Member
from kallos.tuner import run_tuning

Array = npt.NDArray[np.float64]
# The weight of each architecture with its parameters.
Mixture = tuple[tuple[str, Params, float], ...]

MODELS = ("ridge", "lightgbm", "nlinear", "tide")
CHOICES: tuple[Choose, ...] = ("best", "simplest", "ensemble")
RETURNS: dict[str, Any] = {"features": {"target": "log_return_close"}, "metric": "rmse", "folds": {"n_folds": 5}}
TRAINING = {"max_epochs": 10, "patience": 3}
TARGETS = {"range": accuracy.DAILY, "return": RETURNS}


@dataclass(frozen=True)
class Task:
    """One series, target and seed, with the number of trials of each study and the architectures."""

    series: str
    target: str
    seed: int
    trials: int
    models: tuple[str, ...]
    stop: str | None = None


def tasks_of(names: list[str], targets: list[str], seeds: int, trials: int, models: tuple[str, ...]) -> Iterator[Task]:
    """Yield all tasks, the long ones first."""
    for seed in range(1, seeds + 1):
        for name in names:
            for target in targets:
                yield Task(name, target, seed, trials, models)


def series_of(name: str) -> Series:
    """Return the series of a name; a later part of a development series has the name of the sealed one."""
    return {f"{each.name} ({each.first})": each for each in (*accuracy.DEVELOPMENT, *accuracy.SEALED)}[name]


def losses_of(task: Task, folder: str) -> pd.DataFrame:
    """Return the squared error of each contestant at each origin."""
    series = series_of(task.series)
    frame = series.load()
    frame = frame[frame.index < (task.stop or series.stop)]
    cache = FoldCache(Path(folder) / "folds")
    before = frame[frame.index < series.first]
    mixed = spec_of(task, series, ",".join(task.models))
    contestants: dict[str, Mixture] = {
        f"one study: {choose}": each for choose, each in chosen(mixed, before, cache).items()
    }
    alone = {}
    for name in task.models:
        found = chosen(spec_of(task, series, name), before, cache)
        alone[name] = found["best"]
        contestants[f"{name} alone"] = found["best"]
    contestants["mean of all"] = tuple((name, each[0][1], 1 / len(alone)) for name, each in alone.items())
    for name in ("ridge", "har"):
        contestants[f"{name}, defaults"] = ((name, get_architecture(name).defaults, 1.0),)
    return scored(frame, mixed, series.first, contestants)


def spec_of(task: Task, series: Series, model_name: str) -> TuneSpec:
    """Return the study of a task."""
    study = TARGETS[task.target]
    return parse_tune_spec(
        {
            "model_name": model_name,
            "data": {"asset_id": series.name},
            "n_trials": task.trials,
            "seed": task.seed,
            "training": TRAINING,
            **study,
            "features": {**study["features"], **series.added},
        }
    )


def chosen(spec: TuneSpec, frame: pd.DataFrame, cache: FoldCache) -> dict[Choose, Mixture]:
    """Return what a study of these rows chooses."""
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_study(frame, spec, folder)
        evaluate = cache.through(evaluate_fold)
        result = run_tuning(plan, evaluate=evaluate)
        widths = widths_of_columns(read_snapshot(plan.snapshot).columns, spec.features)
        found = honest_choice(
            KeptForecasts(plan, result, evaluate), lambda params: count_operations(FitSpec.of(spec, params), widths)
        )
    best = Member(trial=result.best.number, params=result.best.params, weight=1)
    return {choose: mixture(spec, found.choice(choose, best).members) for choose in CHOICES}


def mixture(spec: TuneSpec, members: tuple[Member, ...]) -> Mixture:
    """Return the architecture, parameters and weight of each member."""
    fits = ((FitSpec.of(spec, member.params), member.weight) for member in members)
    return tuple((fit.model_name, fit.params, weight) for fit, weight in fits)


def scored(frame: pd.DataFrame, spec: TuneSpec, first: str, contestants: dict[str, Mixture]) -> pd.DataFrame:
    """Return the squared errors of each contestant, each fitted once a year."""
    rows = rows_of_asset(frame, spec)
    (target,) = spec.features.targets
    found = []
    for fold in yearly(rows.index, first, spec.horizon):
        actual = windows_of(rows[[target]].to_numpy()[fold.validation_start : fold.validation_stop], spec.horizon)
        forecasts: dict[str, Array] = {}

        def forecast(name: str, params: Params, *, fold=fold, forecasts=forecasts) -> Array:
            key = json.dumps([name, dict(params)], sort_keys=True)
            if key not in forecasts:
                fit = FitSpec.of(spec.model_copy(update={"model_name": name}), params)
                forecasts[key] = window_forecast(rows, fold, fit)
            return forecasts[key]

        errors = {
            label: np.square(
                in_scale(sum(weight * forecast(name, params) for name, params, weight in each), spec)
                - in_scale(actual, spec)
            ).mean(axis=(1, 2))
            for label, each in contestants.items()
        }
        index = rows.index[fold.validation_start : fold.validation_start + len(actual)]
        found.append(pd.DataFrame(errors, index=index))
    return pd.concat(found)


def window_forecast(rows: pd.DataFrame, fold: Any, fit: FitSpec) -> Array:
    """Return the forecasts of a window by a model that is fitted on the rows before it."""
    cuts = cuts_of_fit(rows.index, (fold,), fit)
    (n_rows,) = rows_to_fit((fold,), cuts, fit)
    with quiet_single_thread():
        prepared = prepare_fold(rows, fold, fit.features, fit_rows=n_rows)
        fitted = fit_prepared((prepared,), cuts, fit)
        quantiles = rolling_forecasts(fitted.model, prepared, fold.validation_start, fit.horizon)
    # The mean for returns, which have no logarithm; for ranges the median, whose logarithm is scored.
    return Forecast.of_quantiles(quantiles, fit.levels, fitted.to_median).point


def in_scale(values: Array, spec: TuneSpec) -> Array:
    """Return values as they are scored."""
    return np.log(values) if spec.features.target_transform == "log" else values


def measured(task: Task, folder: str) -> str:
    """Measure a task, and leave its losses in the folder, which a later run reads."""
    stop = "" if task.stop is None else f"-{task.stop}"
    file = Path(folder) / f"{task.series}-{task.target}-{task.seed}-{task.trials}-{'+'.join(task.models)}{stop}.parquet"
    if not file.exists():
        losses_of(task, folder).to_parquet(file)
    return str(file)


def report(console: Console, losses: dict[str, pd.DataFrame], title: str) -> None:
    """Print each contestant's error as a share of that of the best study of one architecture, and what is saved."""
    labels = list(next(iter(losses.values())).columns)
    table = Table(title=title, title_justify="left")
    table.add_column("series")
    for label in labels:
        table.add_column(label, justify="right")
    for name, each in losses.items():
        rmse = np.sqrt(each.mean())
        reference = min(rmse[label] for label in labels if label.endswith(" alone"))
        table.add_row(name, *(f"{rmse[label] / reference:.3f}" for label in labels))
    console.print(table)
    today = "one study: best"
    for label in labels:
        if label != today:
            value, low, high = accuracy.saving(losses, label, today)
            console.print(f"{label} against {today}: {value:+.1%} [{low:+.1%}, {high:+.1%}], mean over the series")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sealed", action="store_true", help="score the series that no decision has seen")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--targets", default="range,return", help="of range and return, separated by commas")
    parser.add_argument("--series", help="names of some of the series, separated by commas")
    parser.add_argument("--models", default=",".join(MODELS), help="architectures, separated by commas")
    parser.add_argument("--folder", type=Path, required=True, help="folder for folds and losses, read by a later run")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    series = accuracy.SEALED if given.sealed else accuracy.DEVELOPMENT
    names = [
        f"{each.name} ({each.first})" for each in series if given.series is None or each.name in given.series.split(",")
    ]
    tasks = list(tasks_of(names, given.targets.split(","), given.seeds, given.trials, tuple(given.models.split(","))))
    with ProcessPoolExecutor(given.workers) as processes:
        files = list(processes.map(partial(measured, folder=str(given.folder)), tasks))
    console = Console(width=160)
    for target in given.targets.split(","):
        losses = {
            f"{task.series}, seed {task.seed}": pd.read_parquet(file)
            for task, file in zip(tasks, files, strict=True)
            if task.target == target
        }
        report(console, losses, f"{target}: error / that of the best study of one architecture, {given.trials} trials")


if __name__ == "__main__":
    main()
