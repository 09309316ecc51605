"""`kallos-run tune-all` in a process of its own, whose fits take no time: what the test of many studies kills.

Arguments: a folder for notes of finished fits, how many fits go before one that hangs (-1: none does), and the
command's own.
"""

import sys
import time
from contextlib import nullcontext
from pathlib import Path

from flows.cli import main
from flows.commands.tune import set_environment
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from tests.samples import by_parameters, stand_in_pool


def score_and_note(folder: Path, hang_after: int, job: FoldJob) -> FoldResult:
    notes = folder / "notes"
    if hang_after == (len(notes.read_text().splitlines()) if notes.exists() else 0):
        (folder / "hangs").touch()
        time.sleep(600)
    with notes.open("a") as file:
        file.write(f"{job.fingerprint}\n")
    return by_parameters(job)


if __name__ == "__main__":
    folder, hang_after, *arguments = sys.argv[1:]
    # As the command does before it imports Prefect.
    set_environment()
    import flows.tune

    def score(job: FoldJob) -> FoldResult:
        return score_and_note(Path(folder), int(hang_after), job)

    flows.places.FoldPool = lambda *_, **__: nullcontext(stand_in_pool(score))  # type: ignore[assignment, misc]
    sys.argv = ["kallos-run", *arguments]
    main()
