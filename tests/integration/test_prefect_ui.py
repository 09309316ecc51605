"""What an operator sees in the morning, in a real browser."""

import json
import os
import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = os.environ.get("KALLOS_REQUIRE_BROWSER") == "1"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not REQUIRED, reason="the tests in a browser were left out: no Chromium was found"
)


@pytest.fixture(scope="module")
def page():
    """A page of a browser, 1280 pixels wide."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "KALLOS_REQUIRE_BROWSER is set, and no Chromium was found"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture
def run_page(machine, night, page):
    """The page of a night's run."""
    page.goto(f"{ui_of(machine)}/runs/flow-run/{night}")
    page.get_by_text("tune-gru-SPX").first.wait_for()
    return page


def ui_of(machine) -> str:
    return machine.environment["PREFECT_API_URL"].removesuffix("/api")


def open_tab(page, name: str) -> None:
    page.get_by_text(name, exact=True).last.click()


def test_the_runs_page_shows_the_log(run_page):
    run_page.get_by_text("Completed", exact=True).first.wait_for()
    run_page.get_by_text("trial 0 fold 1: rmse 0.0").first.wait_for()


def test_the_runs_page_shows_study_and_folds_as_task_runs(run_page):
    open_tab(run_page, "Task Runs")
    run_page.get_by_text("trial-3-fold-1").first.wait_for()
    assert "study-" in run_page.inner_text("body")


def test_the_runs_page_leads_to_a_picture_of_the_study(run_page):
    open_tab(run_page, "Artifacts")
    run_page.get_by_text("plots-gru-spx", exact=True).first.click()
    picture = run_page.locator("img[src^='data:image/png']").first
    picture.wait_for()
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [1200, 450]


def test_the_runs_page_leads_to_the_best_parameters(run_page, machine):
    document = json.loads((machine.results / "gru_SPX_best_params.json").read_text())
    open_tab(run_page, "Artifacts")
    run_page.get_by_text("best-params-gru-spx", exact=True).first.click()
    run_page.get_by_text("input_chunk_length").first.wait_for()
    shown = run_page.inner_text("body")
    assert "than the baseline" in shown
    assert f"zero {document['baseline_values']['zero']:.6g}" in shown
    assert "There is no result of an earlier run." in shown
