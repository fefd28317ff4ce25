"""Exchanges: one request from its first check to its line in the log, and the errors it may get."""

import secrets
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NoReturn

from features.base.errors import InputError, Problem

# Seconds after which a client that was rejected for load may retry.
RETRY_AFTER = {"retry-after": "1"}
# For a connection with a body that will not be read: it cannot be used again.
CLOSE = {"connection": "close"}
SECURITY_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; form-action 'self'; "
     b"img-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)  # fmt: skip
# The route of requests that match none.
NO_ROUTE = "none"


class RequestError(InputError):
    """A request that is rejected, with the status and further headers of its response."""

    def __init__(
        self, status: int, problems: Sequence[Problem], headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.headers = dict(headers or {})
        super().__init__(problems, source="request")


def refuse(
    status: int, name: str, rule: str, message: str, headers: Mapping[str, str] | None = None
) -> NoReturn:
    """Reject a request for one reason."""
    raise RequestError(status, [Problem(name, rule, message)], headers)


@dataclass(slots=True)
class Exchange:
    """One request and what is known of it."""

    route: str  # Path of the route that it matches
    method: str = "POST"
    key_id: str | None = None  # Of the client, once it is known; None if no keys are in use
    body: bytes = b""  # As it was received
    content: Any = None  # The body as it was parsed, if it is JSON
    answered: int = 0  # Assessments
    status: int = 0  # Of the response; 0 until it begins
    started: float = field(default_factory=perf_counter)
    id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def seconds(self) -> float:
        """Seconds since it arrived."""
        return perf_counter() - self.started


# The exchange that is being answered; None if a method is called in process.
CURRENT: ContextVar[Exchange | None] = ContextVar("exchange", default=None)
