"""The routes: strict bodies, one form of error, a page without a script."""

import json

import jsonschema
import pytest
from starlette.testclient import TestClient

from serving.app import build_app
from serving.settings import ServingSettings

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def client(predictor):
    app = build_app()
    app.state.predictor = predictor
    app.state.settings = ServingSettings(most_body_bytes=20_000, most_assessments=20)
    return TestClient(app, client=("127.0.0.1", 5), raise_server_exceptions=False)


def post(client, path, body, headers=JSON):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, content=content, headers=headers)


def list_errors(response):
    return [(error["field"], error["rule"]) for error in response.json()["errors"]]


def test_one_assessment_is_answered(client, make_assessment):
    response = post(client, "/predict", make_assessment())
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"request_id", "estimates", "eligibility"}
    assert len(answer["request_id"]) == 32
    assert answer["estimates"][0]["probability"] > 0


def test_every_problem_of_an_assessment_comes_at_once(client, make_assessment):
    response = post(client, "/predict", make_assessment(age=200, sex="f", shoe_size=3, phq9="17"))
    assert response.status_code == 400
    assert set(list_errors(response)) == {
        *(("age", "range"), ("sex", "category"), ("shoe_size", "unknown"), ("phq9", "type"))
    }
    assert set(response.json()["errors"][0]) == {"field", "rule", "message"}


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        (b"", "body", "json"),
        (b"{", "body", "json"),
        (b"\xff\xfe", "body", "json"),
        (b"[]", "body", "type"),
        (b'"text"', "body", "type"),
        (b"null", "body", "type"),
        (b'{"age": NaN}', "body", "json"),
        (b'{"age": Infinity}', "body", "json"),
        (b'{"age": -Infinity}', "body", "json"),
        (b'{"age": 4, "age": 5}', "body", "duplicate"),
        (b'{"a":' * 2500 + b"1" + b"}" * 2500, "body", "json"),
        (b'{"age": 1' + b"0" * 9000 + b"}", "body", "json"),
    ],
)
def test_a_body_that_is_no_assessment_is_refused(client, body, field, rule):
    for path in ("/predict", "/predict_batch"):
        response = post(client, path, body)
        assert response.status_code == 400
        assert list_errors(response) == [(field, rule)]


@pytest.mark.parametrize(
    "headers",
    [{"content-type": "text/plain"}, {"content-type": "multipart/form-data"}, {}],
)
def test_only_json_is_taken(client, make_assessment, headers):
    response = post(client, "/predict", make_assessment(), headers)
    assert response.status_code == 415
    assert list_errors(response) == [("content-type", "type")]


def test_a_body_that_is_too_large_is_refused(client, make_assessment):
    response = post(client, "/predict", make_assessment(patient_id="a" * 30_000))
    assert response.status_code == 413
    assert list_errors(response) == [("body", "size")]


def test_a_batch_answers_each_row_in_its_place(client, make_assessment):
    rows = [
        make_assessment(patient_id="p0"),
        make_assessment(patient_id="p1", age=300),
        17,
        make_assessment(patient_id="p3", condition="anxiety", gad7=11),
        {},
    ]
    response = post(client, "/predict_batch", {"assessments": rows})
    assert response.status_code == 200
    results = response.json()["results"]
    assert [sorted(result) for result in results] == [
        ["eligibility", "estimates"],
        ["errors"],
        ["errors"],
        ["eligibility", "estimates"],
        ["errors"],
    ]
    assert results[1]["errors"][0]["field"] == "age"
    assert results[2]["errors"] == [
        {"field": "assessment", "rule": "type", "message": "must be an object"}
    ]
    assert results[0]["estimates"][0]["outcome"]["id"] == "phq9.acute.response"
    assert results[3]["estimates"][0]["outcome"]["id"] == "gad7.acute.response"


def test_a_batch_gives_what_single_requests_give(client, make_assessment):
    rows = [make_assessment(phq9=phq9) for phq9 in range(5, 25)]
    together = post(client, "/predict_batch", {"assessments": rows}).json()["results"]
    alone = [post(client, "/predict", row).json() for row in rows]
    assert [settle(r["estimates"]) for r in together] == [r["estimates"] for r in alone]


def settle(answer):
    """Leave room for rounding: one row and many are added up in another order."""
    if isinstance(answer, dict):
        return {name: settle(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [settle(value) for value in answer]
    return pytest.approx(answer, rel=1e-11, abs=1e-13) if isinstance(answer, float) else answer


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({"assessments": {}}, "required"),
        ({"rows": []}, "required"),
        ({"assessments": [], "more": 1}, "required"),
        ({"assessments": [{}] * 21}, "length"),
    ],
)
def test_a_batch_of_another_form_is_refused(client, body, rule):
    response = post(client, "/predict_batch", body)
    assert response.status_code == 400
    assert list_errors(response) == [("assessments", rule)]


def test_an_empty_batch_has_no_results(client):
    assert post(client, "/predict_batch", {"assessments": []}).json()["results"] == []


def test_the_cards_of_all_champions_are_shown(client):
    models = client.get("/model").json()["models"]
    assert [model["name"] for model in models] == ["phq9.acute.response", "gad7.acute.response"]
    assert models[0]["version"] == "3"
    assert models[0]["ranges"][1] == {"field": "phq9", "low": 5, "high": 27, "categories": []}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/predict", 405), ("POST", "/model", 405), ("GET", "/nowhere", 404)],
)
def test_wrong_paths_and_methods_get_the_same_form_of_error(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == status
    assert set(response.json()["errors"][0]) == {"field", "rule", "message"}


def test_the_api_description_is_openapi_and_knows_every_route(client):
    document = client.get("/docs.json").json()
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {"/predict", "/predict_batch", "/model"}
    named = set(document["components"]["schemas"])
    text = json.dumps(document)
    used = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= named


def test_answers_fit_the_published_schema(client, make_assessment):
    document = client.get("/docs.json").json()
    schema = {
        "$ref": "#/components/schemas/Answer",
        "components": document["components"],
    }
    for changes in ({}, {"bmi": 60}, {"psychosis": True}, {"condition": "ptsd", "pcl5": 40}):
        answer = post(client, "/predict", make_assessment(**changes)).json()
        jsonschema.validate(answer, schema)


def test_other_machines_are_refused_while_there_are_no_keys(predictor, make_assessment):
    app = build_app()
    app.state.predictor, app.state.settings = predictor, ServingSettings()
    stranger = TestClient(app, client=("203.0.113.9", 5))
    response = post(stranger, "/predict", make_assessment())
    assert response.status_code == 403
    assert list_errors(response) == [("client", "loopback")]


def test_a_failure_inside_shows_no_trace(make_assessment):
    app = build_app()
    app.state.predictor, app.state.settings = None, ServingSettings()
    broken = TestClient(app, client=("127.0.0.1", 5), raise_server_exceptions=False)
    response = post(broken, "/predict", make_assessment())
    assert response.status_code == 500
    assert list_errors(response) == [("service", "internal")]
    assert "Traceback" not in response.text


def test_no_error_carries_a_value(client, make_assessment):
    body = make_assessment(patient_id="CANARY JANE", sex="CANARYSEX", age=987654)
    for response in (
        post(client, "/predict", body),
        post(client, "/predict_batch", {"assessments": [body]}),
        client.post("/", data={"condition": "CANARYCONDITION", "age": "987654", "phq9": "17"}),
    ):
        errors = response.text.split('<form method="post"')[0]
        assert "CANARY" not in errors
        assert "987654" not in errors


def test_every_answer_has_security_headers(client):
    for path in ("/", "/model", "/nowhere", "/page/page.css"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


def test_the_page_estimates_without_a_script(client):
    form = {"condition": "depression", "phq9": "17", "bipolar": "yes", "bmi": "", "age": "44"}
    page = client.post("/", data=form).text
    assert '<section class="answer"' in page
    assert "<script" not in page
    assert 'value="17"' in page


def test_the_page_says_what_must_be_corrected_and_keeps_what_was_typed(client):
    page = client.post("/", data={"condition": "depression", "phq9": "99", "age": "x"}).text
    assert "Please correct 2 entries" in page
    assert "must be a whole number from 0 to 27 points" in page
    assert 'value="99"' in page
    assert '<section class="answer"' not in page


def test_the_page_escapes_what_was_typed(client):
    page = client.post("/", data={"condition": "depression", "phq9": '"><script>x'}).text
    assert "<script>x" not in page


def test_the_page_shows_a_refusal_and_an_urgent_notice(client):
    form = {"condition": "depression", "phq9": "17", "cssrs_ideation": "5", "psychosis": "yes"}
    page = client.post("/", data=form).text
    assert "Urgent:" in page
    assert "Do not treat as planned:" in page
    assert "No estimate: a screening rule" in page


def test_the_page_names_the_field_outside_what_was_studied(client):
    page = client.post("/", data={"condition": "depression", "phq9": "17", "bmi": "60"}).text
    assert "unlike anyone studied in" in page
    assert "Body mass index." in page


def test_the_page_says_when_no_model_fits_the_condition(client):
    page = client.post("/", data={"condition": "ptsd", "pcl5": "50"}).text
    assert "No model here was developed on patients with this condition" in page
