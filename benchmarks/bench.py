"""What measurements share: homes, processes that are timed, and the figures that were found."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.studies import write_features
from kallos.specs.study import TuneSpec

HERE = Path(__file__).parent
# The command as it is typed.
KALLOS_RUN = str(Path(sys.executable).with_name("kallos-run"))


class Bench:
    """Runs measurements in a temporary folder, and keeps the figures.

    Figures that are noisy are medians of `repeats`. `write` puts the features into a new home.
    """

    def __init__(self, folder: Path, repeats: int = 3, write: Callable[[Path], None] = write_features) -> None:
        self.folder = folder
        self.repeats = repeats
        self.figures: list[dict[str, Any]] = []
        self._write = write
        self._homes = 0

    def new_home(self) -> Path:
        """Return a home with the features in it and nothing else."""
        self._homes += 1
        home = self.folder / f"home-{self._homes}"
        home.mkdir()
        self._write(home)
        return home

    def timed(self, command: list[str], home: Path) -> tuple[float, str]:
        """Run a command to its end; return its wall time in seconds, and what it printed."""
        environment = {
            **os.environ,
            "KALLOS_HOME": str(home),
            "PREFECT_HOME": str(self.folder / "prefect"),
            "COLUMNS": "80",
        }
        started = time.perf_counter()
        done = subprocess.run(command, env=environment, cwd=HERE.parent, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command[:4])} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return time.perf_counter() - started, done.stdout

    def flow(self, spec: TuneSpec, home: Path, *, trivial: bool = False, **run: Any) -> dict[str, Any]:
        """Run the flow, and return what it measured of itself beside the wall time of its process."""
        out = home / "results"
        out.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.flow_run", spec.model_dump_json(), json.dumps(run), str(out)]
        wall, _ = self.timed([*command, *(["trivial"] if trivial else [])], home)
        return {"wall": wall, **json.loads((out / "measured.json").read_text())}

    def plain(self, spec: TuneSpec, home: Path, tried: list[dict[str, Any]], *threads: int) -> dict[str, Any]:
        """Run the plain loop on these parameter sets."""
        arguments = (spec.model_dump_json(), str(home), json.dumps(tried), *map(str, threads))
        wall, message = self.timed([sys.executable, "-m", "benchmarks.plain", *arguments], home)
        return {"wall": wall, **json.loads(message.splitlines()[-1])}

    def note(
        self,
        figure: str,
        value: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        **details: Any,
    ) -> None:
        """Keep a figure with what is to be reached, and print it at once."""
        target, reached = "reported", None
        if at_least is not None:
            target, reached = f"{at_least:g} or more", value >= at_least
        elif at_most is not None:
            target, reached = f"{at_most:g} or less", value <= at_most
        self.figures.append({"figure": figure, "value": value, "target": target, "reached": reached, **details})
        Console(stderr=True).print(f"{figure}: {value:.4g} (to reach: {target})", highlight=False)


def keep(figures: list[dict[str, Any]], machine: dict[str, Any], path: Path) -> None:
    """Write figures into the results; those of measurements that were not run stay."""
    before = json.loads(path.read_text())["figures"] if path.exists() else []
    merged = {each["figure"]: each for each in (*before, *figures)}
    path.write_text(json.dumps({"machine": machine, "figures": list(merged.values())}, indent=2) + "\n")
