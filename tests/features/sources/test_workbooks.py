"""Workbooks: sheets, headers, cells, and what is refused."""

import zipfile
from datetime import date, datetime

import pytest
from opened_files import check_refusal, read_rows
from workbooks import Error, write_ods, write_xls, write_xlsb, write_xlsx

from features.base.errors import CohortError
from features.intake.account import FOOTER
from features.records.cohort import read_cohort, read_intake
from features.records.mapping import Mapper
from features.sources.source_form import SourceForm
from features.sources.tables import open_table

HEADER = ["patient_id", "condition", "phq9"]
ROWS = [HEADER, ["a", "depression", 17], ["b", "depression", "12"]]
WRITERS = {"xlsx": write_xlsx, "xlsb": write_xlsb, "xls": write_xls, "ods": write_ods}


def refuse(path, rule, *words, **form):
    check_refusal(lambda: read_rows(path, **form), rule, *words)


@pytest.fixture(params=WRITERS)
def write_sheets(request, tmp_path):
    """Write sheets in each format of workbooks."""

    def write(sheets, *arguments):
        path = tmp_path / f"cohort.{request.param}"
        WRITERS[request.param](path, sheets, *arguments)
        return path

    return write


def test_the_only_sheet_is_read(write_sheets):
    columns = read_cohort(write_sheets({"Data": ROWS}))
    assert columns.get_texts("patient_id").tolist() == ["a", "b"]
    assert columns.get_numbers("phq9").tolist() == [17, 12]


def test_one_of_several_sheets_must_be_named(write_sheets):
    path = write_sheets({"Notes": [["x"], ["y"]], "Größe": ROWS})
    refuse(path, "sheet", "2 sheets", '"Notes", "Größe"')
    refuse(path, "sheet", "no such sheet", '"Notes", "Größe"', sheet="Data")
    refuse(path, "sheet", "no such sheet", sheet=3)
    for sheet in ("Größe", 2):
        assert [row["phq9"] for row in read_rows(path, sheet=sheet)] == ["17", "12"]


def test_errors_are_texts_that_no_field_takes(write_sheets):
    rows = [[*HEADER, "site"], ["a", "depression", Error("#N/A"), "n"]]
    rows += [[None] * 4, ["b", "depression", 12, Error("#DIV/0!")], ["c", "depression", 3, "n"]]
    path = write_sheets({"Data": rows})
    with pytest.raises(CohortError) as refused:
        read_cohort(path)
    assert [(p.field, p.rule, p.rows) for p in refused.value.problems] == [
        ("phq9", "type", (1,)),
        ("site", "pattern", (2,)),
    ]
    columns = read_cohort(path, Mapper(missing=("#N/A",), ignore=("site",)), incomplete=True)
    assert columns.get_numbers("phq9").tolist()[1:] == [12, 3]


def test_errors_of_formulas_are_found_in_old_workbooks(tmp_path):
    write_xls(tmp_path / "cohort.xls", {"Data": ROWS}, [(2, 0, "#VALUE!")])
    assert [row["patient_id"] for row in read_rows(tmp_path / "cohort.xls")] == ["a", "#VALUE!"]


def test_blank_rows_and_columns_are_left_out(write_sheets):
    rows = [[None] * 5, [None, *HEADER, None], [None] * 5]
    rows += [[None, *row, None] for row in ROWS[1:]] + [[None] * 5] * 3
    assert read_rows(write_sheets({"Data": rows})) == [
        {"patient_id": "a", "condition": "depression", "phq9": "17"},
        {"patient_id": "b", "condition": "depression", "phq9": "12"},
    ]


def test_values_below_no_name_are_not_lost(write_sheets):
    path = write_sheets({"Data": [HEADER, ["a", "depression", 17, "why"]]})
    with pytest.raises(CohortError, match="column 4"):
        read_cohort(path)


def test_titles_and_notes_are_cut_off_as_the_mapping_says(write_sheets):
    rows = [["Exported cohort"], [None], *ROWS, [None], ["Exported on Monday"], ["by the clinic"]]
    path = write_sheets({"Data": rows})
    refuse(path, "header", "2 columns without a name in row 1", "`skip_rows`")
    for skipped in (1, 2):
        names = [row["patient_id"] for row in read_rows(path, skip_rows=skipped, footer_rows=2)]
        assert names == ["a", "b"]
    refuse(path, "empty", "no header row", skip_rows=9)


MERGED = [
    ["Patient", "Baseline", None, "Week 6", "Notes"],
    [None, "PHQ-9", "GAD-7", "PHQ-9", None],
    ["a", 17, 5, 3, "x"],
]
JOINED = {"Patient": "a", "Notes": "x"}


@pytest.mark.parametrize(
    ("ending", "merged"),
    [("xlsx", ["A1:A2", "B1:C1"]), ("xlsb", [(0, 1, 0, 0), (0, 0, 1, 2)]), ("ods", {(0, 1): 2})],
)
def test_merged_headers_are_joined(tmp_path, ending, merged):
    path = tmp_path / f"cohort.{ending}"
    WRITERS[ending](path, {"Data": MERGED}, merged)
    scores = {"Baseline PHQ-9": "17", "Baseline GAD-7": "5", "Week 6 PHQ-9": "3"}
    assert read_rows(path, header_rows=2) == [JOINED | scores]
    scores = {name.replace("e P", "e_P").replace("e G", "e_G"): x for name, x in scores.items()}
    scores = {name.replace("6 P", "6_P"): x for name, x in scores.items()}
    assert read_rows(path, header_rows=2, header_separator="_") == [JOINED | scores]


def test_names_are_not_spread_over_cells_that_are_not_merged(tmp_path):
    write_xlsx(tmp_path / "cohort.xlsx", {"Data": [["A", "Week 6", None], ["b", "c", "c"]]})
    table = open_table(tmp_path / "cohort.xlsx", SourceForm(header_rows=2))
    assert table.names == ("A b", "Week 6 c", "c")


def test_dates_numbers_and_flags_become_texts(tmp_path):
    row = [date(2026, 2, 28), datetime(2026, 2, 28, 10, 30), 7.0, 0.1, True, "007", 1e300]
    for ending in ("xlsx", "ods"):
        WRITERS[ending](tmp_path / f"c.{ending}", {"Data": [list("abcdefg"), row]})
        (texts,) = read_rows(tmp_path / f"c.{ending}")
        assert list(texts.values()) == [
            *("2026-02-28", "2026-02-28 10:30:00", "7", "0.1", "true", "007", "1e+300")
        ]


def test_numbers_are_read_whatever_the_decimal_sign_of_texts(tmp_path):
    rows = [[*HEADER, "age"], ["a", "depression", 17, 44.5], ["b", "depression", 12, "39,5"]]
    write_xlsx(tmp_path / "cohort.xlsx", {"Data": rows})
    columns = read_cohort(tmp_path / "cohort.xlsx", Mapper(decimal=","))
    assert columns.get_numbers("age").tolist() == [44.5, 39.5]


def test_cell_at_the_far_corner_is_refused_not_fatal(write_sheets, monkeypatch):
    """calamine would reserve memory for each cell up to it."""
    monkeypatch.setattr("features.sources.sheets.workbooks.MAX_CELLS", 100)
    path = write_sheets({"Data": [*ROWS, *[[None]] * 60, [None] * 60 + [1]]})
    if path.suffix == ".xls":  # at most 65,536 rows of 256 columns
        return
    refuse(path, "size", "64 rows and 61 columns", "more than 100 cells")


def test_workbook_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("features.sources.sheets.workbooks.MAX_UNPACKED_BYTES", 1 << 10)
    write_xlsx(tmp_path / "cohort.xlsx", {"Data": ROWS})
    refuse(tmp_path / "cohort.xlsx", "size", "unpacks to more than")


def test_damaged_workbook_is_refused_at_every_cut(write_sheets):
    path = write_sheets({"Data": ROWS})
    content = path.read_bytes()
    for share in (0, 1, 2, 5, 9):
        path.write_bytes(content[: len(content) * share // 10])
        with pytest.raises(CohortError) as refused:
            read_rows(path)
        assert refused.value.problems[0].rule in ("format", "rows"), share


def test_workbook_without_its_parts_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "cohort.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    refuse(tmp_path / "cohort.xlsx", "format", "damaged")
    (tmp_path / "cohort.xlsx").write_text("patient_id\n")
    refuse(tmp_path / "cohort.xlsx", "format", "not readable as .xlsx")


def test_workbook_of_another_ending_is_named(write_sheets, tmp_path):
    path = write_sheets({"Data": ROWS})
    other = tmp_path / "export.parquet"
    path.rename(other)
    refuse(other, "format", "an Excel workbook" if path.suffix != ".ods" else "OpenDocument")


@pytest.mark.parametrize(
    "mapper",
    [Mapper(footer_rows=1), Mapper(footer_rows=1, ignore=("x*",))],
    ids=["alone", "joined"],
)
def test_rows_cut_off_below_are_counted(write_sheets, mapper):
    """Next month's file may have no note there, but a patient."""
    rows = [["patient_id", "condition", "phq9"], ["a", "depression", 17], ["Exported", None, None]]
    columns, account = read_intake(write_sheets({"Data": rows}), mapper)
    assert columns.size == 1
    assert [(note.what, note.count) for note in account.notes] == [(FOOTER, 1)]


def test_settings_of_workbooks_are_refused_elsewhere(tmp_path):
    (tmp_path / "cohort.csv").write_text("patient_id,condition,phq9\na,depression,17\n")
    mapper = Mapper(sheet=1, header_rows=2, footer_rows=1)
    with pytest.raises(CohortError) as refused:
        read_cohort(tmp_path / "cohort.csv", mapper)
    assert {(p.field, p.rule) for p in refused.value.problems} == {
        *(("sheet", "option"), ("header_rows", "option"), ("footer_rows", "option"))
    }
