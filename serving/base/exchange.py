"""Exchanges: a request as it came, and its answer, over plain ASGI.

There are a dozen routes and every answer has the same form, so that a web framework would only add
its time to each.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NoReturn

import orjson
from starlette.types import Receive, Scope

from features.base.errors import InputError, Problem

Headers = tuple[tuple[bytes, bytes], ...]
JSON_HEADERS: Headers = ((b"content-type", b"application/json"),)
HTML_HEADERS: Headers = ((b"content-type", b"text/html; charset=utf-8"),)
# Seconds after which somebody turned away may come again.
RETRY_AFTER: Headers = ((b"retry-after", b"1"),)
# Of a length in a header; Python takes its time over numbers of thousands of digits.
MOST_DIGITS = 18
CLOSE: Headers = ((b"connection", b"close"),)
SECURITY_HEADERS: Headers = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; form-action 'self'; "
     b"img-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)  # fmt: skip


class RequestError(InputError):
    """A request that cannot be answered.

    Parameters
    ----------
    status
        HTTP status.
    headers
        What else the asker must be told.
    """

    def __init__(self, status: int, problems: Sequence[Problem], headers: Headers = ()) -> None:
        self.status = status
        self.headers = headers
        super().__init__(problems, source="request")


class Disconnected(Exception):  # noqa: N818 - nothing is wrong, nobody is there
    """Whoever asked has gone."""


def refuse(status: int, name: str, rule: str, message: str, headers: Headers = ()) -> NoReturn:
    """Refuse a request for one reason."""
    raise RequestError(status, [Problem(name, rule, message)], headers)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Parameters
    ----------
    content
        The body.
    """

    status: int
    content: bytes
    headers: Headers = JSON_HEADERS


def answer_json(value: Any, status: int = 200, headers: Headers = ()) -> Answer:
    """Answer with a JSON body."""
    return Answer(status, orjson.dumps(value), JSON_HEADERS + headers)


def answer_html(page: str, status: int = 200, headers: Headers = ()) -> Answer:
    """Answer with a page."""
    return Answer(status, page.encode(), HTML_HEADERS + headers)


def answer_problems(status: int, problems: Sequence[Problem], headers: Headers = ()) -> Answer:
    """Answer with what is wrong."""
    return answer_json({"errors": [one.as_dict() for one in problems]}, status, headers)


@dataclass(slots=True)
class Request:
    """One request.

    Parameters
    ----------
    key_id
        Who asks, once that is known.
    answered
        Assessments that were answered.
    """

    scope: Scope
    receive: Receive
    started: float = field(default_factory=perf_counter)
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    key_id: str | None = None
    answered: int = 0

    @property
    def method(self) -> str:
        """HTTP method."""
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        """Path, without a query."""
        return str(self.scope["path"])

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Headers by their lower-case names."""
        return dict(self.scope["headers"])

    @property
    def seconds(self) -> float:
        """How long it has been here."""
        return perf_counter() - self.started


async def read_body(request: Request, most_bytes: int, seconds: float, content_type: str) -> bytes:
    """Read a body of one type, up to a size and for so long.

    Raises
    ------
    RequestError
        415 for another type, 413 for more, 408 for a body that does not come.
    Disconnected
        If whoever asked has gone.
    """
    headers = request.headers
    given = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if given != content_type.encode():
        refuse(415, "content-type", "type", f"must be {content_type}")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        refuse(415, "content-encoding", "type", "must be identity: bodies come uncompressed")
    # A connection with a body that nobody will read is of no more use.
    too_large = Problem("body", "size", f"must be at most {most_bytes} bytes")
    length = headers.get(b"content-length", b"0")
    if len(length) > MOST_DIGITS or not length.isdigit() or int(length) > most_bytes:
        raise RequestError(413, [too_large], CLOSE)
    try:
        async with asyncio.timeout(seconds):
            return await receive_body(request.receive, most_bytes)
    except TimeoutError:
        refuse(408, "body", "time", f"must arrive within {seconds:g} seconds", CLOSE)
    except OverflowError:
        raise RequestError(413, [too_large], CLOSE) from None


async def receive_body(receive: Receive, most_bytes: int) -> bytes:
    """Receive a body.

    Raises
    ------
    OverflowError
        If it is larger.
    Disconnected
        If it does not come to its end.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > most_bytes:
            raise OverflowError
        parts.append(part)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)
