"""Optuna's dashboard on our studies, in a real browser."""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from kallos.record import open_record
from kallos.settings import Settings
from kallos.study_catalogue import list_studies
from kallos.tuner import run_tuning
from tests.samples import by_parameters, small_plan

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = os.environ.get("KALLOS_REQUIRE_BROWSER") == "1"


@pytest.fixture
def study(home, tmp_path) -> str:
    """Name of a study of eight trials that is recorded."""
    home.mkdir()
    plan = small_plan(tmp_path, n_trials=8)
    with open_record(Settings.read().studies_url, plan) as record:
        run_tuning(plan, score_fold=by_parameters, record=record)
    return plan.study_name


@pytest.fixture
def dashboard(study):
    """The command, and the address that it serves."""
    with subprocess.Popen(
        [sys.executable, "-c", "from flows.cli import main; main()", "dashboard", "--port", "0"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/dashboard", said)
        assert found, process.communicate()
        yield process, found[0]
        process.kill()


@pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="left out: no Chromium was found")
def test_the_dashboard_shows_our_studies(dashboard, study):
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "KALLOS_REQUIRE_BROWSER is set, and no Chromium was found"
    _, address = dashboard
    errors: list[str] = []
    away: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(60_000)
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: away.append(request.url) if "//127.0.0.1:" not in request.url else None)
        page.goto(address)
        page.get_by_text(study).first.click()
        page.get_by_text("History", exact=False).first.wait_for()
        plots = page.locator(".js-plotly-plot .main-svg")
        plots.first.wait_for()
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 4")
        drawn = plots.count()
        shown = page.inner_text("body")
        page.get_by_text("Trials", exact=False).first.wait_for()
        browser.close()
    assert drawn >= 4
    assert study in shown
    assert errors == []
    assert [url for url in away if not url.startswith(("data:", "blob:"))] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_dashboard_ends_at_once_and_without_a_word(dashboard, number):
    process, _ = dashboard
    process.send_signal(number)
    said, complaint = process.communicate(timeout=10)
    assert (process.returncode, said, complaint) == (128 + number, "", "")


def test_the_dashboard_changes_nothing(dashboard, study):
    _, address = dashboard
    request = urllib.request.Request(f"{address.removesuffix('dashboard')}api/studies/1", method="DELETE")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(request)
    assert [each.name for each in list_studies(Settings.read().studies_url)] == [study]
