"""What cutting samples once saves of a fit, model by model: `python -m benchmarks.lean_fits [MODEL ...]`.

Each model is fitted on 3,000 hours of ETTh1 with its defaults for 5 epochs, in turn with Darts' data set as it is and
with `kallos.scoring.training`'s, three times each. The figure is the mean of the process's CPU seconds; the weights of
both are compared bit by bit.
"""

import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from unittest.mock import patch

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.studies import DATA
from kallos.architectures import registry
from kallos.planning import plan_study
from kallos.scoring.fold import FittedFold, fit_fold
from kallos.scoring.job import FoldJob
from kallos.specs.study import TuneSpec

PAIRS = 3


def job_of(model: str, folder: str) -> FoldJob:
    """Return the job of a model's defaults on the last of two folds."""
    rows = pd.read_csv(DATA / "ETTh1.csv.gz", index_col="date", parse_dates=True).iloc[-3500:]
    spec = TuneSpec.model_validate(
        {
            "model_name": model,
            "data": {"asset_id": "ETTh1"},
            "features": {"target": "OT"},
            "folds": {"n_folds": 1, "window": 500},
            "training": {"max_epochs": 5, "patience": 5},
            "horizon": 24,
        }
    )
    plan = plan_study(rows.reset_index(drop=True), spec, folder)
    return plan.trial_jobs(0, plan.space.defaults(model))[0]


def as_darts_has_it() -> AbstractContextManager[object]:
    """Let models cut their samples as Darts does: one by one, anew in each epoch."""
    return patch("kallos.scoring.networks._whole_batches", lambda _: nullcontext())


def timed(job: FoldJob, way: AbstractContextManager[object]) -> tuple[float, FittedFold]:
    """Return the CPU seconds of a fit, and what came of it."""
    with way:
        started = time.process_time()
        fitted = fit_fold(job)
        return time.process_time() - started, fitted


def main() -> None:
    """Print a row per model."""
    models = sys.argv[1:] or [name for name, each in registry().items() if each.stops_early]
    table = Table("model", "Darts' samples, s", "cut once, s", "saved", "same weights")
    with tempfile.TemporaryDirectory(prefix="kallos-lean-") as folder:
        for model in models:
            job = job_of(model, folder)
            timed(job, nullcontext())  # Imports, and the prepared series.
            pairs = [(timed(job, as_darts_has_it()), timed(job, nullcontext())) for _ in range(PAIRS)]
            plain, lean = (sum(pair[position][0] for pair in pairs) / PAIRS for position in (0, 1))
            weights = [fitted.model.model.state_dict() for _, fitted in pairs[0]]
            same = all(weights[0][name].equal(weights[1][name]) for name in weights[0])
            table.add_row(model, f"{plain:.2f}", f"{lean:.2f}", f"{1 - lean / plain:.0%}", "yes" if same else "NO")
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
