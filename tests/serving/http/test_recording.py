"""Every request is in the audit log before its answer is sent, or it is not answered."""

import json

import pytest
from cryptography.fernet import Fernet

from features.base.errors import InputError
from serving.base.settings import ServingSettings
from serving.http.recording import choose_seal
from serving.store.audit import AuditLog
from serving.store.secrets import INPUTS_VARIABLE, InputsSeal, derive_secrets


@pytest.fixture
def read_audit(store):
    """Read the audit's rows, oldest first."""

    def read():
        return AuditLog(store, derive_secrets(b"0" * 32).chain).show(last=100)[::-1]

    return read


def read_rows(rows):
    return sorted(rows, key=lambda row: row["number"])


def test_an_answer_is_a_row(open_client, make_assessment, read_audit):
    answer = open_client().post("/predict", json=make_assessment()).json()
    (row,) = read_audit()
    (estimate,) = answer["estimates"]
    assert row["request_id"] == answer["request_id"]
    assert row["route"] == "/predict"
    assert row["key_id"] is None
    model = estimate["model"]
    assert row["models"][0] == f"{model['name']}@{model['version']} {model['digest']}"
    assert row["answers"] == [[estimate["probability"], None]]
    assert len(row["inputs_digest"]) == 64


def test_a_batch_is_one_row_with_every_answer(open_client, make_assessment, read_audit):
    rows = [
        make_assessment(),
        make_assessment(age=300),
        make_assessment(condition="anxiety", gad7=12),
        make_assessment(bmi=60),
    ]
    answer = open_client().post("/predict_batch", json={"assessments": rows}).json()
    (row,) = read_audit()
    first, wrong, other, withheld = row["answers"]
    assert first == [answer["results"][0]["estimates"][0]["probability"], None]
    assert wrong is None
    assert other[0] is None
    assert other[1] == answer["results"][2]["estimates"][0]["probability"]
    assert withheld == [None, None]


def test_estimate_on_the_page_is_audited(open_client, read_audit):
    open_client().post("/", data={"condition": "depression", "phq9": "17"})
    assert [row["route"] for row in read_audit()] == ["/"]


def test_what_was_not_answered_is_no_row(open_client, make_assessment, read_audit):
    client = open_client()
    client.post("/predict", json=make_assessment(age=300))
    client.post("/predict", content=b"{")
    client.post("/", data={"condition": "depression", "phq9": "99"})
    assert read_audit() == []


def test_the_digest_is_that_of_the_very_body(open_client, make_assessment, read_audit):
    client = open_client()
    for body in (make_assessment(), make_assessment(), make_assessment(age=45)):
        client.post("/predict", json=body)
    digests = [row["inputs_digest"] for row in read_rows(read_audit())]
    assert digests[0] == digests[1] != digests[2]


@pytest.fixture
def broken_store(store):
    """A store that rejects every row."""
    with store.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO mislaid")
    return store


@pytest.mark.usefixtures("broken_store")
def test_without_its_row_there_is_no_answer(open_client, make_assessment):
    client = open_client()
    for path, body in (
        ("/predict", make_assessment()),
        ("/predict_batch", {"assessments": [make_assessment()]}),
    ):
        response = client.post(path, json=body)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert "probability" not in response.text
    page = client.post("/", data={"condition": "depression", "phq9": "17"})
    assert page.status_code == 503
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "SQLITE_ERROR" in ready.json()["reasons"][0]


@pytest.mark.usefixtures("broken_store")
def test_configured_otherwise_it_is_answered_and_counted(open_client, make_assessment):
    client = open_client(audit="best_effort")
    assert client.post("/predict", json=make_assessment()).status_code == 200
    assert "ketamine_response_unaudited_total 1.0" in client.get("/metrics").text
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")


def test_inputs_are_kept_only_on_request_and_encrypted(
    open_client, make_assessment, store, read_audit
):
    body = json.dumps(make_assessment()).encode()
    open_client().post("/predict", content=body, headers={"content-type": "application/json"})
    seal = InputsSeal([Fernet.generate_key().decode()])
    client = open_client(seal=seal)
    client.post("/predict", content=body, headers={"content-type": "application/json"})
    first, second = read_rows(read_audit())
    log = AuditLog(store, derive_secrets(b"0" * 32).chain)
    assert log.read_inputs(first["request_id"]) is None
    kept = log.read_inputs(second["request_id"])
    assert b"depression" not in kept
    assert seal.unseal(kept) == body


def test_keeping_inputs_needs_a_key():
    settings = ServingSettings(store_inputs=True)
    with pytest.raises(InputError, match=INPUTS_VARIABLE):
        choose_seal(settings, {})
    assert choose_seal(ServingSettings(), {}) is None
    assert choose_seal(settings, {INPUTS_VARIABLE: Fernet.generate_key().decode()}) is not None
