"""The help of `kallos-run`: commands in three groups, and one sentence for each in both places."""

import re

import pytest

from flows.cli import app

COMMANDS = [name for name in app if not name.startswith("-")]


def help_of(capsys, *words: str) -> str:
    app([*words, "--help"])
    return capsys.readouterr().out


def flat(shown: str) -> str:
    """Return what is shown without boxes and line breaks."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", shown).split())


def test_commands_are_in_three_groups_in_the_order_of_use(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = help_of(capsys)
    assert re.findall(r"╭─ ([A-Z][a-z ]+) ─", shown) == ["Tune", "Judge", "Run nightly", "Options"]
    assert re.findall(r"^│ ([a-z][a-z-]+) ", shown, re.M) == [
        *("ingest", "check", "audit", "space", "tune", "tune-all", "studies", "report", "dashboard", "cache"),
        *("repro", "train", "evaluate", "predict", "models"),
        *("nightly", "serve", "doctor"),
    ]
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_one_sentence_in_its_own_help_and_in_that_of_all(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    sentence = " ".join(help_of(capsys, name).split("\n\n")[1].split())
    assert re.fullmatch(r"[A-Z][^.]*\.", sentence), sentence
    assert f"{name} {sentence}" in flat(help_of(capsys))


def test_flags_are_grouped_and_a_default_is_shown_once(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = help_of(capsys, "tune")
    assert re.findall(r"╭─ ([A-Z][a-z]+) ─", shown) == ["Parameters", "Run", "Study"]
    assert "None" not in shown
    assert "--no-single-asset" in shown
    assert "--no-demo" not in help_of(capsys, "ingest")
    assert "[default: False]" not in shown
