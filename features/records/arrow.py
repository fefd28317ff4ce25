"""Reading Arrow columns, from text files, Parquet or a study's reader, into typed columns.

Fast paths apart, a cell is read by its text; see :mod:`features.sources.cells`.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from features.dictionary.field import Field
from features.intake.codes import Codes
from features.records.parsing import (
    TEXT_READERS,
    Conversion,
    Parsed,
    check_numbers,
    parse_values,
)
from features.sources.cells import (
    encode_distinct,
    is_readable,
    is_text,
    list_texts,
    simplify_array,
)


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
    if not is_readable(array.type):
        return _refuse_all(field, array)
    plain = simplify_array(array)
    has_words = codes is not None and len(codes.words) > 0
    are_numbers = types.is_integer(plain.type) or types.is_floating(plain.type)
    if field.numeric and are_numbers and not has_words:
        return _parse_numbers(plain, codes)
    return _parse_distinct(field, plain, codes)


def _refuse_all(field: Field, array: Any) -> Parsed:
    absent = parse_values(field, [None] * len(array), TEXT_READERS)
    present = array.is_valid().to_numpy(zero_copy_only=False)
    return Parsed(absent.values, {"type": present} if present.any() else {})


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
    encoded = encode_distinct(array)
    texts = list_texts(encoded.dictionary)
    if codes is not None:
        texts = codes.translate(codes.write_usual(texts) if is_text(array.type) else texts)
    # Arrow gives null no code, so it becomes the last one.
    parsed = parse_values(field, [*texts, None], TEXT_READERS)
    indices = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    broken = {rule: mask[indices] for rule, mask in parsed.broken.items()}
    return Parsed(parsed.values[indices], {r: m for r, m in broken.items() if m.any()})
