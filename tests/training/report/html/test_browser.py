"""The report in a real browser: no errors, no requests, readable in print and on a phone."""

import pytest

from training.report.page import render_report

# Texts of a drawing that lie outside it, or on each other.
CROWDED = """
() => [...document.querySelectorAll('svg')].flatMap(svg => {
  const [, , width, height] = svg.getAttribute('viewBox').split(' ').map(Number);
  const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent.trim(), t.getBBox()])
    .filter(([text]) => text);
  const outside = texts.filter(([, b]) => b.x < -0.5 || b.y < -0.5 || b.x + b.width > width + 0.5
    || b.y + b.height > height + 0.5).map(([text]) => `outside: ${text}`);
  const meet = (a, b) => a.x < b.x + b.width - 0.5 && b.x < a.x + a.width - 0.5
    && a.y < b.y + b.height - 2 && b.y < a.y + a.height - 2;
  const on = texts.flatMap(([text, a], i) => texts.slice(i + 1).filter(([, b]) => meet(a, b))
    .map(([other]) => `${text} on ${other}`));
  return [...outside, ...on];
})
"""


@pytest.fixture(params=[(1280, "dark"), (390, "light"), (320, "light")], ids=str)
def page(browser, request, findings, tmp_path):
    """A report opened from disk, with its requests and errors."""
    width, scheme = request.param
    file = tmp_path / "report.html"
    file.write_text(render_report(findings), "utf-8")
    opened = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened.asked, opened.complaints = [], []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("console", lambda message: opened.complaints.append(message.text))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.goto(file.as_uri())
    opened.home = file.as_uri()
    yield opened
    opened.close()


def test_page_loads_nothing_and_fits_its_window(page):
    for details in page.locator("summary").all():
        details.click()
    width = page.locator("html").evaluate("element => element.scrollWidth")
    assert width <= page.viewport_size["width"]
    assert page.asked == [page.home]
    assert page.complaints == []


def test_no_text_is_cut_off_or_covered(page):
    assert page.evaluate(CROWDED) == []


def test_the_style_is_applied_under_its_own_policy(page):
    styled = page.locator("body").evaluate("element => getComputedStyle(element).marginTop")
    assert styled == "0px"


def test_the_first_key_leads_past_the_header(page):
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "To the report"
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url.endswith("#report"))


def test_print_shows_the_folded_numbers(browser, full, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(render_report(full), "utf-8")
    page = browser.new_page(color_scheme="dark")
    page.goto(file.as_uri())
    measure = "table => table.getBoundingClientRect().height"
    folded = page.locator("details table").first
    assert folded.evaluate(measure) == 0
    page.emulate_media(media="print", color_scheme="dark")
    assert folded.evaluate(measure) > 100
    assert page.locator("nav").is_hidden()
    ink = page.locator("body").evaluate("element => getComputedStyle(element).color")
    assert ink == "rgb(27, 31, 36)"
    page.close()
