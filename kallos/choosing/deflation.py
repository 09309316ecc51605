"""How much of a study's skill is due to choosing the best of many trials."""

import math
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

from kallos.study.choice import Deflation
from kallos.study.result import TuningResult
from kallos.study.trials import TrialRecord, complete_trials

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

RESAMPLES = 2000
# Fewer folds cannot be split into halves to choose on and to score on.
FEWEST_FOLDS = 3


def deflate(result: TuningResult, *, resamples: int = RESAMPLES, seed: int = 0) -> Deflation | None:
    """Return the skill that remains when a trial is chosen on other folds than it is scored on.

    Folds are resampled with replacement; the trial with the least mean error on the drawn folds is scored on the others
    (Tsamardinos, Greasidou & Borboudakis 2018). Folds are also split into halves (the larger one to choose on), to see
    how the chosen trial ranks on the other half (Bailey, Borwein, López de Prado & Zhu 2017).

    Only complete trials count. Returns None with fewer than two of them or fewer than three folds.
    """
    trials = complete_trials(result.trials)
    if len(trials) < 2 or len(result.windows) < FEWEST_FOLDS:
        return None
    scores = np.array([_fold_losses(trial, result) for trial in trials])
    baseline = np.array([result.metric.as_loss(window.baseline_values[result.baseline]) for window in result.windows])
    best = min(trials, key=lambda trial: result.metric.as_loss(trial.only_value))
    rng = np.random.default_rng(seed)
    # A loss becomes a score as a score becomes a loss.
    value, baseline_value = map(result.metric.as_loss, _out_of_bag(scores, baseline, resamples, rng))
    splits = list(_halves(scores.shape[1], resamples, rng))
    return Deflation(
        apparent_skill=result.metric.skill(best.only_value, result.baseline_value),
        skill=result.metric.skill(value, baseline_value),
        value=value,
        baseline_value=baseline_value,
        overfitting=float(np.mean([_is_overfitted(scores, chosen_on) for chosen_on in splits])),
        trials=len(trials),
        resamples=resamples,
        method=f"skill: bootstrap bias corrected cross-validation, {resamples} resamples of the "
        f"{scores.shape[1]} folds; overfitting: combinatorially symmetric cross-validation, {len(splits)} splits of "
        f"the folds into halves",
        source="Tsamardinos, Greasidou & Borboudakis (2018), Machine Learning 107; Bailey, Borwein, López de Prado & "
        "Zhu (2017), Journal of Computational Finance 20",
    )


def _fold_losses(trial: TrialRecord, result: TuningResult) -> Array:
    return np.array([result.metric.as_loss(score.value) for score in trial.scores])


def _out_of_bag(scores: Array, baseline: Array, resamples: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the mean error on the folds not drawn, of the trials chosen on those drawn, and of the baseline."""
    n_folds = scores.shape[1]
    drawn = rng.integers(n_folds, size=(resamples, n_folds))
    counts: Array = (drawn[:, :, None] == np.arange(n_folds)).sum(axis=1).astype(np.float64)
    # A resample with every fold has none left to score on.
    counts = counts[(counts == 0).any(axis=1)]
    chosen = (counts @ scores.T).argmin(axis=1)
    left_out = counts == 0
    share = left_out / left_out.sum(axis=1, keepdims=True)
    return float((share * scores[chosen]).sum(axis=1).mean()), float((share @ baseline).mean())


def _halves(n_folds: int, most: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Yield the folds to choose on: all combinations, or `most` of them at random."""
    size = n_folds - n_folds // 2
    if math.comb(n_folds, size) <= most:
        yield from (np.array(each) for each in combinations(range(n_folds), size))
    else:
        yield from (rng.permutation(n_folds)[:size] for _ in range(most))


def _is_overfitted(scores: Array, chosen_on: Rows) -> bool:
    """Return whether the trial chosen on these folds is no better than the median one on the others."""
    others = np.delete(scores, chosen_on, axis=1).mean(axis=1)
    chosen = scores[:, chosen_on].mean(axis=1).argmin()
    return bool(others[chosen] >= np.median(others))
