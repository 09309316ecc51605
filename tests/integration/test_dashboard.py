"""Optuna's dashboard on our studies, in a real browser."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.commands.dashboard import dashboard as show_dashboard
from kallos.errors import KallosError, UsageError
from kallos.study.catalogue import list_studies
from kallos.study.record import open_record
from kallos.tuner import run_tuning
from tests.samples import by_parameters, small_plan

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = os.environ.get("KALLOS_REQUIRE_BROWSER") == "1"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home with one study of eight trials on record."""
    folder = tmp_path_factory.mktemp("home")
    plan = small_plan(folder, n_trials=8)
    with open_record(f"sqlite:///{folder}/studies.db", plan) as record:
        run_tuning(plan, evaluate=by_parameters, record=record)
    return folder


@contextmanager
def dashboard(home: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The command, and the address that it serves."""
    with subprocess.Popen(
        [sys.executable, "-c", "from flows.cli import main; main()", "dashboard", "--port", "0"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "KALLOS_HOME": str(home)},
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        found = re.search(r"http://127\.0\.0\.1:\d+/dashboard", process.stdout.readline())
        assert found, process.communicate()
        try:
            yield process, found[0]
        finally:
            process.kill()


@pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="left out: no Chromium was found")
def test_the_dashboard_shows_our_studies(home):
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "KALLOS_REQUIRE_BROWSER is set, and no Chromium was found"
    (study,) = list_studies(f"sqlite:///{home}/studies.db")
    errors: list[str] = []
    asked: list[str] = []
    with dashboard(home) as (_, address), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(30_000)
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        page.get_by_text(study.name).first.click()
        # History, importances, timeline.
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 3")
        page.get_by_text("Best Trial (number=").first.wait_for()
        assert f"{study.best_value:.4f}"[:-1] in page.inner_text("body")
        page.locator("a[href$='/analytics']").click()
        page.wait_for_url("**/analytics")
        # It draws more than the page before: parallel coordinates, slices, contours, ranks, and so on.
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length > 9")
        page.locator("a[href$='/trials']").first.click()
        page.get_by_text("Trial 7").first.wait_for()
        browser.close()
    assert errors == []
    away = [url for url in asked if not url.startswith((address.removesuffix("/dashboard"), "data:", "blob:"))]
    assert away == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_dashboard_changes_nothing_and_ends_without_a_word(home, number):
    with dashboard(home) as (process, address):
        request = urllib.request.Request(f"{address.removesuffix('dashboard')}api/studies/1", method="DELETE")
        with pytest.raises(urllib.error.HTTPError, match="405") as refused:
            urllib.request.urlopen(request)
        assert json.load(refused.value)["reason"].startswith("this dashboard is read-only: ")
        process.send_signal(number)
        said, complaint = process.communicate(timeout=20)
    assert (process.returncode, said, complaint) == (128 + number, "", "")
    assert len(list_studies(f"sqlite:///{home}/studies.db")) == 1


def test_without_the_extra_the_command_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("flows.commands.dashboard.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'optuna-dashboard<0.22,>=0.20'$"):
        show_dashboard()


def test_without_a_study_there_is_nothing_to_show(tmp_path):
    with pytest.raises(UsageError, match=f"there is no such file: {tmp_path}/none.db$"):
        show_dashboard(storage_url=f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "theirs.db").touch()
    with pytest.raises(KallosError, match=r"theirs\.db has no studies yet"):
        show_dashboard(storage_url=f"sqlite:///{tmp_path}/theirs.db")
    assert (tmp_path / "theirs.db").read_bytes() == b""
