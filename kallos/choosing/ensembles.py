"""An ensemble of trials, picked on the folds, and what it is worth on folds that did not pick it."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from kallos.study.choice import Ensemble, Member, OnLaterFolds

F = TypeVar("F")
Array = npt.NDArray[np.float64]
Picks = tuple[int, ...]

MOST_MEMBERS = 5
# The first fold only picks; three others are scored.
FEWEST_FOLDS = 4


@dataclass(frozen=True)
class Candidates(Generic[F]):
    """What an ensemble is picked from: complete trials, and how their forecasts are read, averaged and scored.

    `forecast_of` gives the forecast of a fold, counted from zero, by a trial. It is asked for several times, and what
    it returns is not kept. `mean_of` averages forecasts with weights, and `score` is the score of a forecast of a fold.
    """

    trials: tuple[int, ...]
    n_folds: int
    forecast_of: Callable[[int, int], F]
    mean_of: Callable[[Sequence[F], Sequence[float]], F]
    score: Callable[[int, F], float]
    direction: Literal["minimize", "maximize"] = "minimize"
    _scores: dict[tuple[int, Picks], float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def sign(self) -> int:
        """The sign of scores of which lower is better."""
        return 1 if self.direction == "minimize" else -1

    def score_of(self, fold: int, picks: Picks) -> float:
        """Return the score on a fold of the mean of these trials, lower is better, infinite if it is not a number."""
        return self._score(fold, reduced(picks), {})

    def scores_with_each(self, fold: int, picks: Picks) -> Array:
        """Return the scores on a fold of the picks with each of the trials added to them."""
        together = [reduced((*picks, trial)) for trial in self.trials]
        is_known = all((fold, each) in self._scores for each in together)
        members = {} if is_known else {trial: self.forecast_of(fold, trial) for trial in set(picks)}
        return np.array([self._score(fold, each, members) for each in together])

    def _score(self, fold: int, picks: Picks, read: Mapping[int, F]) -> float:
        if (fold, picks) not in self._scores:
            weights = weights_of(picks)
            each = [read[trial] if trial in read else self.forecast_of(fold, trial) for trial in weights]
            score = self.sign * self.score(fold, self.mean_of(each, list(weights.values())))
            self._scores[fold, picks] = np.inf if np.isnan(score) else score
        return self._scores[fold, picks]


def weights_of(picks: Picks) -> dict[int, float]:
    """Return the weight of each trial in the mean, the most frequent one first."""
    ordered = sorted(Counter(picks).items(), key=lambda each: (-each[1], each[0]))
    return {trial: times / len(picks) for trial, times in ordered}


def reduced(picks: Picks) -> Picks:
    """Return the fewest picks with the same mean, sorted: of (7, 3, 3, 7) they are (3, 7)."""
    times = Counter(picks)
    common = math.gcd(*times.values())
    return tuple(trial for trial in sorted(times) for _ in range(times[trial] // common))


def pick(candidates: Candidates[F], folds: Sequence[int], *, most: int = MOST_MEMBERS) -> Picks:
    """Return the trials whose mean forecast is best by its mean score over the folds; a trial may be there repeatedly.

    Greedy selection with replacement (Caruana, Niculescu-Mizil, Crew & Ksikes 2004): starting from the best trial, the
    one is added with which the mean is best, the earlier of equals, `most` times in all. Of the ensembles on this way
    the best is taken, the smaller of equals.
    """
    picks: Picks = ()
    best: Picks = ()
    best_score = np.inf
    for _ in range(most):
        scores = np.mean([candidates.scores_with_each(fold, picks) for fold in folds], axis=0)
        position = int(scores.argmin())
        picks = (*picks, candidates.trials[position])
        if not best or scores[position] < best_score:
            best, best_score = picks, float(scores[position])
    return reduced(best)


def ensemble_of(
    candidates: Candidates[F],
    params: Mapping[int, Mapping[str, Any]],
    *,
    saving_is: Literal["share", "difference"] = "share",
    most: int = MOST_MEMBERS,
) -> Ensemble | None:
    """Return the ensemble picked on all folds, and its worth on folds later than those that picked it.

    `params` has the parameters of each trial. Returns None with fewer than two trials or four folds.
    """
    if len(candidates.trials) < 2 or candidates.n_folds < FEWEST_FOLDS:
        return None
    every = range(candidates.n_folds)
    picks = pick(candidates, every, most=most)
    return Ensemble(
        members=tuple(
            Member(trial=trial, params=dict(params[trial]), weight=weight)
            for trial, weight in weights_of(picks).items()
        ),
        picks=len(picks),
        by_fold=tuple(candidates.sign * candidates.score_of(fold, picks) for fold in every),
        value=_mean(candidates, [candidates.score_of(fold, picks) for fold in every]),
        on_later_folds=on_later_folds(candidates, saving_is=saving_is, most=most),
        candidates=len(candidates.trials),
        source="Caruana, Niculescu-Mizil, Crew & Ksikes (2004), Ensemble selection from libraries of models, ICML",
    )


def on_later_folds(
    candidates: Candidates[F], *, saving_is: Literal["share", "difference"] = "share", most: int = MOST_MEMBERS
) -> OnLaterFolds:
    """Return the scores of ensembles and of best trials, both picked on the folds before the one that scores them.

    The first fold is left out, because nothing comes before it (prequential evaluation, Dawid 1984). The trials
    themselves were drawn by a search that has seen all folds, which favours both sides.
    """
    later = range(1, candidates.n_folds)
    ensembles = [candidates.score_of(fold, pick(candidates, range(fold), most=most)) for fold in later]
    best = [candidates.score_of(fold, pick(candidates, range(fold), most=1)) for fold in later]
    value, best_value = _mean(candidates, ensembles), _mean(candidates, best)
    return OnLaterFolds(
        value=value,
        best_value=best_value,
        saving=_saving(candidates.sign * (best_value - value), best_value if saving_is == "share" else 1),
        saving_is=saving_is,
        won=sum(own < other for own, other in zip(ensembles, best, strict=True)),
        folds=len(later),
    )


def _mean(candidates: Candidates[F], scores: Sequence[float]) -> float:
    return candidates.sign * float(np.mean(scores))


def _saving(difference: float, unit: float) -> float | None:
    return difference / unit if unit and math.isfinite(difference / unit) else None
