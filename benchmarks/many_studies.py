"""Many studies of an architecture that takes no time to train, in one run: what each costs.

    python -m benchmarks.many_studies [STUDIES] [TRIALS] [FILE]

Runs the flow `tune-all` on so many assets (20 by default) with so many trials each (4), against a server of its own in
a temporary home. Prints a table and, as its last line, JSON, which goes into FILE as well. Fits are closed forms in
this process: what is left is what a study costs beside its fits.
"""

import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.flow_run import without_fits
from flows.server.api import set_environment
from kallos.specs.study import TuneSpec

ROWS, FOLDS = 1000, 5


def many_studies(studies: int, trials: int, api: str, database: Path) -> dict[str, Any]:
    """Run so many studies, and return what they took in all, and the first and last tenth of them each.

    They are in the home of the settings, and use the server of this API, a child of this process with this database.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    import flows.places
    from flows.session import BoardChanged, watching
    from flows.tune_all import tune_all
    from kallos.features.store import FeatureStore
    from kallos.settings import Settings
    from kallos.specs.grid import ALL, StudyGrid

    home, begun = Settings.read().home_dir, datetime.now(UTC)
    with FeatureStore(Settings.read().features_url) as store:
        store.write({f"A{number:04}": features(number) for number in range(studies)})
    spec = TuneSpec.model_validate(
        {
            "model_name": "gru",
            "data": {"asset_id": ALL},
            "folds": {"n_folds": FOLDS, "window": 100},
            "n_trials": trials,
            "pruner": "none",
        }
    )
    ended: list[dict[str, float]] = []
    with (
        patch.object(flows.places, "FoldPool", without_fits()),
        temporary_settings({PREFECT_API_URL: api}),
        _counted_calls() as calls,
    ):
        server = max(psutil.Process().children(), key=lambda child: child.memory_info().rss)

        def note(event: object) -> None:
            if not isinstance(event, BoardChanged):
                return
            ended.append(
                {
                    "at": time.perf_counter(),
                    "cpu": _cpu_seconds(psutil.Process()),
                    "server_cpu": _cpu_seconds(server),
                    "calls": calls[0],
                    "memory": psutil.Process().memory_info().rss,
                    "server_memory": server.memory_info().rss,
                    "studies_bytes": _size(home / "studies.db"),
                    "prefect_bytes": _size(database),
                }
            )

        started = {"at": time.perf_counter(), "calls": calls[0]}
        with watching(note):
            tune_all(StudyGrid(spec=spec, assets=ALL, models=("gru",)), output_dir=str(home / "results"))
        again = time.perf_counter()
        tune_all(StudyGrid(spec=spec, assets=ALL, models=("gru",)), output_dir=str(home / "results"))
        replay = time.perf_counter() - again
        refuse_failed_tasks(api, begun)
    tenth = max(studies // 10, 1)
    first, last = ended[0], ended[-1]
    # The first study pays for imports.
    spans = {"all": (ended[0], ended[-1], studies - 1)}
    if studies > 2 * tenth:
        spans |= {"first tenth": (ended[0], ended[tenth], tenth), "last tenth": (ended[-1 - tenth], ended[-1], tenth)}
    return {
        "studies": studies,
        "trials_each": trials,
        "folds_each": FOLDS,
        "seconds": last["at"] - started["at"],
        "replay_seconds": replay,
        "first_study_seconds": first["at"] - started["at"],
        "memory_mb": last["memory"] / 1e6,
        "server_memory_mb": last["server_memory"] / 1e6,
        "studies_db_mb": last["studies_bytes"] / 1e6,
        "prefect_db_mb": last["prefect_bytes"] / 1e6,
        "fold_cache_files": sum(1 for _ in (home / "fold-cache").rglob("*.json")),
        "per_study": {name: _per_study(*span) for name, span in spans.items()},
    }


def refuse_failed_tasks(api: str, begun: datetime) -> None:
    """Raise if a task of any run since then has failed: what was measured is then not what a study costs."""
    import httpx

    found = {"state": {"type": {"any_": ["FAILED", "CRASHED"]}}, "start_time": {"after_": begun.isoformat()}}
    failed = httpx.post(f"{api}/task_runs/count", json={"task_runs": found}, timeout=60).json()
    if failed:
        raise SystemExit(f"no task may fail in what is measured, and {failed} did")


def _per_study(before: dict[str, float], after: dict[str, float], studies: int) -> dict[str, float]:
    grown = {name: (after[name] - before[name]) / max(studies, 1) for name in after}
    return {
        "seconds": grown["at"],
        # What a busy machine does not stretch as it does the seconds.
        "cpu_seconds": grown["cpu"],
        "server_cpu_seconds": grown["server_cpu"],
        "api_calls": grown["calls"],
        "memory_kb": grown["memory"] / 1e3,
        "server_memory_kb": grown["server_memory"] / 1e3,
        "studies_db_kb": grown["studies_bytes"] / 1e3,
        "prefect_db_kb": grown["prefect_bytes"] / 1e3,
    }


@contextmanager
def _counted_calls() -> Iterator[list[int]]:
    """Count the HTTP requests that this process sends inside the block; events go by a websocket, and are not in it."""
    import httpx

    calls = [0]
    sync_send, async_send = httpx.Client.send, httpx.AsyncClient.send

    def send(self: httpx.Client, *args: Any, **kwargs: Any) -> httpx.Response:
        calls[0] += 1
        return sync_send(self, *args, **kwargs)

    async def send_async(self: httpx.AsyncClient, *args: Any, **kwargs: Any) -> httpx.Response:
        calls[0] += 1
        return await async_send(self, *args, **kwargs)

    httpx.Client.send, httpx.AsyncClient.send = send, send_async  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        httpx.Client.send, httpx.AsyncClient.send = sync_send, async_send  # type: ignore[method-assign]


def features(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    index = pd.date_range("2020-01-01", periods=ROWS, name="timestamp", unit="ns")
    columns = ["log_return_close", *(f"roc_{number}" for number in range(10))]
    return pd.DataFrame(rng.normal(0, 0.01, (ROWS, len(columns))), index=index, columns=columns)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _size(database: Path) -> int:
    """Return the bytes that a database holds, what waits in its log included."""
    with sqlite3.connect(database) as connection:
        (pages,), (size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    return int(pages) * int(size)


def main() -> None:
    studies, trials = (int(each) for each in (*sys.argv[1:3], *("20", "4")[len(sys.argv[1:3]) :]))
    with tempfile.TemporaryDirectory(prefix="kallos-many-", ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        home = Path(folder) / "home"
        (home / "prefect").mkdir(parents=True)
        set_environment(KALLOS_HOME=str(home), PREFECT_HOME=str(home / "prefect"))
        from flows.server.local import start_local_server

        figures = many_studies(studies, trials, start_local_server()(), home / "prefect" / "prefect.db")
    table = Table("per study", *figures["per_study"])
    for name in figures["per_study"]["all"]:
        table.add_row(name, *(f"{span[name]:.4g}" for span in figures["per_study"].values()))
    console = Console()
    console.print(table)
    table = Table("in all", "")
    for name, figure in figures.items():
        if name != "per_study":
            table.add_row(name, f"{figure:.4g}")
    console.print(table)
    if len(sys.argv) > 3:
        Path(sys.argv[3]).write_text(json.dumps(figures, indent=2) + "\n")
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
