"""Reading by column agrees exactly with reading by value, for any JSON."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Kind
from features.records.assessment import parse_rows
from features.records.parsing import JSON_READERS, check_numbers, parse_values
from features.records.reading import read_columns, read_usual

BUILT_IN = load_dictionary()

# One field of each kind, and some with other limits.
NAMES = ("age", "bmi", "phq9", "bipolar", "sex", "assessed_on", "site", "patient_id", "dose_mg_kg")


class Whole(int):
    """A subclass of integers."""


class Word(str):
    """A subclass of texts."""

    __slots__ = ()


usual = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 130),
    st.floats(-2, 130),
    st.sampled_from(["female", "male", "2026-02-28", "2026-02-30", "1989-12-31", "a17", "north"]),
)
odd = st.one_of(
    st.floats(),
    st.integers(),
    st.integers(min_value=10**308, max_value=10**310),
    st.text(),
    st.sampled_from(["a\n", "a\nb", "\n", "", "a b", "é", "x" * 65, "2026-02-28\n", "nan", "None"]),
    st.sampled_from([Whole(17), Word("female"), Word("2026-02-28"), -0.0, float("nan")]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)


def fill(name):
    """Columns of a field: mostly valid values, sometimes anything."""
    fitting = {
        Kind.NUMBER: st.one_of(st.none(), st.integers(0, 120), st.floats(0, 120)),
        Kind.INTEGER: st.one_of(st.none(), st.integers(0, 27), st.just(5.0)),
        Kind.FLAG: st.one_of(st.none(), st.booleans()),
        Kind.CATEGORY: st.sampled_from([None, *BUILT_IN.fields[name].categories]),
        Kind.DATE: st.sampled_from([None, "2026-02-28", "1990-01-01", "2100-12-31"]),
        Kind.TEXT: st.one_of(st.none(), st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")),
    }[BUILT_IN.fields[name].kind]
    return st.one_of(fitting, fitting, fitting, usual, odd)


@st.composite
def tables(draw):
    size = draw(st.integers(1, 5))
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    return {name: draw(st.lists(fill(name), min_size=size, max_size=size)) for name in names}


@given(tables())
@example({"age": [10**400, 3]})
@example({"age": [None, float("nan")], "bmi": [20, 21.5]})
@example({"patient_id": ["a", "b\nc"]})
@example({"site": [None, None], "patient_id": ["a", None]})
def test_columns_equal_those_read_by_value(raw):
    size = len(next(iter(raw.values())))
    columns, broken = read_columns(size, raw, BUILT_IN)
    assert set(columns.values) == set(raw)
    rules = {}
    for name, values in raw.items():
        careful = check_numbers(
            BUILT_IN.fields[name], parse_values(BUILT_IN.fields[name], values, JSON_READERS)
        )
        fast = columns.values[name]
        assert fast.dtype == careful.values.dtype
        assert [repr(value) for value in fast.tolist()] == [
            repr(v) for v in careful.values.tolist()
        ]
        rules |= {(name, rule): mask.tolist() for rule, mask in careful.broken.items()}
    assert rules == {
        (name, rule): mask.tolist()
        for name, field in broken.items()
        for rule, mask in field.broken.items()
    }
    for name in raw:
        if BUILT_IN.fields[name].kind is not Kind.TEXT:
            stacked = columns.stack((name, "gad7"))
            assert repr(stacked.tolist()) == repr([columns.values[name].tolist(), [np.nan] * size])


@given(tables())
def test_full_rows_and_rows_with_gaps_agree(raw):
    size = len(next(iter(raw.values())))
    full = [{name: values[row] for name, values in raw.items()} for row in range(size)]
    gaps = [{name: value for name, value in row.items() if value is not None} for row in full]
    first, second = (parse_rows(rows) for rows in (full, gaps))
    assert {repr(problem) for problem in first[1]} == {repr(problem) for problem in second[1]}
    for name, values in second[0].values.items():
        assert repr(values.tolist()) == repr(first[0].values[name].tolist())


def test_usual_values_need_no_second_look(make_assessment):
    """If they did, reading would be correct but slow."""
    rows = [make_assessment(bmi=31.5, assessed_on="2026-02-28", bipolar=True, site="north")] * 3
    raw = {name: [row[name] for row in rows] for name in rows[0]}
    assert set(read_usual(3, raw, BUILT_IN).values) == set(raw)


def test_one_strange_value_leaves_the_other_fields_alone():
    columns, broken = read_columns(
        2, {"age": [44, "x"], "bmi": [30, None], "sex": ["f", "male"]}, BUILT_IN
    )
    assert columns.get_numbers("bmi").tolist() == pytest.approx([30, np.nan], nan_ok=True)
    assert {name: set(mask.broken) for name, mask in broken.items()} == {
        "age": {"type"},
        "sex": {"category"},
    }
