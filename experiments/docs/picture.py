"""Pictures of the docs, taken in a real browser: the clinician's page, and a validation report."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.demo import ASSESSMENT, serve_champions
from features.base.errors import UnavailableError

_IMAGES = Path(__file__).parents[2] / "docs" / "images"
_PAGE_PICTURE, _REPORT_PICTURE = _IMAGES / "page.png", _IMAGES / "report.png"
_WIDTH, _HEIGHT = 1000, 830
# What is filled in of the demonstration's patient.
_ENTERED = (
    *("condition", "agent", "route", "site", "phq9", "gad7", "age", "sex", "bmi"),
    *("failed_antidepressants", "episode_months", "family_alcohol_use_disorder"),
    *("anxiety_comorbid", "benzodiazepine_mg"),
)
# Without its sandbox, which containers do not allow; the pages are our own.
_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


@contextmanager
def _open_page() -> Iterator[Any]:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UnavailableError("the picture needs playwright: `make check` installs it") from None
    if browser is None:
        raise UnavailableError("the picture needs Chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=list(_QUIET))
        yield chromium.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
        chromium.close()


def take_page_picture(out: Path = _PAGE_PICTURE) -> Path:
    """Serve the champions, fill in the page, and photograph the estimate.

    Raises
    ------
    UnavailableError
        If there is no Chromium, no Playwright, or no champion to serve.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory() as folder,
        _open_page() as page,
        serve_champions(Path(folder) / "service.log") as address,
    ):
        page.goto(address)
        for name in _ENTERED:
            value = "yes" if ASSESSMENT[name] is True else str(ASSESSMENT[name])
            control = page.locator(f"#{name}")
            is_list = control.evaluate("element => element.tagName") == "SELECT"
            control.select_option(value) if is_list else control.fill(value)
        page.get_by_role("button", name="Estimate").click()
        page.locator("#estimate").wait_for()
        page.screenshot(path=out)
    return out


def take_report_picture(report: Path, out: Path = _REPORT_PICTURE) -> Path:
    """Photograph the calibration curve of a validation report.

    Raises
    ------
    UnavailableError
        If there is no Chromium, no Playwright, or no such report.
    """
    if not report.is_file():
        raise UnavailableError("the picture needs the HTML file of a validation report")
    out.parent.mkdir(parents=True, exist_ok=True)
    with _open_page() as page:
        page.goto(report.resolve().as_uri())
        page.locator("section.figure[aria-labelledby=calibration]").screenshot(path=out)
    return out
