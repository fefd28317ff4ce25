"""Limits: clients that send too much, too slowly, or nothing do not block other clients."""

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from waiting import wait_for

MOST = 8
PERSON = {"patient_id": "a17", "condition": "depression", "phq9": 17}
BODY = json.dumps(PERSON).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
HOST = b"Host: 127.0.0.1\r\n"
TYPE = b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def service(start_service):
    """A service with a small capacity, which waits two seconds for bodies."""
    prefix = "KETAMINE_RESPONSE_"
    limits = {"MOST_IN_FLIGHT": MOST, "BODY_SECONDS": 2, "DEADLINE_SECONDS": 60}
    return start_service(**{prefix + name: str(value) for name, value in limits.items()})


def ask_raw(service, read_one, *parts, body=BODY, first=b"POST /predict HTTP/1.1\r\n"):
    with service.connect(b"".join([first, *parts, b"\r\n", body])) as connection:
        return read_one(connection)


def hold(service, count):
    """Start this many bodies and leave them unfinished."""
    half = b"POST /predict HTTP/1.1\r\n" + HOST + TYPE + LENGTH + b"\r\n" + BODY[:9]
    return [service.connect(half) for _ in range(count)]


def read_in_flight(service):
    text = service.ask("/metrics")[2].decode()
    return next(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("ketamine_response_in_flight ")
    )


def test_requests_beyond_capacity_may_retry(service):
    held = hold(service, MOST)
    wait_for(lambda: service.predict()[0] == 503, 1.8)
    status, headers, content = service.ask("/predict", PERSON)
    assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
    assert json.loads(content)["errors"][0]["rule"] == "busy"
    assert service.ask("/readyz")[0] == 200
    for connection in held:
        connection.close()
    wait_for(lambda: service.predict()[0] == 200, 20)


def test_body_that_never_arrives_times_out(service, read_one):
    with hold(service, 1)[0] as connection:
        status, headers, content = read_one(connection)
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(content)["errors"][0]["field"] == "body"
        assert connection.recv(10) == b""


def test_body_sent_byte_by_byte_times_out(service, read_one):
    received = b""
    with hold(service, 1)[0] as connection:
        connection.settimeout(0.2)
        for byte in BODY[9:]:
            connection.sendall(bytes([byte]))
            with suppress(TimeoutError):
                received = connection.recv(12)
                break
    assert received.startswith(b"HTTP/1.1 408")


def test_client_disconnect_is_not_a_failure(service):
    """Nothing stays in flight, and nothing is logged."""
    for connection in hold(service, MOST - 2):
        connection.close()
    wait_for(lambda: service.predict()[0] == 200, 20)
    wait_for(lambda: read_in_flight(service) == 0, 20)
    assert '"failure"' not in service.read_log()
    assert "Exception" not in service.read_log()


def test_a_body_without_a_length_is_limited_too(service, read_one):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = b"POST /predict HTTP/1.1\r\n" + HOST + TYPE + b"Transfer-Encoding: chunked\r\n\r\n"
    with service.connect(head) as connection:
        for _ in range(17):
            connection.sendall(chunk)
        status, headers, content = read_one(connection)
    assert (status, headers["connection"]) == (413, "close")
    assert json.loads(content)["errors"][0]["rule"] == "size"


def test_too_large_body_gets_its_answer(service):
    """Also if a client sends all of it before it reads, or drops what it received on a reset."""
    body = json.dumps({**PERSON, "note": "x" * (20 << 20)}).encode()

    async def send_at_once():
        async with httpx.AsyncClient(base_url=service.address, timeout=60) as client:
            headers = {"content-type": "application/json"}
            sent = [client.post("/predict", content=body, headers=headers) for _ in range(4)]
            return await asyncio.gather(*sent)

    assert {answer.status_code for answer in asyncio.run(send_at_once())} == {413}
    status, headers, content = service.ask("/predict", body)
    assert (status, headers["connection"]) == (413, "close")
    assert json.loads(content)["errors"][0]["rule"] == "size"


def test_rest_of_a_too_large_body_is_awaited_for_a_time(service, read_one):
    head = b"POST /predict HTTP/1.1\r\n" + HOST + TYPE + b"Content-Length: 99999999\r\n\r\n"
    with service.connect(head) as connection:
        start = time.monotonic()
        assert read_one(connection)[0] == 413
        assert connection.recv(10) == b""
        # Two seconds are given to every body.
        assert time.monotonic() - start < 15


def test_a_chunked_body_is_answered(service, read_one):
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n"
    assert ask_raw(service, read_one, HOST, TYPE, chunked, body=chunks)[0] == 200


def test_continue_is_sent_only_if_body_is_read(service, read_one):
    expect = b"Expect: 100-continue\r\n\r\n"
    head = b"POST /predict HTTP/1.1\r\n" + HOST
    with service.connect(head + TYPE + LENGTH + expect) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(BODY)
        assert read_one(connection)[0] == 200
    for refused, status in ((TYPE + b"Content-Length: 99999999\r\n", 413), (LENGTH, 415)):
        with service.connect(head + refused + expect) as connection:
            assert connection.recv(12) == b"HTTP/1.1 %d" % status


def test_large_batch_does_not_block_single_requests(service):
    people = [{**PERSON, "patient_id": f"p{n}"} for n in range(8000)]
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(service.ask, "/predict_batch", {"assessments": people})
        meanwhile = 0
        while not batch.done():
            assert service.predict()[0] == 200
            meanwhile += 1
        status, _, content = batch.result()
    assert status == 200
    assert len(json.loads(content)["results"]) == 8000
    assert meanwhile >= 5


def test_many_unknown_names_get_a_short_answer(service):
    flood = {f"name{n}": 1 for n in range(60_000)}
    for path, body in (
        ("/predict", flood),
        ("/predict_batch", flood),
        ("/predict_batch", {"assessments": [flood]}),
    ):
        status, _, content = service.ask(path, body)
        assert status == (200 if "assessments" in body else 400)
        assert len(content) < 5000


def test_a_name_in_an_error_is_cut(service):
    name = "x" * 5000 + "\u202e"
    for body in ({name: 1}, {"assessments": [], name: 1}):
        _, _, content = service.ask("/predict_batch", body)
        shown = json.loads(content)["errors"][0]["field"]
        assert shown == "x" * 64


def test_unfinished_headers_do_not_block_other_clients(service):
    waiting = [service.connect(b"POST /predict HTTP/1.1\r\nHost: 127") for _ in range(300)]
    assert [service.predict()[0] for _ in range(20)] == [200] * 20
    assert service.ask("/readyz")[0] == 200
    for connection in waiting:
        connection.close()


GOOD = [
    ("HTTP/1.0", b"POST /predict HTTP/1.0\r\n", TYPE + LENGTH),
    ("an absolute target", b"POST http://127.0.0.1/predict?a=b HTTP/1.1\r\n", HOST + TYPE + LENGTH),
    ("a fragment", b"POST /predict#there HTTP/1.1\r\n", HOST + TYPE + LENGTH),
    ("an escaped path", b"POST /%70redict HTTP/1.1\r\n", HOST + TYPE + LENGTH),
    ("upper case", b"POST /predict HTTP/1.1\r\n", (HOST + TYPE + LENGTH).upper()),
    ("lower case", b"POST /predict HTTP/1.1\r\n", (HOST + TYPE + LENGTH).lower()),
    (
        "two keys where none are needed",
        b"POST /predict HTTP/1.1\r\n",
        HOST + TYPE + LENGTH + b"Authorization: Bearer a\r\nAuthorization: Basic b\r\n",
    ),
]


@pytest.mark.parametrize(
    ("first", "headers"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD]
)
def test_unusual_requests_are_answered(service, read_one, first, headers):
    assert ask_raw(service, read_one, headers, first=first)[0] == 200


CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLING = {
    "two lengths": LENGTH + b"Content-Length: 5\r\n",
    "the same length twice": LENGTH + LENGTH,
    "two lengths in one": b"Content-Length: 5, 5\r\n",
    "a negative length": b"Content-Length: -5\r\n",
    "a signed length": b"Content-Length: +5\r\n",
    "a length of letters": b"Content-Length: 0x10\r\n",
    "a huge length": b"Content-Length: " + b"9" * 40 + b"\r\n",
    "length and chunks": LENGTH + CHUNKED,
    "chunks and length": CHUNKED + LENGTH,
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n",
    "chunks but not last": b"Transfer-Encoding: chunked, identity\r\n",
    "a space before the colon": b"Content-Length : 5\r\n",
    "a folded header": LENGTH + b"X-A: b\r\n c\r\n",
    "a zero byte": LENGTH + b"X-A: \x00\r\n",
    "a bare line feed": LENGTH + b"X-A: b\nX-B: c\r\n",
    "a chunk without size": CHUNKED,
}


@pytest.mark.parametrize("headers", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_ambiguous_request_closes_its_connection(service, read_one, headers):
    second = b"GET /readyz HTTP/1.1\r\n" + HOST + b"\r\n"
    head = b"POST /predict HTTP/1.1\r\n" + HOST + TYPE + headers + b"\r\n"
    with service.connect(head + BODY + second) as connection:
        status, answered, _ = read_one(connection)
        assert (status, answered["connection"]) == (400, "close")
        assert connection.recv(1000) == b""


TARGETS = [b"*", b"//predict", b"/predict/", b"/../predict", b"/%00", b"/%ff%0a", b"/;a=b", b"/a b"]
METHODS = [b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"TRACE", b"CONNECT", b"PROPFIND"]


@pytest.mark.parametrize("method", METHODS, ids=bytes.decode)
def test_odd_targets_are_refused_and_never_fail(service, method):
    for target in (*TARGETS, b"/\xff", b"predict", b"", b"http://", b"/" + b"a" * 50_000):
        data = b"%b %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % (method, target)
        with service.connect(data) as connection:
            status = int(connection.recv(1000).split()[1])
            assert status in (400, 403, 404, 405), (target, status)


def test_huge_headers_are_rejected(service):
    head = b"GET /readyz HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 50_000_000
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        service.connect(head)


def test_after_all_this_nothing_has_failed(service):
    assert service.predict()[0] == 200
    log = service.read_log()
    assert '"failure"' not in log
    assert '"crash"' not in log
    assert "Traceback" not in log


def test_what_has_waited_too_long_is_not_computed(open_client):
    client = open_client(deadline_seconds=1e-9)
    for path, body in (("/predict", PERSON), ("/predict_batch", {"assessments": [PERSON]})):
        response = client.post(path, json=body)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert response.json()["errors"][0]["rule"] == "deadline"


def test_port_accepts_connections_after_many_resets(service):
    for _ in range(100):
        connection = service.connect(b"POST /predict HTTP/1.1\r\n")
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()
    assert service.predict()[0] == 200
