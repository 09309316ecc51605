"""Do weight decay, clipping of gradients and a schedule of the learning rate pay?

``python -m benchmarks.training`` fits GRU, TiDE and NLinear by their defaults, each with one setting of the training
changed, on the development series of `benchmarks.accuracy`, and compares the errors on their last windows, over three
seeds. It takes about a quarter of an hour on one core.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy import DEVELOPMENT, errors_of_window
from kallos.architectures import get_architecture
from kallos.folds.cut import Fold
from kallos.folds.study import rows_of_asset
from kallos.scoring.job import FitSpec
from kallos.specs.study import TuneSpec, parse_tune_spec

MODELS, SEEDS = ("gru", "tide", "nlinear"), (1, 2, 3)
N_FOLDS, TRAIN_ROWS, ROWS = 2, 1500, 375
FOLD = Fold(1, 0, TRAIN_ROWS, TRAIN_ROWS, TRAIN_ROWS + ROWS)
SETTINGS: dict[str, dict[str, float]] = {
    "defaults": {},
    "weight_decay 1e-2": {"weight_decay": 1e-2},
    "weight_decay 1": {"weight_decay": 1.0},
    "gradient_clip_val 1": {"gradient_clip_val": 1.0},
    "lr_decay 0.9": {"lr_decay": 0.9},
}


@cache
def study_of(name: str) -> tuple[TuneSpec, pd.DataFrame]:
    """Return the study of a series, and its rows before the sealed ones."""
    (series,) = (each for each in DEVELOPMENT if each.name == name)
    frame = series.load()
    spec = parse_tune_spec({"data": {"asset_id": series.name}, **series.study})
    return spec, rows_of_asset(frame[frame.index < series.stop], spec)


def windows(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the rows of each of the last windows, with those before it to train on."""
    for number in range(N_FOLDS):
        stop = len(rows) - number * ROWS
        yield rows.iloc[stop - ROWS - TRAIN_ROWS : stop]


def error(series: str, model: str, setting: dict[str, float], seed: int) -> float:
    """Return the RMSE of the range's logarithm over the windows."""
    spec, rows = study_of(series)
    fit = FitSpec.of(spec, {**get_architecture(model).defaults, **setting})
    fit = replace(fit, model_name=model, seed=seed)
    return float(np.sqrt(pd.concat([errors_of_window(each, FOLD, fit) for each in windows(rows)]).mean()))


def main() -> None:
    console = Console(width=120)
    found: dict[tuple[str, str, str], list[float]] = {}
    for seed in SEEDS:
        for series in DEVELOPMENT:
            for model in MODELS:
                for label, setting in SETTINGS.items():
                    value = error(series.name, model, setting, seed)
                    found.setdefault((label, series.name, model), []).append(value)
                    console.print(seed, series.name, model, label, f"{value:.5f}", style="dim")
    table = Table(title="saved against the defaults, mean of three seeds (standard error)", title_justify="left")
    columns = [(series.name, model) for series in DEVELOPMENT for model in MODELS]
    for heading in ("", *(f"{series} {model}" for series, model in columns), "mean"):
        table.add_column(heading, justify="right" if heading else "left")
    for label in SETTINGS:
        shares = np.array([1 - np.array(found[label, *at]) / np.array(found["defaults", *at]) for at in columns])
        own = [f"{share.mean():+.2%} ({share.std(ddof=1) / np.sqrt(len(share)):.2%})" for share in shares]
        error_of_mean = shares.mean(axis=0).std(ddof=1) / np.sqrt(len(SEEDS))
        table.add_row(label, *own, f"{shares.mean():+.2%} ({error_of_mean:.2%})")
    console.print(table)


if __name__ == "__main__":
    main()
