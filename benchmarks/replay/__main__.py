"""How far from the best is a search after 20, 40 and 80 trials?

``python -m benchmarks.replay HOME`` fits the tables that HOME lacks (half an hour on one core; what is there is not
fitted again), replays each sampler on a dozen studies, and prints the tables of benchmarks/README.md. With
``--pruning`` it prints instead what the default pruner spares and costs in the same studies.
"""

import argparse
import itertools
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import optuna
from rich.console import Console
from rich.table import Table as Printed

from benchmarks.pruning import replays
from benchmarks.replay.searches import Pool, regrets, samplers_of
from benchmarks.replay.tables import POINTS, TASKS, Array, Task, table_of

AFTER = (20, 40, 80)
STUDIES = ("ridge", "lightgbm", "lightgbm,nlinear,ridge,tide")
ORDERS = 100


def pools(tasks: tuple[Task, ...], folder: Path, points: Mapping[str, int]) -> Iterator[tuple[str, str, Pool]]:
    """Yield each study's task, architectures and pool."""
    for task, model_name in itertools.product(tasks, STUDIES):
        names = model_name.split(",")
        tables = {name: table_of(task, name, folder, points[name]) for name in names}
        yield task.name, model_name, Pool(task.spec(model_name).search_space, tables)


def mean_regrets(pool: Pool, seeds: int, n_trials: int) -> dict[tuple[str, bool], Array]:
    """Return the regret after each trial of each sampler, without and with the defaults first, mean over the seeds."""
    return {
        (name, first): np.mean(
            [regrets(pool, name, seed, n_trials, defaults_first=first) for seed in range(seeds)], axis=0
        )
        for name in samplers_of(pool.space)
        for first in (False, True)
    }


def pruned(pool: Pool) -> tuple[float, float, float, float]:
    """Return the share of folds that the default pruner spares, how often it ends the best trial, and what that costs.

    The cost is the share by which the best trial that is left is worse, on average and at most, over random orders.
    """
    scores = np.concatenate([table.scores for table in pool.tables.values()])
    return replays(scores.tolist(), ORDERS, seed=0)


def print_regrets(console: Console, found: list[tuple[str, dict[tuple[str, bool], Array]]]) -> None:
    """Print the mean regret of each sampler by kind of study, in percent."""
    for model_name in STUDIES:
        own = [by_search for kind, by_search in found if kind == model_name]
        table = Printed(title=f"{model_name}, {len(own)} studies", title_justify="left")
        for heading in ("search", "first", *(f"after {trials}" for trials in AFTER)):
            table.add_column(heading, justify="left" if heading in ("search", "first") else "right")
        for name, first in own[0]:
            curve = 100 * np.mean([each[name, first] for each in own], axis=0)
            regret = [f"{curve[min(trials, len(curve)) - 1]:.2f}" for trials in AFTER]
            table.add_row(name, "defaults" if first else "", *regret)
        console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="folder of the tables")
    parser.add_argument("--seeds", type=int, default=20, help="replays of each search")
    parser.add_argument("--pruning", action="store_true", help="print what the pruner spares and costs")
    given = parser.parse_args()
    given.home.mkdir(parents=True, exist_ok=True)
    console = Console(width=100)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    every = pools(TASKS, given.home, POINTS)
    if given.pruning:
        table = Printed("study", "folds spared", "best ended", "worse by, mean", "worse by, most")
        for task, model_name, pool in every:
            table.add_row(f"{task}, {model_name}", *(f"{100 * share:.1f} %" for share in pruned(pool)))
        console.print(table)
        return
    print_regrets(console, [(kind, mean_regrets(pool, given.seeds, max(AFTER))) for _, kind, pool in every])


if __name__ == "__main__":
    main()
