"""A study in a process of its own whose architecture is edited while it runs: what test_edited_code.py starts.

Arguments: a folder for everything, an event, and the text to replace with another in `own_recipe.py` at that event.
The event is `trial`, the end of the first trial, or `worker`, where the worker is ended too; or there is none.
"""

import json
import sys
from pathlib import Path

import psutil

from kallos.cache import FoldCache
from kallos.errors import StudyError
from kallos.study.events import Event, TrialFinished
from kallos.tuner import run_tuning
from kallos.workers.processes import FoldPool
from tests.processes import workers_of
from tests.samples import small_plan


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / "own_recipe.py"
    file.write_text(file.read_text().replace(old, new))


def end_workers() -> None:
    workers = workers_of(psutil.Process())
    for worker in workers:
        worker.kill()
    psutil.wait_procs(workers)


def main(folder: Path, when: str = "never", old: str = "", new: str = "") -> None:
    plan = small_plan(folder, model_name="own_recipe:MINE", metric="own_recipe:error", n_trials=3)
    fitted = 0

    def score(job):  # type: ignore[no-untyped-def]
        nonlocal fitted
        fitted += 1
        return pool.evaluate(job)

    def watch(event: Event) -> None:
        if when != "never" and isinstance(event, TrialFinished) and event.trial.number == 0:
            edit(folder, old, new)
            if when == "worker":
                end_workers()

    with FoldPool(1, retries=1) as pool:
        try:
            result = run_tuning(plan, evaluate=FoldCache(folder / "cache").through(score), watcher=watch)
            values = [trial.value for trial in result.trials]
            sys.stdout.write(json.dumps({"study": result.study_name, "fitted": fitted, "values": values}))
        except StudyError as error:
            sys.stdout.write(json.dumps({"study": plan.study_name, "fitted": fitted, "refused": str(error)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
