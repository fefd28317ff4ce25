"""Connections: limits before a request is complete, on a real server with real sockets."""

import asyncio
import contextlib
import socket
import threading

import pytest
import uvicorn

import serving.http.connection
from serving.http.connection import Connection

BODY = b'{"patient_id": "a17", "condition": "depression", "phq9": 17}'
ASKED = (
    b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
) + BODY
READY = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Delayed:
    """An application that can be delayed."""

    def __init__(self, app):
        self.app, self.seconds = app, 0

    async def __call__(self, scope, receive, send):
        await asyncio.sleep(self.seconds)
        await self.app(scope, receive, send)


@pytest.fixture
def connect(open_client, monkeypatch):
    """Opens connections to a real server that waits half a second for headers."""
    monkeypatch.setattr(serving.http.connection, "HEAD_SECONDS", 0.5)
    app = Delayed(open_client().app)
    named = {"http": Connection, "log_config": None, "lifespan": "off", "timeout_keep_alive": 30}
    server = uvicorn.Server(uvicorn.Config(app, **named))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    with contextlib.ExitStack() as stack:

        def open_connection(data=b""):
            address = listening.getsockname()
            opened = stack.enter_context(socket.create_connection(address, timeout=10))
            opened.sendall(data)
            return opened

        open_connection.app = app
        yield open_connection
    server.should_exit = True
    thread.join(10)
    listening.close()


def is_closed(opened):
    try:
        return opened.recv(1000) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "begun",
    [b"", b"G", b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"\r\n"],
    ids=["nothing", "a letter", "half a head", "an empty line"],
)
def test_connection_without_complete_headers_is_closed(connect, begun):
    assert is_closed(connect(begun))


@pytest.mark.parametrize("begun", [b"\r\n", b"GET /", READY[:-2]], ids=repr)
def test_idle_connection_with_half_a_head_is_closed(connect, read_one, begun):
    opened = connect(READY)
    assert read_one(opened)[0] == 200
    opened.sendall(begun)
    assert is_closed(opened)


def test_slow_response_outlives_the_header_timeout(connect, read_one):
    connect.app.seconds = 1
    assert read_one(connect(ASKED))[0] == 200
    parts = connect(ASKED[:-5])
    parts.sendall(ASKED[-5:])
    assert read_one(parts)[0] == 200


def test_idle_connection_is_kept_between_requests(connect, read_one):
    opened = connect(ASKED)
    assert read_one(opened)[0] == 200
    threading.Event().wait(1)
    opened.sendall(ASKED)
    assert read_one(opened)[0] == 200


@pytest.mark.parametrize("part", [b"GET /", b"GET / HTTP/1.1\r\nX-A: ", b"\r\n"], ids=repr)
def test_a_head_that_is_too_large_is_refused(connect, read_one, part, monkeypatch):
    monkeypatch.setattr(serving.http.connection, "HEAD_SECONDS", 60)
    opened = connect(part)
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            opened.sendall(b"\r\n" * 500 if part == b"\r\n" else b"a" * 1000)
    with contextlib.suppress(ConnectionResetError):
        assert read_one(opened)[0] == 400
    assert is_closed(opened)


def test_requests_that_come_together_are_answered_in_turn(connect, read_one):
    opened = connect(ASKED + READY + ASKED + READY[:10])
    opened.sendall(READY[10:])
    answers = b""
    while answers.count(b'"ready"') < 2:
        received = opened.recv(65536)
        assert received
        answers += received
    places = [answers.find(part) for part in (b'"estimates"', b'"ready"')]
    assert 0 < places[0] < places[1] < answers.rfind(b'"estimates"') < answers.rfind(b'"ready"')


@pytest.mark.parametrize("path", [b"/predict", b"/readyz"])
def test_web_socket_is_answered_like_a_request(connect, read_one, path):
    status, _, _ = read_one(
        connect(
            b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            % path
        )
    )
    assert status == (200 if path == b"/readyz" else 405)


def test_malformed_request_gets_the_usual_error_form(connect, read_one):
    status, headers, content = read_one(connect(b"CANARY\x00\r\n\r\n"))
    assert status == 400
    assert b'"errors"' in content
    assert b"CANARY" not in content
    assert headers["x-content-type-options"] == "nosniff"
