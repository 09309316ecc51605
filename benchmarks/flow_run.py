"""One run of the flow `tune` in a process of its own, timed from within.

    python -m benchmarks.flow_run SPEC RUN OUT [trivial]

SPEC and RUN are JSON, KALLOS_HOME holds all. With `trivial`, fits take no time: what is left is orchestration.
"""

import json
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psutil

from flows.server.api import set_environment
from kallos.scoring.forecast import POWERS
from kallos.scoring.job import FoldJob
from kallos.scoring.result import AssetForecasts, FoldFit, FoldResult
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec

if TYPE_CHECKING:
    from kallos.study.result import TuningResult


def trivial_result(job: FoldJob) -> FoldResult:
    """Forecast with the error of a closed form with some noise: an architecture that takes no time to train."""
    params = job.fit.params
    noise = random.Random(f"{sorted(params.items())}{job.rows_sha256}").uniform(0, 0.1)
    error = 1 + (math.log10(params["lr"]) + 3) ** 2 + 0.01 * params["hidden_dim"] + noise
    return result_of_error(job, error)


def result_of_error(job: FoldJob, error: float) -> FoldResult:
    """Return forecasts of zero on all rows of a fold, each wrong by this error."""
    import numpy as np

    (fold,), steps, targets = job.folds, job.fit.horizon, len(job.fit.features.targets)
    n_rows = fold.validation_stop - fold.validation_start
    asset = AssetForecasts(
        quantiles=np.zeros((n_rows - steps + 1, steps, targets, len(job.fit.levels))),
        observed=np.full((n_rows, targets), error),
        reference=np.zeros((n_rows - steps + 1, targets)),
        unit=np.ones(targets),
        change=np.ones(targets),
        rows_per_year=np.array([365.25]),
    )
    to_median = np.ones((len(POWERS), steps, targets))
    return FoldResult(FoldFit(epochs=1, best_epoch=1, seconds=0.0), job.fit.levels, to_median, (asset,))


def without_fits(evaluate: Callable[[FoldJob], FoldResult] = trivial_result) -> Callable[..., Any]:
    """Return what stands in for `FoldPool`, whose folds are evaluated in this process and take no time."""
    return lambda *_, **__: nullcontext(SimpleNamespace(evaluate=evaluate, run=_without_work))


def _without_work(work: Any, _: FoldJob) -> Any:
    """Return what work on a fold finds of an architecture that reads no column and takes one operation."""
    if "groups" not in work.keywords:
        return 1
    import numpy as np

    from kallos.scoring.permutation import PermutedFold

    return PermutedFold(np.ones(2), np.zeros((len(work.keywords["groups"]), 2)))


class Clock:
    """Watches a study: when its first trial is asked, when each is told, and what memory is taken then."""

    def __init__(self) -> None:
        self.first_ask = 0.0
        self.told: list[float] = []
        self.memory: list[int] = []
        self.fit_seconds = 0.0
        self.fits = 0
        self.results: list[TuningResult] = []

    def __call__(self, event: Any) -> None:
        from kallos.study.events import FoldScored, StudyFinished, StudyStarted, TrialFinished

        match event:
            case StudyStarted():
                self.first_ask = time.perf_counter()
            case FoldScored(score=score):
                self.fit_seconds += score.seconds
            case TrialFinished():
                self.told.append(time.perf_counter())
                self.memory.append(psutil.Process().memory_info().rss)
            case StudyFinished(result, fits):
                self.fits = fits
                self.results.append(result)


@contextmanager
def fits_that_take_no_time(fitted: list[str]) -> Iterator[None]:
    """Let closed forms stand in for fits in the block, and start no workers; notes the fingerprint of each."""
    import flows.places

    def note(job: FoldJob) -> FoldResult:
        fitted.append(job.fingerprint)
        return trivial_result(job)

    with (
        patch.object(flows.places, "FoldPool", without_fits(note)),
        patch("kallos.workers.forks.preload", lambda _: None),
    ):
        yield


def measured(spec: TuneSpec, run: RunSpec, out: Path, *, trivial: bool) -> dict[str, Any]:
    """Run what `kallos-run tune` runs, and return what was seen of it."""
    from flows.commands.tune import run_flow
    from flows.session import watching

    fitted: list[str] = []
    clock = Clock()
    with fits_that_take_no_time(fitted) if trivial else nullcontext(), watching(clock):
        run_flow(spec, run, str(out))
    (result,) = clock.results
    return {
        "best_params": result.best_params,
        "best_value": result.best_value,
        "baseline_value": result.baseline_value,
        "study_seconds": clock.told[-1] - clock.first_ask if clock.told else 0.0,
        "trial_seconds": [b - a for a, b in zip([clock.first_ask, *clock.told], clock.told, strict=False)],
        "memory": clock.memory,
        "fit_seconds": clock.fit_seconds,
        "fits": clock.fits,
        "saved": result.saved,
        "fitted": fitted,
        "trials": [trial.model_dump(include={"params", "value", "state"}) for trial in result.trials],
        "warm": len(result.warm_start.params),
    }


def main() -> None:
    spec, run, out, *trivial = sys.argv[1:]
    set_environment()
    os.environ.setdefault("PREFECT_HOME", str(Path(os.environ["KALLOS_HOME"]) / "prefect"))
    found = measured(
        TuneSpec.model_validate_json(spec),
        RunSpec.model_validate_json(run),
        Path(out),
        trivial=trivial == ["trivial"],
    )
    (Path(out) / "measured.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
