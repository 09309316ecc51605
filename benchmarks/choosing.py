"""How often the best trial is in the confidence set, how often SPA rejects, and what ensembles are worth.

    python -m benchmarks.choosing [STUDIES]

Losses of trials that are equally good, or of which the first is better, on five folds: what is common to all trials
varies much and differs from fold to fold; what is their own is independent, an autoregression (0.5), or the mean of
overlapping steps. SPA has one more of them as baseline.

Ensembles are picked from forecasts of noise by trials that know nothing, each a little noise of its own; from trials
that know a signal, with independent errors; and from trials that err together.
"""

import sys
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy.signal import lfilter

from kallos.choosing.confidence import Statistic, confidence_set
from kallos.choosing.ensembles import Candidates, ensemble_of
from kallos.choosing.losses import FoldLosses
from kallos.choosing.superiority import superior_ability

Array = npt.NDArray[np.float64]

STUDIES = 200
LEVEL = 0.1
FOLDS, TRIALS = 5, 10
RESAMPLES = 300
# The kind of own losses, the horizon, and the origins of a fold.
CASES = (
    ("independent", 1, 20),
    ("independent", 1, 60),
    ("autoregression", 1, 60),
    ("overlapping", 5, 24),
    ("overlapping", 5, 60),
    ("overlapping", 24, 240),
)
STATISTICS: tuple[Statistic, ...] = ("max", "R")
_BURN_IN = 50


def _mean(forecasts: Sequence[Array], weights: Sequence[float]) -> Array:
    return np.average(forecasts, axis=0, weights=weights)


def own_losses(rng: np.random.Generator, kind: str, horizon: int, shape: tuple[int, int]) -> Array:
    """Return what is a trial's own in its losses, of mean zero and variance one, a row each."""
    n_trials, n = shape
    if kind == "autoregression":
        shocks = rng.normal(size=(n_trials, n + _BURN_IN))
        series: Array = np.sqrt(0.75) * lfilter([1], [1, -0.5], shocks, axis=1)[:, _BURN_IN:]
        return series
    steps = rng.normal(size=(n_trials, n + horizon - 1))
    windows = np.lib.stride_tricks.sliding_window_view(steps, horizon, axis=1)
    means: Array = windows.sum(axis=2) / np.sqrt(horizon)
    return means


def study_losses(
    rng: np.random.Generator, kind: str, horizon: int, n: int, *, better: float = 0, trials: int = TRIALS
) -> FoldLosses:
    """Return the losses of a study whose first trial is better by this share of the own losses' standard deviation."""
    folds = []
    for _ in range(FOLDS):
        common = 2 * rng.gamma(1, 1, size=n) * rng.uniform(0.5, 2)
        losses = common + own_losses(rng, kind, horizon, (trials, n)) * rng.uniform(1, 1.5)
        losses[0] -= better
        folds.append(losses)
    return FoldLosses(tuple(folds), horizon)


def of_set(
    n_studies: int, kind: str, horizon: int, n: int, *, better: float = 0, statistic: Statistic = "max"
) -> tuple[float, float, float]:
    """Return how often the set has the first trial, how often it has all, and its share of the trials."""
    rng = np.random.default_rng(0)
    has_first, has_all, shares = [], [], []
    for _ in range(n_studies):
        losses = study_losses(rng, kind, horizon, n, better=better)
        confidence = confidence_set(range(TRIALS), losses, level=LEVEL, statistic=statistic, resamples=RESAMPLES)
        assert confidence is not None
        has_first.append(0 in confidence.trials)
        has_all.append(len(confidence.trials) == TRIALS)
        shares.append(len(confidence.trials) / TRIALS)
    return float(np.mean(has_first)), float(np.mean(has_all)), float(np.mean(shares))


def rejected(n_studies: int, kind: str, horizon: int, n: int, better: float = 0) -> float:
    """Return how often SPA finds the best of the trials better than a baseline that is as good as the other trials."""
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(n_studies):
        losses = study_losses(rng, kind, horizon, n, better=better, trials=TRIALS + 1)
        # The trial that may be better is first, and the baseline last.
        against = losses.of([TRIALS, *range(TRIALS)])
        superiority = superior_ability(against, "simulated", resamples=RESAMPLES)
        assert superiority is not None
        p_values.append(superiority.p_value)
    return float(np.mean(np.array(p_values) <= LEVEL))


def savings(n_studies: int, kind: str, *, origins: int = 60, trials: int = 30, signal: float = 0.5) -> Array:
    """Return what an ensemble saves over the best trial: on the folds that picked both, on later ones, on fresh rows.

    Each row is a study.
    """
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(n_studies):
        shape = (FOLDS + 1, origins)
        known = np.zeros(shape) if kind == "noise" else signal * rng.normal(size=shape)
        actual = known + rng.normal(size=shape)
        errors = 0.3 * rng.normal(size=(trials, *shape))
        if kind == "err together":
            errors = 0.05 * errors + 0.3 * rng.normal(size=shape)
        forecasts = known + errors

        def score(fold: int, forecast: Array, actual: Array = actual) -> float:
            return float(np.sqrt(np.mean(np.square(forecast - actual[fold]))))

        candidates = Candidates(
            tuple(range(trials)), FOLDS, lambda fold, trial, all_=forecasts: all_[trial, fold], _mean, score
        )
        ensemble = ensemble_of(candidates, {trial: {} for trial in range(trials)})
        assert ensemble is not None
        alone = np.array(
            [np.mean([score(fold, forecasts[trial, fold]) for fold in range(FOLDS)]) for trial in range(trials)]
        )
        best = int(alone.argmin())
        mixed = np.sum([each.weight * forecasts[each.trial, FOLDS] for each in ensemble.members], axis=0)
        fresh = 1 - score(FOLDS, mixed) / score(FOLDS, forecasts[best, FOLDS])
        rows.append((1 - ensemble.value / alone[best], ensemble.on_later_folds.saving or 0.0, fresh))
    return np.array(rows)


def set_table(n_studies: int) -> Table:
    """Return how often the confidence sets hold the first trial, by both statistics, and how many they hold."""
    heads = (f"T_{statistic}: {each}" for statistic in STATISTICS for each in ("all", "has the best", "its share"))
    table = Table("own losses", "horizon", "origins", *heads)
    for kind, horizon, n in CASES:
        figures = []
        for statistic in STATISTICS:
            _, whole, _ = of_set(n_studies, kind, horizon, n, statistic=statistic)
            first, _, share = of_set(n_studies, kind, horizon, n, better=0.3, statistic=statistic)
            figures += [whole, first, share]
        table.add_row(kind, str(horizon), str(n), *(f"{figure:.0%}" for figure in figures))
    return table


def superiority_table(n_studies: int) -> Table:
    """Return how often SPA rejects at 10 %."""
    table = Table("own losses", "horizon", "origins", "none better", "one better by .3")
    for kind, horizon, n in CASES:
        table.add_row(
            kind, str(horizon), str(n), *(f"{rejected(n_studies, kind, horizon, n, by):.0%}" for by in (0, 0.3))
        )
    return table


def ensemble_table(n_studies: int) -> Table:
    """Return the mean savings of ensembles over the best trial."""
    table = Table("trials", "on the folds that picked", "on later folds", "on fresh rows")
    for kind in ("noise", "independent errors", "err together"):
        means = savings(n_studies, kind).mean(axis=0)
        table.add_row(kind, *(f"{mean:+.2%}" for mean in means))
    return table


def main() -> None:
    n_studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    started = time.perf_counter()
    for table in (ensemble_table(n_studies), superiority_table(n_studies), set_table(n_studies)):
        Console().print(table)
    Console(stderr=True).print(f"{time.perf_counter() - started:.0f} seconds", highlight=False)


if __name__ == "__main__":
    main()
