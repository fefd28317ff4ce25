"""Assessments: read strictly, all problems at once, as a cohort's rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from features.base.errors import AssessmentError
from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Kind
from features.records.assessment import make_assessment_model, parse_rows, read_assessments

BUILT_IN = load_dictionary()
Assessment = make_assessment_model(BUILT_IN)

CROSS_FIELD_RULES = {"total", "one_dose", "dose", "order"}


def list_rules(row):
    return {(problem.field, problem.rule) for problem in parse_rows([row])[1]}


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"age": "44"}, "age", "type"),
        ({"age": True}, "age", "type"),
        ({"age": float("nan")}, "age", "type"),
        ({"age": float("inf")}, "age", "type"),
        ({"age": [44]}, "age", "type"),
        ({"age": -1}, "age", "range"),
        ({"age": 121}, "age", "range"),
        ({"age": 10**400}, "age", "range"),
        ({"phq9": 28}, "phq9", "range"),
        ({"phq9": 17.5}, "phq9", "whole"),
        ({"sex": "f"}, "sex", "category"),
        ({"sex": 1}, "sex", "type"),
        ({"bipolar": 1}, "bipolar", "type"),
        ({"bipolar": "yes"}, "bipolar", "type"),
        ({"patient_id": 17}, "patient_id", "type"),
        ({"patient_id": "Jane Doe"}, "patient_id", "pattern"),
        ({"patient_id": "jane@example.org"}, "patient_id", "pattern"),
        ({"patient_id": "a17\n"}, "patient_id", "pattern"),
        ({"patient_id": None}, "patient_id", "required"),
        ({"condition": None}, "condition", "required"),
        ({"phq9": None}, "baseline_score", "required"),
        ({"assessed_on": "2026-02-30"}, "assessed_on", "date"),
        ({"assessed_on": "30.02.2026"}, "assessed_on", "date"),
        ({"assessed_on": "1950-01-01"}, "assessed_on", "range"),
        ({"phq9_month6": 4}, "phq9_month6", "leakage"),
        ({"phq9_day1": 4}, "phq9_day1", "recall"),
        ({"hamd17_week2": 53}, "hamd17_week2", "range"),
        ({"hamd17_week2": 5.5}, "hamd17_week2", "whole"),
        ({"hamd17_week2": "5"}, "hamd17_week2", "type"),
        ({"phq9": None, "phq9_acute": 4}, "baseline_score", "required"),
        ({"cadss": 12}, "cadss", "leakage"),
        ({"last_name": "Doe"}, "last_name", "identifier"),
        ({"shoe_size": 38}, "shoe_size", "unknown"),
        ({"dose_mg_kg": 0.5, "dose_mg": 40}, "dose_mg", "one_dose"),
        ({"agent": "esketamine", "route": "intranasal", "dose_mg": 50}, "dose_mg", "dose"),
        ({"dose_mg_kg": 2.5}, "dose_mg_kg", "range"),
        ({"onset_age": 50}, "onset_age", "order"),
        ({"systolic": 80, "diastolic": 90}, "diastolic", "order"),
        ({"phq9": 9, **{f"phq9_{n}": 2 for n in range(1, 10)}}, "phq9", "total"),
        ({"phq9": 9, "phq9_1": 3, "phq9_2": 3, "phq9_3": 3, "phq9_4": 3}, "phq9", "total"),
    ],
)
def test_broken_rule_is_named_with_its_field(make_assessment, changes, field, rule):
    assert list_rules(make_assessment() | changes) == {(field, rule)}


@pytest.mark.parametrize(
    "changes",
    [
        {"age": 44.5},
        {"phq9": 17.0},
        {"bmi": None},
        {"assessed_on": "2026-02-28"},
        {"phq9": 17, "phq9_1": 3},
        {"agent": "esketamine", "route": "intranasal", "dose_mg": 84},
        {"phq9": None, **{f"phq9_{n}": 2 for n in range(1, 8)}},
        {"phq9": None, "gad7": 12},
        {"hamd17_week2": 12, "phq9_acute": 4},
    ],
)
def test_good_assessment_is_accepted(make_assessment, changes):
    assert list_rules(make_assessment() | changes) == set()


def test_all_problems_of_all_rows_come_at_once(make_assessment):
    rows = [make_assessment(age=200, sex="x"), make_assessment(), make_assessment(age=300, zzz=1)]
    with pytest.raises(AssessmentError) as refused:
        read_assessments(rows)
    problems = {(p.field, p.rule): p.rows for p in refused.value.problems}
    assert problems == {
        ("age", "range"): (1, 3),
        ("sex", "category"): (1,),
        ("zzz", "unknown"): (3,),
    }


def test_no_error_carries_a_value(make_assessment):
    canaries = {"patient_id": "CANARY Jane", "sex": "CANARYSEX", "age": 98765, "bmi": "CANARYBMI"}
    with pytest.raises(AssessmentError) as refused:
        read_assessments([make_assessment() | canaries])
    shown = str(refused.value) + repr(refused.value.as_dict())
    assert "CANARY" not in shown
    assert "98765" not in shown


def test_total_is_derived_from_items(make_assessment):
    items = {f"phq9_{number}": 2 for number in range(1, 10)}
    columns = read_assessments([make_assessment(phq9=None) | items])
    assert columns.get_numbers("phq9").tolist() == [18.0]


plain_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 200),
    st.floats(-5, 200, allow_nan=False),
    st.sampled_from(["female", "iv", "depression", "2026-02-28", "2026-02-31", "a17", "x y", ""]),
)
rows = st.dictionaries(
    st.sampled_from([name for name, field in BUILT_IN.fields.items() if field.group != "item"]),
    plain_values,
)


@given(rows)
def test_scalar_validation_agrees_with_vectorised_validation(row):
    """Field by field, the pydantic model refuses exactly what the columns refuse."""
    _, problems = parse_rows([row])
    refused = {p.field for p in problems if p.rule not in CROSS_FIELD_RULES} - {"baseline_score"}
    try:
        Assessment.model_validate({name: value for name, value in row.items() if value is not None})
        wrong = set()
    except ValidationError as error:
        wrong = {str(entry["loc"][0]) for entry in error.errors()}
    assert wrong == refused


def test_published_schema_has_every_field_and_its_limits():
    schema = Assessment.model_json_schema()
    assert set(schema["properties"]) == set(BUILT_IN.fields)
    assert schema["additionalProperties"] is False
    for name, field in BUILT_IN.fields.items():
        if field.kind is Kind.NUMBER:
            numbers = schema["properties"][name]["anyOf"][0]
            assert (numbers["minimum"], numbers["maximum"]) == (field.low, field.high)


def test_the_schema_states_whole_numbers_and_ranges():
    phq9 = Assessment.model_json_schema()["properties"]["phq9"]["anyOf"][0]
    facts = {name: phq9[name] for name in ("type", "minimum", "maximum", "multipleOf")}
    assert facts == {"type": "number", "minimum": 0, "maximum": 27, "multipleOf": 1}
