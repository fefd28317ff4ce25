"""The routes: strict bodies, one form of error, a page without a script."""

import asyncio
import json

import jsonschema
import pytest

from serving.http.endpoints import ANSWERED_TOGETHER

JSON = {"content-type": "application/json"}


@pytest.fixture
def client(open_client):
    return open_client(most_body_bytes=20_000, most_assessments=20)


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


def test_byte_order_mark_before_a_body_is_ignored(client, make_assessment):
    body = b"\xef\xbb\xbf" + json.dumps(make_assessment()).encode()
    assert post(client, "/predict", body).status_code == 200
    batch = b'\xef\xbb\xbf{"assessments": [' + json.dumps(make_assessment()).encode() + b"]}"
    assert post(client, "/predict_batch", batch).status_code == 200


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
        (b'{"a":' * 9 + b"1" + b"}" * 9, "body", "depth"),
        (b'{"ag\\u0065": 4, "age": 5}', "body", "duplicate"),
        (b'{"age": 1e999}', "body", "json"),
        (b'{"age": "\\ud800"}', "body", "json"),
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


def flatten(value, path=()):
    """List every leaf of an answer by its path."""
    if isinstance(value, dict):
        return {k: v for name in value for k, v in flatten(value[name], (*path, name)).items()}
    if isinstance(value, list):
        parts = enumerate(value)
        return {k: v for index, part in parts for k, v in flatten(part, (*path, index)).items()}
    return {path: value}


def assert_same(answer, expected):
    """Assert that answers agree up to last digits, which depend on the order of sums."""
    answer, expected = flatten(answer), flatten(expected)
    assert answer.keys() == expected.keys()
    for path, value in expected.items():
        same = pytest.approx(value, abs=1e-12) if isinstance(value, float) else value
        assert answer[path] == same, path


def test_a_batch_gives_what_single_requests_give(client, make_assessment):
    rows = [make_assessment(phq9=phq9) for phq9 in range(5, 25)]
    together = post(client, "/predict_batch", {"assessments": rows}).json()["results"]
    alone = [post(client, "/predict", row).json() for row in rows]
    for batched, single in zip(together, alone, strict=True):
        assert_same(batched["estimates"], single["estimates"])
        assert batched["eligibility"] == single["eligibility"]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"assessments": {}}, [("assessments", "required")]),
        ({"rows": []}, [("rows", "unknown"), ("assessments", "required")]),
        ({"assessments": [], "more": 1}, [("more", "unknown")]),
        ({"assessments": [{}] * 21}, [("assessments", "length")]),
        ({"assessments": [], "detail": "all"}, [("detail", "category")]),
        ({"assessments": [], "detail": []}, [("detail", "category")]),
    ],
)
def test_a_batch_of_another_form_is_refused(client, body, errors):
    response = post(client, "/predict_batch", body)
    assert response.status_code == 400
    assert list_errors(response) == errors


def test_brief_batch_has_the_same_probabilities(client, make_assessment):
    rows = [make_assessment(phq9=phq9) for phq9 in range(5, 25)]
    full = post(client, "/predict_batch", {"assessments": rows}).json()["results"]
    brief = post(client, "/predict_batch", {"assessments": rows, "detail": "brief"}).json()
    for detailed, short in zip(full, brief["results"], strict=True):
        same = pytest.approx(detailed["estimates"][0]["probability"], abs=1e-12)
        assert short["estimates"][0]["probability"] == same
        assert short["estimates"][0]["interval"] is None
        assert short["estimates"][0]["factors"] == []
        assert short["eligibility"] == detailed["eligibility"]


@pytest.mark.parametrize("detail", ["full", "brief"])
def test_large_batch_is_one_list_in_order(open_client, make_assessment, detail):
    scores = [number % 20 + 5 for number in range(2 * ANSWERED_TOGETHER + 3)]
    scores[ANSWERED_TOGETHER] = 99
    rows = [make_assessment(phq9=score) for score in scores]
    batch = {"assessments": rows, "detail": detail}
    answer = post(open_client(), "/predict_batch", batch).json()
    assert list(answer) == ["request_id", "results"]
    by_score = {}
    for score, result in zip(scores, answer["results"], strict=True):
        probability = result.get("estimates", [{"probability": None}])[0]["probability"]
        by_score.setdefault(score, set()).add(
            probability if probability is None else round(probability, 9)
        )
    assert answer["results"][ANSWERED_TOGETHER]["errors"][0]["field"] == "phq9"
    assert [len(probabilities) for probabilities in by_score.values()] == [1] * 21
    assert len(set.union(*by_score.values()) - {None}) > 10


def test_an_empty_batch_has_no_results(client):
    assert post(client, "/predict_batch", {"assessments": []}).json()["results"] == []


def test_the_cards_of_all_champions_are_shown(client):
    models = client.get("/model").json()["models"]
    assert [model["name"] for model in models] == ["phq9.acute.response", "gad7.acute.response"]
    assert models[0]["version"] == "3"
    assert models[0]["ranges"][1] == {"field": "phq9", "low": 5, "high": 27, "categories": []}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("POST", "/model", 405),
        ("TRACE", "/model", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/page/", 404),
        ("GET", "/page/../settings.py", 404),
    ],
)
def test_wrong_paths_and_methods_get_the_error_form(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == status
    assert set(response.json()["errors"][0]) == {"field", "rule", "message"}


def test_openapi_document_has_every_route(client):
    document = client.get("/docs.json").json()
    assert document["openapi"] == "3.1.0"
    assert {"/predict", "/predict_batch", "/model", "/readyz", "/"} < set(document["paths"])
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


def test_a_failure_inside_shows_no_trace(open_client, make_assessment):
    broken = open_client(champions="not a predictor")
    response = post(broken, "/predict", make_assessment())
    assert response.status_code == 500
    assert list_errors(response) == [("service", "internal")]
    assert "Traceback" not in response.text


def test_starting_service_asks_clients_to_retry(open_client, make_assessment):
    client = open_client()
    client.service.parts = None
    for response in (post(client, "/predict", make_assessment()), client.get("/readyz")):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
    assert client.get("/readyz").json() == {"status": "unready", "reasons": ["starting"]}


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


def test_wrong_method_gets_the_allowed_ones(client):
    assert client.get("/predict").headers["allow"] == "POST"


def test_a_head_request_has_the_headers_alone(client):
    response = client.head("/model")
    assert response.status_code == 200
    assert int(response.headers["content-length"]) > 1000
    assert response.content == b""


def test_compressed_bodies_are_refused(client, make_assessment):
    headers = JSON | {"content-encoding": "gzip"}
    response = post(client, "/predict", make_assessment(), headers)
    assert response.status_code == 415
    assert list_errors(response) == [("content-encoding", "type")]


def test_body_announced_as_too_large_is_not_read(client):
    for length in ("30000", "9" * 5000, "-1", "many"):
        response = client.post("/predict", content=b"{}", headers=JSON | {"content-length": length})
        assert response.status_code == 413


def test_every_answer_has_its_request_id(client, make_assessment):
    response = post(client, "/predict", make_assessment())
    assert response.headers["x-request-id"] == response.json()["request_id"]
    assert len(client.get("/nowhere").headers["x-request-id"]) == 32


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


def test_page_lists_corrections_and_keeps_entries(client):
    page = client.post("/", data={"condition": "depression", "phq9": "99", "age": "x"}).text
    assert "Please correct 2 entries" in page
    assert "must be a whole number from 0 to 27 points" in page
    assert 'value="99"' in page
    assert '<section class="answer"' not in page


def test_the_page_escapes_what_was_typed(client):
    page = client.post("/", data={"condition": "depression", "phq9": '"><script>x'}).text
    assert "<script>x" not in page


def test_page_shows_refusal_and_urgent_notice(client):
    form = {"condition": "depression", "phq9": "17", "cssrs_ideation": "5", "psychosis": "yes"}
    page = client.post("/", data=form).text
    assert "Urgent:" in page
    assert "Do not treat as planned:" in page
    assert "No estimate: a screening rule" in page


def test_page_names_field_outside_studied_range(client):
    page = client.post("/", data={"condition": "depression", "phq9": "17", "bmi": "60"}).text
    assert "outside the range studied for" in page
    assert "Body mass index." in page


def test_page_reports_conditions_without_a_model(client):
    page = client.post("/", data={"condition": "ptsd", "pcl5": "50"}).text
    assert "No model here was developed on patients with this condition" in page


def test_batch_past_its_deadline_may_retry(open_client, make_assessment):
    """Batches are answered one at a time, so another may wait past its deadline."""
    client = open_client(deadline_seconds=0.1)
    body = json.dumps({"assessments": [make_assessment()]}).encode()
    headers = [(b"content-type", b"application/json"), (b"host", b"127.0.0.1")]
    scope = {"type": "http", "scheme": "http", "method": "POST", "path": "/predict_batch"}
    scope["headers"] = headers
    sent = []

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    async def ask_behind_another():
        async with client.service.parts.batch_slot:
            await client.app(scope | {"client": ("127.0.0.1", 5)}, receive, send)
        await client.app(scope | {"client": ("127.0.0.1", 5)}, receive, send)

    asyncio.run(ask_behind_another())
    assert [message["status"] for message in sent if "status" in message] == [503, 200]
    assert (b"retry-after", b"1") in sent[0]["headers"]
