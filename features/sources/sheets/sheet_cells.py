"""What python-calamine does not report of a sheet: its errors, and how far it extends.

calamine gives an error such as #N/A as an empty cell, which would be a missing value, and reserves
memory for every cell up to the last: one at the far corner of a sheet would end the process.
"""

import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from features.sources.sheets.compound_files import read_workbook_stream

Position = tuple[int, int]
Area = tuple[Position, Position]

# By their codes in binary workbooks.
_ERRORS = {
    **{0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?"},
    **{0x24: "#NUM!", 0x2A: "#N/A", 0x2B: "#GETTING_DATA"},
}
_UNKNOWN_ERROR = "#N/A"


@dataclass
class SheetScan:
    """What is in one sheet; rows and columns count from 0."""

    errors: dict[Position, str] = field(default_factory=dict)
    # Ranges of merged cells; from .xlsx and .xls files calamine reads them itself.
    merged: list[Area] = field(default_factory=list)
    rows: int = 0
    columns: int = 0

    def add_cell(self, row: int, column: int) -> None:
        """Note a cell that is not empty."""
        self.rows, self.columns = max(self.rows, row + 1), max(self.columns, column + 1)


def list_sheets(path: Path, ending: str) -> dict[str, Callable[[], SheetScan]]:
    """List the sheets of a workbook by their names, each with what scans it.

    Raises
    ------
    KeyError, ValueError, IndexError, struct.error, zipfile.BadZipFile, ElementTree.ParseError,
    expat.ExpatError
        If the workbook is damaged, here or in a scan. calamine would not always notice.
    """
    if ending == ".xls":
        content = read_workbook_stream(path)
        scans = {name: _scan_records(content, start) for name, start in _list_starts(content)}
        return {name: partial(scans.__getitem__, name) for name in scans}
    with zipfile.ZipFile(path) as archive:
        if ending == ".ods":
            scans = _scan_open_document(archive)
            return {name: partial(scans.__getitem__, name) for name in scans}
        if ending == ".xlsb":
            parts = dict(_list_binary_sheets(archive.read("xl/workbook.bin")))
            scan, workbook = _scan_binary, "xl/workbook.bin"
        else:
            parts = _list_xml_sheets(archive.read("xl/workbook.xml"))
            scan, workbook = _scan_xml, "xl/workbook.xml"
        return {
            name: partial(scan, path, _find_part(archive, workbook, relation))
            for name, relation in parts.items()
        }


def _list_xml_sheets(content: bytes) -> dict[str, str]:
    sheets = ElementTree.fromstring(content)
    return {
        str(sheet.get("name")): _get(sheet, "id") for sheet in sheets.iter() if _is(sheet, "sheet")
    }


def _scan_xml(path: Path, part: str) -> SheetScan:
    reader = _XmlReader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.read_text
    with zipfile.ZipFile(path) as archive, archive.open(part) as file:
        parser.ParseFile(file)
    return reader.scan


# Not ElementTree, which takes five times as long for a large sheet.
class _XmlReader:
    def __init__(self) -> None:
        self.scan, self.row, self.column = SheetScan(), -1, -1
        self.is_error = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        # Strict workbooks and some programs have a prefix.
        match name.rpartition(":")[2]:
            case "c":
                self.column = _number_column(attributes.get("r", ""), self.column + 1)
                self.is_error = False
                if attributes.get("t") == "e":
                    self.scan.errors[self.row, self.column] = _UNKNOWN_ERROR
            case "v":
                self.scan.add_cell(self.row, self.column)
                self.is_error = (self.row, self.column) in self.scan.errors
            case "is":
                self.scan.add_cell(self.row, self.column)
            case "row":
                self.row, self.column = int(attributes.get("r", self.row + 2)) - 1, -1
                self.is_error = False

    def read_text(self, text: str) -> None:
        if self.is_error and text.startswith("#"):
            self.scan.errors[self.row, self.column] = text


def _is(element: Any, name: str) -> bool:
    # Whatever its namespace: workbooks in the strict form of the standard have others.
    return bool(element.tag.rpartition("}")[2] == name)


def _get(element: Any, name: str) -> Any:
    values = (value for key, value in element.items() if key.rpartition("}")[2] == name)
    return next(values, None)


def _find_part(archive: zipfile.ZipFile, workbook: str, relation: str | None) -> str:
    folder, _, name = workbook.rpartition("/")
    relations = ElementTree.fromstring(archive.read(f"{folder}/_rels/{name}.rels"))
    targets = {entry.get("Id"): str(entry.get("Target")) for entry in relations}
    return str(PurePosixPath("/", folder, targets[relation]))[1:]


def _number_column(reference: str, following: int) -> int:
    letters = reference.rstrip("0123456789")
    return _count_letters(letters) if letters else following


@lru_cache(maxsize=1 << 14)
def _count_letters(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _scan_open_document(archive: zipfile.ZipFile) -> dict[str, SheetScan]:
    scans, scan, row, column = {}, SheetScan(), 0, 0
    with archive.open("content.xml") as part:
        for event, element in ElementTree.iterparse(part, events=("start", "end")):
            if _is(element, "table") and event == "start":
                scan, row = SheetScan(), 0
                scans[str(_get(element, "name"))] = scan
            elif _is(element, "table-row") and event == "start":
                column = 0
            elif _is(element, "table-row"):
                row += int(_get(element, "number-rows-repeated") or 1)
                element.clear()
            elif event == "end" and element.tag.endswith("table-cell"):
                column = _scan_open_cell(scan, element, row, column)
    return scans


def _scan_open_cell(scan: SheetScan, cell: Any, row: int, column: int) -> int:
    following = column + int(_get(cell, "number-columns-repeated") or 1)
    if len(cell) or _get(cell, "value-type"):
        scan.add_cell(row, following - 1)
    wide, high = (
        int(_get(cell, f"number-{kind}-spanned") or 1) - 1 for kind in ("columns", "rows")
    )
    if wide or high:
        scan.merged.append(((row, column), (row + high, column + wide)))
    # LibreOffice notes errors in a namespace of its own, after `office:value-type`.
    if any(key.endswith("value-type") and value == "error" for key, value in cell.items()):
        text = "".join(cell.itertext()).strip()
        scan.errors |= {(row, c): text or _UNKNOWN_ERROR for c in range(column, following)}
    return following


# Records of the binary form of .xlsx, as [MS-XLSB] describes them.
_ROW, _ERROR, _FORMULA_ERROR, _MERGED, _SHEET = 0, 3, 11, 176, 156


def _scan_binary(path: Path, part: str) -> SheetScan:
    scan, row = SheetScan(), 0
    with zipfile.ZipFile(path) as archive:
        content = archive.read(part)
    for kind, data in _split_binary(content):
        if kind == _ROW:
            (row,) = struct.unpack_from("<I", data)
        elif _ROW < kind <= _FORMULA_ERROR:
            (column,) = struct.unpack_from("<I", data)
            if kind > 1:  # else blank
                scan.add_cell(row, column)
            if kind in (_ERROR, _FORMULA_ERROR):
                scan.errors[row, column] = _ERRORS.get(data[8], _UNKNOWN_ERROR)
        elif kind == _MERGED:
            top, bottom, left, right = struct.unpack_from("<4I", data)
            scan.merged.append(((top, left), (bottom, right)))
    return scan


def _split_binary(content: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(content):
        kind, position = _read_varying(content, position, 2)
        size, position = _read_varying(content, position, 4)
        yield kind, content[position : position + size]
        position += size


def _read_varying(content: bytes, position: int, longest: int) -> tuple[int, int]:
    # Seven bits of each byte count; the eighth says that another follows.
    number = 0
    for index in range(longest):
        byte = content[position + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, position + index + 1
    return number, position + longest


def _list_binary_sheets(content: bytes) -> Iterator[tuple[str, str]]:
    for kind, data in _split_binary(content):
        if kind == _SHEET:
            relation, position = _read_wide(data, 8)
            yield _read_wide(data, position)[0], relation


def _read_wide(data: bytes, position: int) -> tuple[str, int]:
    (size,) = struct.unpack_from("<I", data, position)
    end = position + 4 + 2 * size
    return data[position + 4 : end].decode("utf-16-le"), end


# Records of .xls files, as [MS-XLS] describes them.
_EXCEL_97, _ROWS = 0x0600, 1 << 16
_BOUND_SHEET, _END, _DIMENSIONS, _BOOLEAN_OR_ERROR, _FORMULA = 0x85, 0x0A, 0x200, 0x205, 0x06


def _scan_records(content: bytes, start: int) -> SheetScan:
    scan = SheetScan()
    for kind, data in _split_records(content, start):
        if kind == _END:
            break
        if kind == _DIMENSIONS and len(data) > 12:
            top, bottom, left, right = struct.unpack_from("<2I2H", data)
            if not (top <= bottom <= _ROWS and left <= right):
                # calamine would reserve memory for them.
                raise ValueError("more cells than there can be")
        if kind not in (_BOOLEAN_OR_ERROR, _FORMULA):
            continue
        row, column = struct.unpack_from("<2H", data)
        if kind == _BOOLEAN_OR_ERROR and data[7]:
            scan.errors[row, column] = _ERRORS.get(data[6], _UNKNOWN_ERROR)
        elif kind == _FORMULA and data[6] == 2 and data[12:14] == b"\xff\xff":
            scan.errors[row, column] = _ERRORS.get(data[8], _UNKNOWN_ERROR)
    return scan


def _split_records(content: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    while position + 4 <= len(content):
        kind, size = struct.unpack_from("<2H", content, position)
        yield kind, content[position + 4 : position + 4 + size]
        position += 4 + size


def _list_starts(content: bytes) -> Iterator[tuple[str, int]]:
    (version,) = struct.unpack_from("<H", content, 4)
    for kind, data in takewhile(lambda record: record[0] != _END, _split_records(content, 0)):
        if kind == _BOUND_SHEET:
            (start,) = struct.unpack_from("<I", data)
            # Excel 95 has no flag for the width of letters.
            begin, wide = (8, data[7] & 1) if version >= _EXCEL_97 else (7, 0)
            text = data[begin : begin + data[6] * (1 + wide)]
            yield text.decode("utf-16-le" if wide else "latin-1"), start
