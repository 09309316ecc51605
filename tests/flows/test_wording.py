"""The library's messages name what may be given by its field; the command line shows it as its flag."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.table import Table

import kallos
from flows.cli import main
from flows.wording import Console, fields_of_commands, in_flags
from kallos.errors import DataError
from kallos.folds.cut import cut_folds
from kallos.specs.study import FoldSpec
from tests.samples import make_features

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
SOURCES = sorted(Path(kallos.__file__).parent.rglob("*.py"))


def messages(path: Path) -> Iterator[str]:
    """Yield all text of a module but its docstrings, of f-strings what stands between the values."""
    tree = ast.parse(path.read_text())
    bodies = (node.body for node in ast.walk(tree) if isinstance(getattr(node, "body", None), list))
    docstrings = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_message_of_the_library_names_a_flag(path):
    for text in messages(path):
        text = re.sub(r"var\(--|'(dask worker|kallos-run) [^']*", "", text)
        assert not re.search(r"(?<![\w-])--[a-z]", text), text


def test_what_a_message_names_by_its_field_can_be_given_as_a_flag():
    known = fields_of_commands()
    named = {field for path in SOURCES for text in messages(path) for field in re.findall(r"`([a-z_]+)`", text)}
    assert {"n_folds", "label_horizon", "storage_url"} <= named
    assert named - known == set()


def test_a_field_is_shown_as_its_flag_and_all_else_as_it_is():
    said = "take fewer `n_folds` than 9, or name 'x_1' in 'exclude'; see `db_url` and `Other`; Darts: `lags` is none"
    shown = "take fewer --n-folds than 9, or name 'x_1' in 'exclude'; see --db-url and `Other`; Darts: `lags` is none"
    assert in_flags(said) == shown


def test_whatever_a_command_prints_names_flags(capsys):
    console = Console(width=80)
    table = Table("of `n_folds`")
    table.add_row("[x] `db_url`")
    console.print("warning: begin there with `start_date`")
    console.print(table)

    shown = capsys.readouterr().out
    assert "warning: begin there with --start-date" in shown
    assert "of --n-folds" in shown
    assert "[x] --db-url" in shown


def test_one_fault_is_said_in_the_words_of_whoever_asked(capsys, monkeypatch, home):
    with pytest.raises(DataError) as refused:
        cut_folds(make_features(200).index, FoldSpec(n_folds=30, window=40))
    assert "`n_folds` 30 needs 31 complete windows" in str(refused.value)
    assert "--" not in str(refused.value)
    monkeypatch.setattr("sys.argv", ["kallos-run", "tune", "--asset-id", "A", "--db-url", "sqlite:///not-there.db"])
    with pytest.raises(SystemExit):
        main()
    assert "or name another as --db-url" in capsys.readouterr().err
