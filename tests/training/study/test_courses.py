"""Courses of a study: which are learned from, and which are left aside and why."""

import pytest
from workbooks import write_xlsx

from features.base.errors import CohortError, StudyError
from features.records.cohort import digest_cohort, read_cohort
from training.findings.card import count_population
from training.study.courses import count_settled, count_unmeasured, load_design
from training.study.study import Study

HEADER = "patient_id,condition,phq9,phq9_acute\n"
LEARNED = "".join(f"p{n},depression,{12 + n},{4 + n}\n" for n in range(12))
AT_ZERO = "".join(f"z{n},depression,0,{n % 3}\n" for n in range(10))


def make_study(outcome="phq9.acute.response", **cohort):
    return Study(name="t", question="?", outcome=outcome, seed=3, cohort=cohort)


@pytest.fixture
def write(tmp_path):
    def write(*parts):
        path = tmp_path / "cohort.csv"
        path.write_text("".join([HEADER, *parts]))
        return path

    return write


def test_courses_that_start_at_zero_have_a_baseline(write):
    design = load_design(make_study(), write(LEARNED, AT_ZERO, "m,depression,15,\n"))
    population = count_population(design)
    assert (population.courses, population.without_outcome) == (12, 11)
    assert (population.settled, population.unmeasured) == (10, 0)
    assert design.target.settled == "start at 0: nothing to improve"


def test_courses_that_start_in_remission_have_nothing_to_improve(write):
    mild = "".join(f"m{n},depression,{n},0\n" for n in range(5))
    study = make_study("phq9.acute.remission")
    design = load_design(study, write(LEARNED, mild))
    assert count_settled(design.target, design.courses) == 5
    assert design.target.settled == "start in remission: nothing to improve"


def test_a_cohort_that_starts_at_zero_is_refused_as_such(write):
    with pytest.raises(CohortError, match="10 start at 0: nothing to improve"):
        load_design(make_study(), write(AT_ZERO))
    awaiting = write("".join(f"z{n},depression,0,\n" for n in range(10)))
    with pytest.raises(CohortError, match="10 start at 0: nothing to improve"):
        load_design(make_study(outcomes="none-yet"), awaiting)


def test_courses_without_a_baseline_are_left_aside_on_request(write):
    path = write(LEARNED, "n,depression,,9\n")
    with pytest.raises(CohortError, match=r"baseline_score \(required\), row 13"):
        load_design(make_study(), path)
    design = load_design(make_study(incomplete=True), path)
    assert (design.size, design.courses.size) == (12, 13)
    assert count_unmeasured(design.target, design.courses) == 1
    assert count_population(design).unmeasured == 1
    assert read_cohort(path, incomplete=True).size == 13


def test_study_joins_the_exports_of_a_mapping(tmp_path):
    """Its paths are those of its folder; a reader gives one table, so that nothing is joined."""
    (tmp_path / "mapping.toml").write_text(
        '[tables.start]\nfile = "start.csv"\nat = "baseline"\n'
        '[tables.end]\nfile = "end.csv"\nat = "acute"\n'
        '[constants]\ncondition = "depression"\n'
    )
    for name, low in (("start", 12), ("end", 4)):
        rows = "".join(f"p{n},{low + n}\n" for n in range(12))
        (tmp_path / f"{name}.csv").write_text(f"patient_id,phq9\n{rows}")
    cohort = {"path": ("start.csv", "end.csv"), "mapping": "mapping.toml"}
    study = make_study(**cohort).model_copy(update={"folder": tmp_path})
    design = load_design(study)
    assert design.size == 12
    assert load_design(study, tmp_path).outcome.tolist() == design.outcome.tolist()
    read = make_study(**cohort, reader="some:reader").model_copy(update={"folder": tmp_path})
    with pytest.raises(StudyError, match=r"(?s)has one path, or none.*nothing to join or derive"):
        load_design(read)


def test_a_study_reads_a_sheet_of_a_workbook(write, tmp_path):
    """As its mapping says; the same courses as from text."""
    lines = [line.split(",") for line in (HEADER + LEARNED).splitlines()]
    write_xlsx(tmp_path / "cohort.xlsx", {"Notes": [["x"]], "Patients": [["Export"], *lines]})
    (tmp_path / "mapping.toml").write_text('sheet = "Patients"\nskip_rows = 1\n')
    study = make_study(path=str(tmp_path / "cohort.xlsx"), mapping=str(tmp_path / "mapping.toml"))
    digest = digest_cohort(load_design(make_study(), write(LEARNED)).courses)
    assert digest_cohort(load_design(study).courses) == digest
