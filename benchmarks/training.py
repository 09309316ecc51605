"""Do weight decay, clipping of gradients and a schedule of the learning rate pay?

``python -m benchmarks.training`` fits GRU, TiDE and NLinear by their defaults, each with one setting of the training
changed, on the development series of `benchmarks.accuracy`, and compares the errors on their last windows, over three
seeds. It takes about a quarter of an hour on one core.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
from kallos.specs.study import TrainingSpec, TuneSpec, parse_tune_spec

MODELS, SEEDS = ("gru", "tide", "nlinear"), (1, 2, 3)
N_WINDOWS, TRAIN_ROWS, ROWS = 2, 1500, 375
SETTINGS: dict[str, dict[str, float]] = {
    "defaults": {},
    "weight_decay 1e-2": {"weight_decay": 1e-2},
    "weight_decay 1": {"weight_decay": 1.0},
    "gradient_clip_val 1": {"gradient_clip_val": 1.0},
    "lr_decay 0.9": {"lr_decay": 0.9},
}


@dataclass(frozen=True)
class Sizes:
    """How many windows of how many rows are forecast, how many train before each, and for how many epochs at most."""

    windows: int = N_WINDOWS
    train_rows: int = TRAIN_ROWS
    rows: int = ROWS
    max_epochs: int = TrainingSpec().max_epochs


_SIZES = Sizes()


@cache
def study_of(name: str, model: str, max_epochs: int) -> tuple[TuneSpec, pd.DataFrame]:
    """Return the study of a series and an architecture, and the series' rows before the sealed ones."""
    (series,) = (each for each in DEVELOPMENT if each.name == name)
    frame = series.load()
    values = {"model_name": model, "data": {"asset_id": series.name}, "training": {"max_epochs": max_epochs}}
    spec = parse_tune_spec({**values, **series.study})
    return spec, rows_of_asset(frame[frame.index < series.stop], spec)


def windows(rows: pd.DataFrame, sizes: Sizes) -> Iterator[pd.DataFrame]:
    """Yield the rows of each of the last windows, with those before it to train on."""
    for number in range(sizes.windows):
        stop = len(rows) - number * sizes.rows
        yield rows.iloc[stop - sizes.rows - sizes.train_rows : stop]


def error(series: str, model: str, setting: dict[str, float], seed: int, sizes: Sizes) -> float:
    """Return the RMSE of the range's logarithm over the windows."""
    spec, rows = study_of(series, model, sizes.max_epochs)
    fit = replace(FitSpec.of(spec, {**get_architecture(model).defaults, **setting}), seed=seed)
    fold = Fold(1, 0, sizes.train_rows, sizes.train_rows, sizes.train_rows + sizes.rows)
    return float(np.sqrt(pd.concat([errors_of_window(each, fold, fit) for each in windows(rows, sizes)]).mean()))


def measured(
    console: Console, columns: Sequence[tuple[str, str]], seeds: Sequence[int] = SEEDS, sizes: Sizes = _SIZES
) -> Table:
    """Return what each setting saves, for series and models side by side."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for seed in seeds:
        for series, model in columns:
            for label, setting in SETTINGS.items():
                value = error(series, model, setting, seed, sizes)
                found.setdefault((label, series, model), []).append(value)
                console.print(seed, series, model, label, f"{value:.5f}", style="dim")
    title = f"saved against the defaults, mean of {len(seeds)} seeds (standard error)"
    table = Table(title=title, title_justify="left")
    for heading in ("", *(f"{series} {model}" for series, model in columns), "mean"):
        table.add_column(heading, justify="right" if heading else "left")
    for label in SETTINGS:
        shares = np.array([1 - np.array(found[label, *at]) / np.array(found["defaults", *at]) for at in columns])
        own = [f"{share.mean():+.2%} ({share.std(ddof=1) / np.sqrt(len(share)):.2%})" for share in shares]
        error_of_mean = shares.mean(axis=0).std(ddof=1) / np.sqrt(len(seeds))
        table.add_row(label, *own, f"{shares.mean():+.2%} ({error_of_mean:.2%})")
    return table


def main() -> None:
    console = Console(width=120)
    console.print(measured(console, [(series.name, model) for series in DEVELOPMENT for model in MODELS]))


if __name__ == "__main__":
    main()
