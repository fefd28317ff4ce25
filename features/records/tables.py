"""Cohort files: CSV, TSV and Parquet, opened and read in batches."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.parquet as parquet
import pyarrow.types as types

from features.base.errors import CohortError, Problem
from features.records.file_kind import refuse_file
from features.records.text_table import DELIMITERS, open_text_table

# Bounds the memory that a batch takes, however long the file is.
BATCH_ROWS = 65_536
FORMATS = (*DELIMITERS, ".parquet")
PANDAS_INDEX = "__index_level_"
MISSING_TOKENS = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")


@dataclass(frozen=True)
class RawTable:
    """A cohort file that is open for reading; its record batches are consumed once."""

    source: str
    names: tuple[str, ...]
    batches: Iterator[Any]
    # Texts may stand for numbers and flags, as in CSV.
    text: bool
    # Numbers of the rows skipped so far because they have too few or too many values.
    ragged: list[int] = field(default_factory=list)
    # Those of them that have one value more than there are columns.
    surplus: list[int] = field(default_factory=list)

    def number_rows(self, rows: Iterable[int]) -> tuple[int, ...]:
        """Turn positions among the rows read (from 1) into row numbers of the file.

        Examples
        --------
        >>> table = RawTable("x.csv", (), iter(()), text=True, ragged=[2, 3])
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
        if self.ragged and len(self.surplus) == len(self.ragged):
            message += "; each has one more, as if row names had no column (R: row.names = FALSE)"
        return [Problem("row", "columns", message, rows)] if rows else []


def open_table(
    path: Path, missing: tuple[str, ...] = MISSING_TOKENS, delimiter: str | None = None
) -> RawTable:
    """Open a cohort file.

    Parameters
    ----------
    missing
        In text files, these stand for a missing value.
    delimiter
        Of text files; by default the file's own ``sep=`` line or its ending tells.

    Raises
    ------
    CohortError
        If the file is absent, of an unknown format, empty, not UTF-8, has quotation marks that do
        not pair, or names a column twice.
    """
    if not path.is_file():
        refuse_file(path, "exists", f"must be a file; known formats: {', '.join(FORMATS)}")
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        refuse_file(path, "format", f"must end in one of: {', '.join(FORMATS)}")
    if suffix == ".parquet":
        table = _open_parquet(path)
    else:
        text = open_text_table(path, missing, delimiter)
        table = RawTable(path.name, text.names, text.batches, True, text.ragged, text.surplus)
    # Several may be unnamed: a mapping can leave those out.
    if twice := sorted(name for name, count in Counter(table.names).items() if count > 1 and name):
        message = "the header names this column more than once"
        problems = [Problem(name, "duplicate_column", message) for name in twice]
        raise CohortError(problems, source=path.name)
    return table


def wrap_table(table: Any, source: str, missing: tuple[str, ...] = MISSING_TOKENS) -> RawTable:
    """Treat an Arrow table in memory as an open file; its texts may stand for numbers."""
    for index, name in enumerate(table.column_names):
        if types.is_string(table.schema.types[index]):
            absent = compute.is_in(table[name], pa.array(missing))
            texts = compute.if_else(absent, pa.scalar(None, pa.string()), table[name])
            table = table.set_column(index, name, texts)
    batches = iter(table.to_batches(max_chunksize=BATCH_ROWS))
    return RawTable(source, tuple(table.column_names), batches, text=True)


def _open_parquet(path: Path) -> RawTable:
    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowInvalid, OSError):
        refuse_file(path, "format", "is not a readable Parquet file")
    # pandas stores an index under such a name unless told not to.
    columns = file.schema_arrow.names
    names = tuple(name for name in columns if not name.startswith(PANDAS_INDEX))
    return RawTable(path.name, names, _read_parquet_batches(path, file), text=False)


def _read_parquet_batches(path: Path, file: Any) -> Iterator[Any]:
    try:
        yield from file.iter_batches(BATCH_ROWS)
    except (pa.ArrowInvalid, OSError):
        refuse_file(path, "format", "is not a readable Parquet file")
