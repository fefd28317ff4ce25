"""Reading Arrow columns, from Parquet or from text files, into typed columns."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from features.dictionary.field import Field, Kind
from features.records.parsing import (
    JSON_READERS,
    TEXT_READERS,
    Parsed,
    Reader,
    check_numbers,
    parse_values,
    read_flag,
    read_text,
)


def _read_flag_number(field: Field, value: Any) -> float:
    if type(value) in (int, float) and value in (0, 1):
        return float(value)
    return read_flag(field, value)


def _read_code(field: Field, value: Any) -> str:
    return read_text(field, str(value) if type(value) is int else value)


ARROW_READERS: Mapping[Kind, Reader] = MappingProxyType(
    {**JSON_READERS, Kind.FLAG: _read_flag_number, Kind.TEXT: _read_code}
)


def parse_arrow(
    field: Field, array: Any, text: bool, convert: Callable[[Any], Any] | None = None
) -> Parsed:
    """Read one Arrow array.

    Null, and NaN among numbers, is missing.

    Parameters
    ----------
    text
        Whether texts may stand for numbers and flags, as in CSV.
    convert
        Turns numbers into the field's unit before their range is checked; None if they are in it.
    """
    parsed = _parse_plain_numbers(field, array) or _parse_distinct(field, array, text)
    if convert is not None:
        parsed = Parsed(convert(parsed.values), parsed.broken)
    return check_numbers(field, parsed)


def _parse_plain_numbers(field: Field, array: Any) -> Parsed | None:
    kind = array.type
    if not field.numeric or not (types.is_integer(kind) or types.is_floating(kind)):
        return None
    # Unsafe, so that whole numbers beyond 2**53 are rounded, not an error: they are out of range.
    numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return Parsed(np.array(numbers, dtype=np.float64), {})


# Fast path of `parse_values` on all values: cohorts have few distinct ones.
def _parse_distinct(field: Field, array: Any, text: bool) -> Parsed:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if types.is_null(array.type):
        return parse_values(field, [None] * len(array), JSON_READERS)
    encoded = array.dictionary_encode()
    distinct = [_make_plain(value) for value in encoded.dictionary.to_pylist()]
    readers = TEXT_READERS if text and types.is_string(array.type) else ARROW_READERS
    # Arrow gives null no code, so it becomes the last one.
    parsed = parse_values(field, [*distinct, None], readers)
    indices = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    broken = {rule: mask[indices] for rule, mask in parsed.broken.items()}
    return Parsed(parsed.values[indices], {r: m for r, m in broken.items() if m.any()})


def _make_plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and np.isnan(value):
        return None
    return value
