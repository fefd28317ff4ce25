"""Headers of every answer, the time that a wrong key takes, and repeated requests."""

import statistics
from datetime import UTC, datetime
from time import perf_counter

import pytest

from serving.http.routes import ROUTES
from serving.store.keys import KeyRing

PERSON = {"patient_id": "a17", "condition": "depression", "phq9": 17}
# Allowed difference in time between refusals: an existing id must not be distinguishable from an
# unknown one, although guessing the secret would still be infeasible.
NOISE = 0.25
SECURE = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
ORIGIN = {"origin": "https://evil.example", "access-control-request-method": "POST"}


def check_headers(response):
    assert {name: response.headers[name] for name in SECURE} == SECURE
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert len(response.headers["x-request-id"]) == 32
    for name in response.headers:
        assert not name.startswith("access-control-")
    assert "server" not in response.headers


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "DELETE", "TRACE"])
@pytest.mark.parametrize("path", [*dict.fromkeys(route.path for route in ROUTES), "/nowhere"])
def test_every_response_has_security_headers(open_client, method, path):
    """No response may be read by another site."""
    client = open_client()
    for sent in ({}, {"json": PERSON}):
        check_headers(client.request(method, path, headers=ORIGIN, **sent))


def test_failures_have_them_too(open_client):
    check_headers(open_client(champions="broken").post("/predict", json=PERSON))
    client = open_client()
    client.service.parts = None
    check_headers(client.post("/predict", json=PERSON))


def test_unknown_key_takes_as_long_as_wrong_secret(store, make_key):
    token = make_key("predict")
    ring = KeyRing(store)
    ring.refresh()
    now = datetime.now(UTC)
    wrong = [token[:-1] + ("A" if token[-1] != "A" else "B"), f"kr_00000000_{token[12:]}"]
    times = ([], [])
    for _ in range(20_000):
        for index, tried in enumerate(wrong):
            began = perf_counter()
            match = ring.find(tried, now)
            times[index].append(perf_counter() - began)
            assert match is None
    wrong_secret, unknown_key = (statistics.median(durations) for durations in times)
    assert abs(wrong_secret - unknown_key) < NOISE * max(wrong_secret, unknown_key)


def test_repeated_request_gets_its_own_audit_row(open_client):
    client = open_client()
    sent = {"json": PERSON, "headers": {"x-request-id": "0" * 32}}
    ids = [client.post("/predict", **sent).json()["request_id"] for _ in range(3)]
    log = client.service.parts.recorder.writer._log
    rows = log.show()
    assert [row["request_id"] for row in rows] == ids
    assert len(set(ids)) == 3
    assert "0" * 32 not in ids
    # The key and the inputs are needed to recognise the same inputs.
    assert len({row["inputs_digest"] for row in rows}) == 1
