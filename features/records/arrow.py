"""Reading Arrow columns, from text files, Parquet or a study's reader, into typed columns.

A cell is read by its text, so that a table gives the same columns however it was stored.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.types as types

from features.dictionary.field import Field
from features.records.codes import Codes
from features.records.parsing import (
    TEXT_READERS,
    Conversion,
    Parsed,
    check_numbers,
    parse_values,
)

# Types whose values have a text; lists, structs, durations and bytes have none that is ours.
_READABLE = (
    *(types.is_string, types.is_large_string, types.is_string_view, types.is_null),
    *(types.is_boolean, types.is_integer, types.is_floating, types.is_decimal),
    *(types.is_date, types.is_timestamp),
)
_LEAST_DAY, _LAST_DAY = np.iinfo(np.int32).min, np.iinfo(np.int32).max


def list_unreadable(schema: Any) -> dict[str, str]:
    """List the columns that no field can be read from, each with the name of its type.

    Examples
    --------
    >>> list_unreadable(pa.schema([("age", pa.list_(pa.float64())), ("bmi", pa.float64())]))
    {'age': 'list'}
    """
    # Names of parameters, as of a struct's fields, are left out.
    return {
        column.name: str(column.type).split("<")[0].split("[")[0]
        for column in schema
        if not _is_readable(column.type)
    }


def _is_readable(kind: Any) -> bool:
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return _is_readable(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _is_readable(kind.storage_type)
    return any(test(kind) for test in _READABLE)


def parse_arrow(
    field: Field, array: Any, convert: Conversion | None = None, codes: Codes | None = None
) -> Parsed:
    """Read one Arrow array; null, and NaN among numbers, is missing.

    Parameters
    ----------
    convert
        Turns numbers into the field's unit before their range is checked; None if they are in it.
    codes
        Texts that stand for a missing value or another text; none by default.
    """
    try:
        parsed = _parse_array(field, array, codes)
    except pa.ArrowException:  # No kernel for this type, or a time zone unknown on this machine.
        parsed = _refuse_all(field, array)
    return check_numbers(field, parsed, convert)


def _parse_array(field: Field, array: Any, codes: Codes | None) -> Parsed:
    if not _is_readable(array.type):
        return _refuse_all(field, array)
    plain = _simplify(array)
    has_words = codes is not None and len(codes.words) > 0
    are_numbers = types.is_integer(plain.type) or types.is_floating(plain.type)
    if field.numeric and are_numbers and not has_words:
        return _parse_numbers(plain, codes)
    return _parse_distinct(field, plain, codes)


def _refuse_all(field: Field, array: Any) -> Parsed:
    absent = parse_values(field, [None] * len(array), TEXT_READERS)
    present = array.is_valid().to_numpy(zero_copy_only=False)
    return Parsed(absent.values, {"type": present} if present.any() else {})


def _simplify(array: Any) -> Any:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if types.is_run_end_encoded(array.type):
        array = compute.run_end_decode(array)
    if types.is_dictionary(array.type):
        array = _decode_dictionary(array)
    if types.is_date64(array.type) or types.is_timestamp(array.type):
        return _find_days(array)
    if types.is_float16(array.type) or types.is_float32(array.type):
        return _widen_floats(array)
    return array


def _decode_dictionary(array: Any) -> Any:
    try:
        return array.dictionary_decode()
    except pa.ArrowNotImplementedError:  # texts as views, as in categories of Polars
        return pa.array(_list_plain(array.dictionary)).take(array.indices)


# By numpy, which also knows days beyond the year 9999: sentinels that stand for a missing date.
def _find_days(array: Any) -> Any:
    unit = "ms" if types.is_date64(array.type) else array.type.unit
    if types.is_timestamp(array.type) and array.type.tz is not None:
        array = compute.local_timestamp(array)
    absent = array.is_null().to_numpy(zero_copy_only=False)
    ticks = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    days = ticks.astype(f"M8[{unit}]").astype("M8[D]").astype(np.int64)
    days = np.clip(days, _LEAST_DAY, _LAST_DAY).astype(np.int32)
    return pa.array(days, pa.int32(), mask=absent).cast(pa.date32())


# The decimal that was meant, as text files have it: 0.1 and not 0.10000000149.
def _widen_floats(array: Any) -> Any:
    narrow = array.to_numpy(zero_copy_only=False)
    numbers = narrow.astype(np.float64)
    inexact = np.isfinite(numbers) & (numbers != np.floor(numbers))
    numbers[inexact] = narrow[inexact].astype(str).astype(np.float64)
    return pa.array(numbers)


# Fast path of `_parse_distinct`; equal by tests/features/records/test_formats.py.
def _parse_numbers(array: Any, codes: Codes | None) -> Parsed:
    # Unsafe, so that whole numbers beyond 2**53 are rounded, not an error: they are out of range.
    plain = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    numbers = np.array(plain, dtype=np.float64)
    if codes is not None and (missing := codes.list_missing_numbers()):
        numbers[np.isin(numbers, missing)] = np.nan
    infinite = np.isinf(numbers)
    if not infinite.any():
        return Parsed(numbers, {})
    return Parsed(np.where(infinite, np.nan, numbers), {"type": infinite})


# Fast path of `parse_values` on all values: cohorts have few distinct ones.
def _parse_distinct(field: Field, array: Any, codes: Codes | None) -> Parsed:
    if types.is_null(array.type):
        return parse_values(field, [None] * len(array), TEXT_READERS)
    encoded = _encode_distinct(array)
    texts = _list_texts(encoded.dictionary)
    if codes is not None:
        texts = codes.translate(codes.point_decimals(texts) if _is_text(array.type) else texts)
    # Arrow gives null no code, so it becomes the last one.
    parsed = parse_values(field, [*texts, None], TEXT_READERS)
    indices = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    broken = {rule: mask[indices] for rule, mask in parsed.broken.items()}
    return Parsed(parsed.values[indices], {r: m for r, m in broken.items() if m.any()})


def _is_text(kind: Any) -> bool:
    return any(
        test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view)
    )


def _encode_distinct(array: Any) -> Any:
    try:
        return array.dictionary_encode()
    except pa.ArrowNotImplementedError:  # short decimals, and texts as views
        return pa.array(_list_plain(array)).dictionary_encode()


def _list_texts(array: Any) -> Sequence[str | None]:
    if types.is_date32(array.type):
        days = array.cast(pa.int32()).to_numpy(zero_copy_only=False)
        texts: list[str] = np.datetime_as_string(days.astype(np.int64).astype("M8[D]")).tolist()
        return texts
    # NaN is the value that differs from itself.
    return [None if value != value else str(value) for value in _list_plain(array)]


def _list_plain(array: Any) -> Sequence[Any]:
    try:
        values: list[Any] = array.to_pylist()
    except UnicodeDecodeError:
        # The marks that replace bytes other than UTF-8 are allowed in no field.
        raw = array.cast(pa.large_binary()).to_pylist()
        values = [None if text is None else text.decode("utf-8", "replace") for text in raw]
    return values
