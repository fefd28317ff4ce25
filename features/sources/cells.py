"""Cells of Arrow columns: which types can be read, and the text of every cell.

A cell is read by its text, so that a table gives the same columns however it was stored.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.types as types

_TEXTS = (types.is_string, types.is_large_string, types.is_string_view)
# Types whose values have a text that a field can hold, unlike lists, structs, durations and bytes.
_READABLE = (
    *(*_TEXTS, types.is_null, types.is_boolean, types.is_integer, types.is_floating),
    *(types.is_decimal, types.is_date, types.is_timestamp),
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
        if not is_readable(column.type)
    }


def is_readable(kind: Any) -> bool:
    """Return whether the values of an Arrow type have a text."""
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return is_readable(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return is_readable(kind.storage_type)
    return any(test(kind) for test in _READABLE)


def simplify_array(array: Any) -> Any:
    """Store a readable array plainly.

    Returns
    -------
    pyarrow.Array
        Texts, booleans, numbers, decimals or days (``date32``): neither chunks, dictionaries,
        extension types, times of day nor narrow floats.
    """
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


def is_text(kind: Any) -> bool:
    """Return whether an Arrow type holds texts."""
    return any(test(kind) for test in _TEXTS)


def encode_distinct(array: Any) -> Any:
    """Encode a plain array as its distinct values and each row's index among them."""
    try:
        return array.dictionary_encode()
    except pa.ArrowNotImplementedError:  # short decimals, and texts as views
        return pa.array(_list_plain(array)).dictionary_encode()


def list_texts(array: Any) -> Sequence[str | None]:
    """List the text of every cell of a plain array; None if it is null or not a number."""
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
