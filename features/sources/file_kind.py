"""What a file is if it is not the text table that its name promises."""

import re
import zipfile
from pathlib import Path
from typing import NoReturn

from features.base.errors import CohortError, Problem

# Enough for every signature, and for the zero bytes of text in UTF-16.
_HEAD_BYTES = 4096
_SHEET, _UNPACK, _EXPORT = (
    "save its sheet as CSV UTF-8",
    "unpack it first",
    "export it as CSV UTF-8",
)
_ZIP = b"PK\x03\x04"
# A member by which a zip archive is a workbook.
_WORKBOOKS = {
    "xl/workbook.xml": "an Excel workbook (.xlsx)",
    "xl/workbook.bin": "an Excel workbook (.xlsb)",
    "content.xml": "an OpenDocument file (.ods)",
}
# What a file begins with, what it is, and what its owner can do. Signatures as in file(1).
_SIGNATURES = tuple(
    (re.compile(start, re.IGNORECASE), kind, remedy)
    for start, kind, remedy in (
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls, or encrypted)", _SHEET),
        (rb"\x1f\x8b", "compressed by gzip", _UNPACK),
        (rb"\x28\xb5\x2f\xfd", "compressed by Zstandard", _UNPACK),
        (rb"bzh[1-9]1ay&sy", "compressed by bzip2", _UNPACK),
        (rb"\xfd7zxz\x00", "compressed by xz", _UNPACK),
        (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
        (rb"par1[\x00-\x1f]", "a Parquet file", "name it .parquet"),
        (rb"\$fl[23]", "an SPSS file", _EXPORT),
        (rb"<stata_dta>", "a Stata file", _EXPORT),
        (rb"%pdf-", "a PDF", _EXPORT),
        (rb"(\xef\xbb\xbf)?\s*<(\?xml|!doctype|html|table|meta)", "HTML or XML", _EXPORT),
        (rb'(\xef\xbb\xbf)?\s*(\{\s*"|\[\s*[{\[])', "JSON", _EXPORT),
    )
)


def refuse_file(path: Path, rule: str, message: str) -> NoReturn:
    """Refuse a cohort file as a whole."""
    raise CohortError([Problem("file", rule, message)], source=path.name)


def refuse_other_kinds(path: Path) -> None:
    """Refuse a file named as a text table that is something else, and say what it is."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_ZIP):
        kind = _name_archive(path)
        remedy = _UNPACK if kind == "a zip archive" else _SHEET
        refuse_file(path, "format", f"is {kind}, not {path.suffix}; {remedy}")
    for start, kind, remedy in _SIGNATURES:
        if start.match(head):
            refuse_file(path, "format", f"is {kind}, not {path.suffix}; {remedy}")
    # UTF-16, with or without its mark: every second byte of Latin letters is zero.
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head:
        message = "must be UTF-8; it is UTF-16 or no text (save the file as CSV UTF-8)"
        refuse_file(path, "encoding", message)


def _name_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        members = set()
    kinds = (kind for member, kind in _WORKBOOKS.items() if member in members)
    return next(kinds, "a zip archive")
