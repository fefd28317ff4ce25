"""Parquet files."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from features.sources.cells import list_unreadable
from features.sources.file_kind import refuse_file
from features.sources.raw_table import RawTable

# Bounds the memory that a batch takes, however long the file is.
BATCH_ROWS = 65_536
_PANDAS_INDEX = "__index_level_"


def without_index(names: Iterable[str]) -> tuple[str, ...]:
    """Leave out columns in which pandas stores an index, as it does unless told not to."""
    return tuple(name for name in names if not name.startswith(_PANDAS_INDEX))


def open_parquet(path: Path) -> RawTable:
    """Open a Parquet file.

    Raises
    ------
    CohortError
        If it is not readable.
    """
    try:
        schema = parquet.read_schema(path)
    except (pa.ArrowException, OSError):
        refuse_file(path, "format", "is not a readable Parquet file")
    unreadable = list_unreadable(schema)
    wanted = [name for name in schema.names if name not in unreadable] if unreadable else None
    rows = _read_batches(path, wanted)
    return RawTable(path.name, without_index(schema.names), rows, unreadable=unreadable)


def _read_batches(path: Path, wanted: list[str] | None) -> Iterator[Any]:
    try:
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(BATCH_ROWS, columns=wanted)
    except (pa.ArrowException, OSError):
        refuse_file(path, "format", "is not a readable Parquet file")
