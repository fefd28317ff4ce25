"""A workbook of one sheet, as Office Open XML, without a library: it only has to be readable."""

import datetime
import zipfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from string import ascii_uppercase
from typing import Any
from xml.sax.saxutils import escape

from features.base.files import open_atomic

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_RELATIONSHIPS = "application/vnd.openxmlformats-package.relationships"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    f'<Default Extension="rels" ContentType="{_RELATIONSHIPS}+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    "</Relationships>",
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="Outcomes" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    # Number format 14 is a date in the reader's own order.
    "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><fonts count="1"><font/></fonts>'
    '<fills count="1"><fill/></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="2"><xf numFmtId="0"/>'
    '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
}
# Day 0 of a workbook's dates, after its leap day that never was.
_EPOCH = datetime.datetime(1899, 12, 30)


def write_workbook(
    path: Path, rows: Sequence[Sequence[Any]], merged: Sequence[tuple[int, int, int]]
) -> None:
    """Write texts, numbers and dates as the cells of one sheet; None is a blank.

    Parameters
    ----------
    merged
        Row, first and last column of merged cells, counted from 1.
    """
    spans = "".join(
        f'<mergeCell ref="{_name_cell(row, first)}:{_name_cell(row, last)}"/>'
        for row, first, last in merged
    )
    lines = "".join(
        f'<row r="{n}">{"".join(_write_cells(n, row))}</row>' for n, row in enumerate(rows, 1)
    )
    sheet = (
        f'<worksheet xmlns="{_MAIN}"><sheetData>{lines}</sheetData>'
        f'<mergeCells count="{len(merged)}">{spans}</mergeCells></worksheet>'
    )
    with open_atomic(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**_PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            archive.writestr(zipfile.ZipInfo(name), f'<?xml version="1.0" encoding="UTF-8"?>{text}')


def _name_cell(row: int, column: int) -> str:
    letters = ""
    while column:
        column, letter = divmod(column - 1, len(ascii_uppercase))
        letters = ascii_uppercase[letter] + letters
    return f"{letters}{row}"


def _write_cells(number: int, row: Sequence[Any]) -> Iterator[str]:
    for column, value in zip(count(1), row, strict=False):
        cell = f'<c r="{_name_cell(number, column)}"'
        if isinstance(value, str):
            yield f'{cell} t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        elif isinstance(value, datetime.datetime):
            yield f'{cell} s="1"><v>{(value - _EPOCH).days}</v></c>'
        elif value is not None:
            yield f"{cell}><v>{value!r}</v></c>"
