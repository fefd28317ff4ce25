"""Visits are read at a horizon by their word, their day or their date, as the windows declare."""

import pytest
from cohorts import list_aside, show_field

from features.base.errors import MappingError
from features.records.mapping import read_mapping

LONG = """
[tables.visits]
patient = "id"
day = "day"
instrument = "scale"
score = "score"

[constants]
condition = "depression"
"""
DATED = """
[tables.people]
file = "people.csv"
patient = "id"

[tables.visits]
file = "visits.csv"
patient = "id"
date = "seen"
dates = "DD/MM/YYYY"

[first_dose]
column = "first_infusion"
lacking = "{lacking}"

[constants]
condition = "depression"
"""


def write_days(days, scale="phq9"):
    rows = [f"p,{day},{scale},{score}" for score, day in enumerate(days, 1)]
    return {"visits.csv": "\n".join(["id,day,scale,score", *rows, ""])}


# Scores are 1, 2, 3 … in the order of the days; None if none is read.
@pytest.mark.parametrize(
    ("scale", "days", "windows", "field", "expected"),
    [
        ("phq9", [-20, 0], "", "phq9", 2),
        ("phq9", [-14, -2, 1], "", "phq9", 2),
        ("phq9", [-20, -14], "", "phq9", 2),
        ("phq9", [0, -3], "", "phq9", 1),
        ("phq9", [-9, -3, 0], 'baseline = { choose = "first" }', "phq9", 1),
        ("phq9", [-20, -3], "baseline = { within_days = 30 }", "phq9", 2),
        ("phq9", [-20, -3], 'baseline = { within_days = 30, choose = "first" }', "phq9", 1),
        ("madrs", [0, 1, 2, 3], "", "madrs_day1", 2),
        ("madrs", [0, 2, 3], "", "madrs_day1", 2),
        ("madrs", [0, 5, 8], "", "madrs_week1", 3),
        ("phq9", [0, 11, 17], "", "phq9_week2", 2),
        ("phq9", [0, 20, 27, 29, 45], "", "phq9_acute", 3),
        ("phq9", [0, 20, 27, 45], 'acute = { choose = "last" }', "phq9_acute", 4),
        ("phq9", [0, 20, 27, 45], 'acute = { choose = "first" }', "phq9_acute", 2),
        ("phq9", [0, 20, 30, 45], "acute = { target = 42 }", "phq9_acute", 4),
        ("phq9", [0, 20, 45], "acute = { from = 21, to = 42 }", "phq9_acute", None),
        ("phq9", [0, 60, 83, 86, 120], "", "phq9_week12", 3),
        ("phq9", [0, 121, 180, 270], "", "phq9_month6", 3),
        ("phq9", [0, 50, 271], "", "phq9_acute", None),
    ],
)
def test_reading_of_a_horizon(bring_in, scale, days, windows, field, expected):
    section = f"[windows]\n{windows}\n" if windows else ""
    columns, account = bring_in(LONG + section, write_days(days, scale))
    assert show_field(columns, field) == [expected]
    assert account.tables[0].rows.read == len(days)


@pytest.mark.parametrize(
    ("keys", "week2", "acute"),
    [("", 2, None), ('overlaps = "both"\n', 2, 2), ('horizons = ["acute"]\n', None, 2)],
)
def test_reading_in_two_windows_serves_one(list_cells, keys, week2, acute):
    """Days 14 to 17 are of week 2 and of the acute series; the nearer target has them."""
    files = write_days([0, 15])
    cells = list_cells(keys + LONG, files, "phq9_week2", "phq9_acute")
    assert cells == [(week2, acute)]


def test_reading_equally_near_to_two_targets_is_of_the_earlier_horizon(list_cells):
    mapping = LONG + "[windows]\nacute = { target = 20 }\n"
    assert list_cells(mapping, write_days([0, 17]), "phq9_week2", "phq9_acute") == [(2, None)]


def test_instrument_is_not_read_at_a_horizon_shorter_than_its_recall(bring_in):
    """So that day 15 of the PCL-5, which asks about a month, is of the acute series."""
    columns, account = bring_in(LONG, write_days([0, 2, 15], "pcl5"))
    assert show_field(columns, "pcl5_acute") == [3]
    reason = "asks about more days than the horizon has"
    assert list_aside(account, "visits") == (3, 2, {reason: 1})


def test_readings_left_aside_are_counted_by_reason(bring_in):
    days = [-30, 0, 0, 27, 29, 50, "", 28]
    files = write_days(days)
    files["visits.csv"] = files["visits.csv"].replace("p,0,phq9,3", "p,0,phq9,2")
    files["visits.csv"] = files["visits.csv"].replace("p,28,phq9,8", "p,28,phq9,NA")
    columns, account = bring_in(LONG, files)
    assert show_field(columns, "phq9_acute") == [4]
    assert list_aside(account, "visits") == (
        8,
        2,
        {
            "before the baseline window": 1,
            "repeats a row": 1,
            "another reading is read": 1,
            "outside every window": 1,
            "no visit, day or date, or no first dose": 1,
            "no value": 1,
        },
    )
    note = {"table": "visits", "step": "readings", "what": "tie at acute: the earlier is read"}
    assert note | {"count": 1} in account.as_dict()["notes"]


def test_two_values_of_one_visit_are_refused_or_settled(bring_in, find_problems):
    files = {"visits.csv": "id,day,scale,score\np,0,phq9,9\np,0,phq9,7\np,0,phq9,9\n"}
    assert find_problems(LONG, files) == {("visits.score", "duplicate"): (2,)}
    for rule, score in (("first", 9), ("last", 9)):
        mapping = LONG.replace('score = "score"', f'score = "score"\nduplicates = "{rule}"')
        columns, account = bring_in(mapping, files)
        assert show_field(columns, "phq9") == [score]
        assert list_aside(account, "visits") == (3, 1, {f"duplicate: the {rule} is read": 2})


def test_words_name_the_horizon(bring_in, find_problems):
    mapping = (
        LONG.replace('day = "day"', 'visit = "visit"')
        + """
    [visits]
    Screening = "baseline"
    Baseline = "baseline"
    "Week 4" = "acute"
    Unscheduled = "ignore"
    """
    )
    rows = "id,visit,scale,score\np,baseline,phq9,20\np,Screening,phq9,22\np,WEEK  4,phq9,8\n"
    columns, account = bring_in(mapping, {"visits.csv": rows + "p,Unscheduled,phq9,3\n"})
    # The last of two baseline visits, by the order of the words and not of the rows.
    assert (show_field(columns, "phq9"), show_field(columns, "phq9_acute")) == ([20], [8])
    reasons = {"another reading is read": 1, "ignored by the mapping": 1}
    assert list_aside(account, "visits") == (4, 2, reasons)
    files = {"visits.csv": rows + "p,Week 9,phq9,3\n"}
    assert find_problems(mapping, files) == {("visits.visit", "unknown"): (4,)}
    _, account = bring_in(mapping, files, ignore_unknown=True)
    assert list_aside(account, "visits")[2]["unknown word: visit"] == 1


def test_two_visits_of_one_word_are_duplicates(find_problems):
    mapping = LONG.replace('day = "day"', 'visit = "visit"')
    files = {
        "visits.csv": "id,visit,scale,score\np,baseline,phq9,9\np,acute,phq9,7\np,acute,phq9,5\n"
    }
    assert find_problems(mapping, files) == {("visits.score", "duplicate"): (3,)}


def test_a_file_per_visit(list_cells):
    mapping = """
    [tables.start]
    file = "start.csv"
    at = "baseline"

    [tables.week6]
    file = "week6.csv"
    at = "acute"

    [constants]
    condition = "depression"
    """
    files = {"start.csv": "patient_id,phq9\na,20\nb,15\n", "week6.csv": "patient_id,phq9\nb,4\n"}
    assert list_cells(mapping, files, "phq9", "phq9_acute") == [(20, None), (15, 4)]


@pytest.mark.parametrize(
    ("key", "days"), [('day = "t"\nfirst_day = 1', (1, 29)), ('week = "t"', (0, 4))]
)
def test_days_may_count_from_one_and_be_weeks(list_cells, key, days):
    mapping = LONG.replace('day = "day"', key)
    rows = [f"p,{day},phq9,{score}" for day, score in zip(days, (20, 8), strict=True)]
    files = {"visits.csv": "\n".join(["id,t,scale,score", *rows])}
    assert list_cells(mapping, files, "phq9", "phq9_acute") == [(20, 8)]


TWO = """
[tables.clinic]
file = "clinic.csv"
day = "day"

[tables.phone]
file = "phone.csv"
day = "day"

[constants]
condition = "depression"
"""


def test_windows_choose_among_the_visits_of_all_tables(bring_in, find_problems):
    clinic = "patient_id,day,phq9\na,0,20\na,20,9\nb,0,15\nb,28,5\n"
    files = {"clinic.csv": clinic, "phone.csv": "patient_id,day,phq9\na,29,6\nb,28,5\n"}
    columns, account = bring_in(TWO, files)
    assert show_field(columns, "phq9_acute") == [6, 5]
    assert list_aside(account, "clinic") == (4, 3, {"another reading is read": 1})
    assert list_aside(account, "phone") == (2, 1, {"repeats a row": 1})
    files["phone.csv"] = files["phone.csv"].replace("b,28,5", "b,28,4")
    # `duplicates` settles rows of one table, and does not say which of two is right.
    settled = TWO.replace('day = "day"', 'day = "day"\nduplicates = "first"')
    assert find_problems(settled, files) == {("phone.phq9", "duplicate"): (2,)}


def test_tables_may_write_numbers_and_missing_values_in_their_own_way(list_cells):
    mapping = TWO.replace('file = "phone.csv"', 'file = "phone.csv"\ndecimal = ","')
    mapping = 'missing = ["-9"]\n' + mapping.replace(
        "[constants]", '[tables.phone.rename]\ndose = "benzodiazepine_mg"\n[constants]'
    )
    files = {
        "clinic.csv": "patient_id,day,phq9,bmi\na,0,20,21.5\na,-1,-9,-9\n",
        "phone.csv": 'patient_id,day,phq9,dose\na,"0,0",-9,"2,5"\na,"28,4",7,\n',
    }
    fields = ("phq9", "bmi", "benzodiazepine_mg", "phq9_acute")
    assert list_cells(mapping, files, *fields) == [(20, 21.5, 2.5, 7)]
    comma = 'decimal = ","\n' + mapping.replace(
        'file = "clinic.csv"', 'file = "clinic.csv"\ndecimal = "."'
    )
    assert list_cells(comma, files, *fields) == [(20, 21.5, 2.5, 7)]


def test_dates_order_visits_of_one_word(list_cells):
    """Even if no first dose is known: the last of two baselines is the later one."""
    mapping = TWO.replace('day = "day"', 'visit = "visit"\ndate = "seen"', 1)
    mapping += '[visits]\nScreening = "baseline"\nBaseline = "baseline"\n'
    rows = "a,Screening,2026-03-02,20\na,Baseline,2026-03-01,18\n"
    files = {
        "clinic.csv": f"patient_id,visit,seen,phq9\n{rows}",
        "phone.csv": "patient_id,day,phq9\na,28,7\n",
    }
    assert list_cells(mapping, files, "phq9", "phq9_acute") == [(20, 7)]


def test_dates_are_counted_from_the_first_dose(bring_in, find_problems):
    people = "id,first_infusion\n1,2026-03-10\n2,2026-02-27\n3,\n"
    visits = "id,seen,phq9,sex\n1,10/03/2026,20,female\n1,07/04/2026,8,\n2,27/02/2026,15,\n"
    visits += "2,27/03/2026,5,male\n3,01/01/2026,9,\n"
    files = {"people.csv": people, "visits.csv": visits}
    assert find_problems(DATED.format(lacking="refuse"), files) == {
        ("visits.id", "first_dose"): (5,)
    }
    columns, account = bring_in(DATED.format(lacking="aside"), files)
    assert show_field(columns, "phq9") == [20, 15]
    assert show_field(columns, "phq9_acute") == [8, 5]
    # Read at baseline alone: what was recorded later is not known before treatment.
    assert show_field(columns, "sex") == [0, None]
    assert list_aside(account, "visits") == (5, 4, {"no first dose": 1})
    assert account.as_dict()["courses"] == {
        "read": 3,
        "used": 2,
        "aside": [{"step": "courses", "reason": "no first dose", "courses": 1}],
    }
    none = {**files, "people.csv": "id,first_infusion\n1,\n2,\n3,\n"}
    assert find_problems(DATED.format(lacking="aside"), none) == {("courses", "empty"): ()}
    files["visits.csv"] = visits.replace("07/04", "31/02")
    assert find_problems(DATED.format(lacking="aside"), files) == {("visits.seen", "date"): (2,)}


def test_total_and_items_are_of_one_visit(bring_in):
    """The nearer visit is read whole, though the other one is complete."""
    names = [f"phq9_{number}" for number in range(1, 10)]
    mapping = LONG.replace('instrument = "scale"\nscore = "score"\n', "")
    rows = [
        ["p", "0", *"2" * 9],
        ["p", "24", *"3" * 9],
        ["p", "27", *"1" * 8, ""],
    ]
    text = "\n".join(",".join(row) for row in [["id", "day", *names], *rows])
    columns, _ = bring_in(mapping, {"visits.csv": text})
    assert (show_field(columns, "phq9"), show_field(columns, "phq9_acute")) == ([18], [9])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[windows]\nacute = { from = 10 }", "windows.acute"),
        ("[windows]\nacute = { from = 40, to = 20 }", "windows.acute"),
        ("[windows]\nacute = { within_days = 3 }", "windows.acute"),
        ("[windows]\nbaseline = { from = 3 }", "windows.baseline"),
        ("[windows]\nweek9 = { from = 3 }", "windows.week9"),
        ('[visits]\nEnd = "week9"', "visits.End"),
        ('[instruments]\nXY = "xy"', "instruments.XY"),
        ("[courses]\ngap_days = 30", "courses.gap_days"),
        ('[first_dose]\ntable = "x"\ncolumn = "y"', "first_dose.table"),
        ('[derive.phq8]\nsum = ["a", "b"]', "derive.phq8"),
        ('[derive.age]\nsum = ["a", "b"]\nany = ["c"]', "derive.age"),
        ('[derive.bmi]\nheight = { column = "h", unit = "kg" }', "derive.bmi"),
        ('[derive.failed_ect]\ncount = "nowhere"', "derive.failed_ect.count"),
        ('[tables.x]\nvisit = "v"\nday = "d"\nweek = "w"', "tables.x"),
        ('[tables.x]\nrow = "dose"', "tables.x"),
        ('[tables.x]\nscore = "s"\nday = "d"', "tables.x"),
        ('[tables.x]\nitem = "s"\nday = "d"', "tables.x"),
        ('[tables.x]\nat = "never"', "tables.x.at"),
    ],
)
def test_contradictory_mapping_is_refused(tmp_path, text, problem):
    path = tmp_path / "mapping.toml"
    path.write_text(f'horizons = ["week9"]\n{LONG}{text}')
    with pytest.raises(MappingError) as refused:
        read_mapping(path)
    fields = {entry.field for entry in refused.value.problems}
    # Problems of the file's form are reported first, and alone.
    assert problem in fields
    assert "horizons: week9" in fields or len(fields) == 1
