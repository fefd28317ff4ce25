"""Several tables become one row per course: joined, checked, and every row accounted for."""

import pytest
from cohorts import list_aside

from features.base.errors import CohortError
from features.records.cohort import read_intake
from features.records.mapping import read_mapping

TABLES = """
[tables.people]
file = "people*.csv"
patient = "subject"
lacking = "{lacking}"
duplicates = "{duplicates}"
rename = {{ gender = "sex" }}
ignore = ["remark*"]

[tables.visits]
file = "visits.csv"
patient = "id"
day = "day"
instrument = "scale"
score = "score"

[values.sex]
f = "female"
m = "male"

[constants]
condition = "depression"
"""
PEOPLE = "subject,gender,remark_1,remark_2\n7,f,a,b\n8,m,,\n"
VISITS = "id,day,scale,score\n7,0,PHQ-9,20\n7,28,phq9,8\n8,-3,PHQ9,15\n8,0,GAD-7,9\n"


def fill(lacking="refuse", duplicates="refuse"):
    return TABLES.format(lacking=lacking, duplicates=duplicates)


def test_tables_are_joined_on_the_patient(list_cells):
    fields = ("patient_id", "sex", "phq9", "gad7", "phq9_acute")
    expected = [("7", 0.0, 20.0, None, 8.0), ("8", 1.0, 15.0, 9.0, None)]
    assert list_cells(fill(), {"people.csv": PEOPLE, "visits.csv": VISITS}, *fields) == expected


def test_codes_of_patients_agree_across_tables(list_cells):
    """A column of floats and one of texts, spaces around a code."""
    people = PEOPLE.replace("7,f", "7.0,f").replace("8,m", " 8 ,m")
    cells = list_cells(fill(), {"people.csv": people, "visits.csv": VISITS}, "patient_id", "sex")
    assert cells == [("7", 0.0), ("8", 1.0)]


def test_files_of_one_table_are_stacked(list_cells, find_problems):
    files = {
        "people_1.csv": "subject,gender\n7,f\n",
        "people_2.csv": "gender,subject\nm,8\n",
        "visits.csv": VISITS,
    }
    assert list_cells(fill(), files, "patient_id", "sex") == [("7", 0.0), ("8", 1.0)]
    files["people_2.csv"] = "gender,subject,age\nm,8,40\n"
    assert find_problems(fill(), files) == {("people.age", "missing_column"): ()}


def test_patient_in_one_table_only_is_refused_aside_or_kept(bring_in, find_problems, list_cells):
    files = {"people.csv": PEOPLE, "visits.csv": VISITS + "9,0,phq9,11\n9,20,phq9,3\n"}
    assert find_problems(fill(), files) == {("visits.id", "lacking"): (5,)}
    columns, account = bring_in(fill("aside"), files)
    assert columns.get_texts("patient_id").tolist() == ["7", "8"]
    assert list_aside(account, "visits") == (6, 4, {"patient not in people": 2})
    assert account.as_dict()["patients"]["aside"] == [
        {"step": "patients", "reason": "patient not in people", "patients": 1, "table": "people"}
    ]
    kept = list_cells(fill("keep"), files, "patient_id", "sex", "phq9_acute")
    assert kept[2] == ("9", None, 3.0)


def test_patient_without_visits_has_no_baseline(bring_in, find_problems):
    files = {"people.csv": PEOPLE + "9,f,,\n", "visits.csv": VISITS}
    assert find_problems(fill(), files) == {("baseline_score", "required"): (3,)}
    columns, account = bring_in(fill(), files, incomplete=True)
    assert columns.size == 3
    assert account.courses.read == 3
    note = {"table": "", "step": "baseline", "what": "courses without any baseline total"}
    assert note | {"count": 1} in account.as_dict()["notes"]


@pytest.mark.parametrize(("rule", "sex", "dropped"), [("first", 0.0, 1), ("last", 1.0, 1)])
def test_second_row_of_a_patient_is_settled_as_declared(bring_in, rule, sex, dropped):
    files = {"people.csv": PEOPLE + "7,m,a,b\n", "visits.csv": VISITS}
    columns, account = bring_in(fill(duplicates=rule), files)
    assert columns.get_numbers("sex").tolist() == [sex, 1.0]
    assert list_aside(account, "people") == (3, 2, {f"duplicate: the {rule} is read": dropped})


def test_second_row_of_a_patient_is_refused(find_problems, bring_in):
    """Unless it repeats the first, ignored columns aside."""
    files = {"people.csv": PEOPLE + "7,m,a,b\n", "visits.csv": VISITS}
    assert find_problems(fill(), files) == {("people.subject", "duplicate"): (3,)}
    files["people.csv"] = PEOPLE + "7,f,other,remark\n"
    _, account = bring_in(fill(), files)
    assert list_aside(account, "people") == (3, 2, {"repeats a row": 1})


def test_rows_of_another_kind_and_blank_rows_are_counted_aside(bring_in):
    mapping = fill() + '\n[tables.visits.where]\nkind = ["v", "1"]\n'
    visits = "id,day,scale,score,kind\n7,0,phq9,20,v\n8,0,phq9,12,1.0\n8,0,phq9,5,other\n"
    _, account = bring_in(mapping, {"people.csv": PEOPLE + ",,,\n", "visits.csv": visits})
    assert list_aside(account, "visits") == (3, 2, {"where: kind": 1})
    assert list_aside(account, "people") == (3, 2, {"blank": 1})


def test_row_without_patient_is_refused(find_problems):
    files = {"people.csv": PEOPLE, "visits.csv": VISITS + ",0,phq9,5\n"}
    assert find_problems(fill(), files) == {("visits.id", "required"): (5,)}


def test_contradicting_tables_are_refused(find_problems, list_cells):
    mapping = (
        fill() + '\n[tables.other]\nfile = "other.csv"\npatient = "subject"\nlacking = "keep"\n'
    )
    files = {"people.csv": PEOPLE, "visits.csv": VISITS, "other.csv": "subject,sex\n7,f\n8,f\n"}
    assert find_problems(mapping, files) == {("other.sex", "duplicate"): (2,)}
    files["other.csv"] = "subject,sex\n7,f\n"
    assert list_cells(mapping, files, "sex") == [(0.0,), (1.0,)]


def test_direct_identifiers_are_refused_in_every_table(find_problems):
    """Also in one that is ignored, or not listed among the columns wanted."""
    files = {
        "people.csv": "subject,gender,remark_name,birth_date\n7,f,a,b\n8,m,,\n",
        "visits.csv": VISITS,
    }
    assert find_problems(fill(), files) == {
        ("people.remark_name", "identifier"): (),
        ("people.birth_date", "identifier"): (),
    }
    assert ("people.birth_date", "identifier") in find_problems(fill(), files, ignore_unknown=True)


def test_unknown_columns_are_refused_or_counted(find_problems, bring_in):
    files = {"people.csv": PEOPLE.replace("remark_1", "colour"), "visits.csv": VISITS}
    assert find_problems(fill(), files) == {("people.colour", "unknown"): ()}
    _, account = bring_in(fill(), files, ignore_unknown=True)
    note = {"table": "people", "step": "columns", "what": "left out", "count": 2}
    assert note in account.as_dict()["notes"]


def test_every_problem_names_table_column_and_row(find_problems):
    files = {
        "people.csv": "subject,gender\n7,f\n8,m\n9,x\n",
        "visits.csv": VISITS + "9,zero,phq9,3\n9,0,unheard,7\n8,28,phq9,99\n",
    }
    assert find_problems(fill(), files) == {
        ("visits.day", "type"): (5,),
        ("visits.scale", "unknown"): (6,),
    }
    files["visits.csv"] = VISITS + "9,0,phq9,3\n8,28,phq9,99\n"
    assert find_problems(fill(), files) == {
        ("people.gender", "category"): (3,),
        ("visits.score", "range"): (6,),
    }


def test_files_and_tables_must_match(find_problems):
    files = {"people.csv": PEOPLE, "visit.csv": VISITS}
    assert find_problems(fill(), files) == {
        ("tables.visits.file", "exists"): (),
        ("visit.csv", "table"): (),
    }


def test_files_of_a_folder_that_no_table_takes_are_named(bring_in, tmp_path):
    bring_in(fill(), {"people.csv": PEOPLE, "visits.csv": VISITS})
    (tmp_path / "readme.txt").write_text("about these files")
    _, account = read_intake(tmp_path, read_mapping(tmp_path / "mapping.toml"))
    assert account.as_dict()["files_aside"] == ["mapping.toml", "readme.txt"]


def test_one_file_may_serve_several_tables(list_cells):
    """As a longitudinal REDCap project is exported, with a patient's code of its own."""
    mapping = """
    [tables.enrolment]
    file = "redcap.csv"
    row = "patient"
    patient = "record_id"
    where = { redcap_repeat_instrument = [""], redcap_event_name = ["baseline_arm_1"] }
    columns = ["study_id", "history___1"]
    rename = { study_id = "patient_id", history___1 = "chronic_pain" }

    [tables.visits]
    file = "redcap.csv"
    patient = "record_id"
    visit = "redcap_event_name"
    where = { redcap_repeat_instrument = [""] }
    columns = ["phq9_total"]
    rename = { phq9_total = "phq9" }

    [tables.doses]
    file = "redcap.csv"
    row = "dose"
    patient = "record_id"
    date = "dose_date"
    where = { redcap_repeat_instrument = ["dosing"] }
    columns = ["dose_route"]
    rename = { dose_route = "route" }

    [visits]
    baseline_arm_1 = "baseline"
    week_6_arm_1 = "acute"

    [constants]
    condition = "depression"
    """
    names = ["record_id", "redcap_event_name", "redcap_repeat_instrument", "study_id"]
    rows = [
        [*names, "history___1", "phq9_total", "dose_date", "dose_route"],
        ["1", "baseline_arm_1", "", "A7", "1", "18", "", ""],
        ["1", "week_6_arm_1", "", "", "", "6", "", ""],
        ["1", "baseline_arm_1", "dosing", "", "", "", "2026-03-04", "iv"],
        ["1", "baseline_arm_1", "dosing", "", "", "", "2026-03-01", "im"],
    ]
    text = "\n".join(map(",".join, rows))
    fields = ("patient_id", "chronic_pain", "route", "phq9", "phq9_acute")
    assert list_cells(mapping, {"redcap.csv": text}, *fields) == [("A7", 1.0, 1.0, 18.0, 6.0)]


BELOW = """
[tables.people]
file = "people.csv"
patient = "id"

[tables.scores]
file = "scales/phq9.csv"
row = "patient"
patient = "id"

[constants]
condition = "depression"
"""


def test_file_below_the_folder_is_named_by_its_path(tmp_path):
    """The file of that name above it is left aside; a file given by itself is read."""
    (tmp_path / "mapping.toml").write_text(BELOW)
    folder = tmp_path / "export"
    (folder / "scales").mkdir(parents=True)
    (folder / "people.csv").write_text("id,age\n7,44\n")
    (folder / "phq9.csv").write_text("id,phq9\n7,3\n")
    (folder / "scales" / "phq9.csv").write_text("id,phq9\n7,20\n")
    mapper = read_mapping(tmp_path / "mapping.toml")
    columns, account = read_intake(folder, mapper)
    assert columns.get_numbers("phq9").tolist() == [20]
    assert account.as_dict()["files_aside"] == ["phq9.csv"]
    files = [folder / "people.csv", folder / "scales" / "phq9.csv"]
    assert read_intake(files, mapper)[0].get_numbers("phq9").tolist() == [20]
    (folder / "scales" / "phq9.csv").unlink()
    with pytest.raises(CohortError, match=r"tables\.scores\.file \(exists\)"):
        read_intake(folder, mapper)
