"""`kallos-run studies` where a name or a file is mistyped."""

import pytest

from flows.cli import main
from tests.samples import small_plan

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


def run(monkeypatch, *words: str) -> int:
    """Run a command, and return its exit code."""
    monkeypatch.setattr("sys.argv", ["kallos-run", *words])
    try:
        main()
    except SystemExit as left:
        return left.code
    return 0


@pytest.mark.parametrize(
    "words",
    [["studies", "list"], ["studies", "show", "a"], ["studies", "compare", "a", "b"], ["studies", "delete", "a"],
     ["studies", "rescore", "a", "--metric", "mae"], ["dashboard"]],
)  # fmt: skip
def test_a_file_that_is_not_there_is_wrong_use(capsys, monkeypatch, home, tmp_path, words):
    assert run(monkeypatch, *words, "--storage-url", f"sqlite:///{tmp_path}/studdies.db") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"there is no such file: {tmp_path}/studdies.db")
    assert list(tmp_path.iterdir()) == []


def test_the_storage_of_the_settings_may_have_no_study_yet(capsys, monkeypatch, home):
    assert run(monkeypatch, "studies", "list") == 0
    assert " ".join(capsys.readouterr().out.split()) == f"no studies in sqlite:///{home}/studies.db"


def test_without_a_terminal_a_name_that_is_mistyped_is_said_before_the_missing_yes(capsys, monkeypatch, home, tmp_path):
    from kallos.study.record import open_record

    plan, url = small_plan(tmp_path), f"sqlite:///{tmp_path}/studies.db"
    with open_record(url, plan):
        pass
    assert run(monkeypatch, "studies", "delete", f"{plan.study_name}x", "--storage-url", url) == 2
    assert f"did you mean '{plan.study_name}'?" in capsys.readouterr().err
    assert run(monkeypatch, "studies", "delete", plan.study_name, "--storage-url", url) == 2
    assert "give --yes" in capsys.readouterr().err
