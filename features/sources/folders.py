"""Folders of files that are one table, as Spark, Dask and Hive write them, or a file per month."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa

from features.base.errors import CohortError, Problem
from features.sources.file_kind import find_ending, refuse_file
from features.sources.raw_table import RawTable

# Logs and unfinished files of Spark and Dask; lock files of Excel and LibreOffice.
_HIDDEN = ("_", ".", "~$")
# Their folders also keep rows that were deleted, which only their own readers leave out.
_TABLE_FORMATS = {
    "_delta_log": "a Delta table",
    ".hoodie": "a Hudi table",
    "metadata": "an Iceberg table",
}
_HIVE_MISSING = "__HIVE_DEFAULT_PARTITION__"


class Part(NamedTuple):
    """A file of a table that has several."""

    table: RawTable
    # Columns that folders stand for, as in ``site=north/``.
    keys: Mapping[str, str | None]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return (*self.table.names, *self.keys)


def list_files(folder: Path, formats: Sequence[str]) -> list[Path]:
    """List the files of a folder, in the order of their names and numbers.

    Raises
    ------
    CohortError
        If there are none, or not all have one of the formats, and the same.
    """
    for name, kind in _TABLE_FORMATS.items():
        if (folder / name).is_dir():
            refuse_file(folder, "format", f"is {kind}; export its rows as plain Parquet")
    files = list(_walk_folder(folder))
    endings = {find_ending(file) for file in files}
    if not files:
        refuse_file(folder, "format", f"is a folder without files of: {', '.join(formats)}")
    if len(endings) > 1 or not endings <= {*formats}:
        message = "is a folder, so all files in it must be of one format, for instance .parquet"
        refuse_file(folder, "format", message)
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


def read_keys(folder: Path, file: Path) -> dict[str, str | None]:
    """Return the columns that folders on the way to a file stand for."""
    pairs = (part.partition("=") for part in file.relative_to(folder).parts[:-1] if "=" in part)
    return {unquote(name): _decode_folder_value(value) for name, _, value in pairs}


# A text, so that 007 is not cut to 7.
def _decode_folder_value(value: str) -> str | None:
    return None if value == _HIVE_MISSING else unquote(value)


def join_parts(source: str, parts: Sequence[Part]) -> RawTable:
    """Join files to one table, in their order, with rows numbered across all of them.

    Raises
    ------
    CohortError
        If they differ in their columns.
    """
    _refuse_different(source, parts)
    ragged: list[int] = []
    surplus: list[int] = []
    unreadable = {k: v for part in parts for k, v in part.table.unreadable.items()}
    batches = _read_parts(parts, unreadable, ragged, surplus)
    first = parts[0]
    return RawTable(
        *(source, first.names, batches, ragged, surplus, unreadable),
        *(first.table.descriptions, first.table.labels),
    )


def _refuse_different(source: str, parts: Sequence[Part]) -> None:
    names = dict.fromkeys(name for part in parts for name in part.names)
    lacking = {name: sum(name not in part.names for part in parts) for name in names}
    problems = [
        Problem(name, "missing_column", f"is not in {count} of the {len(parts)} files")
        for name, count in lacking.items()
        if count
    ]
    if problems:
        raise CohortError(problems, source=source)


def _read_parts(
    parts: Sequence[Part], unreadable: Mapping[str, str], ragged: list[int], surplus: list[int]
) -> Iterator[Any]:
    before = 0
    for table, keys in parts:
        count, kept = 0, (len(ragged), len(surplus))
        # The last round is for rows skipped after the last batch.
        for batch in chain(table.batches, [None]):
            ragged[kept[0] :] = [before + row for row in table.ragged]
            surplus[kept[1] :] = [before + row for row in table.surplus]
            if batch is not None:
                count += batch.num_rows
                yield _add_keys(_without(batch, unreadable), keys)
        before += count + len(table.ragged)


def _without(batch: Any, unreadable: Mapping[str, str]) -> Any:
    names = [name for name in batch.schema.names if name in unreadable]
    return batch.drop_columns(names) if names else batch


def _add_keys(batch: Any, keys: Mapping[str, str | None]) -> Any:
    for name, value in keys.items():
        batch = batch.append_column(name, pa.array([value] * batch.num_rows, pa.string()))
    return batch
