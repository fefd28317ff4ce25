"""Tables of any format: one file, a folder of them, or several files, read in batches."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from features.base.errors import CohortError, Problem
from features.sources.cells import list_unreadable
from features.sources.file_kind import (
    HEAD_BYTES,
    find_ending,
    find_packing,
    refuse_file,
    refuse_other_kinds,
)
from features.sources.folders import Part, join_parts, list_files, read_keys
from features.sources.json_tables import JSON_ENDINGS, open_json
from features.sources.labels import apply_labels
from features.sources.parquet_files import BATCH_ROWS, open_parquet, without_index
from features.sources.raw_table import RawTable
from features.sources.sheets.workbooks import WORKBOOK_ENDINGS, open_workbook
from features.sources.source_form import SourceForm
from features.sources.statistics_files import (
    ENCODED_ENDINGS,
    STATISTICS_ENDINGS,
    open_statistics,
)
from features.sources.streams import TextFile
from features.sources.text_table import DELIMITERS, open_text_table

Opener = Callable[[Path, SourceForm], RawTable]

OPENERS: Mapping[str, Opener] = MappingProxyType(
    {
        **dict.fromkeys(DELIMITERS, open_text_table),
        ".parquet": lambda path, _: open_parquet(path),
        **dict.fromkeys(WORKBOOK_ENDINGS, open_workbook),
        **dict.fromkeys(STATISTICS_ENDINGS, open_statistics),
        **dict.fromkeys(JSON_ENDINGS, open_json),
    }
)
FORMATS = tuple(OPENERS)
_PACKED = (*DELIMITERS, *JSON_ENDINGS)
# Keys of a mapping that apply to each kind of file.
_OPTIONS: tuple[tuple[Collection[str], Collection[str]], ...] = (
    (FORMATS, ("decimal", "dates")),
    (DELIMITERS, ("delimiter", "encoding", "skip_rows", "dictionary", "labels")),
    (JSON_ENDINGS, ("encoding", "dictionary", "labels")),
    (WORKBOOK_ENDINGS, ("sheet", "skip_rows", "header_rows", "header_separator", "footer_rows")),
    (WORKBOOK_ENDINGS, ("dictionary", "labels")),
    (STATISTICS_ENDINGS, ("labels",)),
    (ENCODED_ENDINGS, ("encoding",)),
)
# One mapping may serve a text file and the same table in another format.
_HARMLESS = ("delimiter", "encoding")


def list_options(ending: str) -> list[str]:
    """List the keys of a mapping that apply to files with an ending."""
    return [name for endings, names in _OPTIONS if ending in endings for name in names]


def open_table(paths: Path | Sequence[Path], form: SourceForm | None = None) -> RawTable:
    """Open a cohort file, a folder of files that are one table, or several such files.

    Parameters
    ----------
    form
        How the file is written, for instance a :class:`~features.records.mapping.Mapper`; by
        default, as its ending and its own first bytes show.

    Raises
    ------
    CohortError
        If a file is absent, of an unknown format, empty, damaged or not what it or the mapping
        says, or names a column twice, or if several files differ in their columns.
    """
    form = form or SourceForm()
    if not isinstance(paths, Path):
        parts = [Part(open_table(path, form), {}) for path in paths]
        return join_parts(", ".join(path.name for path in paths), parts)
    if not paths.is_dir():
        return _open_file(paths, form)
    files = list_files(paths, FORMATS)
    parts = [Part(_open_file(file, form), read_keys(paths, file)) for file in files]
    return join_parts(paths.name, parts)


def _open_file(path: Path, form: SourceForm) -> RawTable:
    ending = find_ending(path)
    if not path.is_file():
        known = f"known formats: {', '.join(FORMATS)}"
        refuse_file(path, "exists", f"must be a file, or a folder of files of one format; {known}")
    if ending not in OPENERS:
        refuse_file(path, "format", f"must end in one of: {', '.join(FORMATS)}")
    if find_packing(path) and ending not in _PACKED:
        refuse_file(path, "format", f"must be unpacked first: only {', '.join(_PACKED)} need not")
    possible = {*list_options(ending), *_HARMLESS}
    problems = [
        Problem(name, "option", f"does not apply to {ending} files; leave it out of the mapping")
        for name in SourceForm.model_fields
        if name in form.model_fields_set and name not in possible
    ]
    if problems:
        raise CohortError(problems, source=path.name)
    refuse_other_kinds(path, TextFile(path).read_head(HEAD_BYTES))
    return apply_labels(OPENERS[ending](path, form), form)


def wrap_table(table: Any, source: str) -> RawTable:
    """Treat an Arrow table in memory as an open file."""
    names, unreadable = without_index(table.column_names), list_unreadable(table.schema)
    readable = [i for i, name in enumerate(table.column_names) if name not in unreadable]
    batches = table.select(readable).to_batches(max_chunksize=BATCH_ROWS)
    return RawTable(source, names, iter(batches), unreadable=unreadable)
