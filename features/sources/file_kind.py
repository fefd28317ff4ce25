"""What a file is: by its ending, and by its first bytes if they contradict it."""

import codecs
import re
import zipfile
from pathlib import Path
from typing import NoReturn

from features.base.errors import CohortError, Problem

# Enough for every signature, and for the zero bytes of text in UTF-16.
HEAD_BYTES = 4096
_UNPACK, _EXPORT = "unpack it first", "export it as CSV UTF-8"
_ARCHIVES = ("compressed", "a zip", "a 7-Zip")
_ZIP = b"PK\x03\x04"
# Codecs of Arrow, by the endings of compressed files.
_PACKINGS = {".gz": "gzip", ".zst": "zstd"}
# Members by which a zip archive is known to be a workbook.
_WORKBOOKS = {
    "xl/workbook.xml": ("an Excel workbook (.xlsx)", ".xlsx", ".xlsm"),
    "xl/workbook.bin": ("an Excel workbook (.xlsb)", ".xlsb"),
    "content.xml": ("an OpenDocument file (.ods)", ".ods"),
}
# What a file begins with, what it is, and the endings that it may have. As in file(1).
_SIGNATURES = tuple(
    (re.compile(start, re.IGNORECASE), kind, endings)
    for start, kind, *endings in (
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls, or encrypted)", ".xls"),
        (rb"\x1f\x8b", "compressed by gzip", ".gz"),
        (rb"\x28\xb5\x2f\xfd", "compressed by Zstandard", ".zst"),
        (rb"bzh[1-9]1ay&sy", "compressed by bzip2"),
        (rb"\xfd7zxz\x00", "compressed by xz"),
        (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (rb"par1[\x00-\x1f]", "a Parquet file", ".parquet"),
        (rb"\$fl[23]", "an SPSS file", ".sav", ".zsav"),
        (rb"<stata_dta>", "a Stata file", ".dta"),
        (rb"header record\*{7}lib", "a SAS transport file", ".xpt"),
        (rb"%pdf-", "a PDF"),
        (rb"(\xef\xbb\xbf)?\s*<(\?xml|!doctype|html|table|meta)", "HTML or XML"),
        (
            rb'(\xef\xbb\xbf)?\s*(\{\s*"|\[\s*[{\[])',
            *("JSON", ".json", ".ndjson", ".jsonl"),
        ),
    )
)


def refuse_file(path: Path, rule: str, message: str) -> NoReturn:
    """Refuse a cohort file as a whole."""
    raise CohortError([Problem("file", rule, message)], source=path.name)


def find_packing(path: Path) -> str | None:
    """Return the codec of Arrow that a file's name shows; None if it is not compressed."""
    return _PACKINGS.get(path.suffix.lower())


def find_ending(path: Path) -> str:
    """Return the ending that determines a file's format.

    Examples
    --------
    >>> find_ending(Path("export.CSV.gz"))
    '.csv'
    """
    return Path(path.stem if find_packing(path) else path).suffix.lower()


def refuse_other_kinds(path: Path, head: bytes) -> None:
    """Refuse a file whose content is of another kind than its ending, and name the kind.

    Parameters
    ----------
    head
        Its first bytes, unpacked.
    """
    if head.startswith(_ZIP):
        kind, *endings = _name_archive(path)
        _refuse_kind(path, kind, endings)
    for start, kind, endings in _SIGNATURES:
        if start.match(head):
            _refuse_kind(path, kind, endings)


def _refuse_kind(path: Path, kind: str, endings: list[str]) -> None:
    ending = find_ending(path)
    if ending in endings:
        return
    if endings:
        # That of a compressed file follows the one that it has.
        kept = path.name if endings[0] in _PACKINGS else ""
        remedy = f"name it {kept}{endings[0]}"
    else:
        remedy = _UNPACK if kind.startswith(_ARCHIVES) else _EXPORT
    refuse_file(path, "format", f"is {kind}, not {ending}; {remedy}")


def refuse_wide_letters(path: Path, head: bytes) -> None:
    """Refuse text in UTF-16, with or without its mark: every second byte of letters is zero."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        message = 'must be UTF-8; it is UTF-16: a mapping can say so (`encoding = "utf-16"`)'
    elif b"\x00" in head:
        message = (
            "must be UTF-8; it is UTF-16 or not text (save the file as CSV UTF-8, or name its "
            'encoding in a mapping: "utf-16-le", "utf-16-be")'
        )
    else:
        return
    refuse_file(path, "encoding", message)


def _name_archive(path: Path) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        members = set()
    kinds = (kind for member, kind in _WORKBOOKS.items() if member in members)
    return next(kinds, ("a zip archive",))
