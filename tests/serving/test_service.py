"""The real service over HTTP, and the page in a real browser."""

import json
import shutil
import urllib.error
import urllib.request

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BROWSER_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def ask(address, path, body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        address + path, data, headers or {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_an_assessment_is_answered_over_http(service, make_assessment):
    status, text = ask(service, "/predict", make_assessment())
    (estimate,) = json.loads(text)["estimates"]
    assert status == 200
    assert estimate["outcome"]["id"] == "phq9.acute.response"
    assert estimate["model"]["data"] == "simulated"
    interval = estimate["interval"]
    assert 0 < interval["low"] < estimate["probability"] < interval["high"] < 1


def test_invalid_assessment_gets_the_error_form(service, make_assessment):
    status, text = ask(service, "/predict", make_assessment(phq9=99, age=-1))
    assert status == 400
    assert [error["field"] for error in json.loads(text)["errors"]] == ["age", "phq9"]


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/metrics"])
def test_probes_and_metrics_answer(service, path):
    assert ask(service, path)[0] == 200


def test_the_documents_and_pages_are_ours(service):
    assert json.loads(ask(service, "/docs.json")[1])["openapi"] == "3.1.0"
    assert "Will this patient respond to ketamine?" in ask(service, "/")[1]
    assert len(json.loads(ask(service, "/model")[1])["models"]) == 1


def test_a_batch_of_many_is_answered_in_order(service, make_assessment):
    rows = [make_assessment(patient_id=f"p{n}", phq9=5 + n % 20) for n in range(300)]
    status, text = ask(service, "/predict_batch", {"assessments": rows})
    results = json.loads(text)["results"]
    assert status == 200
    probabilities = [result["estimates"][0]["probability"] for result in results]
    assert probabilities[:20] == probabilities[20:40]


def test_service_needs_only_the_model_store(store_only, wait_ready, make_assessment):
    from experiments.demo import find_free_port

    port = find_free_port()
    process = store_only.start("serving", "serve", "--port", port)
    try:
        wait_ready(process, f"http://127.0.0.1:{port}/readyz")
        assert ask(f"http://127.0.0.1:{port}", "/predict", make_assessment())[0] == 200
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert not (store_only.home / "mlflow.db").exists()


@pytest.fixture(scope="module")
def browser():
    """A real Chromium."""
    if CHROMIUM is None:
        pytest.skip("NO CHROMIUM: the page was not looked at (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS)
        yield launched
        launched.close()


@pytest.fixture(params=[True, False], ids=["with-scripts", "without-scripts"])
def page(browser, request, service):
    """The clinician's page, with its requests and console messages."""
    context = browser.new_context(java_script_enabled=request.param)
    opened = context.new_page()
    opened.asked, opened.complaints = [], []
    opened.on("request", lambda call: opened.asked.append(call.url))
    opened.on("console", lambda message: opened.complaints.append(message.text))
    opened.goto(service)
    yield opened
    context.close()


def fill_in(page, **values):
    for name, value in values.items():
        control = page.locator(f"#{name}")
        if control.evaluate("element => element.tagName") == "SELECT":
            control.select_option(value)
        else:
            control.fill(value)
    page.get_by_role("button", name="Estimate").click()


def test_clinician_enters_assessment_and_reads_estimate(page, service):
    fill_in(page, condition="depression", phq9="17", age="44", route="iv")
    answer = page.locator("#estimate")
    assert "PHQ-9 down by at least 50%" in answer.inner_text()
    assert "% interval" in answer.inner_text()
    assert "base rate" in answer.inner_text()
    assert page.get_by_text("SIMULATED DATA.").is_visible()
    assert page.locator("#phq9").input_value() == "17"
    assert page.url.rstrip("/") == service
    assert all(url.startswith(service) for url in page.asked)
    assert page.complaints == []


def test_browser_rejects_a_score_out_of_range(page):
    fill_in(page, condition="depression", phq9="99")
    assert page.locator("#estimate").count() == 0


def test_the_page_fits_a_phone(page):
    page.set_viewport_size({"width": 360, "height": 700})
    fill_in(page, condition="depression", phq9="17")
    width = page.locator("html").evaluate("element => element.scrollWidth")
    assert width <= 360


def test_the_form_can_be_sent_from_the_keyboard(page):
    page.locator("#condition").select_option("depression")
    page.locator("#phq9").fill("17")
    page.keyboard.press("Enter")
    page.locator("#estimate").wait_for()


def test_every_control_has_a_label(page):
    unnamed = page.locator("input, select").evaluate_all(
        "controls => controls.filter(one => !one.labels.length).map(one => one.id)"
    )
    assert unnamed == []
