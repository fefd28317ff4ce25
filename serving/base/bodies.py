"""Reading request bodies: one strict parser, whose errors name fields and rules, never values."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

from serving.base.exchange import refuse

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
# A batch of assessments is three deep; whatever is deeper is none.
MOST_DEPTH = 8
CONTAINERS = (dict, list)


def parse_json(body: bytes) -> Any:
    """Parse JSON strictly: UTF-8, no NaN or Infinity, no name twice in one object.

    Raises
    ------
    RequestError
        400 otherwise.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        refuse(400, "body", "json", "must be JSON in UTF-8; NaN and Infinity are not")
    simple = body.count(b"[") < 2 and b"\\" not in body
    if not simple or count_names(value) != body.count(b":"):
        check_names(value, body)
    return value


def count_names(value: Any) -> int:
    """Count the names in an object, or in the objects of the lists in it; no deeper.

    In a body with at most one list and no colon in any text, that is how many colons there are,
    unless a name comes twice or lies deeper.

    Examples
    --------
    >>> count_names({"a": "b", "c": [{"d": None}, {"d": 1, "e": {"f": 2}}]})
    5
    """
    if type(value) is not dict:
        return 0
    lists = [part for part in value.values() if type(part) is list]
    return len(value) + sum(len(row) for rows in lists for row in rows if type(row) is dict)


def check_names(value: Any, body: bytes) -> None:
    """Look for a name given twice, and for what is nested too deep.

    Raises
    ------
    RequestError
        400 for either.
    """
    # A name given twice is parsed once, and so leaves two quotation marks too many.
    quoted = 2 * count_texts(value)
    if b"\\" in body:
        json.loads(body, object_pairs_hook=make_object)
    elif quoted != body.count(b'"'):
        refuse_duplicate()


def count_texts(value: Any, depth: int = 1) -> int:
    """Count the texts in a parsed value, names among them.

    Raises
    ------
    RequestError
        400 if it is nested too deep.

    Examples
    --------
    >>> count_texts({"a": "b", "c": [1, {"d": None}, "e"]})
    5
    """
    if depth > MOST_DEPTH:
        refuse(400, "body", "depth", f"must be nested at most {MOST_DEPTH} deep")
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


def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, refusing a name given twice."""
    made = dict(pairs)
    if len(made) != len(pairs):
        refuse_duplicate()
    return made


def refuse_duplicate() -> None:
    """Refuse a body in which a name comes twice."""
    refuse(400, "body", "duplicate", "no name may come twice in one object")


def require_object(value: Any, field: str) -> Mapping[str, Any]:
    """Require a JSON object."""
    if not isinstance(value, dict):
        refuse(400, field, "type", "must be an object")
    return value
