"""`python -m training intake`: real exports in, a cohort and a report whose counts add up out."""

import json
import re

import pytest

from features.records.cohort import digest_cohort, read_cohort
from training.findings.intake import IntakeFacts, hide_few
from training.report.intake import render_intake

MAPPING = """
[tables.people]
file = "people.csv"
patient = "code"
rename = { klinik = "site" }

[tables.visits]
file = "visits*.csv"
patient = "id"
day = "day"
instrument = "scale"
score = "score"

[constants]
condition = "depression"
"""
# By hand: 8 patients with a baseline, one of them without a follow-up; of 17 rows of visits, one
# is outside every window, and i has no baseline.
PEOPLE = "code,klinik,sex\n" + "".join(f"{name},north,female\n" for name in "abcdefghi")
VISITS = "id,day,scale,score\n" + "".join(
    f"{name},0,phq9,{10 + n}\n" + (f"{name},30,PHQ-9,{5 + n}\n" if name != "h" else "")
    for n, name in enumerate("abcdefgh")
)
LATE = "id,day,scale,score\ni,30,phq9,6\na,400,phq9,3\n"


@pytest.fixture
def commands(make_commands, tmp_path):
    return make_commands(tmp_path / "home")


@pytest.fixture
def exports(tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "people.csv").write_text(PEOPLE)
    (folder / "visits1.csv").write_text(VISITS)
    (folder / "visits2.csv").write_text(LATE)
    (tmp_path / "m.toml").write_text(MAPPING)
    return folder


def check_sums(facts):
    """Read = used + left aside, for the rows of each table, patients and courses."""
    account = facts["account"]
    parts = [(table, "rows") for table in account["tables"]]
    for part, unit in [*parts, (account["patients"], "patients"), (account["courses"], "courses")]:
        assert part["read"] == part["used"] + sum(entry[unit] for entry in part["aside"])
    assert account["courses"]["used"] == facts["courses"]


def test_exports_become_a_cohort_and_every_row_is_accounted_for(commands, exports, tmp_path):
    out, report = tmp_path / "cohort.parquet", tmp_path / "report"
    done = commands.call(
        *("intake", exports, "--mapping", tmp_path / "m.toml", "--out", out),
        *("--report", report, "--incomplete", "--json"),
        code=3,
    )
    facts = json.loads(done.stdout)
    check_sums(facts)
    rows = {table["table"]: (table["read"], table["used"]) for table in facts["account"]["tables"]}
    assert rows == {"people": (9, 9), "visits": (17, 16)}
    assert (facts["courses"], facts["patients"]) == (8, 8)
    aside = [{"step": "baseline", "reason": "no baseline total", "courses": 1}]
    assert facts["account"]["courses"] == {"read": 9, "used": 8, "aside": aside}
    assert facts["account"]["tables"][1]["files"] == {"visits1.csv": 15, "visits2.csv": 2}
    cohort = read_cohort(out)
    assert digest_cohort(cohort) == facts["digest"]
    assert cohort.get_numbers("phq9_acute")[:3].tolist() == [5, 6, 7]
    assert json.loads((report / "intake.json").read_text("utf-8")) == facts
    page = (report / "intake.html").read_text("utf-8")
    assert "Others were left aside" in page
    assert "outside every window" in page.lower()
    assert "<script" not in page


def test_a_cohort_that_needs_no_mapping_is_taken_in(commands, cohort, tmp_path):
    report = tmp_path / "r.json"
    done = commands.call("intake", cohort, "--out", tmp_path / "out.csv", "--report", report)
    assert json.loads(report.read_text("utf-8"))["simulated"]
    assert "No patient or course that was read is missing." in (tmp_path / "r.html").read_text()
    assert "SIMULATED" in done.stdout
    assert "out.csv: 1,200 courses of " in done.stdout
    assert digest_cohort(read_cohort(tmp_path / "out.csv")) == digest_cohort(read_cohort(cohort))


def test_a_broken_row_ends_in_code_2_and_nothing_is_written(commands, exports, tmp_path):
    (exports / "visits2.csv").write_text(LATE.replace("i,30,phq9,6", "i,0,phq9,99"))
    out = tmp_path / "cohort.csv"
    done = commands.call(
        *("intake", exports, "--mapping", tmp_path / "m.toml", "--out", out),
        *("--report", tmp_path / "r.html"),
        code=2,
    )
    assert "must be a whole number from 0 to 27" in done.stderr
    assert "99" not in done.stderr
    assert not out.exists()
    assert not (tmp_path / "r.html").exists()


def test_nothing_that_is_read_is_overwritten(commands, exports, tmp_path):
    people, mapping = exports / "people.csv", tmp_path / "m.toml"
    for out, report in (
        (people, tmp_path / "r"),
        (tmp_path / "x.csv", exports / "r.html"),
        (exports / "inside.csv", tmp_path / "r"),
    ):
        arguments = ["intake", exports, "--mapping", mapping, "--out", out, "--report", report]
        commands.call(*arguments, "--incomplete", code=2)
    assert people.read_text() == PEOPLE
    assert mapping.read_text() == MAPPING


def test_a_cohort_can_only_be_csv_or_parquet(commands, exports, tmp_path):
    done = commands.call("intake", exports, "--out", tmp_path / "cohort.xlsx", code=2)
    assert "must end in one of" in done.stderr


def test_small_counts_are_hidden_and_cannot_be_found_by_subtraction():
    assert hide_few({"a": 10, "b": 4, "c": 7}) == {"a": 10, "b": None, "c": None}
    assert hide_few({"a": 10, "b": 0}) == {"a": 10, "b": 0}
    assert hide_few({"filled": 3, "missing": 0}) == {"filled": None, "missing": 0}
    assert hide_few({"a": 2, "b": 3, "c": 9}) == {"a": None, "b": None, "c": 9}


@pytest.fixture(scope="module")
def facts(cohort):
    from training.findings.intake import describe_intake

    columns = read_cohort(cohort)
    account = {
        "tables": [], "notes": [], "derived": {}, "files_aside": [],
        **{key: {"read": 1200, "used": 1200, "aside": []} for key in ("patients", "courses")},
    }  # fmt: skip
    return columns, describe_intake(columns, account, ("a.csv",), "m.toml", "out.csv")


def test_fields_are_counted_as_they_are(facts):
    columns, described = facts
    for count in described.fields:
        missing = int(columns.find_missing(count.field).sum())
        if count.missing is not None:
            assert (count.filled, count.missing) == (1200 - missing, missing)
        shown = [number for number in (count.missing, *count.words.values()) if number]
        assert all(number >= 5 for number in shown)


def test_ranges_are_rounded_outward(facts):
    columns, described = facts
    age = next(count for count in described.fields if count.field == "age")
    ages = columns.get_numbers("age")
    assert age.low <= min(ages)
    assert age.high >= max(ages)
    assert age.low % 5 == age.high % 5 == 0


def test_the_report_holds_no_code_of_a_patient(facts):
    columns, described = facts
    page = render_intake(described)
    assert not any(code in page for code in columns.get_texts("patient_id"))
    assert "SIMULATED DATA" in page
    # Every number is the one of the JSON.
    text = described.model_dump_json()
    for number in re.findall(r'<data value="([^"]+)">', page):
        assert re.search(rf"[:\[,]{re.escape(number.removesuffix('.0'))}(\.0)?[,\]}}]", text)


def test_a_value_at_an_end_is_flagged(tmp_path):
    from training.findings.intake import describe_intake

    rows = "".join(f"p{n},depression,{0 if n < 4 else 12},female\n" for n in range(12))
    (tmp_path / "c.csv").write_text(f"patient_id,condition,phq9,sex\n{rows}")
    columns = read_cohort(tmp_path / "c.csv")
    described = describe_intake(columns, {}, (), None, "c.csv")
    flags = {count.field: count.flags for count in described.fields}
    assert flags["phq9"] == ("a quarter or more have the lowest value allowed",)
    assert flags["sex"] == flags["condition"] == ("the same in every course",)
    assert IntakeFacts.model_validate_json(described.model_dump_json()) == described
