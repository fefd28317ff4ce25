"""Text tables: CSV, TSV and the like, with what differs between the programs that write them."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from features.base.errors import CohortError
from features.sources.file_kind import (
    HEAD_BYTES,
    find_ending,
    refuse_file,
    refuse_wide_letters,
)
from features.sources.quoting import BLOCK_BYTES, MAX_ROW_BYTES, Survey, survey_lines
from features.sources.raw_table import RawTable
from features.sources.source_form import SourceForm
from features.sources.streams import TextFile

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# Excel's own first line, in which a file names its delimiter.
_DECLARATION = re.compile(rb'sep=([^"\r\n\x80-\xff])(\r\n|\r|\n|$)', re.IGNORECASE)
_QUOTED = re.compile(rb'"[^"]*"')
# Rows in which decimal commas are looked for.
_SAMPLE_BYTES = 1 << 16


def open_text_table(path: Path, form: SourceForm) -> RawTable:
    """Open a text table, compressed or not; every value is a text.

    Raises
    ------
    CohortError
        If it is another kind of file, has no header, is not in UTF-8 or the encoding named by the
        mapping, is separated otherwise, or has quotation marks that do not pair; names the line.
    """
    text_file = TextFile(path, form.encoding)
    if form.encoding is None:
        refuse_wide_letters(path, text_file.read_head(HEAD_BYTES))
    with text_file.open() as file:
        start, declared = _read_declaration(file)
        start = _skip_lines(file, start, form.skip_rows)
        delimiter = form.delimiter or declared or DELIMITERS[find_ending(path)]
        _check_delimiter(path, file, start, delimiter)
        survey = survey_lines(file, start, delimiter.encode())
    if survey.problems:
        raise CohortError(survey.problems, source=path.name)
    names = _split_header(text_file, survey.header, delimiter)
    ragged: list[int] = []
    surplus: list[int] = []

    def note_ragged(row: Any) -> str:
        # Arrow counts at all only without threads.
        ragged.append(row.number)
        if row.actual_columns == row.expected_columns + 1:
            surplus.append(row.number)
        return "skip"

    options = _make_options(names, delimiter, note_ragged)
    rows = _read_rows(text_file, survey, options, ragged)
    return RawTable(path.name, names, rows, ragged, surplus)


def _read_declaration(file: IO[bytes]) -> tuple[int, str | None]:
    head = file.read(len(codecs.BOM_UTF8) + len("sep=;\r\n"))
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    declaration = _DECLARATION.match(head, start)
    if declaration is None:
        return start, None
    return declaration.end(), declaration[1].decode()


def _skip_lines(file: IO[bytes], start: int, count: int) -> int:
    file.seek(start)
    for _ in range(count):
        line = file.readline(MAX_ROW_BYTES)
        # A file from an old Macintosh has CR alone, so that this is all of it.
        _, end, rest = line.partition(b"\r")
        if end and rest not in (b"", b"\n"):
            file.seek(-len(rest), io.SEEK_CUR)
    return file.tell()


def _check_delimiter(path: Path, file: IO[bytes], start: int, delimiter: str) -> None:
    file.seek(start)
    header, row = (_QUOTED.sub(b"", _read_line(file)) for _ in range(2))
    other = _find_other_delimiter(header, row, delimiter)
    if other is None:
        return
    written = "\\t" if other == "\t" else other
    settings, commas = f'`delimiter = "{written}"`', ""
    file.seek(start)
    if other != "," and _has_decimal_commas(file.read(_SAMPLE_BYTES), other):
        settings, commas = f'{settings} and `decimal = ","`', "; decimal commas"
    message = f"is separated by {_DELIMITER_NAMES[other]}{commas}; a mapping can say so: {settings}"
    refuse_file(path, "delimiter", message)


def _find_other_delimiter(header: bytes, row: bytes, delimiter: str) -> str | None:
    def count(line: bytes, name: str) -> int:
        return line.count(name.encode())

    own = count(header, delimiter)
    other = max(_DELIMITER_NAMES, key=lambda name: count(header, name))
    if count(header, other) <= own:
        return None
    # Names may contain commas; a delimiter is in the header as often as in a row.
    return other if not own or count(header, other) == count(row, other) else None


def _read_line(file: IO[bytes]) -> bytes:
    """Read the next line that is not blank, or the beginning of one that is too long."""
    while line := file.readline(MAX_ROW_BYTES):
        text = line.lstrip(b"\r\n")
        if text:
            # A file from an old Macintosh has CR alone, so that this is all of it.
            first, _, rest = text.partition(b"\r")
            file.seek(-len(rest), io.SEEK_CUR)
            return first.rstrip(b"\n")
    return b""


def _has_decimal_commas(rows: bytes, delimiter: str) -> bool:
    edge = re.escape(delimiter.encode())
    number = rb'(^|["%b]) *[+-]?[0-9]*,[0-9]+ *($|["%b\r])' % (edge, edge)
    return re.search(number, rows, re.MULTILINE) is not None


def _split_header(text_file: TextFile, header: bytes, delimiter: str) -> tuple[str, ...]:
    if not header:
        refuse_file(text_file.path, "empty", "has no header line; it must name the columns")
    try:
        lines = io.StringIO(header.decode(), newline="")
        return tuple(next(csv.reader(lines, delimiter=delimiter, strict=True)))
    except UnicodeDecodeError:
        text_file.refuse_encoding()
    except csv.Error:
        limit = csv.field_size_limit()
        refuse_file(text_file.path, "header", f"has a column name of more than {limit} characters")


def _make_options(
    names: tuple[str, ...],
    delimiter: str,
    on_ragged: Callable[[Any], str],
) -> dict[str, Any]:
    return {
        "read_options": arrow_csv.ReadOptions(
            # A thread still reading ahead when the process ends would crash it.
            use_threads=False,
            # No shorter than any row that the survey lets pass.
            block_size=MAX_ROW_BYTES + BLOCK_BYTES,
            column_names=list(names),
        ),
        "parse_options": arrow_csv.ParseOptions(
            delimiter=delimiter,
            # Without it a line break inside quotes would split its row.
            newlines_in_values=True,
            invalid_row_handler=on_ragged,
        ),
        "convert_options": arrow_csv.ConvertOptions(
            # Arrow would guess types from the first block, and cut 007 to 7.
            column_types=dict.fromkeys(names, pa.string())
        ),
    }


def _read_rows(
    text_file: TextFile, survey: Survey, options: dict[str, Any], ragged: list[int]
) -> Iterator[Any]:
    if not survey.rows:
        return
    count = 0
    try:
        with text_file.open() as file:
            file.seek(survey.header_end)
            for batch in arrow_csv.open_csv(file, **options):
                count += batch.num_rows
                yield batch
    except (pa.ArrowInvalid, UnicodeDecodeError):
        text_file.refuse_encoding()
    # If Arrow and the survey ever disagree about what a row is, no row is lost silently.
    if count + len(ragged) != survey.rows:
        message = f"has {survey.rows} rows, of which {count + len(ragged)} could be read"
        refuse_file(text_file.path, "rows", message)
