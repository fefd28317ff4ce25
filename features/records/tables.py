"""Cohort files: CSV, TSV and Parquet, opened and read in batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from features.base.errors import CohortError, Problem
from features.records.arrow import list_unreadable
from features.records.parquet_files import BATCH_ROWS, open_parquet, without_index

BLOCK_BYTES = 16 << 20
DELIMITERS = {".csv": ",", ".tsv": "\t"}
FORMATS = (*DELIMITERS, ".parquet")


@dataclass(frozen=True)
class RawTable:
    """A cohort file that is open for reading; its record batches are consumed once."""

    source: str
    names: tuple[str, ...]
    batches: Iterator[Any]
    # Numbers of the rows skipped so far because they have too few or too many values.
    ragged: list[int] = field(default_factory=list)
    # Columns whose Arrow type has no values for a field, with its name; they are not in `batches`.
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def number_rows(self, rows: Iterable[int]) -> tuple[int, ...]:
        """Turn positions among the rows read (from 1) into row numbers of the file.

        Examples
        --------
        >>> table = RawTable("x.csv", (), iter(()), ragged=[2, 3])
        >>> table.number_rows([1, 2, 3])
        (1, 4, 5)
        """
        positions = np.fromiter(rows, dtype=np.int64)
        gaps = np.sort(self.ragged) - np.arange(1, len(self.ragged) + 1)
        return tuple((positions + np.searchsorted(gaps, positions)).tolist())

    def list_ragged(self) -> list[Problem]:
        """Describe the skipped rows."""
        message = "must have as many values as the header has columns"
        rows = tuple(sorted(self.ragged))
        return [Problem("row", "columns", message, rows)] if rows else []


def open_table(path: Path) -> RawTable:
    """Open a cohort file, or a folder of Parquet files.

    Raises
    ------
    CohortError
        If the file is absent, of an unknown format, empty, not UTF-8, or names a column twice.
    """
    if not path.is_file() and not path.is_dir():
        known = f"known formats: {', '.join(FORMATS)}"
        _fail(path, "exists", f"must be a file or a folder of Parquet files; {known}")
    if path.is_file() and path.suffix not in FORMATS:
        _fail(path, "format", f"must end in one of: {', '.join(FORMATS)}")
    if path.is_file() and path.suffix in DELIMITERS:
        return _refuse_repeated(_open_text(path))
    names, batches, unreadable = open_parquet(path)
    return _refuse_repeated(RawTable(path.name, names, batches, unreadable=unreadable))


def wrap_table(table: Any, source: str) -> RawTable:
    """Treat an Arrow table in memory as an open file."""
    names, unreadable = without_index(table.column_names), list_unreadable(table.schema)
    readable = [i for i, name in enumerate(table.column_names) if name not in unreadable]
    batches = table.select(readable).to_batches(max_chunksize=BATCH_ROWS)
    return _refuse_repeated(RawTable(source, names, iter(batches), unreadable=unreadable))


def _refuse_repeated(table: RawTable) -> RawTable:
    if twice := sorted({name for name in table.names if table.names.count(name) > 1}):
        message = "the header names this column more than once"
        problems = [Problem(name, "duplicate_column", message) for name in twice]
        raise CohortError(problems, source=table.source)
    return table


def _fail(path: Path, rule: str, message: str) -> NoReturn:
    raise CohortError([Problem("file", rule, message)], source=path.name)


def _open_text(path: Path) -> RawTable:
    names = _read_header(path)
    ragged: list[int] = []

    def note_ragged(row: Any) -> str:
        # Arrow counts the header, and counts at all only without threads.
        ragged.append(row.number - 1)
        return "skip"

    try:
        reader = csv.open_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=_make_parse_options(path, note_ragged),
            convert_options=csv.ConvertOptions(
                # Arrow would guess types from the first block, and cut 007 to 7.
                column_types={name: pa.string() for name in names}
            ),
        )
    except pa.ArrowInvalid:
        _fail_encoding(path)  # the first block is read on opening
    return RawTable(path.name, names, _read_text_batches(path, reader), ragged)


def _make_parse_options(path: Path, on_ragged: Callable[[Any], str]) -> Any:
    # Without newlines_in_values a line break inside quotes would split its row.
    return csv.ParseOptions(
        delimiter=DELIMITERS[path.suffix], newlines_in_values=True, invalid_row_handler=on_ragged
    )


def _read_header(path: Path) -> tuple[str, ...]:
    try:
        options = _make_parse_options(path, lambda row: "skip")
        # A thread still reading ahead when the process ends would crash it.
        alone = csv.ReadOptions(use_threads=False)
        with csv.open_csv(path, read_options=alone, parse_options=options) as reader:
            return tuple(reader.schema.names)
    except UnicodeDecodeError:
        _fail_encoding(path)
    except pa.ArrowInvalid:
        _fail(path, "empty", "has no header line; it must name the columns")


def _read_text_batches(path: Path, reader: Any) -> Iterator[Any]:
    try:
        yield from reader
    except (pa.ArrowInvalid, UnicodeDecodeError):
        _fail_encoding(path)


def _fail_encoding(path: Path) -> NoReturn:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                message = f"must be UTF-8; line {number} is not (save the file as CSV UTF-8)"
                _fail(path, "encoding", message)
    _fail(path, "format", f"is not readable as {path.suffix}")
