"""Sheets of workbooks (Excel, OpenDocument), read by python-calamine; every value is a text."""

import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import dropwhile, islice, zip_longest
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

import pyarrow as pa

from features.sources.file_kind import find_ending, refuse_file
from features.sources.parquet_files import BATCH_ROWS
from features.sources.raw_table import RawTable
from features.sources.sheets.sheet_cells import Area, SheetScan, list_sheets
from features.sources.source_form import SourceForm
from features.sources.texts import write_text

WORKBOOK_ENDINGS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
# A workbook lies in memory as a whole. It may unpack to no more, however small it is.
MAX_UNPACKED_BYTES = 1 << 30
MAX_CELLS = 10_000_000
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, ElementTree.ParseError, expat.ExpatError, struct.error),
    *(KeyError, ValueError, IndexError, NotImplementedError, EOFError, OSError),
)

Row = list[str | None]


def open_workbook(path: Path, form: SourceForm) -> RawTable:
    """Open a sheet of a workbook.

    Raises
    ------
    CohortError
        If it is not a readable workbook, is too large, or has several sheets and the mapping names
        none of them.
    """
    import python_calamine  # an extra

    with _refuse_damage(path, python_calamine):
        _check_size(path)
        sheets = list_sheets(path, find_ending(path))
        name = _choose_sheet(path, list(sheets), form.sheet)
        scan = sheets[name]()
        _check_extent(path, scan)
        workbook = python_calamine.load_workbook(path)
        # Names of Excel 95 may be in another encoding; its sheets have the same order here.
        old = find_ending(path) == ".xls"
        names = dict(zip(sheets, workbook.sheet_names, strict=True)) if old else {name: name}
        sheet = workbook.get_sheet_by_name(names[name])
    merged = [*scan.merged, *(sheet.merged_cell_ranges or ())]

    def read_rows() -> tuple[dict[int, Row], Iterator[Row]]:
        rows = _number_cells(sheet, scan, form.decimal)
        below = dropwhile(lambda row: row[0] < form.skip_rows, rows)
        top = dict(islice(below, form.header_rows))
        return top, _cut_footer((cells for _, cells in below), form.footer_rows)

    width = max(scan.columns, sheet.end[1] + 1 if sheet.end else 0)
    top, rows = read_rows()
    columns = _name_columns(path, top, rows, merged, form.header_separator, width)
    batches = _make_batches(read_rows()[1], columns)
    return RawTable(path.name, tuple(columns.values()), batches)


@contextmanager
def _refuse_damage(path: Path, calamine: ModuleType) -> Iterator[None]:
    try:
        yield
    except calamine.PasswordError:
        refuse_file(path, "format", "is protected by a password; save it without one")
    except (calamine.CalamineError, *_DAMAGED):
        _refuse_damaged(path)
    except BaseException as error:
        # A panic in calamine's Rust code arrives as a BaseException that is not an Exception.
        if type(error).__module__ != "pyo3_runtime":
            raise
        _refuse_damaged(path)


def _refuse_damaged(path: Path) -> NoReturn:
    message = f"is not readable as {find_ending(path)}; it may be damaged, or another kind of file"
    refuse_file(path, "format", message)


def _check_size(path: Path) -> None:
    if find_ending(path) == ".xls":
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_UNPACKED_BYTES:
        message = (
            f"unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB; save the sheet as CSV UTF-8"
        )
        refuse_file(path, "size", message)


def _choose_sheet(path: Path, names: Sequence[str], wanted: str | int | None) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    if not names:
        _refuse_damaged(path)
    if wanted is None:
        if len(names) == 1:
            return names[0]
        message = f"has {len(names)} sheets; a mapping names one (`sheet = …`): {listed}"
        refuse_file(path, "sheet", message)
    if isinstance(wanted, int) and wanted <= len(names):
        return names[wanted - 1]
    if wanted not in names:
        refuse_file(path, "sheet", f"has no such sheet as the mapping names; it has: {listed}")
    return str(wanted)


def _check_extent(path: Path, scan: SheetScan) -> None:
    if scan.rows * scan.columns > MAX_CELLS:
        message = (
            f"has a sheet of {scan.rows} rows and {scan.columns} columns, more than {MAX_CELLS:,} "
            "cells; delete stray cells far below or right of the table, or save it as CSV UTF-8"
        )
        refuse_file(path, "size", message)


# Each row that is not blank, with its number in the sheet, from 0.
def _number_cells(sheet: Any, scan: SheetScan, decimal: str) -> Iterator[tuple[int, Row]]:
    # calamine leaves out blank columns at the left, but not blank rows at the top.
    left = sheet.start[1] if sheet.start else 0
    errors: dict[int, dict[int, str]] = {}
    for (row, column), text in scan.errors.items():
        errors.setdefault(row, {})[column] = text
    for number, cells in enumerate(sheet.iter_rows()):
        texts = [None] * left + [write_text(cell, decimal) for cell in cells]
        for column, text in errors.get(number, {}).items():
            texts += [None] * (column + 1 - len(texts))
            texts[column] = text
        if any(texts):
            yield number, texts


def _cut_footer(rows: Iterable[Row], count: int) -> Iterator[Row]:
    held: deque[Row] = deque()
    for row in rows:
        held.append(row)
        if len(held) > count:
            yield held.popleft()


# Those that have a name or a value, by their number in the sheet, from 0.
def _name_columns(
    path: Path,
    top: Mapping[int, Row],
    rows: Iterable[Row],
    merged: Sequence[Area],
    separator: str,
    width: int,
) -> dict[int, str]:
    if not top:
        refuse_file(path, "empty", "has no header row; it must name the columns")
    for (row, left), (_, right) in merged:
        if row in top:
            cells = top[row]
            cells += [None] * (right + 1 - len(cells))
            cells[left + 1 : right + 1] = [cells[left]] * (right - left)
    parts = zip_longest(*top.values())
    names = {
        column: separator.join(text.strip() for text in cells if text)
        for column, cells in enumerate(parts)
    }
    named = {column for column, name in names.items() if name}
    nameless = [column for column in range(width) if column not in named]
    # Only then are the rows looked through, since most tables have a name for every column.
    used = set(_list_used(rows, nameless)) if nameless else set()
    if len(used) > len(named):
        message = (
            f"has {len(used)} columns without a name in row {max(top) + 1}; if there are "
            "titles above the table, or more rows of names, a mapping says how many: `skip_rows`, "
            "`header_rows`"
        )
        refuse_file(path, "header", message)
    return {column: names.get(column, "") for column in sorted(used | named)}


def _list_used(rows: Iterable[Row], columns: Sequence[int]) -> Iterator[int]:
    for row in rows:
        yield from (column for column in columns if column < len(row) and row[column] is not None)


def _make_batches(rows: Iterator[Row], columns: Mapping[int, str]) -> Iterator[Any]:
    while part := list(islice(rows, BATCH_ROWS)):
        arrays = [
            pa.array([row[column] if column < len(row) else None for row in part], pa.string())
            for column in columns
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=list(columns.values()))
