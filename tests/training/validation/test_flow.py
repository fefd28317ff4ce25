"""The flow of courses adds up, from those read to those analysed, whatever excludes them."""

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from features.base.errors import InputError
from features.records.cohort import read_cohort
from training.study.conditions import Exclusion
from training.study.courses import arrange_cohort, load_design
from training.study.parts import CohortPart
from training.study.study import Study
from training.validation.flow import describe_development_flow, merge_few

HEADER = "patient_id,course,condition,phq9,madrs,age,site,phq9_acute\n"
# By hand: 30 eligible courses of 29 patients at two sites, 12 of which respond.
LEARNED = "".join(
    f"p{n // 2 if n < 2 else n},{n % 2 + 1 if n < 2 else 1},depression,20,,40,"
    f"{'north' if n % 2 else 'south'},{10 if n < 12 else 11}\n"
    for n in range(30)
)
EXCLUDED = {
    "where.condition": "".join(f"a{n},,ptsd,20,,40,north,5\n" for n in range(6)),
    "where.age.missing": "".join(f"b{n},,depression,20,,,north,5\n" for n in range(7)),
    "where.age": "".join(f"c{n},,depression,20,,17,north,5\n" for n in range(5)),
    "baseline": "d0,,depression,,30,40,north,5\n" * 1,
    "no_change": "".join(f"e{n},,depression,0,,40,north,0\n" for n in range(2)),
    "awaiting": "".join(f"f{n},,depression,20,,40,north,\n" for n in range(8)),
}
WHERE = {"condition": ("depression",), "age": "18..65"}


MAPPING = """
[tables.doses]
file = "doses.csv"
[tables.scores]
file = "scores.csv"
date = "date"
instrument = "scale"
score = "score"
[first_dose]
column = "first"
lacking = "aside"
[constants]
condition = "depression"
"""


def make_study(where=WHERE, outcomes="known"):
    cohort = {"where": where, "outcomes": outcomes}
    return Study(name="t", question="?", outcome="phq9.acute.response", seed=3, cohort=cohort)


def count_by_key(flow):
    return {row.key: row.courses for row in flow.excluded}


def add_up(flow):
    return flow.analysed + sum(row.courses for row in flow.excluded)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_text(HEADER + LEARNED + "".join(EXCLUDED.values()))
    return path


def test_each_course_counts_for_the_first_reason_that_applies(path):
    flow = describe_development_flow(load_design(make_study(), path))
    assert count_by_key(flow) == {key: rows.count("\n") for key, rows in EXCLUDED.items()}
    assert (flow.read, flow.analysed, add_up(flow)) == (59, 30, 59)
    assert (flow.events, flow.non_events) == (12, 18)
    assert (flow.patients, flow.sites) == (29, 2)
    assert {row.reason for row in flow.excluded} == {
        "Condition treated: other than depression",
        "Age: not recorded",
        "Age: outside 18 to 65",
        "Without a baseline PHQ-9",
        "Whose baseline PHQ-9 leaves nothing to improve",
        "Without a known outcome",
    }


def test_courses_that_await_their_outcome_are_analysed_before_the_first(tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_text(HEADER + EXCLUDED["awaiting"] + EXCLUDED["baseline"].replace(",5", ","))
    flow = describe_development_flow(load_design(make_study(outcomes="none-yet"), path))
    assert (flow.read, flow.analysed, flow.events, flow.non_events) == (9, 8, None, None)
    assert count_by_key(flow) == {"baseline": 1}


def test_conditions_that_exclude_few_courses_are_not_named():
    excluded = [Exclusion("where.age", "?", 4), Exclusion("where.bmi", "?", 5)]
    excluded += [Exclusion("awaiting", "?", 1), Exclusion("where.sex", "?", 2)]
    merged = {row.key: row.courses for row in merge_few(excluded)}
    assert merged == {"where.bmi": 5, "awaiting": 1, "where.few": 6}


WANTED = st.fixed_dictionaries(
    {},
    optional={
        "condition": st.sampled_from([("depression",), ("anxiety", "ptsd")]),
        "age": st.sampled_from(["18..65", "> 40", "<= 90"]),
        "phq9": st.sampled_from([">= 10", "5..20"]),
        "bipolar": st.booleans(),
        "sex": st.just(("female",)),
    },
)


@pytest.fixture(scope="module")
def columns(small_cohort):
    return read_cohort(small_cohort)


@settings(max_examples=25, deadline=None)
@given(where=WANTED, seed=st.integers(0, 1000))
def test_the_flow_adds_up_for_any_conditions(columns, where, seed):
    some = columns.select(np.random.default_rng(seed).random(columns.size) < 0.8)
    try:
        design = arrange_cohort(make_study(where), some)
    except InputError:
        reject()  # too few courses are left, or one class alone
    flow = describe_development_flow(design)
    assert (flow.read, add_up(flow)) == (some.size, some.size)
    assert flow.events + flow.non_events == flow.analysed == design.size
    assert all(row.courses > 0 for row in flow.excluded)


def test_what_an_intake_leaves_aside_is_part_of_the_flow(tmp_path):
    """Two tables: z has no first dose, and one score of a is outside every window."""
    names = "abcdefghij"
    doses = "".join(f"{name},2024-01-01\n" for name in names) + "z,\n"
    scores = "".join(
        f"{name},2024-01-01,phq9,20\n{name},2024-02-01,phq9,{5 if n < 4 else 15}\n"
        for n, name in enumerate([*names, "z"])
    )
    (tmp_path / "doses.csv").write_text("patient_id,first\n" + doses)
    (tmp_path / "scores.csv").write_text(
        "patient_id,date,scale,score\n" + scores + "a,2026-01-01,phq9,3\n"
    )
    (tmp_path / "m.toml").write_text(MAPPING)
    cohort = {"path": ("doses.csv", "scores.csv"), "mapping": "m.toml"}
    study = make_study().model_copy(update={"cohort": CohortPart(**cohort), "folder": tmp_path})
    flow = describe_development_flow(load_design(study))
    assert (flow.read, flow.analysed, add_up(flow), flow.events) == (11, 10, 11, 4)
    assert [(row.reason, row.courses) for row in flow.excluded] == [("No first dose", 1)]
    tables = {table.table: table for table in flow.tables}
    assert (tables["scores"].read, tables["doses"].read) == (23, 11)
    for table in flow.tables:
        assert table.read == table.used + sum(row.courses for row in table.excluded)
