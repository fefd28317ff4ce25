"""Text tables as other programs write them: read right, or refused for what they are."""

import gzip
import io
import time
import zipfile

import pytest
from opened_files import check_refusal

from features.base.errors import CohortError
from features.records.cohort import read_cohort
from features.records.mapping import Mapper, read_mapping

HEADER = "patient_id,condition,phq9,remarks\n"
NOTES = Mapper(ignore=("remarks",))


def list_problems(path, mapper=NOTES):
    with pytest.raises(CohortError) as refused:
        read_cohort(path, mapper)
    return [(p.field, p.rule, p.message) for p in refused.value.problems]


def refuse(path, rule, *words, mapper=NOTES):
    check_refusal(lambda: read_cohort(path, mapper), rule, *words)


UNPAIRED = {
    "unclosed": ('a1,depression,17,"low\na2,depression,18,ok\n', ["line 2 "]),
    "unclosed in a quoted file": (
        '"a1","depression","17","low"\n"a2","depression","18","ok\n"a3","depression","19","x"\n',
        ["line 3 "],
    ),
    "unclosed twice": (
        'a1,depression,17,"low\na2,depression,18,ok\na3,depression,19,"sad\na4,depression,9,ok\n',
        ["line 2 ", "line 4 "],
    ),
    "closed rows below": (
        'a1,depression,17,"low\na2,depression,18,ok\na3,depression,19,"\n',
        ["lines 2 to 4 "],
    ),
    "closed in the next row": (
        'a1,depression,17,"low\na2,depression,18,ok"\na3,depression,19,ok\n',
        ["lines 2 to 3 "],
    ),
    "closed in the first column": (
        '"a1,depression,17,ok\na2",depression,18,ok\n',
        ["lines 2 to 3 "],
    ),
    "closed in a short row": ('a1,depression,17,"low\na2,depression",\n', ["lines 2 to 3 "]),
    "around a quoted value": (
        'a1,depression,17,"x, y"\na2,depression,"18,z\na3,depression",19,ok\n',
        ["lines 3 to 4 "],
    ),
    "inside a value": ('a1,depression,17,5" tall\na2,depression,18,6" tall\n', ["2 ", "3 "]),
    "after a space": ('a1,depression,17, "low"\n', ["line 2 has a quotation mark inside"]),
    "not doubled": ('a1,depression,17,"says "no" often"\n', ["line 2 has text after"]),
    "after a line break in a value": (
        'a1,depression,17,"low\nbut better"\na2,depression,18,"x" y\n',
        ["line 4 "],
    ),
    "a mark alone": ('a1,depression,17,"\n', ["line 2 "]),
    "below doubled marks": (
        'a1,depression,17,"first\nsays ""x"" and\na2,depression,18,"ok"\n',
        ["line 2 opens", "line 3 has"],
    ),
    "at the end of the file": ('a1,depression,17,ok\na2,depression,18,"', ["line 3 "]),
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize(("rows", "lines"), UNPAIRED.values(), ids=UNPAIRED)
def test_unpaired_quotation_mark_is_refused_by_line(write, rows, lines, end):
    content = (HEADER + rows).replace("\n", end)
    problems = list_problems(write(content))
    assert {(field, rule) for field, rule, _ in problems} == {("file", "quotes")}
    assert len(problems) == len(lines)
    for line, (_, _, message) in zip(lines, problems, strict=True):
        assert line in message


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_unpaired_quotation_mark_is_refused_in_any_text_file(write, suffix):
    content = HEADER + 'a1,depression,17,"low\na2,depression,18,ok\n'
    content = content if suffix == "csv" else content.replace(",", "\t")
    refuse(write(content, f"cohort.{suffix}"), "quotes", "line 2 ")


def test_header_with_an_unpaired_quotation_mark_is_refused(write):
    content = HEADER.replace("remarks", '"remarks') + "a1,depression,17,ok\na2,depression,18,ok\n"
    refuse(write(content), "quotes", "line 1 ")
    refuse(write(content[:-1] + '"\n'), "quotes", "lines 1 to 3 ")


@pytest.mark.parametrize(
    "remark",
    [
        "two\nlines",
        "two\r\nlines",
        'says "no", often',
        '""',
        "sleeps, eats, works, cries\nand so on",
        "first\nsleeps, eats, works, cries",
        ",",
        "\n",
        "\n\n\n",
        '"\n"',
    ],
)
@pytest.mark.parametrize("column", range(4))
def test_well_formed_quoted_value_is_read(write, remark, column):
    """Wherever its column stands, with commas, marks and line breaks in it."""
    quoted = '"' + remark.replace('"', '""') + '"'
    lines = [["patient_id", "condition", "phq9"]] + [[f"a{n}", "depression", n] for n in (1, 2, 3)]
    for line, value in zip(lines, ["remarks", quoted, "ok", quoted], strict=True):
        line.insert(column, value)
    path = write("\n".join(",".join(map(str, line)) for line in lines))
    assert read_cohort(path, NOTES).get_numbers("phq9").tolist() == [1, 2, 3]


def test_line_numbers_hold_across_blocks(write, monkeypatch):
    """Also if a block ends between CR and LF, or inside a value."""
    rows = [f'a{n},depression,{n % 27},"some, ""text""\r\nof two lines"\r\n' for n in range(40)]
    good = HEADER.replace("\n", "\r\n") + "".join(rows)
    bad = good + 'b1,depression,17,x"\r\n'
    for size in range(50, 90):
        monkeypatch.setattr("features.sources.quoting.BLOCK_BYTES", size)
        assert read_cohort(write(good), NOTES).size == 40
        refuse(write(bad), "quotes", "line 82 ")


def test_value_that_never_ends_is_refused_without_reading_on(write, monkeypatch):
    monkeypatch.setattr("features.sources.quoting.BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr("features.sources.quoting.MAX_ROW_BYTES", 1 << 12)
    rows = "".join(f"b{n},depression,17,ok\n" for n in range(1000))
    refuse(write(HEADER + 'a1,depression,17,"low\n' + rows), "quotes", "line 2 ")
    refuse(write(HEADER + f"a1,depression,17,{'x' * 9000}\n" + rows), "quotes", "line 2 ")


def test_blank_lines_are_no_rows(write):
    content = "\n\n" + HEADER + "\n\na1,depression,17,ok\n\r\n\na2,depression,99,ok\n\n"
    path = write(content)
    with pytest.raises(CohortError) as refused:
        read_cohort(path, NOTES)
    assert [(p.field, p.rows) for p in refused.value.problems] == [("phq9", (2,))]


def test_header_alone_has_no_rows_whatever_its_end(write):
    for end in ("", "\n", "\r\n"):
        refuse(write(HEADER.strip() + end), "empty", "at least one row")
    for nothing in ("", "\n\n", "\ufeff"):
        refuse(write(nothing), "empty", "no header line")


@pytest.mark.parametrize("columns", [20_000, 90_000])
def test_wide_header_is_refused_within_seconds(write, columns):
    """At 90,000 columns it is longer than a mebibyte."""
    names = [f"gene_{number:07d}" for number in range(columns)]
    path = write(f"patient_id,condition,phq9,{','.join(names)}\na1,depression,17{',' * columns}\n")
    began = time.monotonic()
    problems = list_problems(path)
    assert time.monotonic() - began < columns / 10_000
    assert [(field, rule) for field, rule, _ in problems] == [(name, "unknown") for name in names]


def test_wide_mapping_is_read_within_seconds(write, tmp_path):
    names = [f"gene_{number:07d}" for number in range(20_000)]
    path = write(f"patient_id,condition,phq9,{','.join(names)}\na1,depression,17{',' * 20_000}\n")
    began = time.monotonic()
    assert read_cohort(path, Mapper(ignore=tuple(names))).size == 1
    assert time.monotonic() - began < 3


SEMICOLONS = "patient_id;condition;phq9;age\ns1;depression;17;44,5\ns2;depression;12;39,0\n"


def test_semicolons_and_decimal_commas_are_named(write):
    refuse(write(SEMICOLONS), "delimiter", "separated by semicolons; decimal commas")
    whole = SEMICOLONS.replace("44,5", "44").replace("39,0", "39")
    ((*_, message),) = list_problems(write(whole))
    assert "separated by semicolons" in message
    assert "decimal" not in message


@pytest.mark.parametrize(
    ("delimiter", "name", "suffix"),
    [("\t", "tabs", "csv"), ("|", "vertical bars", "csv"), (",", "commas", "tsv")],
)
def test_any_other_delimiter_is_named(write, delimiter, name, suffix):
    content = HEADER.replace(",", delimiter) + "a1,depression,17,ok\n".replace(",", delimiter)
    refuse(write(content, f"cohort.{suffix}"), "delimiter", f"separated by {name}")


def test_decimal_commas_are_named_with_tabs_too(write):
    refuse(write(SEMICOLONS.replace(";", "\t")), "delimiter", "separated by tabs; decimal commas")


def test_names_with_commas_do_not_hide_the_delimiter(write):
    content = SEMICOLONS.replace("age", '"age, in years"').replace("phq9", "phq, of 9")
    refuse(write(content), "delimiter", "separated by semicolons; decimal commas")
    labels = "patient_id\tcondition\tphq9\tshe says, he says, they say, you, I, all say\n"
    path = write(labels + "a1\tdepression\t17\tok\n", "cohort.tsv")
    assert [rule for _, rule, _ in list_problems(path)] == ["unknown"]


def test_mapping_names_delimiter_and_decimal_comma(write, tmp_path):
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('delimiter = ";"\ndecimal = ","\n')
    columns = read_cohort(write(SEMICOLONS), read_mapping(mapping))
    assert columns.get_numbers("age").tolist() == [44.5, 39.0]
    assert columns.get_numbers("phq9").tolist() == [17, 12]
    # A full stop would part thousands.
    path = write(SEMICOLONS.replace("44,5", "44.5"))
    assert [p[:2] for p in list_problems(path, read_mapping(mapping))] == [("age", "type")]


def test_decimal_commas_are_named_where_numbers_are_read(write):
    path = write("patient_id,condition,phq9,age\na1,depression,17,'44,5'\n".replace("'", '"'))
    ((field, rule, message),) = list_problems(path, Mapper())
    assert (field, rule) == ("age", "type")
    assert 'decimal commas: a mapping can say so (`decimal = ","`)' in message
    path = write("patient_id,condition,phq9,age\na1,depression,17,old\n")
    assert "decimal" not in list_problems(path, Mapper())[0][2]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_in_which_excel_names_the_delimiter_is_obeyed(write, end, mark):
    content = mark + ("sep=;\n" + SEMICOLONS).replace("\n", end)
    columns = read_cohort(write(content), Mapper(decimal=","))
    assert columns.get_numbers("age").tolist() == [44.5, 39.0]
    refused = write(content.replace("depression", "sadness"))
    with pytest.raises(CohortError, match="rows 1, 2"):
        read_cohort(refused, Mapper(decimal=","))
    refuse(write(content.replace("s2;", 's2";')), "quotes", "line 4 ", mapper=Mapper())


def pack(*members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for member in members:
            archive.writestr(member, "x")
    return packed.getvalue()


OTHERS = {
    "Excel": (pack("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook (.xlsx)"),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an Excel workbook (.xls"),
    "OpenDocument": (pack("mimetype", "content.xml"), "an OpenDocument file (.ods)"),
    "zip": (pack("cohort.csv"), "a zip archive"),
    "cut zip": (pack("cohort.csv")[:40], "a zip archive"),
    "gzip": (gzip.compress(HEADER.encode()), "compressed by gzip"),
    "Zstandard": (b"\x28\xb5\x2f\xfd\x00", "compressed by Zstandard"),
    "Parquet": (b"PAR1\x15\x04", "a Parquet file"),
    "SPSS": (b"$FL2@(#) SPSS DATA FILE", "an SPSS file"),
    "Stata": (b"<stata_dta><header>", "a Stata file"),
    "HTML": (b"\r\n<html><table><tr><td>patient_id", "HTML or XML"),
    "XML": (b"\xef\xbb\xbf<?xml version='1.0'?>", "HTML or XML"),
    "JSON": (b'[{"patient_id": "a1"}]', "JSON"),
    "JSON lines": (b'{"patient_id": "a1"}\n{"patient_id": "a2"}\n', "JSON"),
}


@pytest.mark.parametrize("name", ["cohort.csv", "cohort.tsv", "cohort.CSV"])
@pytest.mark.parametrize(("content", "kind"), OTHERS.values(), ids=OTHERS)
def test_another_kind_of_file_is_named(write, content, kind, name):
    refuse(write(content, name), "format", kind)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(write, encoding):
    refuse(write(HEADER.encode(encoding)), "encoding", "must be UTF-8; it is UTF-16")


def test_names_that_resemble_signatures_are_read(write):
    for name in ("PK", "BZh", "[id]", "{x}", "PAR1", "<x>", "sep=", "$FL"):
        path = write(f"{name},patient_id,condition,phq9\nx,a1,depression,17\n")
        assert read_cohort(path, Mapper(ignore=(name,))).size == 1


def test_file_endings_may_be_in_capitals(write):
    assert read_cohort(write(HEADER + "a1,depression,17,ok\n", "EXPORT.CSV"), NOTES).size == 1


ROW_NAMES = '"","phq9"\n"1",17\n"2",12\n'
DEPRESSION = '[constants]\ncondition = "depression"\n'


def test_unnamed_first_column_is_named(write):
    mapper = Mapper(constants={"condition": "depression"})
    for content in (ROW_NAMES, ROW_NAMES.replace('""', "")):
        ((field, rule, message),) = list_problems(write(content), mapper)
        assert (field, rule) == ("column 1", "unknown")
        assert "the first column has no name" in message
        assert '`"" = "patient_id"`' in message


def test_unnamed_first_column_can_be_renamed_or_ignored(write, tmp_path):
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[rename]\n"" = "patient_id"\n' + DEPRESSION)
    columns = read_cohort(write(ROW_NAMES), read_mapping(mapping))
    assert columns.get_texts("patient_id").tolist() == ["1", "2"]
    mapping.write_text('ignore = [""]\n[rename]\nid = "patient_id"\n' + DEPRESSION)
    path = write('"","id","phq9",,\n"1","a",17,,\n"2","b",12,,\n')
    columns = read_cohort(path, read_mapping(mapping))
    assert columns.get_texts("patient_id").tolist() == ["a", "b"]


def test_further_unnamed_columns_are_counted(write):
    fields = [field for field, _, _ in list_problems(write("patient_id,,phq9,\na1,,17,\n"))]
    assert fields == ["column 2", "column 4"]
    mapper = Mapper(rename={"": "patient_id"}, constants={"condition": "depression"})
    problems = list_problems(write(",phq9,\na1,17,\n"), mapper)
    assert [(field, rule) for field, rule, _ in problems] == [("", "duplicate_column")]


def test_row_names_without_a_column_are_named(write):
    """As by R's `write.table`."""
    path = write("patient_id,condition,phq9\n1,a1,depression,17\n2,a2,depression,12\n")
    messages = {rule: message for _, rule, message in list_problems(path)}
    assert "row.names = FALSE" in messages["columns"]
    path = write("patient_id,condition,phq9\n1,a1,depression,17\n2,a2,depression,12,9\n")
    messages = {rule: message for _, rule, message in list_problems(path)}
    assert "row.names" not in messages["columns"]


def test_rows_that_arrow_would_not_give_are_missed(write, monkeypatch):
    """Should Arrow and the survey disagree about what a row is, the file is refused."""
    monkeypatch.setattr("features.sources.quoting.Survey.rows", property(lambda survey: 3))
    refuse(write(HEADER + "a1,depression,17,ok\na2,depression,18,ok\n"), "rows", "3 rows", "2")
