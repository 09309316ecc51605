"""Many studies in one run, in real processes, against a real server."""

import csv
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from prefect.artifacts import Artifact
from prefect.settings import PREFECT_API_URL

import flows.places
import flows.tune
import flows.tune_all
from flows.commands.tune_all import run_flow
from flows.tune_all import find_assets, tune_all
from kallos.errors import DataError, KallosError, StudyError
from kallos.features.store import FeatureStore
from kallos.report.leaderboard import write_leaderboard
from kallos.settings import Settings
from kallos.specs.grid import StudyGrid
from kallos.specs.run import RunSpec
from kallos.study.catalogue import list_studies
from kallos.tuner import run_tuning
from kallos.workers import scheduler
from tests.integration.test_crashes import wait_until
from tests.samples import by_parameters, make_features, small_plan, small_spec, stand_in_pool

ROOT = Path(__file__).parents[2]
STUDY = """
n_trials = 2
pruner = "none"
[folds]
n_folds = 2
window = 40
[training]
max_epochs = 1
[all]
assets = "*"
models = ["gru", "lstm"]
"""
ASSETS = ("ABC", "DEF", "GHI")
FITS_OF_A_STUDY = 2 * 2


class Command:
    """Runs of `kallos-run tune-all` on one study file, in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "study.toml").write_text(STUDY)

    def start(self, *arguments: str, hang_after: int = -1) -> "subprocess.Popen[str]":
        given = ["tune-all", "--study", "study.toml", "--workers", "1", *arguments]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.integration.grid_process", str(self.folder), str(hang_after), *given],
            env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value(), "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        said, complaint = process.communicate(timeout=120)
        return process.returncode, said, complaint

    def fits(self) -> Counter:
        return Counter((self.folder / "notes").read_text().splitlines())

    def leaderboard(self) -> list[dict[str, str]]:
        with (self.folder / "kallos-results" / "leaderboard.csv").open() as file:
            return list(csv.DictReader(file))


@pytest.fixture
def command(home, prefect_server, tmp_path) -> Command:
    frames = {asset: make_features(seed=number) for number, asset in enumerate(ASSETS)}
    with FeatureStore(Settings.read().features_url) as store:
        # In the midst of the others, so that those behind it show that they go on.
        store.write({**frames, "FEW": make_features(100)})
    return Command(tmp_path)


def test_a_run_that_is_killed_is_carried_on_and_one_asset_that_fails_stops_no_other(command):
    killed = command.start(hang_after=3 * FITS_OF_A_STUDY + 2)
    wait_until((command.folder / "hangs").exists, killed)
    killed.kill()
    killed.communicate()
    before = command.fits()
    assert sum(before.values()) == 3 * FITS_OF_A_STUDY + 2
    partial = Counter(row["status"] for row in command.leaderboard())
    assert partial == {"done": 3, "baseline": 2, "waiting": 5}

    code, said, complaint = command.finish()
    assert code == 1
    assert complaint == (
        "kallos-run: every study must have a result, and 2 of 8 have none: gru on FEW, lstm on FEW; run the "
        "same command again to run only what is missing\n"
    )
    assert said.count("(complete, skipped)") == 3
    fits = command.fits()
    assert f"{len(fits) - len(before)} folds fitted in this run; failed studies are not counted" in said
    assert set(fits.values()) == {1}
    assert len(fits) == len(ASSETS) * 2 * FITS_OF_A_STUDY
    rows = command.leaderboard()
    assert {(row["asset"], row["model"]) for row in rows if row["status"] == "done"} == {
        (asset, model) for asset in ASSETS for model in ("gru", "lstm")
    }
    assert [row["asset"] for row in rows if row["status"] == "baseline"] == list(ASSETS)
    failed = [row for row in rows if row["status"] == "failed"]
    assert {row["asset"] for row in failed} == {"FEW"}
    assert all("needs 3 complete windows" in row["reason"] for row in failed)
    assert max(map(len, said[said.index("leaderboard") :].splitlines())) <= 80
    assert "Mean rank over 3 assets that all models have finished" in said
    assert "chosen on these very folds" in said
    board = Artifact.get("leaderboard")
    assert all(f"| {row['asset']} |" in board.data for row in rows)
    for row in rows:
        if row["status"] == "done":
            results = command.folder / "kallos-results"
            document = json.loads((results / f"{row['model']}_{row['asset']}_best_params.json").read_text())
            assert float(row["value"]) == document["best_value"]
            assert (results / row["study"] / "forecasts.json").exists()

    assert {(each.asset, each.trials.complete) for each in list_studies(Settings.read().studies_url)} == {
        (asset, 2) for asset in ASSETS
    }


def test_all_studies_of_a_run_share_one_pool_and_their_results_are_those_of_each_alone(command, tmp_path, monkeypatch):
    pools = []

    def pool(*_, **__):
        pools.append("opened")
        return nullcontext(stand_in_pool(by_parameters))

    monkeypatch.setattr(flows.places, "FoldPool", pool)
    board = tune_all(StudyGrid(spec=small_spec(), assets=("ABC", "DEF"), models=("gru",)), output_dir=str(tmp_path))
    assert pools == ["opened"]
    for number, (asset, entry) in enumerate(zip(("ABC", "DEF"), board.entries, strict=True)):
        plan = small_plan(tmp_path, make_features(seed=number), data={"asset_id": asset})
        assert (entry.asset, entry.value) == (asset, run_tuning(plan, evaluate=by_parameters).best_value)


def test_neither_a_result_that_cannot_be_read_nor_a_leaderboard_that_cannot_be_written_stops_other_studies(
    command, tmp_path, monkeypatch
):
    monkeypatch.setattr(flows.places, "FoldPool", lambda *_, **__: nullcontext(stand_in_pool(by_parameters)))
    monkeypatch.setattr(flows.tune, "report_html", lambda *_, **__: "page")
    folder = tmp_path / "results"
    (folder / "gru_ABC_best_params.json").mkdir(parents=True)
    written = []

    def write(*board: Any) -> str:
        written.append(board)
        if len(written) in (2, 3):
            raise KallosError("the store is away")
        return write_leaderboard(*board)

    monkeypatch.setattr(flows.tune_all, "write_leaderboard", write)
    with pytest.raises(StudyError, match="1 of 2 have none: gru on ABC"):
        tune_all(StudyGrid(spec=small_spec(), assets=("ABC", "DEF"), models=("gru",)), output_dir=str(folder))
    with (folder / "leaderboard.csv").open() as file:
        assert {row["asset"]: row["status"] for row in csv.DictReader(file) if row["model"] == "gru"} == {
            "ABC": "failed",
            "DEF": "done",
        }


def test_once_the_cluster_is_lost_no_further_study_is_tried(command, tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "ANSWER_SECONDS", 0.2)
    grid = StudyGrid(spec=small_spec(), assets=("ABC", "DEF", "GHI"), models=("gru",))
    with pytest.raises(
        StudyError,
        match=r"and 3 of 3 have none: gru on ABC, gru on DEF, gru on GHI; the Dask cluster is lost, and 2 were not "
        r"tried; run the same command again to run only what is missing$",
    ):
        tune_all(grid, RunSpec(executor="dask", dask_address="tcp://127.0.0.1:9"), output_dir=str(tmp_path))
    with (tmp_path / "leaderboard.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["failed", "waiting", "waiting"]


@pytest.mark.usefixtures("home")
def test_all_assets_of_an_empty_table_are_one_clear_line():
    url = Settings.read().features_url
    with FeatureStore(url) as store:
        store.write({"ABC": make_features(50)})
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("DELETE FROM features")
    with pytest.raises(DataError, match=r"^assets '\*' needs a table with rows, and table 'features' of .* is empty"):
        find_assets.fn(small_spec())


@pytest.mark.usefixtures("home")
def test_a_cluster_that_is_not_there_is_said_before_anything_starts(tmp_path):
    grid = StudyGrid(spec=small_spec(), assets=("ABC",), models=("gru",))
    run = RunSpec(executor="dask", dask_address="tcp://127.0.0.1:9")
    with pytest.raises(StudyError, match=r"^a Dask scheduler must answer at tcp://127\.0\.0\.1:9, and none did"):
        run_flow(grid, run, str(tmp_path))
    assert not (tmp_path / "leaderboard.csv").exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_eight_assets_and_three_models_on_two_cores_are_carried_on_after_a_kill(home, prefect_server, tmp_path):
    assets = [f"A{number}" for number in range(8)]
    with FeatureStore(Settings.read().features_url) as store:
        store.write({asset: make_features(seed=number) for number, asset in enumerate(assets)})
    (tmp_path / "study.toml").write_text(STUDY)
    arguments = ["tune-all", "--study", "study.toml", "--models", "gru,lstm,transformer", "--workers", "2"]

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", "from flows.cli import main; main()", *arguments],
            env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value(), "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def scores() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (home / "fold-cache").rglob("*.safetensors")}

    fits = len(assets) * 3 * 2 * 2
    killed = start()
    wait_until(lambda: len(scores()) >= fits // 2, killed)
    killed.kill()
    killed.communicate()
    before = scores()
    carried_on = start()
    said, _ = carried_on.communicate(timeout=900)
    assert carried_on.returncode == 0, said
    after = scores()
    assert {path: after[path] for path in before} == before
    assert len(after) == fits
    assert "24/24" in said
    assert "Mean rank over 8 assets" in said
