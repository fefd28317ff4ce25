"""Request bodies: limits on reading them, and one strict JSON parser.

Errors name fields and rules, never values.
"""

import asyncio
import codecs
import json
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson
from starlette.requests import Request

from serving.base.exchange import CLOSE, refuse
from serving.base.settings import ServingSettings

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
HTML_TYPE, TEXT_TYPE = "text/html", "text/plain"
# A batch of assessments is three deep; anything deeper is not one.
MAX_DEPTH = 8
# Digits of a content length; Python needs quadratic time for numbers of thousands of digits.
MAX_DIGITS = 18
CONTAINERS = (dict, list)


async def read_body(request: Request, settings: ServingSettings, content_type: str) -> bytes:
    """Read a body of one type, up to a size and within a time.

    Raises RequestError 415 for another type, 413 if it is larger, 408 if it does not arrive in
    time; ClientDisconnect if the client disconnects before its end.
    """
    max_bytes, seconds = settings.most_body_bytes, settings.body_seconds
    headers = request.headers
    received_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if received_type != content_type:
        refuse(415, "content-type", "type", f"must be {content_type}")
    if headers.get("content-encoding", "identity").lower() != "identity":
        refuse(415, "content-encoding", "type", "must be identity: bodies come uncompressed")
    length = headers.get("content-length", "0")
    # `isdigit` alone would accept digits of other alphabets.
    is_number = len(length) <= MAX_DIGITS and length.isascii() and length.isdigit()
    if not is_number or int(length) > max_bytes:
        _refuse_large(max_bytes)
    try:
        async with asyncio.timeout(seconds):
            return await _receive(request, max_bytes)
    except TimeoutError:
        refuse(408, "body", "time", f"must arrive within {seconds:g} seconds", CLOSE)


async def _receive(request: Request, max_bytes: int) -> bytes:
    # Counted as it arrives: a chunked body has no length to check before.
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            _refuse_large(max_bytes)
        parts.append(part)
    return b"".join(parts)


def _refuse_large(max_bytes: int) -> NoReturn:
    refuse(413, "body", "size", f"must be at most {max_bytes} bytes", CLOSE)


def parse_json(body: bytes) -> Any:
    """Parse JSON strictly: UTF-8, no NaN or Infinity, no duplicate name in an object.

    Fast path of ``json.loads`` with ``object_pairs_hook``, which takes three times as long for a
    batch; equal by ``tests/serving/base/test_bodies.py``. Raises RequestError 400 otherwise.
    """
    # RFC 8259 lets a parser ignore a byte order mark, which Windows' tools write.
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        refuse(400, "body", "json", "must be JSON in UTF-8; NaN and Infinity are not")
    # Of a duplicate name orjson keeps one, so the body has more quotation marks than the value
    # accounts for. An escape could hide a quotation mark or a name, so those take the slow path.
    quotation_marks = 2 * count_texts(value)
    if b"\\" in body:
        json.loads(body, object_pairs_hook=_make_object)
    elif quotation_marks != body.count(b'"'):
        _refuse_duplicate()
    return value


def count_texts(value: Any, depth: int = 1) -> int:
    """Count the texts in a parsed value, names included; raise RequestError if it is too deep.

    Examples
    --------
    >>> count_texts({"a": "b", "c": [1, {"d": None}, "e"]})
    5
    """
    if depth > MAX_DEPTH:
        refuse(400, "body", "depth", f"must be nested at most {MAX_DEPTH} deep")
    if type(value) is dict:
        parts, count = list(value.values()), len(value)
    elif type(value) is list:
        parts, count = value, 0
    else:
        return int(type(value) is str)
    kinds = list(map(type, parts))
    count += kinds.count(str)
    if dict in kinds or list in kinds:
        count += sum(count_texts(part, depth + 1) for part in parts if type(part) in CONTAINERS)
    return count


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        _refuse_duplicate()
    return made


def _refuse_duplicate() -> NoReturn:
    refuse(400, "body", "duplicate", "no name may come twice in one object")


def require_object(value: Any, field: str) -> Mapping[str, Any]:
    """Require a JSON object."""
    if not isinstance(value, dict):
        refuse(400, field, "type", "must be an object")
    return value
