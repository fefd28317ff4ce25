"""Cohort files: CSV, TSV and Parquet, opened and read in batches."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from features.base.errors import CohortError, Problem
from features.sources.cells import list_unreadable
from features.sources.file_kind import refuse_file
from features.sources.parquet_files import BATCH_ROWS, open_parquet, without_index
from features.sources.source_form import SourceForm
from features.sources.text_table import DELIMITERS, open_text_table

FORMATS = (*DELIMITERS, ".parquet")


@dataclass(frozen=True)
class RawTable:
    """A cohort file that is open for reading; its record batches are consumed once."""

    source: str
    names: tuple[str, ...]
    batches: Iterator[Any]
    # Numbers of the rows skipped so far because they have too few or too many values.
    ragged: list[int] = field(default_factory=list)
    # Those of them that have one value more than there are columns.
    surplus: list[int] = field(default_factory=list)
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

    def locate_problem(self, problem: Problem) -> list[Problem]:
        """Give a problem the file's own row numbers; it has positions among the rows read."""
        return [replace(problem, rows=self.number_rows(problem.rows))]

    def list_ragged(self) -> list[Problem]:
        """Describe the skipped rows."""
        message = "must have as many values as the header has columns"
        rows = tuple(sorted(self.ragged))
        if self.ragged and len(self.surplus) == len(self.ragged):
            message += "; each has one more, as if row names had no column (R: row.names = FALSE)"
        return [Problem("row", "columns", message, rows)] if rows else []


def open_table(path: Path, form: SourceForm | None = None) -> RawTable:
    """Open a cohort file, or a folder of Parquet files.

    Parameters
    ----------
    form
        How the file is written, a :class:`~features.records.mapping.Mapper` for one; by default
        the file itself and its ending tell.

    Raises
    ------
    CohortError
        If the file is absent, of an unknown format, empty, not UTF-8, has quotation marks that do
        not pair, or names a column twice.
    """
    form = form or SourceForm()
    if not path.is_file() and not path.is_dir():
        known = f"known formats: {', '.join(FORMATS)}"
        refuse_file(path, "exists", f"must be a file or a folder of Parquet files; {known}")
    suffix = path.suffix.lower()
    if path.is_file() and suffix not in FORMATS:
        refuse_file(path, "format", f"must end in one of: {', '.join(FORMATS)}")
    if path.is_file() and suffix in DELIMITERS:
        text = open_text_table(path, form.delimiter)
        table = RawTable(path.name, text.names, text.batches, text.ragged, surplus=text.surplus)
        return _refuse_repeated(table)
    names, batches, unreadable = open_parquet(path)
    return _refuse_repeated(RawTable(path.name, names, batches, unreadable=unreadable))


def wrap_table(table: Any, source: str) -> RawTable:
    """Treat an Arrow table in memory as an open file."""
    names, unreadable = without_index(table.column_names), list_unreadable(table.schema)
    readable = [i for i, name in enumerate(table.column_names) if name not in unreadable]
    batches = table.select(readable).to_batches(max_chunksize=BATCH_ROWS)
    return _refuse_repeated(RawTable(source, names, iter(batches), unreadable=unreadable))


def _refuse_repeated(table: RawTable) -> RawTable:
    # Several may be unnamed: a mapping can leave those out.
    if twice := sorted(name for name, count in Counter(table.names).items() if count > 1 and name):
        message = "the header names this column more than once"
        problems = [Problem(name, "duplicate_column", message) for name in twice]
        raise CohortError(problems, source=table.source)
    return table
