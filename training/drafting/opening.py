"""Opening unknown exports: each is tried in the ways in which it may be written."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from features.base.errors import InputError
from features.dictionary.dictionary import Dictionary
from features.sources.file_kind import find_ending
from features.sources.folders import is_hidden
from features.sources.redcap import read_redcap_dictionary
from features.sources.sheets.workbooks import WORKBOOK_ENDINGS
from features.sources.source_form import SourceForm
from features.sources.streams import TextFile
from features.sources.tables import FORMATS, open_table
from features.sources.text_table import DELIMITERS
from training.drafting.columns import suggest_columns
from training.drafting.profiles import (
    ISO_DATES,
    Form,
    Profile,
    TableProfile,
    is_code,
    profile_items,
    profile_table,
    split_blocks,
)
from training.drafting.shapes import find_shape
from training.drafting.sniffing import HEAD_BYTES, sniff_text

# Of a workbook: sheets, rows above the header, of the header, and below the table that are tried.
_MAX_SHEETS, _MAX_SKIPPED, _MAX_HEADERS, _MAX_FOOTERS = 12, 6, 3, 3


def list_export_files(paths: Iterable[Path]) -> list[Path]:
    """List files to look at: those given, and those of folders; Parquet folders are one table."""
    listed: list[Path] = []
    for path in paths:
        if not path.is_dir():
            listed.append(path)
            continue
        inside = sorted(f for f in path.iterdir() if find_ending(f) in FORMATS and f.is_file())
        inside = [file for file in inside if not is_hidden(file.name)]
        is_dataset = not inside or all(find_ending(file) == ".parquet" for file in inside)
        listed += [path] if is_dataset else inside
    return listed


def profile_exports(paths: Sequence[Path], dictionary: Dictionary) -> Iterator[TableProfile]:
    """Look at every export; data dictionaries of REDCap among them describe the others.

    Raises
    ------
    InputError
        If an export cannot be read in any way that is tried.
    """
    described = [path for path in paths if _is_data_dictionary(path)]
    for path in paths:
        if path not in described:
            yield from _profile_export(path, described, dictionary)


def _is_data_dictionary(path: Path) -> bool:
    if path.is_dir() or find_ending(path) not in (".csv", ".json"):
        return False
    try:
        return bool(read_redcap_dictionary(path))
    except InputError:
        return False


def _profile_export(
    path: Path, described: Sequence[Path], dictionary: Dictionary
) -> Iterator[TableProfile]:
    ending = ".parquet" if path.is_dir() else find_ending(path)
    if ending in WORKBOOK_ENDINGS:
        yield from _profile_workbook(path, dictionary)
        return
    form: Form = {}
    if ending in DELIMITERS:
        form = sniff_text(TextFile(path).read_head(HEAD_BYTES), DELIMITERS[ending])
    for name in described:
        # One that describes no column of this file is another project's.
        with_labels = form | {"dictionary": str(name)}
        try:
            yield from _split_tables(_profile(path, with_labels))
            return
        except InputError as error:
            if all(problem.field != "dictionary" for problem in error.problems):
                raise
    yield from _split_tables(_profile(path, form))


def _profile(path: Path, form: Form) -> list[TableProfile]:
    return profile_table(open_table(path, SourceForm.model_validate(form)), path, form)


def _split_tables(tables: Sequence[TableProfile]) -> Iterator[TableProfile]:
    """Add the pattern of most columns with dates, and split blocks of columns into tables."""
    columns = [column for table in tables for column in table.columns.values()]
    patterns = [column.list_date_patterns() for column in columns]
    first = Counter(names[0] for names in patterns if names and ISO_DATES not in names)
    form = {"dates": first.most_common(1)[0][0]} if first else {}
    for table in tables:
        yield from split_blocks(replace(table, form=table.form | form))


def open_items(table: TableProfile, item: str, value: str) -> dict[str, Profile]:
    """Open a long table once more, and count the values of each item."""
    opened = open_table(table.path, SourceForm.model_validate(table.form))
    return profile_items(opened, item, value, table.columns[value])


def _profile_workbook(path: Path, dictionary: Dictionary) -> Iterator[TableProfile]:
    tables, errors = 0, []
    for number in range(1, _MAX_SHEETS + 1):
        try:
            table = _choose_header(path, {"sheet": number}, dictionary)
        except InputError as error:
            errors.append(error)
            if any(problem.rule == "sheet" for problem in error.problems):
                break
            continue
        if table is not None:
            tables += 1
            yield from _split_tables([table])
    if not tables:
        raise errors[0]


def _choose_header(path: Path, sheet: Form, dictionary: Dictionary) -> TableProfile | None:
    """Choose how many rows are above the header, and how many it has: most columns are known."""
    best, most, refused = None, 0.0, None
    for rows, skipped in product(range(1, _MAX_HEADERS + 1), range(_MAX_SKIPPED + 1)):
        form = sheet | {"skip_rows": skipped} if skipped else dict(sheet)
        form |= {"header_rows": rows} if rows > 1 else {}
        try:
            (table,) = _profile(path, form)
        except InputError as error:
            refused = refused or error
            continue
        known = _count_known(table, dictionary)
        if known > most:
            best, most = table, known
        if most > len(table.columns) / 2:
            break
    if best is None and refused is not None:
        raise refused
    return None if best is None else _leave_footer(best, dictionary)


def _leave_footer(table: TableProfile, dictionary: Dictionary) -> TableProfile:
    """Leave out notes below the table, which show as words in the patient's column."""
    patient = find_shape(table, dictionary).get_column("patient")
    if patient is None or all(map(is_code, table.columns[patient].counts)):
        return table
    for rows in range(1, _MAX_FOOTERS + 1):
        (shorter,) = _profile(table.path, table.form | {"footer_rows": rows})
        if all(map(is_code, shorter.columns[patient].counts)):
            return shorter
    return table


def _count_known(table: TableProfile, dictionary: Dictionary) -> float:
    parts = find_shape(table, dictionary).parts.values()
    suggestions = suggest_columns(table, dictionary)
    known = sum(entry.confidence for entry in suggestions if entry.is_firm)
    return known + sum(part.confidence for part in parts)
