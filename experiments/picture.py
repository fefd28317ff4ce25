"""The picture of the README: the clinician's page with one estimate, taken in a real browser."""

import shutil
from pathlib import Path

from experiments.demo import serve
from features.errors import UnavailableError

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "page.png"
WIDTH, HEIGHT = 1000, 830
ENTERED = {
    "condition": "depression",
    "agent": "ketamine",
    "route": "iv",
    "site": "site-03",
    "phq9": "17",
    "gad7": "12",
    "age": "44",
    "sex": "female",
    "bmi": "31.5",
    "failed_antidepressants": "3",
    "episode_months": "14",
    "family_alcohol_use_disorder": "yes",
    "anxiety_comorbid": "yes",
    "benzodiazepine_mg": "0",
}
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


def take_picture(out: Path = PICTURE) -> Path:
    """Serve the champions, fill in the page, and photograph the estimate.

    Raises
    ------
    UnavailableError
        If there is no Chromium, no Playwright, or no champion to serve.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UnavailableError("the picture needs playwright: `make check` installs it") from None
    if browser is None:
        raise UnavailableError("the picture needs Chromium")
    out.parent.mkdir(parents=True, exist_ok=True)
    with serve(0) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=list(QUIET))
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(address)
        for name, value in ENTERED.items():
            control = page.locator(f"#{name}")
            is_list = control.evaluate("element => element.tagName") == "SELECT"
            control.select_option(value) if is_list else control.fill(value)
        page.get_by_role("button", name="Estimate").click()
        page.locator("#estimate").wait_for()
        page.screenshot(path=out)
        chromium.close()
    return out
