"""The flow `tune` in a process of its own, each fit noted in a file: what the crash tests kill.

Arguments: the study and the run as JSON, and a folder for notes and results. A file `hang` there lets the next fit
hang, and a file `fill` lets the fourth one fill the disk.
"""

import sys
import time
from functools import partial
from pathlib import Path

import flows.tune
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.specs.run import RunSpec
from kallos.specs.study import TuneSpec
from kallos.workers.processes import FoldPool


def evaluate_and_note(folder: Path, job: FoldJob) -> FoldResult:
    notes = folder / "notes"
    with notes.open("a") as file:
        file.write(f"{job.fingerprint}\n")
    hang, fill = folder / "hang", folder / "fill"
    if hang.exists():
        hang.unlink()
        time.sleep(600)
    if fill.exists() and len(notes.read_text().splitlines()) >= 4:
        fill_up(folder)
    return evaluate_fold(job)


def fill_up(folder: Path) -> None:
    with (folder / "filler").open("ab", buffering=0) as filler:
        for size in (4096, 1):
            try:
                while True:
                    filler.write(b"0" * size)
            except OSError:
                pass


if __name__ == "__main__":
    spec, run, folder = sys.argv[1:]
    flows.places.FoldPool = partial(FoldPool, evaluate=partial(evaluate_and_note, Path(folder)))  # type: ignore[misc]
    flows.tune.tune(TuneSpec.model_validate_json(spec), RunSpec.model_validate_json(run), str(Path(folder) / "results"))
