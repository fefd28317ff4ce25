"""The strict parser against a slow one that checks every pair."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.base.bodies import MAX_DEPTH, count_texts, parse_json
from serving.base.exchange import RequestError

NAMES = st.text(st.characters(codec="utf-8"), max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | NAMES,
    lambda parts: st.lists(parts, max_size=3) | st.lists(st.tuples(NAMES, parts), max_size=3),
    max_leaves=12,
)


def write(value):
    """Write JSON in which lists of pairs are objects."""
    if isinstance(value, list) and value and all(isinstance(part, tuple) for part in value):
        return "{" + ",".join(f"{json.dumps(n)}:{write(v)}" for n, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value)


def refuse_twice(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("duplicate")
    return dict(pairs)


def refuse_constant(name):
    raise ValueError(name)


def parse_slowly(text):
    """Parse with the standard library; None if the text must be refused."""
    try:
        parsed = json.loads(text, object_pairs_hook=refuse_twice, parse_constant=refuse_constant)
    except ValueError:
        return None
    return [parsed]


def parse_or_name_rule(text):
    """Parse as the service does: the value, or the rule that the body breaks."""
    try:
        return [parse_json(text.encode())], None
    except RequestError as error:
        return None, error.problems[0].rule


@given(VALUES)
def test_parser_agrees_with_the_one_checking_every_pair(value):
    """The fast path of duplicate names against ``object_pairs_hook``."""
    text = write(value)
    parsed, rule = parse_or_name_rule(text)
    if rule == "depth":
        assert "[" * 2 in text or "{" in text
    else:
        assert parsed == parse_slowly(text)
        assert (rule is None) == (parsed is not None)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": "a", "a": "a"}',
        '{"a": {"b": 1}, "a": {"c": 2}}',
        '[{"x": 1}, {"x": [{"y": 1, "y": "2"}]}]',
        '{"a": 1, "\\u0061": 2}',
        '{"": 1, "": 2}',
    ],
)
def test_duplicate_names_are_found_anywhere(text):
    with pytest.raises(RequestError) as caught:
        parse_json(text.encode())
    assert caught.value.problems[0].rule == "duplicate"


@pytest.mark.parametrize("text", ['{"a": "b", "b": "a"}', '[{"a": 1}, {"a": 1}]', '{"a": "\\""}'])
def test_names_in_different_objects_are_no_duplicates(text):
    assert parse_json(text.encode()) == json.loads(text)


def test_byte_order_mark_is_ignored_once():
    assert parse_json(b'\xef\xbb\xbf{"a": "b"}') == {"a": "b"}
    with pytest.raises(RequestError):
        parse_json(b"\xef\xbb\xbf\xef\xbb\xbf{}")


def test_deep_nesting_is_rejected_without_recursion_errors():
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert count_texts(parse_json(deepest.encode())) == 0
    for depth in (MAX_DEPTH + 1, 900, 1100, 400_000):
        with pytest.raises(RequestError) as caught:
            parse_json(b"[" * depth + b"]" * depth)
        assert caught.value.problems[0].rule in ("depth", "json")
