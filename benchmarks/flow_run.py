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
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil

from flows.server.api import set_environment
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec

if TYPE_CHECKING:
    from kallos.report.forecasts import FoldForecasts


def trivial_score(job: FoldJob) -> FoldResult:
    """Score by a closed form with some noise: an architecture that takes no time to train."""
    params = job.fit.params
    noise = random.Random(f"{sorted(params.items())}{job.rows_sha256}").uniform(0, 0.1)
    error = 1 + (math.log10(params["lr"]) + 3) ** 2 + 0.01 * params["hidden_dim"] + noise
    return FoldScore(
        value=error,
        rmse=error,
        mae=error,
        by_asset=(error,),
        by_target=(error,),
        n_forecasts=1,
        epochs=1,
        best_epoch=1,
        seconds=0.0,
    )


def trivial_forecasts(job: FoldJob) -> "FoldForecasts":
    """Forecast zero on all rows of a fold, without a fit."""
    from kallos.features.moments import timestamp
    from kallos.features.snapshots import read_snapshot
    from kallos.report.forecasts import FoldForecasts

    rows = read_snapshot(job.snapshot).iloc[job.folds[0].validation_start : job.folds[0].validation_stop]
    return FoldForecasts(
        fingerprint=job.fingerprint,
        fold=job.number,
        block=1,
        rmse=trivial_score(job).rmse,
        timestamps=tuple(timestamp(moment) for moment in rows.index),
        actual=tuple(rows[job.fit.features.targets[0]].tolist()),
        forecast=(0.0,) * len(rows),
    )


def without_fits(score: Callable[[FoldJob], FoldResult] = trivial_score) -> Callable[..., Any]:
    """Return what stands in for `FoldPool`, whose folds are scored and forecast in this process and take no time."""
    pool = SimpleNamespace(score=score, run=lambda _, job: trivial_forecasts(job))
    return lambda *_, **__: nullcontext(pool)


class Clock:
    """Watches a study: when its first trial is asked, when each is told, and what memory is taken then."""

    def __init__(self) -> None:
        self.first_ask = 0.0
        self.told: list[float] = []
        self.memory: list[int] = []
        self.fit_seconds = 0.0
        self.fits = 0
        self.saved = 0.0

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
                self.fits, self.saved = fits, result.saved


def main(spec: TuneSpec, run: RunSpec, out: Path, trivial: bool) -> dict[str, Any]:
    set_environment()
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.server.local import start_local_server

    answered = start_local_server()
    # As the command does: what takes long to import is imported while the server starts.
    import torch  # noqa: F401

    import flows.tune
    from flows.session import watching

    with temporary_settings({PREFECT_API_URL: answered()}):
        fitted: list[str] = []

        def note(job: FoldJob) -> FoldResult:
            fitted.append(job.fingerprint)
            return trivial_score(job)

        if trivial:
            flows.places.FoldPool = without_fits(note)  # type: ignore[assignment, misc]
        clock = Clock()
        with watching(clock):
            result = flows.tune.tune(spec, run, str(out)).result
    return {
        "best_params": result.best_params,
        "best_value": result.best_value,
        "baseline_value": result.baseline_value,
        "study_seconds": clock.told[-1] - clock.first_ask if clock.told else 0.0,
        "trial_seconds": [b - a for a, b in zip([clock.first_ask, *clock.told], clock.told, strict=False)],
        "memory": clock.memory,
        "fit_seconds": clock.fit_seconds,
        "fits": clock.fits,
        "saved": clock.saved,
        "fitted": fitted,
        "trials": [trial.model_dump(include={"params", "value", "state"}) for trial in result.trials],
        "warm": len(result.warm_start.params),
    }


if __name__ == "__main__":
    spec, run, out, *trivial = sys.argv[1:]
    os.environ.setdefault("PREFECT_HOME", str(Path(os.environ["KALLOS_HOME"]) / "prefect"))
    measured = main(
        TuneSpec.model_validate_json(spec), RunSpec.model_validate_json(run), Path(out), trivial == ["trivial"]
    )
    (Path(out) / "measured.json").write_text(json.dumps(measured))
