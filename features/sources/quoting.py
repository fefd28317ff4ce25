"""Quotation marks and line breaks of a text table, checked before any row is read.

A reader takes everything up to the next quotation mark as one value, however many rows that
swallows. So marks must stand where RFC 4180 allows them, and no value may contain what looks like
a row.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, NamedTuple

import numpy as np

from features.base.arrays import Indices
from features.base.errors import SHOWN_PROBLEMS, Problem

BLOCK_BYTES = 4 << 20
# The longest row that is read, give or take a block; a quotation mark open for longer is unclosed.
MAX_ROW_BYTES = 16 << 20
_QUOTE, _LF, _CR = b'"\n\r'
_LINE_END = re.compile(rb"\r\n|\r|\n")
# The last may lack its end, as on the first line of a value that spans several.
_QUOTED = re.compile(rb'"[^"]*"?')


@dataclass
class Survey:
    """What is in a text table, by its lines alone."""

    delimiter: bytes
    header: bytes = b""
    # Where the header ends, as an offset in the file.
    header_end: int = 0
    # Rows, including the header but not blank lines.
    lines: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows below the header."""
        return max(self.lines - 1, 0)

    @cached_property
    def width(self) -> int:
        """Number of columns; valid only once the header is known."""
        return _count_values(self.header, self.delimiter)

    def report(self, message: str) -> None:
        """Note a problem of the file's quotation marks."""
        self.problems.append(Problem("file", "quotes", message))


class _Point(NamedTuple):
    # Offset in the file, and number of the line that begins there.
    offset: int
    line: int


class _Piece(NamedTuple):
    """Some whole rows of a file, or the beginning of one that is too long."""

    start: _Point
    text: bytes
    # Positions in the text of quotation marks, and of line breaks outside and inside of values.
    marks: Indices
    breaks: Indices
    inner: Indices
    too_long: bool

    def number_line(self, position: int) -> int:
        return self.start.line + count_lines(self.text[:position])

    def find_next_line(self, position: int) -> _Point | None:
        end = _LINE_END.search(self.text, position)
        if end is None:
            return None
        return _Point(self.start.offset + end.end(), self.number_line(position) + 1)


def count_lines(text: bytes) -> int:
    """Count the line ends of a text: LF, CR or both."""
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def survey_lines(file: IO[bytes], start: int, delimiter: bytes) -> Survey:
    """Check the quotation marks of a text table, and count its rows.

    Parameters
    ----------
    start
        Offset of the header in the file.

    Returns
    -------
    Survey
        If it has problems, each names its line, and the number of rows means nothing.
    """
    survey = Survey(delimiter)
    file.seek(0)
    point: _Point | None = _Point(start, 1 + count_lines(file.read(start)))
    # After a mark that does not pair, the check goes on below it: one pass per problem.
    while point is not None and len(survey.problems) < SHOWN_PROBLEMS:
        point = _survey_from(file, point, survey)
    return survey


def _survey_from(file: IO[bytes], point: _Point, survey: Survey) -> _Point | None:
    for piece in _read_pieces(file, point):
        wrong = _find_misplaced(piece, survey.delimiter)
        _survey_rows(piece, survey, len(piece.text) if wrong is None else int(piece.marks[wrong]))
        if wrong is not None:
            further = _report_mark(piece, wrong, survey)
            # Without a header there is nothing to compare further rows with.
            return further if survey.header else None
        if piece.too_long:
            megabytes = MAX_ROW_BYTES >> 20
            survey.report(f"line {piece.start.line} begins a row of more than {megabytes} MiB")
            return None
    return None


def _read_pieces(file: IO[bytes], point: _Point) -> Iterator[_Piece]:
    file.seek(point.offset)
    rest = b""
    while True:
        block = _read_block(file)
        text = rest + block
        marks, breaks, inner = _locate(text)
        too_long = len(breaks) == 0 and len(text) > MAX_ROW_BYTES
        if block and len(breaks) == 0 and not too_long:
            rest = text
            continue
        end = int(breaks[-1]) + 1 if block and len(breaks) else len(text)
        within = marks[marks < end], breaks, inner[inner < end]
        yield _Piece(point, text[:end], *within, too_long)
        point = _Point(point.offset + end, point.line + count_lines(text[:end]))
        rest = text[end:]
        if not block:
            return


def _read_block(file: IO[bytes]) -> bytes:
    block = file.read(BLOCK_BYTES)
    # CR and LF are one line end, and must not be parted.
    while block.endswith(b"\r") and (following := file.read(1)):
        block += following
    return block


def _locate(text: bytes) -> tuple[Indices, Indices, Indices]:
    letters = np.frombuffer(text, np.uint8)
    marks = np.flatnonzero(letters == _QUOTE)
    breaks = np.flatnonzero((letters == _LF) | (letters == _CR))
    inside = np.searchsorted(marks, breaks) % 2 == 1
    return marks, breaks[~inside], breaks[inside]


# Every second mark closes. One that is doubled inside a value closes it and opens it again.
def _find_misplaced(piece: _Piece, delimiter: bytes) -> int | None:
    marks = piece.marks
    if not len(marks):
        return None
    allowed = np.zeros(256, dtype=bool)
    allowed[[_QUOTE, _LF, _CR, *delimiter]] = True
    around = np.frombuffer(b"\n" + piece.text + b"\n", np.uint8)
    opens = np.arange(len(marks)) % 2 == 0
    misplaced = ~allowed[np.where(opens, around[marks], around[marks + 2])]
    if misplaced.any():
        return int(misplaced.argmax())
    return len(marks) - 1 if len(marks) % 2 else None


def _report_mark(piece: _Piece, wrong: int, survey: Survey) -> _Point | None:
    position = int(piece.marks[wrong])
    line = piece.number_line(position)
    closes = wrong % 2 == 1
    if not closes and not _begins_value(piece.text, position, survey.delimiter):
        survey.report(
            f"line {line} has a quotation mark inside a value; put the whole value in quotation "
            'marks and double those inside ("")'
        )
        return piece.find_next_line(position)
    opening = _find_opening(piece.marks, wrong)
    first = piece.number_line(opening)
    if not closes:
        survey.report(f"line {first} opens a quotation mark that is never closed")
    elif first == line:
        survey.report(
            f"line {line} has text after a closing quotation mark; double the marks inside a "
            'value ("")'
        )
    else:
        survey.report(
            f"line {first} opens a quotation mark that is not closed: the next one, in line "
            f"{line}, does not end a value"
        )
    return piece.find_next_line(opening)


# Doubled marks on the way stand inside the value.
def _find_opening(marks: Indices, index: int) -> int:
    opening = index - index % 2
    while opening > 1 and marks[opening - 1] == marks[opening] - 1:
        opening -= 2
    return int(marks[opening])


def _begins_value(text: bytes, position: int, delimiter: bytes) -> bool:
    return text[max(position - 1, 0) : position] in (b"", b'"', b"\n", b"\r", delimiter)


def _survey_rows(piece: _Piece, survey: Survey, limit: int) -> None:
    starts = np.concatenate([[0], piece.breaks + 1])
    ends = np.concatenate([piece.breaks, [len(piece.text)]])
    kept = (ends > starts) & (ends <= limit)
    starts, ends = starts[kept], ends[kept]
    if not survey.header and len(starts):
        survey.header = piece.text[starts[0] : ends[0]]
        survey.header_end = piece.start.offset + int(ends[0])
    survey.lines += len(starts)
    inner = piece.inner[piece.inner < (ends[-1] if len(ends) else 0)]
    for row in np.unique(np.searchsorted(starts, inner, side="right") - 1):
        text = piece.text[starts[row] : ends[row]]
        if _swallows_rows(text, survey):
            first = piece.number_line(int(starts[row]))
            last = first + count_lines(text)
            survey.report(
                f"lines {first} to {last} would be one row, because line {first} opens a quotation "
                "mark that is not closed there"
            )


def _swallows_rows(text: bytes, survey: Survey) -> bool:
    if _count_values(text, survey.delimiter) != survey.width:
        return True
    resembling = sum(_resembles_row(line, survey) for line in text.splitlines())
    return survey.width > 1 and resembling > 1


# The first or last line of a value that spans lines may alone look like a row; two do not.
def _resembles_row(line: bytes, survey: Survey) -> bool:
    delimiters = line.count(survey.delimiter)
    # Prose has a space after each comma; exports have not.
    if delimiters and line.count(survey.delimiter + b" ") == delimiters:
        return False
    return survey.width in (delimiters + 1, _count_values(line, survey.delimiter))


def _count_values(row: bytes, delimiter: bytes) -> int:
    return _QUOTED.sub(b"", row).count(delimiter) + 1
