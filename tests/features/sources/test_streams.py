"""Compressed files, and files in other encodings than UTF-8."""

import gzip

import pyarrow as pa
import pytest
from opened_files import check_refusal

from features.base.errors import MappingError
from features.records.cohort import read_cohort
from features.records.mapping import Mapper, read_mapping
from features.sources.source_form import SourceForm
from features.sources.streams import TextFile
from features.sources.tables import open_table

ROWS = "patient_id,condition,phq9,note\na1,depression,17,{}\na2,depression,12,ok\n"
NOTES = ("note",)


def pack_zstandard(content):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


PACKERS = {"gz": gzip.compress, "zst": pack_zstandard}


def refuse(path, rule, *words, mapper=None):
    check_refusal(lambda: read_cohort(path, mapper or Mapper(ignore=NOTES)), rule, *words)


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("ending", ["csv", "tsv", "txt", "ndjson"])
def test_compressed_text_is_read(write, packing, ending):
    content = ROWS.format("é")
    if ending == "ndjson":
        row = '{{"patient_id": "a{}", "condition": "depression", "phq9": {}}}\n'
        content = row.format(1, 17) + row.format(2, 12)
    elif ending != "csv":
        content = content.replace(",", "\t")
    path = write(PACKERS[packing](content.encode()), f"cohort.{ending}.{packing}")
    assert read_cohort(path, Mapper(ignore=NOTES)).get_numbers("phq9").tolist() == [17, 12]


@pytest.mark.parametrize("packing", PACKERS)
def test_line_of_a_problem_is_named_in_compressed_text(write, packing):
    rows = ROWS.format("ok") + "".join(f"b{n},depression,9,ok\n" for n in range(50_000))
    content = PACKERS[packing]((rows + 'c,depression,9,x"\n').encode())
    refuse(write(content, f"cohort.csv.{packing}"), "quotes", "line 50004 ")


@pytest.mark.parametrize("packing", PACKERS)
def test_damaged_or_foreign_packing_is_refused(write, packing):
    content = PACKERS[packing](ROWS.format("ok").encode() * 99)
    refuse(write(content[:-9], f"cohort.csv.{packing}"), "format", "cannot be unpacked")
    refuse(write(ROWS.encode(), f"cohort.csv.{packing}"), "format", "cannot be unpacked")
    refuse(write(content, "cohort.csv"), "format", f"name it cohort.csv.{packing}")
    refuse(write(content, f"cohort.sav.{packing}"), "format", "must be unpacked first")


def test_bomb_is_refused_without_filling_memory(write, monkeypatch):
    monkeypatch.setattr("features.sources.streams.MAX_UNPACKED_BYTES", 1 << 20)
    rows = b"a,depression,9,ok\n" * 100_000
    refuse(write(gzip.compress(ROWS.encode() + rows), "cohort.csv.gz"), "size", "unpacks to more")


LETTERS = {
    "utf-8": "Zoë 漢",
    "utf-8-sig": "Zoë 漢",
    "utf-16": "Zoë 漢",
    "utf-16-le": "Zoë 漢",
    "utf-16-be": "Zoë 漢",
    "windows-1252": "Zoë “x” €",
    "latin-1": "Größe ½",
    "cp437": "Größe ½",
    "cp850": "Größe ½",
    "mac-roman": "Größe œ",
    "shift_jis": "漢字",
}


@pytest.mark.parametrize("encoding", LETTERS)
def test_encoding_that_the_mapping_names_is_read(write, encoding):
    mapper = Mapper(encoding=encoding)
    path = write(ROWS.format(LETTERS[encoding]).encode(encoding))
    (batch,) = open_table(path, mapper).batches
    assert batch.column("note").to_pylist() == [LETTERS[encoding], "ok"]
    assert read_cohort(path, mapper.model_copy(update={"ignore": NOTES})).size == 2


def test_quotes_are_checked_in_every_encoding(write):
    for encoding in LETTERS:
        path = write((ROWS.format("ok") + 'a3,depression,9,x"y\n').encode(encoding))
        refuse(path, "quotes", "line 4 ", mapper=Mapper(encoding=encoding))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("Zoë Müller", "windows-1252"), ("naïve “x”", "windows-1252"), ("Zoë Müller", "cp850")],
)
def test_encodings_that_would_fit_are_named(write, text, encoding):
    path = write(ROWS.format(text).encode(encoding))
    refuse(path, "encoding", "must be UTF-8; line 2 is not", f'`encoding = "{encoding}"`')


def test_encoding_that_does_not_fit_is_refused(write):
    path = write(ROWS.format("ok").encode() + b"a3,depression,9,\x81\n")
    refuse(path, "encoding", "is not in windows-1252", mapper=Mapper(encoding="windows-1252"))
    path = write(ROWS.format("é").encode("latin-1"))
    refuse(path, "encoding", "is not in utf-16", mapper=Mapper(encoding="utf-16"))


def test_utf_16_can_be_named(write):
    path = write(ROWS.encode("utf-16"))
    refuse(path, "encoding", 'encoding = "utf-16"')
    refuse(write(ROWS.encode("utf-16-le")), "encoding", '"utf-16-le"')


@pytest.mark.parametrize("name", ["klingon", "base64", "rot13", "idna", "unicode_escape", ""])
def test_encoding_that_is_none_is_refused(tmp_path, name):
    (tmp_path / "mapping.toml").write_text(f'encoding = "{name}"\n')
    with pytest.raises(MappingError, match="must be the name of an encoding"):
        read_mapping(tmp_path / "mapping.toml")


def test_stream_goes_back_and_forth_as_a_file_does(write):
    """Whatever is read before, each position gives the same bytes."""
    content = ("é" * 700 + "\n") * 4000
    path = write(content.encode("latin-1"), "x.csv")
    with TextFile(path, "latin-1").open() as stream:
        for start in (0, 5, 3_000_000, 17, 2_000_000, 0):
            assert stream.seek(start) == start
            assert stream.read(9) == content.encode()[start : start + 9]


@pytest.mark.parametrize("delimiter", ["^", "~", ":", "|", ";", "\t", "/"])
def test_any_sign_may_separate(write, delimiter):
    path = write(ROWS.format("x").replace(",", delimiter), "cohort.txt")
    columns = read_cohort(path, Mapper(delimiter=delimiter, ignore=NOTES))
    assert columns.get_numbers("phq9").tolist() == [17, 12]


@pytest.mark.parametrize("delimiter", ["", "ab", '"', "\n", "a", "1", " ", "§", "."])
def test_signs_that_cannot_separate_are_refused(delimiter):
    with pytest.raises(ValueError, match="must be one sign"):
        SourceForm(delimiter=delimiter)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_above_the_header_are_skipped_as_the_mapping_says(write, end):
    path = write(('Export of "the" cohort\n\n' + ROWS.format("x")).replace("\n", end))
    for skipped in (1, 2):
        assert read_cohort(path, Mapper(skip_rows=skipped, ignore=NOTES)).size == 2
    content = "title\n" + ROWS.format("x") + 'a3,depression,9,x"y\n'
    refuse(write(content), "quotes", "line 5 ", mapper=Mapper(skip_rows=1))
