"""`kallos-run cache`: what is kept of scores and rows, and what may go."""

import os
from pathlib import Path

import pytest

from flows.cli import main
from kallos.study.record import open_record
from tests.samples import make_features, small_plan

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


def run(monkeypatch, *words: str) -> int:
    """Run a command, and return its exit code."""
    monkeypatch.setattr("sys.argv", ["kallos-run", "cache", *words])
    try:
        main()
    except SystemExit as left:
        return left.code
    return 0


@pytest.mark.parametrize("server", ["sqlite", "postgresql"])
def test_snapshots_are_shown_and_pruned_but_none_of_a_study_that_runs(
    capsys, monkeypatch, home, tmp_path, request, server
):
    url = f"sqlite:///{tmp_path}/studies.db" if server == "sqlite" else request.getfixturevalue("postgres_url")
    running = small_plan(home)
    ended = small_plan(home, make_features(390))
    with open_record(url, ended):
        pass
    for plan in (running, ended):
        os.utime(plan.snapshot, (0, 0))
    with open_record(url, running):
        assert run(monkeypatch, "info") == 0
        assert "2 snapshots, " in capsys.readouterr().out
        assert run(monkeypatch, "prune", "--older-than", "30", "--larger-than", "0", "--storage-url", url) == 0
        assert "1 snapshots, " in capsys.readouterr().out
        assert Path(running.snapshot).exists()
        assert not Path(ended.snapshot).exists()
    assert run(monkeypatch, "prune", "--older-than", "30", "--storage-url", url) == 0
    assert not Path(running.snapshot).exists()


def test_nothing_is_removed_where_it_cannot_be_known_what_runs(capsys, monkeypatch, home, tmp_path):
    plan = small_plan(home)
    os.utime(plan.snapshot, (0, 0))
    there_is_none = f"sqlite:///{tmp_path}/studdies.db"
    assert run(monkeypatch, "prune", "--older-than", "30", "--storage-url", there_is_none) == 2
    assert "there is no such file" in capsys.readouterr().err
    monkeypatch.setenv("KALLOS_STORAGE_URL", "postgresql://127.0.0.1:9/nowhere")
    assert run(monkeypatch, "prune", "--older-than", "30") == 1
    assert "the study's storage must answer" in capsys.readouterr().err
    assert Path(plan.snapshot).exists()
