"""Files of SPSS, Stata and SAS, read by pyreadstat; every value is given as a text.

Missing values of the system and of users (SPSS), and tagged ones (Stata, SAS), are missing.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa

from features.base.errors import CohortError, Problem
from features.sources.file_kind import find_ending, refuse_file
from features.sources.parquet_files import BATCH_ROWS
from features.sources.raw_table import RawTable
from features.sources.source_form import SourceForm
from features.sources.texts import write_text

# The function of pyreadstat that reads each kind of file.
_READERS = {
    ".sav": "read_sav",
    ".zsav": "read_sav",
    ".por": "read_por",
    ".dta": "read_dta",
    ".sas7bdat": "read_sas7bdat",
    ".xpt": "read_xport",
}
STATISTICS_ENDINGS = tuple(_READERS)
# pyreadstat has no choice of encoding for .por files.
ENCODED_ENDINGS = tuple(ending for ending in _READERS if ending != ".por")
# SAS transport files are made of records of this length.
_TRANSPORT_BYTES = 80
# A batch takes no more cells, however wide the file is.
_MAX_CELLS = 4_000_000
# Stata's dates in any layout; pyreadstat knows only the usual ones.
_STATA_DATE, _STATA_TIME = re.compile(r"%-?t?d"), re.compile(r"%-?t[cC]")


def open_statistics(path: Path, form: SourceForm) -> RawTable:
    """Open a file of SPSS, Stata or SAS.

    Raises
    ------
    CohortError
        If it is not readable as what its ending says, or in its encoding, or has a date beyond
        the year 9999.
    """
    if find_ending(path) == ".xpt" and path.stat().st_size % _TRANSPORT_BYTES:
        # Nothing else in such a file says how many rows it has.
        _refuse_unreadable(path, "cut off")
    read = _make_reader(path, form)
    _, facts = read(metadataonly=True)
    formats = facts.original_variable_types.values()
    read = partial(
        read,
        extra_date_formats=[name for name in formats if name and _STATA_DATE.match(name)],
        extra_datetime_formats=[name for name in formats if name and _STATA_TIME.match(name)],
    )
    labels = {
        name: {str(write_text(code)): str(label) for code, label in words.items()}
        for name, words in facts.variable_value_labels.items()
    }
    descriptions = {name: text for name, text in facts.column_names_to_labels.items() if text}
    names = tuple(facts.column_names)
    rows = _read_chunks(path, read, names, form.decimal)
    return RawTable(path.name, names, rows, descriptions=descriptions, labels=labels)


def _make_reader(path: Path, form: SourceForm) -> Callable[..., tuple[Any, Any]]:
    import pyreadstat  # an extra

    ending = find_ending(path)
    function = getattr(pyreadstat, _READERS[ending])
    options = {}
    if form.encoding is not None and ending in ENCODED_ENDINGS:
        options["encoding"] = _name_encoding(form.encoding)

    def read(**more: Any) -> tuple[Any, Any]:
        try:
            result: tuple[Any, Any] = function(path, output_format="dict", **options, **more)
        except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeError) as error:
            _refuse_unreadable(path, str(error))
        return result

    return read


# By its name in iconv, which pyreadstat uses.
def _name_encoding(encoding: str) -> str:
    name = codecs.lookup(encoding).name
    return {"mac-roman": "MACINTOSH"}.get(name, name.replace("iso8859", "ISO-8859"))


def _refuse_unreadable(path: Path, reason: str) -> NoReturn:
    if "encoding" in reason or "character set" in reason or "codec" in reason:
        message = (
            "has texts in another encoding than it declares; name the right one in a mapping, for "
            'instance `encoding = "windows-1252"`'
        )
        refuse_file(path, "encoding", message)
    message = f"is not readable as {find_ending(path)}; it may be damaged or cut off"
    refuse_file(path, "format", message)


def _read_chunks(
    path: Path, read: Callable[..., tuple[Any, Any]], names: tuple[str, ...], decimal: str
) -> Iterator[Any]:
    size = max(1, min(BATCH_ROWS, _MAX_CELLS // max(len(names), 1)))
    offset, count = 0, size
    # Not every format says how many rows there are.
    while count == size:
        try:
            values, _ = read(row_offset=offset, row_limit=size)
        except OverflowError:
            _refuse_dates(path, read, names)
        columns = {
            name: pa.array([write_text(value, decimal) for value in values[name]], pa.string())
            for name in names
        }
        batch = pa.record_batch(columns)
        count, offset = batch.num_rows, offset + batch.num_rows
        yield batch


def _refuse_dates(path: Path, read: Callable[..., Any], names: tuple[str, ...]) -> NoReturn:
    problems = []
    for name in names:
        try:
            read(usecols=[name])
        except OverflowError:
            message = "has a date beyond the year 9999; where it means a missing date, recode it"
            problems.append(Problem(name, "date", message))
    raise CohortError(problems, source=path.name)
