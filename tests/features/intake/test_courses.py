"""Several courses of one patient: numbered by a column, or separated by their doses."""

import pytest
from cohorts import list_aside

DOSES = """
[tables.doses]
file = "doses.csv"
row = "dose"
patient = "id"
date = "given"

[tables.scores]
file = "scores.csv"
patient = "id"
date = "seen"
instrument = "scale"
score = "score"

[courses]
gap_days = 60

[constants]
condition = "depression"
"""
# A gap of exactly 60 days is within a course.
GIVEN = "id,given,route\na,2026-01-10,iv\na,2026-01-01,im\na,2026-03-11,iv\na,2026-06-01,iv\n"
GIVEN += "b,2026-02-01,sc\n"


def write_scores(*rows):
    return {"doses.csv": GIVEN, "scores.csv": "\n".join(["id,seen,scale,score", *rows])}


def test_doses_far_apart_begin_a_new_course(list_cells):
    files = write_scores("a,2025-12-31,phq9,20", "a,2026-06-01,phq9,18", "b,2026-02-01,phq9,9")
    # The route of the first dose, though a later one comes first in the file.
    assert list_cells(DOSES, files, "patient_id", "course", "route", "phq9") == [
        ("a", 1, 1, 20),
        ("a", 2, 0, 18),
        ("b", 1, 2, 9),
    ]


@pytest.mark.parametrize(
    ("seen", "first", "second"),
    [
        ("2026-01-29", (20, 5), (18, None)),  # day 28 of the first course
        ("2026-05-17", (20, None), (18, None)),  # day 136, and 15 days before the second: month 6
        ("2026-05-20", (20, None), (5, None)),  # 12 days before the second: its baseline
        ("2026-06-20", (20, None), (18, 5)),  # day 19 of the second course
    ],
)
def test_a_visit_belongs_to_the_course_of_its_date(list_cells, seen, first, second):
    """Within a course's baseline window to that, else to the last one begun."""
    rows = ["a,2026-01-01,phq9,20", "b,2026-02-01,phq9,9", f"a,{seen},phq9,5"]
    if second[0] == 18:
        rows.append("a,2026-06-01,phq9,18")
    cells = list_cells(DOSES, write_scores(*rows), "phq9", "phq9_acute")
    assert cells[:2] == [first, second]


def test_course_numbers_come_from_a_column(bring_in, list_cells, find_problems):
    mapping = """
    [tables.scores]
    patient = "id"
    course = "redcap_repeat_instance"
    day = "day"
    instrument = "scale"
    score = "score"

    [constants]
    condition = "depression"
    """
    rows = "id,redcap_repeat_instance,day,scale,score\na,,0,phq9,20\na,2,0,phq9,18\na,2,28,phq9,7\n"
    files = {"scores.csv": rows}
    cells = list_cells(mapping, files, "patient_id", "course", "phq9", "phq9_acute")
    assert cells == [("a", 1, 20, None), ("a", 2, 18, 7)]
    files["scores.csv"] = rows + "a,x,0,phq9,3\na,0,0,phq9,3\n"
    expected = {("scores.redcap_repeat_instance", "range"): (4, 5)}
    assert find_problems(mapping, files) == expected


def test_patient_fields_hold_for_every_course(bring_in):
    mapping = DOSES + '\n[tables.people]\nfile = "people.csv"\npatient = "id"\n'
    files = write_scores("a,2026-01-01,phq9,20", "a,2026-06-01,phq9,18", "b,2026-02-01,phq9,9")
    columns, account = bring_in(mapping, files | {"people.csv": "id,sex\na,male\nb,female\n"})
    assert columns.get_numbers("sex").tolist() == [1, 1, 0]
    assert list_aside(account, "people") == (2, 2, {})
    assert list_aside(account, "doses") == (5, 5, {})


def test_rows_are_counted_for_their_course_or_for_all(list_cells):
    mapping = (
        DOSES
        + """
    [tables.medication]
    file = "medication.csv"
    row = "entry"
    patient = "id"
    date = "begun"

    [derive.failed_antidepressants]
    count = "medication"
    until = "first_dose"
    """
    )
    files = write_scores("a,2026-01-01,phq9,20", "a,2026-06-01,phq9,18", "b,2026-02-01,phq9,9")
    files["medication.csv"] = "id,begun\na,2025-01-01\na,2026-05-01\n"
    assert list_cells(mapping, files, "failed_antidepressants") == [(1,), (2,), (0,)]


def test_row_of_an_unknown_course_is_refused(find_problems):
    mapping = DOSES.replace('date = "seen"', 'day = "seen"')
    files = write_scores("a,0,phq9,20", "b,0,phq9,9")
    assert find_problems(mapping, files) == {("scores.id", "course"): (1,)}


def test_courses_are_numbered_one_way(bring_in):
    with pytest.raises(Exception, match=r"from gap_days, or from the column of scores"):
        bring_in(DOSES.replace('date = "seen"', 'date = "seen"\ncourse = "c"'), {})
