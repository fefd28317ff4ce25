"""Reading request bodies: one strict parser, whose errors name fields and rules, never values."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from starlette.requests import Request

from features.errors import InputError, Problem

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


class RequestError(InputError):
    """A request that cannot be answered.

    Parameters
    ----------
    status
        HTTP status.
    """

    def __init__(self, status: int, problems: Sequence[Problem]) -> None:
        self.status = status
        super().__init__(problems, source="request")


def refuse(status: int, field: str, rule: str, message: str) -> NoReturn:
    """Refuse a request for one reason."""
    raise RequestError(status, [Problem(field, rule, message)])


async def read_body(request: Request, most_bytes: int, content_type: str = JSON_TYPE) -> bytes:
    """Read a body of one type, up to a size.

    Raises
    ------
    RequestError
        415 for another type, 413 for more.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != content_type:
        refuse(415, "content-type", "type", f"must be {content_type}")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most_bytes:
            refuse(413, "body", "size", f"must be at most {most_bytes} bytes")
        parts.append(part)
    return b"".join(parts)


def parse_json(body: bytes) -> Any:
    """Parse JSON strictly: UTF-8, no NaN or Infinity, no name twice in one object.

    Raises
    ------
    RequestError
        400 otherwise.
    """
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=make_object, parse_constant=refuse_constant
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValueError):
        refuse(400, "body", "json", "must be JSON in UTF-8")


def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, refusing a name given twice."""
    made = dict(pairs)
    if len(made) != len(pairs):
        refuse(400, "body", "duplicate", "no name may come twice in one object")
    return made


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which JSON does not have."""
    refuse(400, "body", "json", "must be JSON; NaN and Infinity are not")


def require_object(value: Any, field: str) -> Mapping[str, Any]:
    """Require a JSON object."""
    if not isinstance(value, dict):
        refuse(400, field, "type", "must be an object")
    return value
