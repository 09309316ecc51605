"""Every code block of the pages, used as a reader would: in its page's order, in a folder that has what pages name.

Files are written, Python runs, study files are checked on rows, commands run, or are parsed by the tool that they call.
What needs a study or a model is run by the slow tests, with few trials and epochs.
"""

import contextlib
import inspect
import json
import os
import re
import shutil
import sqlite3
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import metadata
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import yaml

from flows.cli import app
from kallos.architectures import Architecture
from kallos.architectures.references import load_reference
from kallos.contracts import check_architecture
from kallos.settings import Settings
from kallos.specs.files import merge, read_study_file
from kallos.specs.grid import parse_grid
from kallos.specs.study import parse_tune_spec
from tests.pages import PAGES, ROOT, Block, blocks

LANGUAGES = {"bash", "console", "python", "sql", "toml", "json", "text", "mermaid"}
# Commands that take seconds on small rows, and those whose flow is a run of its own.
QUICK = {"audit", "cache", "check", "ingest", "space"}
FLOWS = {"tune": "flows.commands.tune", "tune-all": "flows.commands.tune_all", "nightly": "flows.commands.nightly"}
# They run until they are ended, or look at servers that are there; tests/integration runs them.
SERVERS = {"dashboard", "doctor", "serve"}
# Of a model or a study.
HASH = re.compile(r"[0-9a-f]{16}")
# Studies of seconds, and what nobody is there to be asked.
SMALL = {"n_trials": 1, "n_folds": 1, "max_epochs": 1, "seeds": 1, "yes": True}


def make_bars(start: str = "2021-04-01", periods: int = 1100, seed: int = 0) -> pd.DataFrame:
    """Return daily bars up to the beginning of April 2024."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, periods)))
    spread = np.exp(np.abs(rng.normal(0, 0.01, periods)))
    return pd.DataFrame(
        {
            "date": pd.date_range(start, periods=periods).strftime("%Y-%m-%d"),
            "open": close * rng.uniform(0.99, 1.01, periods),
            "high": close * spread * 1.02,
            "low": close / spread / 1.02,
            "close": close,
            "volume": rng.integers(1_000, 9_000, periods),
        }
    )


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder: the demo's features, those of some assets, and the files that the pages take for granted."""
    folder = tmp_path_factory.mktemp("reader")
    bars = make_bars()
    bars.to_csv(folder / "PRICES.csv", index=False)
    (folder / "prices").mkdir()
    bars.to_csv(folder / "prices" / "BTC-USD.csv", index=False)
    bars[bars["date"] < "2023"].assign(asset="BTC").to_csv(folder / "2022.csv.gz", index=False)
    bars[bars["date"] >= "2023"].assign(asset="BTC").to_parquet(folder / "2023.parquet")
    moments = pd.date_range("2024-01-01", periods=48 * 60, freq="30min")
    make_bars(periods=len(moments)).assign(date=moments).to_csv(folder / "minutes.csv", index=False)
    returns = np.log(bars["close"]).diff().shift(-1)
    made = pd.DataFrame({"date": bars["date"], "asset": "BTC", "next_return": returns, "level": bars["close"]})
    made[1:-1].to_parquet(folder / "my_features.parquet")
    for name in ("my_study.toml", "study.toml"):
        (folder / name).write_text('[data]\nasset_id = "BTC"\n')
    with place(folder):
        run_command("ingest", "--demo")
        for seed, asset in enumerate(("BTC", "ETH", "SOL")):
            make_bars(seed=seed).to_csv(folder / "bars.csv", index=False)
            run_command("ingest", "bars.csv", "--asset-id", asset)
        (folder / "bars.csv").unlink()
    two = pd.DataFrame({"id": 12, "timestamp": pd.to_datetime(bars["date"]), "price": bars["close"]})
    two = two.assign(volume=bars["volume"], rsi_14=bars["close"] % 100, macd=bars["close"].diff().fillna(0))
    with contextlib.closing(sqlite3.connect(folder / ".kallos" / "features.db")) as database:
        two[["id", "timestamp", "price", "volume"]].to_sql("prices", database, index=False)
        two[["id", "timestamp", "rsi_14", "macd"]].to_sql("indicators", database, index=False)
    return folder


@pytest.fixture(scope="module")
def owner(reader: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Path:
    """The same folder with a study that is finished, and the model that was trained on its choice."""
    folder = tmp_path_factory.mktemp("owner") / "home"
    shutil.copytree(reader, folder)
    with place(folder):
        run_command("tune", "--asset-id", "BTC", "--holdout", "2", small=True)
        run_command("train", "--params-file", "kallos-results/lightgbm+ridge_BTC_best_params.json", small=True)
        run_command("evaluate", "--model", "kallos-results/models/lightgbm+ridge-BTC-...")
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_each_block_says_what_it_is(page):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block.place} must name its language, one of {sorted(LANGUAGES)}"


def test_what_is_not_run_says_why_and_is_little():
    reasons = [block.not_run for page in PAGES for block in blocks(page) if block.not_run]
    assert len(reasons) <= 4, reasons


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_work(page, reader, tmp_path):
    """Commands whose studies take long go as far as their flow."""
    shutil.copytree(reader, tmp_path / "home")
    with place(tmp_path / "home"):
        walk(page, until_flow=True)


def has_studies(page: str) -> bool:
    """Return whether the quick test leaves something of a page out."""
    return any(
        HASH.search(block.text)
        or (block.language != "python" and {w[1] for w in block.commands() if w[0] == "kallos-run"} - QUICK - SERVERS)
        for block in blocks(page)
        if block.language in ("bash", "console", "python") and block.not_run is None
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", list(filter(has_studies, PAGES)))
def test_the_commands_of_a_page_run(page, owner, tmp_path):
    shutil.copytree(owner, tmp_path / "home")
    with place(tmp_path / "home"):
        walk(page, until_flow=False)


def test_the_architecture_of_contributing_keeps_to_the_contract(tmp_path, monkeypatch):
    (block,) = (block for block in blocks("CONTRIBUTING.md") if block.language == "python")
    monkeypatch.syspath_prepend(tmp_path)
    # A module of its own, in place of one within the package.
    (tmp_path / "as_contributed.py").write_text(block.text)
    module = import_module("as_contributed")
    (name,) = (name for name, value in vars(module).items() if isinstance(value, Architecture))
    assert Path(str(block.file)).parent == Path("kallos/architectures")
    check_architecture(f"as_contributed:{name}")


def walk(page: str, *, until_flow: bool) -> None:
    """Use all blocks of a page in their order, in this folder."""
    names: dict[str, Any] = {"__name__": "__page__"}
    for block in blocks(page):
        if block.file is not None:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text)
        try:
            if block.language in ("bash", "console"):
                for words in block.commands():
                    TOOLS[words[0].rpartition("/")[2]](words, may_run=block.not_run is None, until_flow=until_flow)
            elif block.language == "toml":
                study_file_is_sound(block)
            elif block.language == "json":
                json.loads(f"{{{block.text}}}")
            elif block.language == "sql":
                assert block.file is not None, "a query must name its file, which a study file reads"
            elif block.language == "python" and block.not_run is None and until_flow != bool(HASH.search(block.text)):
                run_python(block, names)
        except BaseException as error:
            raise AssertionError(f"{block.place}: {type(error).__name__}: {error}\n{block.text}") from error


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Run a block with the names of those before it; a bucket is one of this process, and a model one that is here."""
    text = block.text.replace("s3://", "memory://")
    text = re.sub(r'"([^"]+)"', lambda quoted: f'"{meant(quoted[1])}"', text)
    exec(compile("\n" * block.line + text, block.page, "exec"), names)


def study_file_is_sound(block: Block) -> None:
    """A study file is parsed; where it names its rows, they are checked as a study's would be."""
    values = tomllib.loads(block.text)
    if "project" in values:
        for group, entries in values["project"]["entry-points"].items():
            assert group == "kallos.architectures"
            assert all(isinstance(load_reference(entry, group, "it"), Architecture) for entry in entries.values())
        return
    file = Path(block.file or "page.toml")
    file.write_text(block.text)
    if "all" in values:
        parse_grid(read_study_file(file))
        return
    parse_tune_spec(merge({"data": {"asset_id": "BTC"}}, read_study_file(file)))
    if "asset_id" in values.get("data", {}):
        run_command("check", "--study", str(file))


def of_kallos(words: list[str], *, may_run: bool, until_flow: bool) -> None:
    command, *rest = words[1:]
    app.parse_args([command, *rest], exit_on_error=False, print_error=False)
    needed = [word for flag, word in pairwise(["", *rest]) if flag != "--output"]
    if not may_run or command in SERVERS or not all(is_there(word) for word in needed):
        return
    is_elsewhere = any("://" in word for word in rest)
    if command in FLOWS and (until_flow or is_elsewhere):
        with mock.patch(f"{FLOWS[command]}.run_flow"):
            run_command(command, *rest)
    elif command in QUICK or not (until_flow or is_elsewhere):
        run_command(command, *rest, small=True)


def is_there(word: str) -> bool:
    """Return whether a word is no file, or one that is here: others, and standard input, are the reader's own."""
    is_file = word == "-" or re.search(r"\.(csv|parquet|json|gz|zip|toml|sql|html)$", word)
    return not is_file or Path(word).exists()


def run_command(*words: str, small: bool = False) -> None:
    """Run a command in this process; an exit code is a `SystemExit`. `small` makes studies of seconds."""
    command, bound, _ = app.parse_args([meant(word) for word in words], exit_on_error=False, print_error=False)
    taken = inspect.signature(command).parameters
    over = {name: value for name, value in SMALL.items() if small and name in taken}
    # A command settles what is of its own process alone.
    with mock.patch.dict(os.environ):
        command(*bound.args, **{**bound.kwargs, **over})


def meant(word: str) -> str:
    """Return a word with the hash of a model or study that is here in place of the page's, or of its dots."""
    folder, name = os.path.split(word)
    shown = re.fullmatch(r"(?:([\w+]+)-(\w+)-)?(?:[0-9a-f]{16}|\.\.\.)", name)
    if not shown:
        return word
    architectures, asset = shown.groups(default="")
    if folder or not asset:
        # A model is named by the architectures of its members, which may be some of the study's.
        found = next(Path(folder or "kallos-results/models").glob(f"*{asset}-" + "[0-9a-f]" * 16))
        return str(found)
    with sqlite3.connect(".kallos/studies.db") as database:
        (found,) = database.execute(
            "SELECT study_name FROM studies WHERE study_name LIKE ? ORDER BY study_id DESC",
            (f"{architectures}-{asset}-%",),
        ).fetchone()
    return found


def of_prefect(words: list[str], **_: Any) -> None:
    from prefect.cli._app import _app

    _, root, _ = _app.meta.parse_args(words[1:], exit_on_error=False, print_error=False)
    _app.parse_args(root.arguments["tokens"], exit_on_error=False, print_error=False)
    for flag, word in pairwise(words):
        if flag in ("--base-job-template", "--from-file"):
            assert (ROOT / word).is_file(), f"{word} must be a file of the checkout"
        if flag in ("run", "--pool", "create") and not word.startswith("-"):
            assert word in deployed(), f"{word} must be named in prefect.yaml"


def deployed() -> set[str]:
    """Return the names that prefect.yaml knows: deployments and work pools."""
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    flows = [each["entrypoint"].rpartition(".")[2].replace("_", "-") for each in deployments]
    return {f"{flow}/{each['name']}" for flow, each in zip(flows, deployments, strict=True)} | {
        each["work_pool"]["name"] for each in deployments
    }


def of_make(words: list[str], **_: Any) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(words[1:]) <= set(targets), f"the Makefile must have {words[1:]}"


def of_python(words: list[str], **_: Any) -> None:
    assert words[1] == "-m"
    assert find_spec(words[2]) is not None


def of_pip(words: list[str], **_: Any) -> None:
    """What is installed is this checkout, since no index has it; its extras are there."""
    (extra,) = re.findall(r"\.\[([\w-]+)\]$", words[-1])
    assert extra in metadata("kallos").get_all("Provides-Extra", [])


def of_dask(words: list[str], **_: Any) -> None:
    commands = import_module(f"distributed.cli.dask_{words[1]}")
    commands.main.make_context(words[1], words[2:])


def of_export(words: list[str], **_: Any) -> None:
    name, _, value = words[1].partition("=")
    assert value
    if name.startswith("KALLOS_"):
        assert name.removeprefix("KALLOS_").lower() in Settings.model_fields
    else:
        import prefect.settings

        getattr(prefect.settings, name)


TOOLS: Mapping[str, Callable[..., None]] = {
    "kallos-run": of_kallos,
    "prefect": of_prefect,
    "make": of_make,
    "python": of_python,
    "pip": of_pip,
    "dask": of_dask,
    "export": of_export,
    ".": lambda words, **_: None,
}


@contextmanager
def place(folder: Path) -> Iterator[None]:
    """Be where a reader is: a home of its own, its folder in sight of Python, no setting of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KALLOS_")}
    with (
        mock.patch.dict(os.environ, {**kept, "HOME": str(folder), "COLUMNS": "120"}, clear=True),
        # Worker processes are handed this path, on which "" is where this process began.
        mock.patch.object(sys, "path", ["", str(folder), *sys.path]),
        contextlib.chdir(folder),
    ):
        yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(folder)):
            del sys.modules[name]
