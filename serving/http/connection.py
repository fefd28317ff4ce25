"""Connections: uvicorn's own, with limits on what comes before a request.

Headers are read before any of our middleware, and uvicorn waits for them without end and keeps them
without limit, whichever client sends them.
"""

import asyncio
from typing import Any

import orjson
import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from features.base.errors import Problem
from serving.base.exchange import SECURITY_HEADERS

# Bytes of the request line and all headers together, and seconds until they must be here.
MOST_HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0
MALFORMED = Problem("request", "http", f"must be HTTP/1.1, its headers {MOST_HEAD_BYTES} bytes")


class Connection(HttpToolsProtocol):
    """One connection, closed if no whole request line and headers come in time and size."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        # A web socket would have a protocol of its own, without any of these limits.
        self.ws_protocol_class = None
        self.passed = 0  # Heads and bodies that came to their end
        self.head_bytes = 0  # Of a head that is not complete
        self.in_head = self.in_body = False
        # Closes the connection while a head is awaited.
        self.head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self.await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self.end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless a head becomes too large."""
        passed = self.passed
        super().data_received(data)
        if self.transport.is_closing():
            return
        # Empty lines before a head count too: they end uvicorn's own waiting.
        if self.passed == passed and not self.in_body:
            self.head_bytes += len(data)
            if self.head_bytes > MOST_HEAD_BYTES:
                self.send_400_response("")
                return
        if self.head_timer is None and (self.in_head or self.head_bytes):
            self.await_head()

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self.in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that a head is complete, and its body begins."""
        self.passed += 1
        self.in_body = True
        self.end_head()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that a body is complete."""
        self.passed += 1
        self.in_body = False
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        # Uvicorn logs a warning per attempt, so clients could fill the log.
        pass

    def await_head(self) -> None:
        """Give the other side some time for its head."""
        # From its start, not from its last byte: one byte at a time would hold it open for ever.
        self.head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def end_head(self) -> None:
        """Stop waiting for a head."""
        self.in_head, self.head_bytes = False, 0
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, in the form of every other error; then close."""
        content = orjson.dumps({"errors": [MALFORMED.as_dict()]})
        length = (b"content-length", b"%d" % len(content))
        kind, close = (b"content-type", b"application/json"), (b"connection", b"close")
        headers = (kind, length, close, *SECURITY_HEADERS)
        lines = (b"HTTP/1.1 400 Bad Request", *(b"%b: %b" % header for header in headers))
        self.transport.write(b"\r\n".join([*lines, b"", content]))
        self.transport.close()


def limit_connections() -> None:
    """Have uvicorn make our connections; call it before the server starts."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{Connection.__name__}"
