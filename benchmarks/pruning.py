"""What the default pruner spares and costs, on studies that are run in full.

    python -m benchmarks.pruning HOME [SEED]

Each study's trials are replayed in 400 random orders, as if the sampler had asked for them so; the pruner sees
what it would have seen with the default max_pending_trials. The first row has the best trial as it was found, the
second one takes the best away in turn, so that other trials are the best. Scores come from the cache in HOME, or are
computed.
"""

import random
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.console import Console
from rich.table import Table

from benchmarks.studies import plan_of, spec_of, write_features
from kallos.cache import FoldCache
from kallos.study.pruning import FoldPruner
from kallos.tuner import run_tuning
from kallos.workers.processes import FoldPool
from kallos.workers.queue import EvaluateFold

ORDERS = 400
PEELED = 8
MAX_PENDING_TRIALS = 4


class Ended:
    """The trials that have ended, as a pruner asks a study for them."""

    direction = StudyDirection.MINIMIZE

    def __init__(self) -> None:
        self.complete: list[FrozenTrial] = []

    def get_trials(self, **_: object) -> list[FrozenTrial]:
        return self.complete


def replay(scores: list[list[float]], order: list[int]) -> tuple[float, bool, float]:
    """Return the share of folds spared, whether the best trial was ended, and how much worse the best left is."""
    pruner, ended, n_folds = FoldPruner(), Ended(), len(scores[0])
    kept: list[FrozenTrial | None] = []
    spared = 0
    for position, number in enumerate(order):
        ended.complete = [trial for trial in kept[: max(position - MAX_PENDING_TRIALS + 1, 0)] if trial is not None]
        folds = dict(enumerate(scores[number], start=1))
        for so_far in range(1, n_folds):
            running = create_trial(
                state=TrialState.RUNNING, intermediate_values={fold: folds[fold] for fold in range(1, so_far + 1)}
            )
            if pruner.prune(ended, running):  # type: ignore[arg-type]
                spared += n_folds - so_far
                kept.append(None)
                break
        else:
            value = statistics.mean(scores[number])
            kept.append(create_trial(state=TrialState.COMPLETE, value=value, intermediate_values=folds))
    best = min(statistics.mean(each) for each in scores)
    left = min(trial.value for trial in kept if trial is not None)
    return spared / (len(order) * n_folds), left > best, left / best - 1


def replays(scores: list[list[float]], orders: int, seed: int) -> tuple[float, float, float, float]:
    shuffle = random.Random(seed)
    outcomes = [replay(scores, shuffle.sample(range(len(scores)), len(scores))) for _ in range(orders)]
    spared, lost, worse = zip(*outcomes, strict=True)
    return statistics.mean(spared), statistics.mean(lost), statistics.mean(worse), max(worse)


def scores_of(study: str, home: Path, evaluate: EvaluateFold, **over: Any) -> list[list[float]]:
    """Return the error of each trial on each fold, of a study that is run in full."""
    plan = plan_of(spec_of(study, **{"pruner": "none", "n_trials": 30, **over}), home)
    cached = FoldCache(home / "cache").through(evaluate)
    trials = run_tuning(plan, evaluate=cached, workers=2).trials
    return [[score.rmse for score in trial.scores] for trial in trials]


def table_of(
    scores_by_study: Mapping[str, list[list[float]]], seed: int, *, orders: int = ORDERS, peeled: int = PEELED
) -> Table:
    """Return what the pruner spares and costs in each study, with its best trial, and with the best ones taken away."""
    table = Table("study", "folds spared", "best ended", "worse by, mean", "worse by, most")
    for study, scores in scores_by_study.items():
        ranked = sorted(scores, key=statistics.mean)
        without = [replays(ranked[taken:], orders // peeled, seed) for taken in range(peeled)]
        rows = (
            ("", replays(scores, orders, seed)),
            (", best taken away", [statistics.mean(each) for each in zip(*without, strict=True)]),
        )
        for name, (spared, lost, worse, most) in rows:
            table.add_row(f"{study}{name}", f"{spared:.0%}", f"{lost:.1%}", f"{worse:.3%}", f"{most:.2%}")
    return table


def main() -> None:
    home = Path(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 42
    home.mkdir(parents=True, exist_ok=True)
    write_features(home)
    with FoldPool(2) as pool:
        scores = {study: scores_of(study, home, pool.evaluate, seed=seed) for study in ("btc", "etth1")}
    Console().print(table_of(scores, seed))


if __name__ == "__main__":
    main()
