"""Tables in JSON: a list of flat objects, or one object per line; every value is given as a text.

Objects are decoded one at a time, so that only one batch is in memory, and of a list also its text.
"""

import codecs
import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from features.base.errors import CohortError, Problem
from features.sources.file_kind import HEAD_BYTES, find_ending, refuse_file
from features.sources.parquet_files import BATCH_ROWS
from features.sources.quoting import MAX_ROW_BYTES
from features.sources.raw_table import RawTable
from features.sources.source_form import SourceForm
from features.sources.streams import TextFile

JSON_ENDINGS = (".json", ".ndjson", ".jsonl")
# A list has to be read as one text.
MAX_LIST_BYTES = 512 << 20
# A list, or an object that holds one and nothing else, as requests to the service do.
_LIST = re.compile(rb'\s*(?P<object>\{\s*"[^"\\]*"\s*:\s*)?\[')
_BLANKS, _COMMA = re.compile(r"\s*"), re.compile(r"\s*,\s*|\s*(?=\])")

Row = dict[str, Any]


def open_json(path: Path, form: SourceForm) -> RawTable:
    """Open a JSON file, compressed or not, whose rows are objects of texts, numbers and booleans.

    Raises
    ------
    CohortError
        If it is not JSON of that form, or an object names a column twice; names the row.
    """
    text_file = TextFile(path, form.encoding)
    names: dict[str, None] = {}
    nested: dict[str, str] = {}
    for row in _read_rows(text_file, form.decimal):
        names |= dict.fromkeys(row)
        nested |= {name: kind for name, cell in row.items() if (kind := _name_nested(cell))}
    if not names:
        refuse_file(path, "empty", "has no row that names a column")
    flat = [name for name in names if name not in nested]
    batches = _gather_batches(_read_rows(text_file, form.decimal), flat)
    return RawTable(path.name, tuple(names), batches, unreadable=nested)


def _gather_batches(rows: Iterator[Row], names: list[str]) -> Iterator[Any]:
    while part := list(islice(rows, BATCH_ROWS)):
        columns = {name: [row.get(name) for row in part] for name in names}
        yield pa.record_batch({name: pa.array(c, pa.string()) for name, c in columns.items()})


def _read_rows(text_file: TextFile, decimal: str) -> Iterator[Row]:
    decoder = _make_decoder(decimal)
    with text_file.open() as file:
        try:
            values = _decode_list(text_file, file, decoder)
            if values is None:
                file.seek(0)
                values = _decode_lines(file, decoder)
            for number, value in enumerate(values, 1):
                yield _check_row(text_file.path, number, value)
        except UnicodeDecodeError:
            text_file.refuse_encoding()
        except json.JSONDecodeError as error:
            # Safe to repeat: the library's messages do not quote the text.
            message = f"is not JSON in line {error.lineno}: {error.msg}"
            refuse_file(text_file.path, "json", message)
        except RecursionError:
            refuse_file(text_file.path, "json", "must be flat: its objects are nested too deep")


# Numbers stay the texts that they are, as in CSV: 17.0 is not cut to 17, nor 1e400 to infinity.
def _make_decoder(decimal: str) -> json.JSONDecoder:
    def write(number: str) -> str:
        return number.replace(".", decimal)

    return json.JSONDecoder(
        parse_float=write, parse_int=str, parse_constant=str, object_pairs_hook=_Pairs
    )


class _Pairs(list[tuple[str, Any]]):
    """The pairs of an object, of which a dictionary would lose those that repeat a name."""


def _decode_list(
    text_file: TextFile, file: IO[bytes], decoder: json.JSONDecoder
) -> Iterator[Any] | None:
    start = _LIST.match(file.read(HEAD_BYTES).removeprefix(codecs.BOM_UTF8))
    file.seek(0)
    # In other files an object is a row.
    if start is None or (start["object"] and find_ending(text_file.path) != ".json"):
        return None
    content = file.read(MAX_LIST_BYTES + 1)
    if len(content) > MAX_LIST_BYTES:
        message = f"is a list of more than {MAX_LIST_BYTES >> 20} MiB; write one object per line"
        refuse_file(text_file.path, "size", message)
    end = "]}" if start["object"] else "]"
    return _decode_elements(content.decode("utf-8-sig"), decoder, end)


def _decode_elements(text: str, decoder: json.JSONDecoder, end: str) -> Iterator[Any]:
    begin = _BLANKS.match(text, text.index("[") + 1)
    position = begin.end() if begin else 0
    while position < len(text) and text[position] != "]":
        value, position = decoder.raw_decode(text, position)
        yield value
        comma = _COMMA.match(text, position)
        if comma is None:
            raise json.JSONDecodeError("a comma is missing, or the end of the list", text, position)
        position = comma.end()
    if "".join(text[position:].split()) != end:
        raise json.JSONDecodeError("the list must end, and nothing follow it", text, position)


def _decode_lines(file: IO[bytes], decoder: json.JSONDecoder) -> Iterator[Any]:
    for number, line in enumerate(iter(partial(file.readline, MAX_ROW_BYTES), b""), 1):
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        if text:
            try:
                yield decoder.decode(text)
            except json.JSONDecodeError as error:
                error.lineno = number
                raise


def _check_row(path: Path, number: int, value: Any) -> Row:
    if not isinstance(value, _Pairs):
        message = f"must be a list of objects, or one object per line; row {number} is neither"
        refuse_file(path, "format", message)
    row = {name: _flatten(cell) for name, cell in value}
    if len(row) < len(value):
        message = f"row {number} names this column more than once"
        names = [name for name, _ in value]
        twice = sorted(name for name in row if names.count(name) > 1)
        problems = [Problem(name, "duplicate_column", message) for name in twice]
        raise CohortError(problems, source=path.name)
    return row


def _name_nested(cell: Any) -> str | None:
    return "object" if isinstance(cell, dict) else "list" if isinstance(cell, list) else None


def _flatten(cell: Any) -> Any:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return dict(cell) if isinstance(cell, _Pairs) else cell
