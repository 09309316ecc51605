"""`kallos-run` as a user runs it: a process of its own, an empty home, Prefect's own temporary server."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from prefect.settings import PREFECT_API_URL

KALLOS_RUN = Path(sys.executable).with_name("kallos-run")
QUICK = ["--n-folds", "2", "--window", "60", "--max-epochs", "1"]
SMALL = [*QUICK, "--n-trials", "2"]


def make_bars(n_rows: int = 430, *, asset: str = "ABC", seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, n_rows)))
    spread = np.exp(np.abs(rng.normal(0, 0.01, n_rows)))
    return pd.DataFrame(
        {
            "Date": pd.date_range("2022-01-01", periods=n_rows).strftime("%Y-%m-%d"),
            "Open": close * rng.uniform(0.99, 1.01, n_rows),
            "High": close * spread * 1.01,
            "Low": close / spread / 1.01,
            "Close": close,
            "Volume": rng.integers(1_000, 9_000, n_rows),
            "Asset": asset,
        }
    )


@pytest.fixture(scope="module")
def environment(tmp_path_factory, prefect_server) -> dict[str, str]:
    """An environment with an empty home and nothing of ours set, shared by the module so that Prefect starts warm."""
    folder = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KALLOS_", "PREFECT_"))}
    return {**kept, "HOME": str(folder), "KALLOS_HOME": str(folder / "kallos"), "COLUMNS": "80"}


@pytest.fixture(scope="module")
def prices(environment) -> Path:
    """Two assets' bars, ingested."""
    path = Path(environment["HOME"]) / "prices.csv"
    pd.concat([make_bars(), make_bars(asset="XYZ", seed=1)]).to_csv(path, index=False)
    done = run(environment, "ingest", str(path))
    assert done.returncode == 0, done.stderr
    assert "ABC: 397 rows of 26 features, 2022-02-03 to 2023-03-06 (397 new, 0 updated)" in done.stdout
    assert "XYZ: 397 rows" in done.stdout
    return path


def run(environment: dict[str, str], *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KALLOS_RUN, *arguments],
        env={**environment, **variables},
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_help_and_version_answer(environment):
    shown = run(environment, "--help")
    assert shown.returncode == 0
    assert "tune" in shown.stdout
    assert "ingest" in shown.stdout
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run(environment, "--version").stdout)
    flags = run(environment, "tune", "--help").stdout
    assert "--n-trials" in flags
    assert "[default: 20]" in flags


def test_ingesting_twice_changes_nothing(environment, prices):
    again = run(environment, "ingest", str(prices), "--asset-id", "ABC")
    assert "(0 new, 397 updated)" in again.stdout
    assert "XYZ" not in again.stdout


def test_tune_writes_the_best_parameters_and_shows_them_beside_baseline(environment, prices):
    done = run(environment, "tune", "--asset-id", "ABC", "--end-date", "2023-02-20", *SMALL, "--output-dir", "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    path = Path(environment["HOME"]) / "out" / "lightgbm+ridge_ABC_best_params.json"
    document = json.loads(path.read_text())
    assert document["data"]["end"] == "2023-02-20T00:00:00"
    assert document["folds"][0]["validation_start"] == "2022-10-01T00:00:00"
    # 383 rows hold six whole windows of 60 from the first row on, and a current one of 23.
    assert document["current_fold"]["n_forecasts"] == 23
    assert "written to out/lightgbm+ridge_ABC_best_params.json" in done.stdout
    assert f"all files of this study: out/{document['study']}\n" in done.stdout
    assert f"{document['best_value']:.6g}" in done.stdout
    assert f"{document['baseline_value']:.6g}" in done.stdout
    assert "baseline" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 100


def test_a_study_file_serves_and_flags_are_laid_over_it(environment, prices):
    study = Path(environment["HOME"]) / "study.toml"
    study.write_text(
        'model_name = "lstm"\nn_trials = 9\n[data]\nasset_id = "ABC"\n[folds]\nn_folds = 2\nwindow = 60\n'
        "[training]\nmax_epochs = 1\n[features]\nexclude = ['stoch*']\n"
    )
    over = ["--n-trials", "1", "--asset-id", "XYZ"]
    done = run(environment, "tune", "--study", "study.toml", *over, PREFECT_API_URL=PREFECT_API_URL.value())
    assert done.returncode == 0, done.stderr
    document = json.loads((Path(environment["HOME"]) / "kallos-results" / "lstm_XYZ_best_params.json").read_text())
    assert document["n_trials"] == 1
    assert document["spec"]["features"]["exclude"] == ["stoch*"]


def test_a_terminal_shows_a_progress_bar(environment, prices):
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [KALLOS_RUN, "tune", "--asset-id", "ABC", *SMALL, "--seed", "7"],
        env={**environment, "TERM": "xterm", "COLUMNS": "80", "PREFECT_API_URL": PREFECT_API_URL.value()},
        cwd=environment["HOME"],
        stdout=follower,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    ) as process:
        os.close(follower)
        shown = b""
        while chunk := _read(leader):
            shown += chunk
    os.close(leader)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert process.returncode == 0, text
    assert re.search(r"trial 1/2 .*/4 folds  baseline 0\.\d+", text)
    assert "best 0." in text
    assert "written to" in text


def test_an_interrupted_study_ends_at_once_and_is_carried_on(environment, prices, tmp_path):
    mine = {**environment, "KALLOS_DB_URL": f"sqlite:///{environment['KALLOS_HOME']}/features.db"}
    mine["KALLOS_HOME"] = str(tmp_path)
    command = ["tune", "--asset-id", "ABC", *QUICK, "--n-trials", "60"]
    # A terminal's Ctrl-C reaches the workers, too; a service manager's SIGTERM does not.
    kept = interrupt(mine, command, "2/60", lambda pid: os.killpg(pid, signal.SIGINT), 130)
    assert len(kept) >= 4
    still = interrupt(mine, command, "5/60", lambda pid: os.kill(pid, signal.SIGTERM), 143)
    assert {path: still[path] for path in kept} == kept
    done = run(mine, *command[:-1], "5")
    assert done.returncode == 0, done.stderr
    # All five trials were there; the current window of the best is all that is new.
    after = cached_folds_in(mine)
    assert {path: after[path] for path in still} == still
    assert len(after) <= len(still) + 1


def interrupt(environment, command, when: str, end, code: int) -> dict[Path, int]:
    """End a run when its output begins a line so, and return what it has kept."""
    with subprocess.Popen(
        [KALLOS_RUN, *command],
        env=environment,
        cwd=environment["HOME"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not (line := process.stdout.readline()).startswith(when):
            assert line, process.stderr.read()
        children = psutil.Process(process.pid).children(recursive=True)
        end(process.pid)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert stderr == "kallos-run: interrupted; finished folds are kept: run the same command again to continue\n"
    assert not psutil.wait_procs(children, timeout=5)[1]
    return cached_folds_in(environment)


def cached_folds_in(environment) -> dict[Path, int]:
    """The cached folds, with the time of each."""
    return {
        path: path.stat().st_mtime_ns
        for path in (Path(environment["KALLOS_HOME"]) / "fold-cache").rglob("*.safetensors")
    }


def test_a_killed_run_leaves_no_process_behind(environment, prices):
    command = [KALLOS_RUN, "tune", "--asset-id", "ABC", *QUICK, "--n-trials", "60", "--seed", "8"]
    with subprocess.Popen(command, env=environment, cwd=environment["HOME"], stdout=subprocess.PIPE, text=True) as run:
        while not (line := run.stdout.readline()).startswith("1/60"):
            assert line
        children = psutil.Process(run.pid).children(recursive=True)
        lines = [" ".join(child.cmdline()) for child in children]
        assert any("flows.server.local" in line for line in lines)
        assert any("kallos.workers.forks" in line for line in lines)
        run.kill()
        run.wait()
        assert not psutil.wait_procs(children, timeout=5)[1]


def test_the_cache_is_looked_at_and_bounded(environment, prices):
    done = run(environment, "cache", "info")
    assert done.returncode == 0, done.stderr
    entries = len(list((Path(environment["KALLOS_HOME"]) / "fold-cache").rglob("*.safetensors")))
    assert entries > 0
    assert re.search(rf"{entries} folds, \d+ KB, the oldest from 20\d\d-", done.stdout)
    done = run(environment, "cache", "prune", "--older-than", "30")
    assert "no folds removed" in done.stdout
    done = run(environment, "cache", "prune", "--larger-than", "0")
    assert re.search(rf"{entries} folds, \d+ KB removed", done.stdout)
    assert "no folds" in run(environment, "cache", "info").stdout
    done = run(environment, "cache", "prune")
    assert done.returncode == 2
    assert "--older-than DAYS or --larger-than MB" in done.stderr


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # The other end is closed.
        return b""


NOTHING_LISTENS = "postgresql://quant:hunter2@127.0.0.1:9/features"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["tune", "--asset-id", "ABD"], 1, "asset 'ABD' has no rows .* did you mean 'ABC'"),
        (["tune", "--asset-id", "ABC", "--features-table", "feature"], 1, "table 'feature' .* did you mean 'features'"),
        (
            ["tune", "--asset-id", "ABC", "--timestamp-column", "moment"],
            1,
            "column 'moment' .* --timestamp-column",
        ),
        (["tune", "--asset-id", "ABC", *SMALL, "--target", "close"], 1, "the target 'close' is not a column"),
        (
            ["tune", "--asset-id", "ABC", "--end-date", "2020-01-01"],
            1,
            "asset 'ABC' has no rows from the first row to 2020-01-01",
        ),
        (["tune", "--asset-id", "ABC", "--end-date", "soon"], 2, "must be an ISO date such as 2023-09-30, not 'soon'"),
        (
            ["tune", "--asset-id", "ABC", "--n-folds", "9"],
            1,
            "needs 10 complete windows .* about 900 rows, .* 397 rows",
        ),
        (
            ["tune", "--asset-id", "ABC", "--n-folds", "1", "--window", "20", "--end-date", "2022-04-01"],
            1,
            "fold 1 needs",
        ),
        (["tune", "--asset-id", "ABC", "--db-url", NOTHING_LISTENS], 1, "database .*127.0.0.1.* did not answer"),
        (["tune", "--asset-id", "ABC", "--db-url", "hunter2"], 2, "a database URL must be like"),
        (["tune", "--asset-id", "ABC", "--db-url", "sqlite:///none.db"], 1, "there is no file none.db"),
        (["tune", "--asset-id", "ABC", "--model-name", "gruu"], 2, "not 'gruu': did you mean 'gru'"),
        (["tune", "--asset-id", "ABC", "--n-trials", "-1"], 2, "n_trials must be greater than 0, not -1"),
        (["tune", "--asset-id", "ABC", "--n-trials", "ten"], 2, "n-trials.*ten"),
        (["tune", "--asset-id", "ABC", "--start-date", "2023", "--end-date", "2022"], 2, "ISO date"),
        (
            ["tune", "--asset-id", "ABC", "--start-date", "2023-01-01", "--end-date", "2022-01-01"],
            2,
            "must not be after",
        ),
        (["tune"], 2, "asset_id is missing: give it as --asset-id"),
        (["tune", "--asset-id", "ABC", "--study", "none.toml"], 2, "must be readable: none.toml"),
        (["tune", "--asset-id", "ABC", *SMALL, "--output-dir", "prices.csv"], 1, "folder must be writable: prices.csv"),
        (["tune", "--asset", "ABC"], 2, "Did you mean --asset-id"),
        (["tune", "--asset-id", "ABC", NOTHING_LISTENS], 2, "127.0.0.1"),
        (["tune", "--asset-id", "ABC", "--storage-url", "hunter2"], 2, "--storage-url: a database URL must be like"),
        (
            ["tune", "--asset-id", "ABC", "--storage-url", "sqlite://"],
            2,
            "--storage-url must outlive this process",
        ),
        (["cache", "prune", "--older-than", "-1"], 2, 'Invalid value "-1.0" for --older-than. Must be >= 0.'),
        (["tuna"], 2, "tune"),
        (["ingest", "none.csv"], 2, "there is no none.csv"),
        (["ingest"], 2, "a file of prices, or --demo"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_clear_line(environment, prices, arguments, code, said):
    done = run(environment, *arguments)
    assert done.returncode == code, done.stderr
    assert re.search(said, done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
    assert not (Path(environment["HOME"]) / "none.db").exists()


def test_an_api_that_does_not_answer_is_said_in_one_line(environment, prices):
    done = run(environment, "tune", "--asset-id", "ABC", *SMALL, PREFECT_API_URL="http://u:hunter2@127.0.0.1:9/api")
    assert done.returncode == 1
    assert "http://***@127.0.0.1:9/api did not: start it with 'prefect server start'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_values_that_are_not_finite_are_named_before_anything_is_fitted(environment, prices):
    import sqlite3

    database = Path(environment["HOME"]) / "kallos" / "features.db"
    with sqlite3.connect(database) as connection:
        connection.execute("update features set rsi_14 = null where asset_id = 'XYZ' and timestamp like '2022-05-1%'")
    done = run(environment, "tune", "--asset-id", "XYZ", *SMALL)
    assert done.returncode == 1
    assert "rsi_14 is missing in 10 rows, first 2022-05-10 00:00:00" in done.stderr
    with sqlite3.connect(database) as connection:
        connection.execute("delete from features where asset_id = 'XYZ' and timestamp like '2022-05-1%'")
    done = run(environment, "tune", "--asset-id", "XYZ", *SMALL)
    assert done.returncode == 1
    assert "10 of 397 timestamps are missing (2022-05-10" in done.stderr
