"""JSON: one object per line, or a list of them."""

import json

import pytest
from opened_files import check_refusal, read_rows

from features.base.errors import CohortError
from features.records.cohort import read_cohort
from features.records.mapping import Mapper


def refuse(path, rule, *words):
    check_refusal(lambda: read_rows(path), rule, *words)


ROWS = '{"a": "007", "b": 17.0, "c": true}\n\n{"b": null, "a": "é", "d": 1e400}\n'
TEXTS = [
    {"a": "007", "b": "17.0", "c": "true", "d": None},
    {"a": "é", "b": None, "c": None, "d": "1e400"},
]


@pytest.mark.parametrize("name", ["x.ndjson", "x.jsonl", "x.json"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_values_are_the_texts_that_they_are(write, name, mark):
    assert read_rows(write(mark + ROWS, name)) == TEXTS
    first, second = ROWS.split("\n\n")
    assert read_rows(write(f"{mark} [ {first} ,\n{second}]\n", name)) == TEXTS


def test_numbers_follow_the_decimal_sign_of_texts(write):
    path = write('{"patient_id": "a", "condition": "depression", "phq9": "1", "age": 44.5}\n')
    path = path.rename(path.with_suffix(".ndjson"))
    assert read_cohort(path, Mapper(decimal=",")).get_numbers("age").tolist() == [44.5]


BROKEN = {
    '{"a": 1': ("json", "line 1"),
    '{"a": 1}\n{"a": }\n': ("json", "line 2"),
    '[{"a": 1} {"a": 2}]': ("json", "a comma is missing"),
    '[{"a": 1},\n{"a": 2}': ("json", "line 2"),
    '[{"a": 1}] x': ("json", "nothing follow"),
    "[1, 2]": ("format", "row 1 is neither"),
    '{"a": 1}\n[2]\n': ("format", "row 2 is neither"),
    "[]": ("empty", "no row"),
    "": ("empty", "no row"),
    "patient_id,phq9\n": ("json", "line 1"),
    "[" * 100_000: ("json", "nested too deep"),
}


@pytest.mark.parametrize(("content", "problem"), BROKEN.items())
def test_what_is_no_table_is_refused(write, content, problem):
    refuse(write(content, "x.json"), *problem)


def test_name_that_an_object_repeats_is_refused(write):
    with pytest.raises(CohortError, match=r"a \(duplicate_column\): row 2"):
        read_rows(write('{"a": 1}\n{"a": 1, "a": 2}\n', "x.ndjson"))


def test_nested_values_are_refused_by_their_column_or_ignored(write):
    row = {"patient_id": "a", "condition": "depression", "phq9": 17, "bmi": [1], "x": {"y": 1}}
    path = write(json.dumps(row), "x.ndjson")
    with pytest.raises(CohortError) as refused:
        read_cohort(path, Mapper(ignore=("x",)))
    assert [(p.field, p.rule) for p in refused.value.problems] == [("bmi", "type")]
    assert read_cohort(path, Mapper(ignore=("x", "bmi"))).size == 1


def test_list_that_is_too_long_is_refused(write, monkeypatch):
    monkeypatch.setattr("features.sources.json_tables.MAX_LIST_BYTES", 1 << 10)
    refuse(write(json.dumps([{"a": 1}] * 200), "x.json"), "size", "one object per line")
    assert len(read_rows(write('{"a": 1}\n' * 2000, "x.ndjson"))) == 2000


def test_encoding_may_be_named(write):
    path = write(ROWS.encode("utf-16"), "x.ndjson")
    assert read_rows(path, encoding="utf-16") == TEXTS
    refuse(write(ROWS.encode("latin-1"), "x.ndjson"), "encoding", "line 3", "windows-1252")


def test_list_within_an_object_is_read(write):
    """As in a request to the service; texts, as REDCap's API gives all values."""
    row = {"patient_id": "1", "condition": "depression", "phq9": "17", "age": "44"}
    path = write(json.dumps({"assessments": [row]}, indent=1), "x.json")
    assert read_rows(path) == [row]
    assert read_cohort(path).get_numbers("age").tolist() == [44]
    refuse(write(json.dumps({"a": [row], "b": 1}), "x.json"), "json")
