"""Parquet cohorts: one file, or a folder of them as Spark, Dask and Hive write it."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as parquet

from features.base.errors import CohortError, Problem
from features.sources.cells import list_unreadable
from features.sources.file_kind import refuse_file

# Bounds the memory that a batch takes, however long the file is.
BATCH_ROWS = 65_536
_PANDAS_INDEX = "__index_level_"
# Spark and Dask note there what they did, and leave there what they did not finish.
_HIDDEN = ("_", ".")
# Their folders also keep rows that were deleted, which only their own readers leave out.
_TABLE_FORMATS = {
    "_delta_log": "a Delta table",
    ".hoodie": "a Hudi table",
    "metadata": "an Iceberg table",
}
_HIVE_MISSING = "__HIVE_DEFAULT_PARTITION__"


class ParquetTable(NamedTuple):
    """Parquet that is open for reading; its record batches are consumed once."""

    names: tuple[str, ...]
    batches: Iterator[Any]
    # As `list_unreadable` gives them; not in `batches`.
    unreadable: Mapping[str, str]


class _Part(NamedTuple):
    path: Path
    schema: Any
    # Columns that folders stand for, as in ``site=north/``.
    keys: Mapping[str, str | None]

    @property
    def names(self) -> tuple[str, ...]:
        return without_index((*self.schema.names, *self.keys))


def without_index(names: Iterable[str]) -> tuple[str, ...]:
    """Leave out columns in which pandas stores an index, as it does unless told not to."""
    return tuple(name for name in names if not name.startswith(_PANDAS_INDEX))


def open_parquet(path: Path) -> ParquetTable:
    """Open a Parquet file or a folder of them, in the order of their names and numbers.

    Raises
    ------
    CohortError
        If a file is not readable, if a folder holds anything else, or if its files differ in their
        columns.
    """
    paths = _list_files(path) if path.is_dir() else [path]
    parts = [_open_part(path, file) for file in paths]
    _refuse_different(path, parts)
    unreadable = {k: v for part in parts for k, v in list_unreadable(part.schema).items()}
    return ParquetTable(parts[0].names, _read_parts(parts, unreadable), unreadable)


def _list_files(folder: Path) -> list[Path]:
    for name, kind in _TABLE_FORMATS.items():
        if (folder / name).is_dir():
            refuse_file(folder, "format", f"is {kind}; export its rows as plain Parquet")
    files = []
    for file in _walk_folder(folder):
        if file.suffix.lower() != ".parquet":
            message = "is a folder, so all files in it must be Parquet and end in .parquet"
            refuse_file(folder, "format", message)
        files.append(file)
    if not files:
        refuse_file(folder, "format", "is a folder without Parquet files")
    return sorted(files, key=lambda file: _split_numbers(str(file.relative_to(folder))))


# Not rglob, which passes over folders that it may not read, and over links: rows would be lost.
def _walk_folder(folder: Path) -> Iterator[Path]:
    def refuse_folder(error: OSError) -> None:
        refuse_file(folder, "format", "has a folder in it that cannot be read")

    for parent, folders, names in os.walk(folder, onerror=refuse_folder, followlinks=True):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        yield from (Path(parent, name) for name in names if not _is_hidden(name))


# `_year=2026` is a column.
def _is_hidden(name: str) -> bool:
    return name.startswith(_HIDDEN) and "=" not in name


# Part 10 comes after part 9.
def _split_numbers(name: str) -> list[Any]:
    return [int(text) if text.isdecimal() else text for text in re.split("([0-9]+)", name)]


def _open_part(path: Path, file: Path) -> _Part:
    try:
        schema = parquet.read_schema(file)
    except (pa.ArrowException, OSError):
        refuse_file(file, "format", "is not a readable Parquet file")
    folders = file.relative_to(path).parts[:-1]
    pairs = (part.partition("=") for part in folders if "=" in part)
    keys = {unquote(name): _decode_folder_value(value) for name, _, value in pairs}
    return _Part(file, schema, keys)


# A text, so that 007 is not cut to 7.
def _decode_folder_value(value: str) -> str | None:
    return None if value == _HIVE_MISSING else unquote(value)


def _refuse_different(path: Path, parts: list[_Part]) -> None:
    names = dict.fromkeys(name for part in parts for name in part.names)
    lacking = {name: sum(name not in part.names for part in parts) for name in names}
    problems = [
        Problem(name, "missing_column", f"is not in {count} of the folder's {len(parts)} files")
        for name, count in lacking.items()
        if count
    ]
    if problems:
        raise CohortError(problems, source=path.name)


def _read_parts(parts: list[_Part], unreadable: Mapping[str, str]) -> Iterator[Any]:
    for part in parts:
        wanted = [name for name in part.schema.names if name not in unreadable]
        try:
            with parquet.ParquetFile(part.path) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=wanted if unreadable else None):
                    yield _add_keys(batch, part.keys)
        except (pa.ArrowException, OSError):
            refuse_file(part.path, "format", "is not a readable Parquet file")


def _add_keys(batch: Any, keys: Mapping[str, str | None]) -> Any:
    for name, value in keys.items():
        batch = batch.append_column(name, pa.array([value] * batch.num_rows, pa.string()))
    return batch
