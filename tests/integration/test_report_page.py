"""A report in a real browser."""

import os
import shutil

import pytest

from kallos.report.page import report_html
from kallos.study.choice import HonestChoice
from kallos.study.events import StudyFinished
from tests.report_samples import best_forecasts, deflation, holdout_evaluation, simplest, study_result

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = os.environ.get("KALLOS_REQUIRE_BROWSER") == "1"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not REQUIRED, reason="the tests in a browser were left out: no Chromium was found"
)

HOSTILE = "<img src=//example.org/x onerror=console.error(1)>"


@pytest.fixture(scope="module")
def browser():
    """A browser of this module's own."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "KALLOS_REQUIRE_BROWSER is set, and no Chromium was found"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    """A report with everything, of an asset whose name is markup, as a file."""
    folder = tmp_path_factory.mktemp("report")
    result = study_result(folder, data={"asset_id": HOSTILE})
    page = report_html(
        result,
        evaluation=holdout_evaluation(asset_id=HOSTILE),
        chosen=HonestChoice(simplest=simplest(0), deflation=deflation()),
        forecasts=best_forecasts(result),
        run=StudyFinished(result, fits=20, spared=4, stopped=None),
    )
    (folder / "report.html").write_text(page)
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (360, "dark")])
def test_every_plot_is_drawn_and_nothing_is_asked_for_or_said(browser, address, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address, wait_until="networkidle")
    for fold in page.locator("summary").all():
        fold.click()
    boxes = [plot.bounding_box() for plot in page.locator("figure svg").all()]
    drawn = [(box["width"], box["height"]) for box in boxes if box is not None]
    # Of each plot one form is shown, as wide as its text is readable.
    assert len(drawn) == 7
    assert all(270 < wide <= 720 and high > 100 for wide, high in drawn)
    shapes = [plot.locator("path, use").count() for plot in page.locator("figure svg").all()]
    assert min(shapes) > 5
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").inner_text() == f"gru on {HOSTILE}"
    assert (said, asked) == ([], [address])
    page.close()


@pytest.mark.parametrize(("scheme", "is_lighter"), [("light", False), ("dark", True)])
def test_text_is_readable_in_the_light_and_in_the_dark(browser, address, scheme, is_lighter):
    page = browser.new_page(color_scheme=scheme)
    page.goto(address)
    text = brightness(page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill"))
    paper = brightness(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (text > paper) is is_lighter
    assert abs(text - paper) > 300
    page.close()


def brightness(colour: str) -> int:
    """Sum of the three parts of `rgb(r, g, b)`."""
    return sum(map(int, colour[4:-1].split(",")))
