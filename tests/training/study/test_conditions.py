"""Conditions of a study: which courses meet them, and how many do not, by reason."""

import pytest

from features.base.errors import StudyError
from features.dictionary.dictionary import load_dictionary
from features.records.cohort import read_cohort
from training.study.conditions import list_exclusions, parse_conditions
from training.study.courses import filter_courses, load_design
from training.study.study import Study, read_study

HEADER = "patient_id,condition,phq9,age,bipolar,assessed_on,site,phq9_acute\n"
ROWS = """
a,depression,10,18,false,2020-01-01,north,4
b,depression,9,65,false,2021-06-30,north,8
c,depression,11,17.9,,2021-07-01,south,3
d,ptsd,12,65.1,true,2022-12-31,,11
e,depression,27,,no,,south,
f,anxiety,15,44,false,2023-01-01,east,12
""".lstrip()


@pytest.fixture
def columns(tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_text(HEADER + ROWS)
    return read_cohort(path)


def make_study(where):
    cohort = {"where": where}
    return Study(name="t", question="?", outcome="phq9.acute.response", seed=3, cohort=cohort)


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ({"phq9": ">= 10"}, "acdef"),
        ({"phq9": "> 10"}, "cdef"),
        ({"phq9": "<=10"}, "ab"),
        ({"phq9": "< 10"}, "b"),
        ({"phq9": "= 15"}, "f"),
        ({"phq9": 15}, "f"),
        ({"phq9": ">= 9.5"}, "acdef"),
        ({"age": "18..65"}, "abf"),
        ({"age": "17.9 .. 18"}, "ac"),
        ({"bipolar": False}, "abef"),
        ({"bipolar": True}, "d"),
        ({"assessed_on": ">= 2021-07-01"}, "cdf"),
        ({"assessed_on": "2021-06-30..2022-12-31"}, "bcd"),
        ({"condition": ["depression", "ptsd"]}, "abcde"),
        ({"condition": "ptsd"}, "d"),
        ({"site": ["north", "east"]}, "abf"),
        ({"condition": ["depression"], "phq9": ">= 10", "age": "18..65"}, "a"),
    ],
)
def test_courses_that_meet_every_condition_are_kept(columns, where, kept):
    courses = filter_courses(make_study(where), columns)
    assert "".join(courses.get_texts("patient_id")) == kept


def test_missing_values_are_excluded_for_a_reason_of_their_own(columns):
    """Each course counts for the first reason that applies."""
    where = {"condition": ("depression",), "age": "18..65", "phq9": ">= 10"}
    conditions, _ = parse_conditions(where, load_dictionary())
    counts = {row.reason: row.courses for row in list_exclusions(conditions, columns)}
    assert counts == {
        "Condition treated: not recorded": 0,
        "Condition treated: other than depression": 2,  # d, f
        "Age: not recorded": 1,  # e
        "Age: outside 18 to 65": 1,  # c
        "PHQ-9 total: not recorded": 0,
        "PHQ-9 total: below 10": 1,  # b
    }


@pytest.mark.parametrize(
    ("name", "wanted", "rule"),
    [
        ("phq9", ">= ten", "comparison"),
        ("phq9", "10", "comparison"),
        ("phq9", "!= 10", "comparison"),
        ("phq9", True, "comparison"),
        ("phq9", ">= 100", "range"),
        ("phq9", "20..10", "order"),
        ("age", ("44",), "unknown"),
        ("age", ">= nan", "comparison"),
        ("bipolar", "false", "type"),
        ("condition", 1, "type"),
        ("condition", (), "category"),
        ("condition", "gout", "category"),
        ("assessed_on", ">= 01/02/2020", "comparison"),
        ("assessed_on", ">= 1890-01-01", "range"),
        ("patient_id", "= a", "unknown"),
        ("phq9_acute", "<= 5", "leakage"),
        ("phq8", ">= 10", "unknown"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(name, wanted, rule):
    conditions, (problem,) = parse_conditions({name: wanted}, load_dictionary())
    assert not conditions
    assert (problem.field, problem.rule) == (f"where: {name}", rule)


def test_a_study_lists_every_condition_that_makes_no_sense(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        'name = "t"\nquestion = "?"\noutcome = "phq9.acute.response"\nseed = 1\n'
        '[cohort]\nwhere = { phq9 = ">= 100", bipolar = "no", age = ">= 18" }\n'
    )
    with pytest.raises(StudyError) as refused:
        read_study(path)
    assert [problem.field for problem in refused.value.problems] == [
        "where: phq9",
        "where: bipolar",
    ]
    study = read_study(path, ["cohort.where.phq9=>= 10", "cohort.where.bipolar=false"])
    assert [condition.field.name for condition in study.conditions] == ["phq9", "bipolar", "age"]


def test_design_counts_what_its_conditions_exclude(tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_text(HEADER + ROWS)
    design = load_design(make_study({"phq9": ">= 10"}), path)
    assert (design.courses.size, sum(row.courses for row in design.excluded)) == (5, 1)


def test_a_studys_own_fields_may_be_conditions(tmp_path):
    (tmp_path / "own.toml").write_text(
        '[fields.gene_score]\nkind = "number"\nlabel = "Polygenic score"\nrange = [-6, 6]\n'
        'step = 0.5\ntypical = [0, 1]\nsource = "by hand"\nprior = { spread = 0.15, step = 1 }\n'
    )
    own = load_dictionary(tmp_path / "own.toml")
    rows = "".join(
        f"{name},depression,12,{score}\n" for name, score in (("a", 1), ("b", -1.5), ("c", ""))
    )
    (tmp_path / "c.csv").write_text(f"patient_id,condition,phq9,gene_score\n{rows}")
    columns = read_cohort(tmp_path / "c.csv", dictionary=own)
    conditions, problems = parse_conditions({"gene_score": ">= -1"}, own)
    assert not problems
    counts = {row.key: row.courses for row in list_exclusions(conditions, columns)}
    assert counts == {"where.gene_score.missing": 1, "where.gene_score": 1}
