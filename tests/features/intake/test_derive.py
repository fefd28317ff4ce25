"""Fields that a mapping derives."""

import numpy as np
import pytest
from cohorts import list_aside, show_field

from features.intake.days import count_years

WIDE = '[constants]\ncondition = "depression"\n'


def derive(rule, field="age"):
    return f"{WIDE}[derive.{field}]\n{rule}\n"


def write(header, *rows):
    names = f"patient_id,phq9,{header}"
    return {"c.csv": "\n".join([names, *(f"p{n},9,{row}" for n, row in enumerate(rows))])}


@pytest.mark.parametrize(
    ("born", "assessed", "age"),
    [
        ("1990-06-15", "2026-06-14", 35),
        ("1990-06-15", "2026-06-15", 36),
        ("2000-02-29", "2026-02-28", 25),
        ("2000-02-29", "2026-03-01", 26),
        ("2000-02-29", "2028-02-29", 28),
        ("1938-12-31", "2026-01-01", 87),
        ("1990", "2026-06-14", 36),
        ("", "2026-06-14", None),
        ("1990-06-15", "", None),
    ],
)
def test_age_is_exact_to_the_birthday(list_cells, born, assessed, age):
    files = write("dob,assessed_on", f"{born},{assessed}")
    assert list_cells(derive('years_since = "dob"'), files, "age") == [(age,)]


def test_age_agrees_with_python_on_every_day_of_years():
    from datetime import date, timedelta

    born, start = date(2004, 2, 27), date(2022, 1, 1)
    days = [start + timedelta(days=n) for n in range(1500)]
    births = [born + timedelta(days=n % 4) for n in range(1500)]
    expected = [
        day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
        for day, birth in zip(days, births, strict=True)
    ]
    epoch = date(1970, 1, 1).toordinal()
    numbers = [np.array([float(d.toordinal() - epoch) for d in part]) for part in (births, days)]
    assert count_years(*numbers).tolist() == expected


def test_birth_date_is_not_kept_and_otherwise_refused(bring_in, find_problems):
    files = write("birth_date,assessed_on", "1990-06-15,2026-06-14")
    columns, _ = bring_in(derive('years_since = "birth_date"'), files)
    assert columns.list_recorded() == ["patient_id", "assessed_on", "condition", "age", "phq9"]
    refused = find_problems(derive('first = ["birth_date"]', "assessed_on"), files)
    assert ("cohort.birth_date", "identifier") in refused


def test_invalid_or_reversed_dates_name_their_rows(find_problems):
    files = write("dob,assessed_on", "1990-06-15,2026-06-14", "15.6.1990,2026-06-14")
    assert find_problems(derive('years_since = "dob"'), files) == {("cohort.dob", "date"): (2,)}
    files = write("dob,assessed_on", "1990-06-15,2026-06-14", "2027-01-01,2026-06-14")
    assert find_problems(derive('years_since = "dob"'), files) == {("cohort.dob", "order"): (2,)}


def test_derived_value_out_of_range_names_its_source(find_problems):
    files = write("dob,assessed_on", "1890-06-15,2026-06-14")
    assert find_problems(derive('years_since = "dob"'), files) == {("cohort.dob", "range"): (1,)}


def test_months_weeks_and_days_between_dates(list_cells):
    files = write("onset,assessed_on", "2025-06-14,2026-06-14")
    cells = list_cells(derive('months_since = "onset"', "episode_months"), files, "episode_months")
    assert cells == [(pytest.approx(365 / (365.25 / 12)),)]
    mapping = derive('days_since = "onset"\nuntil = "end"', "episode_months")
    files = write("onset,end", "2026-06-01,2026-06-14")
    assert list_cells(mapping, files, "episode_months") == [(13,)]


BMI = "height = {{ {0} }}\nweight = {{ {1} }}"


@pytest.mark.parametrize(
    ("height", "weight", "row"),
    [
        ('column = "h", unit = "cm"', 'column = "w", unit = "kg"', "180,81"),
        ('column = "h", unit = "m"', 'column = "w", unit = "g"', "1.8,81000"),
        ('column = "h", unit = "in"', 'column = "w", unit = "lb"', "70.866142,178.574432"),
        ('column = "h", unit = "ft+in"', 'column = "w", unit = "kg"', '"5\'10.866142""",81'),
        ('column = "h", unit = "ft+in"', 'column = "w", unit = "kg"', "5 ft 10.866142 in,81"),
        ('columns = ["h", "i"], unit = "ft+in"', 'column = "w", unit = "kg"', "5,81,10.866142"),
    ],
)
def test_body_mass_in_a_clinics_units(list_cells, height, weight, row):
    files = write("h,w,i" if row.count(",") == 2 else "h,w", row)
    cells = list_cells(derive(BMI.format(height, weight), "bmi"), files, "bmi")
    assert cells == [(pytest.approx(25, abs=1e-5),)]


def test_height_in_another_unit_is_refused(find_problems):
    mapping = derive(BMI.format('column = "h", unit = "m"', 'column = "w", unit = "kg"'), "bmi")
    files = write("h,w", "1.8,81", "180,81", "1.8,tall")
    assert find_problems(mapping, files) == {
        ("cohort.h", "range"): (2,),
        ("cohort.w", "type"): (3,),
    }


TRIALS = """
[tables.people]
file = "people.csv"
lacking = "aside"

[tables.medication]
file = "medication.csv"
row = "entry"
patient = "id"
date = "begun"

[derive.failed_antidepressants]
count = "medication"
where = { class = ["SSRI", "SNRI"], outcome = ["failed"] }
"""
MEDICATION = """id,class,outcome,drug,begun
a,SSRI,failed,x,2020-01-01
a,SSRI,failed,x,2027-01-01
a,SNRI,failed,y,
a,SSRI,worked,z,2020-01-01
b,other,failed,z,2020-01-01
d,SSRI,failed,x,2020-01-01
"""


@pytest.mark.parametrize(
    ("more", "counts"),
    [("", [3, 0, 0]), ('distinct = "drug"', [2, 0, 0]), ('until = "assessed_on"', [1, 0, 0])],
)
def test_rows_of_a_table_are_counted(bring_in, more, counts):
    people = "patient_id,phq9,assessed_on\n" + "".join(f"{p},9,2026-01-01\n" for p in "abc")
    files = {"people.csv": people, "medication.csv": MEDICATION}
    columns, account = bring_in(WIDE + TRIALS + more, files)
    assert show_field(columns, "failed_antidepressants") == counts
    read, used, aside = list_aside(account, "medication")
    assert aside["patient not in people"] == 1
    assert read == used + sum(aside.values())
    what = "failed_antidepressants: courses without any row, counted as 0"
    notes = {note["what"]: note["count"] for note in account.as_dict()["notes"]}
    assert notes[what] == 1


@pytest.mark.parametrize(
    ("rule", "field", "rows", "expected"),
    [
        ('any = ["m___*"]', "chronic_pain", ["1,0", "0,0", "0,", ",1", ","], [1, 0, None, 1, None]),
        (
            'checked = ["m___*"]',
            "failed_antidepressants",
            ["Checked,1", "0,0", ",1", ","],
            [2, 0, 1, None],
        ),
        ('sum = ["m___1", "m___2"]', "benzodiazepine_mg", ["2.5,1", "2,", ","], [3.5, None, None]),
        ('sum = ["m___*"]\nblank = 0', "benzodiazepine_mg", ["2,", ","], [2, None]),
        ('first = ["m___2", "m___1"]', "episode_months", ["3,4", "3,", ","], [4, 3, None]),
    ],
)
def test_columns_are_combined(list_cells, rule, field, rows, expected):
    cells = list_cells(derive(rule, field), write("m___1,m___2", *rows), field)
    assert cells == [(value,) for value in expected]


def test_box_that_is_neither_is_refused(find_problems):
    files = write("m___1,m___2", "1,0", "2,0")
    found = find_problems(derive('any = ["m___*"]', "chronic_pain"), files)
    assert found == {("cohort.m___1", "type"): (2,)}


def test_missing_or_ambiguous_source_is_refused(find_problems):
    mapping = WIDE + '[tables.a]\nfile = "a.csv"\n[tables.b]\nfile = "b.csv"\n'
    mapping += '[derive.age]\nyears_since = "dob"\nuntil = "day"\n'
    files = {"a.csv": "patient_id,phq9,dob\n1,9,1990-01-01\n", "b.csv": "patient_id,dob\n1,\n"}
    assert find_problems(mapping, files) == {
        ("derive.age: dob", "ambiguous"): (),
        ("derive.age: day", "missing_column"): (),
    }


def test_day_that_no_course_has_is_refused(find_problems):
    """Otherwise time up to it would be missing in every course without notice."""
    files = write("dob", "1990-06-15")
    for moment in ("baseline", "first_dose"):
        found = find_problems(derive(f'years_since = "dob"\nuntil = "{moment}"'), files)
        assert found == {("derive.age", "until"): ()}
    found = find_problems(derive('years_since = "dob"'), files)
    assert found == {("derive.age", "until"): ()}


def test_units_of_the_mapping_do_not_convert_derived_fields(list_cells):
    mapping = '[units]\nepisode_months = "years"\n' + derive(
        'months_since = "onset"', "episode_months"
    )
    files = write("onset,assessed_on", "2025-06-14,2026-06-14")
    assert list_cells(mapping, files, "episode_months")[0][0] == pytest.approx(12, abs=0.02)
