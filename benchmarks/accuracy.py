"""How accurate are forecasts of rows that no decision has seen?

``python -m benchmarks.accuracy`` scores the development series, on which defaults and search spaces were chosen: BTC to
2023, and the S&P 500 to 2014. ``python -m benchmarks.accuracy --sealed`` scores other assets and later rows: ETH, BNB,
SOL, NASDAQ, the S&P 500 from 2015, and ETTh1. Whoever chooses by a sealed score has unsealed it.

Each model is fitted again at the beginning of each year on all earlier rows, and forecasts the rows of that year from
each origin. With ``--trials N`` its parameters come from a study of N trials on the rows before the first year, else
they are the architecture's defaults. Scores of daily ranges are of the range's logarithm.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.studies import DATA
from kallos.architectures import Params, get_architecture
from kallos.features.files.indicators import compute_indicators
from kallos.folds.columns import prepare_fold
from kallos.folds.cut import Fold
from kallos.folds.study import rows_of_asset
from kallos.planning import plan_study
from kallos.scoring.fold import cuts_of_fit, fit_prepared, rows_to_fit
from kallos.scoring.forecast import Forecast
from kallos.scoring.job import FitSpec
from kallos.scoring.rolling import rolling_forecasts
from kallos.scoring.targets import windows_of
from kallos.scoring.training import quiet_single_thread
from kallos.specs.study import TuneSpec, parse_tune_spec
from kallos.tuner import run_tuning

Array = npt.NDArray[np.float64]

# Draws of the interval, and its probability.
DRAWS, LEVEL = 999, 0.95


@dataclass(frozen=True)
class Series:
    """A table, the study that is made of it, and the first row that is scored."""

    name: str
    load: Callable[[], pd.DataFrame]
    first: str
    stop: str
    study: dict[str, Any]
    # Columns that a study adds, apart from the plain ones.
    added: dict[str, Any]


@dataclass(frozen=True)
class Contestant:
    """A model, and whether it reads covariates and the columns that a study adds."""

    label: str
    model_name: str
    reads_covariates: bool = True
    reads_added: bool = False


HAR = "HAR"
RANGES = (
    Contestant(HAR, "har", reads_covariates=False),
    Contestant("ridge, plain", "ridge"),
    Contestant("lightgbm, plain", "lightgbm"),
    Contestant("ridge", "ridge", reads_added=True),
    Contestant("lightgbm", "lightgbm", reads_added=True),
)

DAILY: dict[str, Any] = {
    "features": {"target": "log_range", "target_transform": "log"},
    # Squared errors of the range itself would be those of a few wild days.
    "metric": "mae",
    "folds": {"n_folds": 5},
}
CRYPTO = {"means": {"target": [5, 22, 66]}, "calendar": ["weekday", "month"]}
STOCKS = {
    "means": {"target": [5, 22, 66]},
    "calendar": ["weekday", "month", "turn_of_month", "holiday:NYSE"],
}
HOURS = {"means": {"OT": [24, 168]}, "calendar": ["hour", "weekday"]}


def coin(name: str) -> pd.DataFrame:
    """Return a coin's features."""
    bars = pd.read_csv(DATA / "yahoo_crypto_ohlcv_to2024.csv.gz", parse_dates=["date"])
    return compute_indicators(bars[bars["asset"] == name].drop(columns="asset").set_index("date"))


def index_of_stocks(name: str) -> pd.DataFrame:
    """Return the features of the S&P 500 or NASDAQ, 1999 to 2018, as shipped with the package `arch`."""
    from arch.data import nasdaq, sp500

    bars = {"S&P 500": sp500, "NASDAQ": nasdaq}[name].load()
    bars.columns = bars.columns.str.lower()
    return compute_indicators(bars[["open", "high", "low", "close", "volume"]])


def transformer() -> pd.DataFrame:
    """Return the hours of ETTh1."""
    return pd.read_csv(DATA / "ETTh1.csv.gz", parse_dates=["date"], index_col="date")


def daily(name: str, load: Callable[[str], pd.DataFrame], first: str, stop: str, added: dict[str, Any]) -> Series:
    """Return a series of daily ranges."""
    return Series(name, lambda: load(name), first, stop, DAILY, added)


DEVELOPMENT = (
    daily("BTC", coin, "2018", "2024", CRYPTO),
    daily("S&P 500", index_of_stocks, "2003", "2015", STOCKS),
)
SEALED = (
    daily("ETH", coin, "2020", "2025", CRYPTO),
    daily("BNB", coin, "2020", "2025", CRYPTO),
    daily("SOL", coin, "2022", "2025", CRYPTO),
    daily("NASDAQ", index_of_stocks, "2003", "2019", STOCKS),
    daily("S&P 500", index_of_stocks, "2015", "2019", STOCKS),
)
OIL = {"features": {"target": "OT"}, "horizon": 24, "folds": {"n_folds": 3, "window": 500}}
TRANSFORMER = (
    # The test rows of the literature: four months behind sixteen.
    Series("OT, test rows", transformer, "2017-10-24", "2018-02-21", OIL, HOURS),
    # The untouched window of the benchmark of speed.
    Series("OT, last 500", transformer, "2018-06-06", "2018-07-01", OIL, HOURS),
)


def errors(series: Series, contestant: Contestant, trials: int) -> pd.Series:
    """Return the squared error at each origin, by the timestamp of the first step."""
    frame = series.load()
    frame = frame[frame.index < series.stop]
    added = series.added if contestant.reads_added else {}
    columns = {} if contestant.reads_covariates else {"columns": [series.study["features"]["target"]]}
    spec = parse_tune_spec(
        {
            "model_name": contestant.model_name,
            "data": {"asset_id": series.name},
            "n_trials": max(trials, 1),
            **series.study,
            "features": {**series.study["features"], **added, **columns},
        }
    )
    params = tuned(frame[frame.index < series.first], spec) if trials else get_architecture(spec.model_name).defaults
    rows, horizon = rows_of_asset(frame, spec), spec.horizon
    fit = FitSpec.of(spec, params)
    found = [errors_of_window(rows, fold, fit) for fold in yearly(rows.index, series.first, horizon)]
    return pd.concat(found)


def tuned(frame: pd.DataFrame, spec: TuneSpec) -> Params:
    """Return the parameters that a study of these rows chooses."""
    with tempfile.TemporaryDirectory() as folder:
        return run_tuning(plan_study(frame, spec, folder)).best_params


def yearly(index: pd.DatetimeIndex, first: str, horizon: int) -> Iterator[Fold]:
    """Yield a fold for each year from the first row on; windows overlap by a horizon, so that no origin is missing."""
    start = int(index.searchsorted(pd.Timestamp(first)))
    years = index.year.to_numpy()
    starts = [start, *(row for row in range(start + 1, len(index)) if years[row] != years[row - 1])]
    for number, (begin, end) in enumerate(zip(starts, [*starts[1:], len(index)], strict=True), start=1):
        yield Fold(number, 0, begin, begin, min(end + horizon - 1, len(index)))


def errors_of_window(rows: pd.DataFrame, fold: Fold, fit: FitSpec) -> pd.Series:
    cuts = cuts_of_fit(rows.index, (fold,), fit)
    (n_rows,) = rows_to_fit((fold,), cuts, fit)
    with quiet_single_thread():
        prepared = prepare_fold(rows, fold, fit.features, fit_rows=n_rows)
        fitted = fit_prepared((prepared,), cuts, fit)
        quantiles = rolling_forecasts(fitted.model, prepared, fold.validation_start, fit.horizon)
    (target,) = fit.features.targets
    actual = windows_of(rows[[target]].to_numpy()[fold.validation_start : fold.validation_stop], fit.horizon)
    differences = _scored(Forecast.of_quantiles(quantiles, fit.levels).point, fit) - _scored(actual, fit)
    index = rows.index[fold.validation_start : fold.validation_start + len(actual)]
    return pd.Series(np.square(differences).mean(axis=(1, 2)), index=index)


def errors_of_last(series: Series) -> pd.Series:
    """Return the squared errors of the last value known at each origin."""
    frame = series.load()
    spec = parse_tune_spec({"model_name": "ridge", "data": {"asset_id": series.name}, **series.study})
    rows = rows_of_asset(frame[frame.index < series.stop], spec)
    fit = FitSpec.of(spec, get_architecture("ridge").defaults)
    values = _scored(rows[[spec.features.target]].to_numpy(), fit)
    start = int(rows.index.searchsorted(pd.Timestamp(series.first)))
    actual = windows_of(values[start:], spec.horizon)
    differences = actual - values[start - 1 : start - 1 + len(actual), None]
    return pd.Series(np.square(differences).mean(axis=(1, 2)), index=rows.index[start : start + len(actual)])


def _scored(values: Array, fit: FitSpec) -> Array:
    return np.log(values) if fit.features.target_transform == "log" else values


def saving(losses: dict[str, pd.DataFrame], label: str, against: str) -> tuple[float, float, float]:
    """Return the share of the root mean squared error that one saves against another, mean over the series.

    The interval draws calendar quarters with replacement, the same for all series, since assets move together.
    """
    sums = {
        name: each[[label, against]].assign(n=1.0).groupby(each.index.to_period("Q")).sum()
        for name, each in losses.items()
    }
    quarters = sorted(set().union(*(each.index for each in sums.values())))
    aligned = np.stack([each.reindex(quarters, fill_value=0.0).to_numpy() for each in sums.values()])
    rng = np.random.default_rng(0)
    draws = [slice(None), *rng.integers(0, len(quarters), (DRAWS, len(quarters)))]
    totals = np.stack([aligned[:, draw].sum(axis=1) for draw in draws])
    # A draw may hold no quarter of a short series.
    with np.errstate(invalid="ignore"):
        shares = np.nanmean(1 - np.sqrt(totals[..., 0] / totals[..., 1]), axis=1)
    low, high = np.quantile(shares[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(shares[0]), float(low), float(high)


def report(console: Console, many: tuple[Series, ...], contestants: tuple[Contestant, ...], trials: int) -> None:
    """Print each contestant's error as a share of the last value's, and what means and calendar save."""
    losses = {}
    for series in many:
        columns = {each.label: errors(series, each, trials) for each in contestants}
        losses[series.name] = pd.DataFrame({"last": errors_of_last(series), **columns})
        if losses[series.name].isna().any().any():
            raise AssertionError("every contestant must forecast the same rows")
    table = Table(title="error / that of the last value", title_justify="left")
    for heading in ("series", "rows", *(each.label for each in contestants)):
        table.add_column(heading, justify="left" if heading == "series" else "right")
    for name, each in losses.items():
        shares = np.sqrt(each.mean() / each["last"].mean())
        table.add_row(name, f"{len(each):,}", *(f"{shares[contestant.label]:.3f}" for contestant in contestants))
    console.print(table)
    pairs = [("ridge", HAR), ("lightgbm", HAR), ("ridge", "ridge, plain"), ("lightgbm", "lightgbm, plain")]
    labels = {each.label for each in contestants}
    for label, against in pairs if labels.issuperset(sum(pairs, ())) else ():
        value, low, high = saving(losses, label, against)
        console.print(f"{label} against {against}: {value:.1%} [{low:.1%}, {high:.1%}], mean over the series")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sealed", action="store_true", help="score the series that no decision has seen")
    parser.add_argument("--trials", type=int, default=0, help="tune each model on the rows before the first year")
    given = parser.parse_args()
    console = Console(width=100)
    report(console, SEALED if given.sealed else DEVELOPMENT, RANGES, given.trials)
    if given.sealed:
        report(console, SEALED[:3], RANGES, given.trials)
        report(console, TRANSFORMER, RANGES[1:], given.trials)


if __name__ == "__main__":
    main()
