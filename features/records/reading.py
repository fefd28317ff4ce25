"""Reading JSON values by column.

The readers in :mod:`features.records.parsing` define what a value may be. Here, as their fast path,
whole columns of usual values are converted and compared with their ranges at once; a column with
anything else in it, or with a value out of range, goes to those readers.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from features.base.arrays import Flags, Numbers
from features.dictionary.dictionary import Dictionary
from features.dictionary.field import TEXT_PATTERN, Field, Kind
from features.records.columns import KNOWN_FORMS, Columns, Table
from features.records.parsing import (
    JSON_READERS,
    Parsed,
    Reader,
    RuleBroken,
    check_numbers,
    count_days,
    parse_values,
)

Raw = Mapping[str, Sequence[Any]]
Convert = Callable[[Sequence[Any]], Sequence[Any] | None]

MISSING: type = type(None)
_TEXTS = frozenset({str, MISSING})
NAN = float("nan")
# Eleven years of days, of which assessments recur most.
KNOWN_DAYS = 4096
# One text per line, each matching TEXT_PATTERN.
# Possessive (`*+`): a text that does not match is not tried again line by line.
LINES = re.compile(rf"(?:{TEXT_PATTERN.strip('^$')}\n)*+")


class Reading(NamedTuple):
    """How the usual values of one field are read."""

    # Exactly these: a bool is an int, and a subclass may convert in its own way. All else goes to
    # the readers.
    types: frozenset[type]
    # Converts to numbers (missing: NaN), or returns None if any value is unusual. Texts stay texts
    # and have no converter.
    convert: Convert | None


# Fast path of `count_days`: the same days recur.
@lru_cache(maxsize=KNOWN_DAYS)
def _number_day(value: str | None) -> float:
    return NAN if value is None else count_days(value)


def _number_days(values: Sequence[Any]) -> list[Any] | None:
    try:
        return list(map(_number_day, values))
    except RuleBroken:
        return None


# numpy reads NaN four times as fast as None.
def _mark_missing(values: Sequence[Any]) -> Sequence[Any]:
    return [NAN if value is None else value for value in values] if None in values else values


def _number_categories(
    positions: Mapping[str | None, float], values: Sequence[Any]
) -> list[Any] | None:
    try:
        return [positions[value] for value in values]
    except KeyError:
        return None


def _make_reading(field: Field) -> Reading:
    match field.kind:
        case Kind.TEXT:
            return Reading(_TEXTS, None)
        case Kind.DATE:
            return Reading(_TEXTS, _number_days)
        case Kind.CATEGORY:
            positions: dict[str | None, float] = {None: NAN}
            positions |= {name: float(index) for index, name in enumerate(field.categories)}
            return Reading(_TEXTS, partial(_number_categories, positions))
        case Kind.FLAG:
            return Reading(frozenset({bool, MISSING}), _mark_missing)
        case Kind.NUMBER | Kind.INTEGER:
            return Reading(frozenset({int, float, MISSING}), _mark_missing)


@lru_cache(maxsize=8)
def _list_readings(dictionary: Dictionary) -> dict[str, Reading]:
    return {name: _make_reading(field) for name, field in dictionary.fields.items()}


def read_columns(
    size: int,
    raw: Raw,
    dictionary: Dictionary,
    readers: Mapping[Kind, Reader] = JSON_READERS,
) -> tuple[Columns, dict[str, Parsed]]:
    """Read the raw values of known fields.

    Fast path for JSON: columns of usual values are converted whole. Equal to
    :func:`~features.records.parsing.parse_values` by tests/features/records/test_reading.py.

    Returns
    -------
    Columns
        Every field's values; missing where a rule is broken.
    dict of str to Parsed
        The fields in which a rule is broken, in their order in `raw`.
    """
    if readers is JSON_READERS:
        columns = read_usual(size, raw, dictionary)
    else:
        columns = Columns(size, {}, dictionary=dictionary)
    if len(columns.values) == len(raw):
        return columns, {}
    odd = {name: column for name, column in raw.items() if name not in columns.values}
    fields = dictionary.fields
    parsed = {
        name: check_numbers(fields[name], parse_values(fields[name], column, readers))
        for name, column in odd.items()
    }
    broken = {name: column for name, column in parsed.items() if column.broken}
    return columns.replace({name: column.values for name, column in parsed.items()}), broken


def read_usual(size: int, raw: Raw, dictionary: Dictionary) -> Columns:
    """Read the fields in which every value is usual and breaks no rule."""
    numbers: dict[str, Sequence[Any]] = {}
    texts, absent, readings = {}, [], _list_readings(dictionary)
    for name, column in raw.items():
        reading = readings[name]
        types = {*map(type, column)}
        if not types <= reading.types:
            continue
        if reading.convert is None:
            if _are_codes(column):
                texts[name] = np.array(column, dtype=object)
        elif (converted := reading.convert(column)) is not None:
            numbers[name] = converted
            absent.append(column.count(None) if MISSING in types else 0)
    table = _read_numbers(size, numbers, absent, dictionary)
    return Columns(size, {**table.list_values(), **texts}, table, dictionary)


def _are_codes(texts: Sequence[str | None]) -> bool:
    distinct = {*texts} - {None}
    lines = "\n".join([*distinct, ""])  # type: ignore[list-item]  # None is out
    return lines.count("\n") == len(distinct) and bool(LINES.fullmatch(lines))


# `absent` counts the missing values of each field: any more NaN were in the data, against a rule.
def _read_numbers(size: int, columns: Raw, absent: Sequence[int], dictionary: Dictionary) -> Table:
    names, blank = tuple(columns), [NAN] * size
    try:
        # One conversion for all fields: for a single patient numpy's calls cost more than its
        # numbers. The blank line at the end is what a table gives for fields that it lacks.
        together = np.array([*chain.from_iterable(columns.values()), *blank], dtype=np.float64)
    except OverflowError:  # a whole number beyond all floats
        return _read_numbers(size, {}, (), dictionary)
    numbers = together.reshape(len(names) + 1, size)
    low, high, whole = _gather_bounds(names, dictionary)
    wrong = (numbers < low) | (numbers > high) | ((np.floor(numbers) < numbers) & whole)
    missing = np.isnan(numbers)
    # On small arrays count_nonzero takes a third of the time of any().
    if np.count_nonzero(wrong) or np.count_nonzero(missing) != sum(absent) + size:
        kept = ~wrong.any(axis=1) & (missing.sum(axis=1) == [*absent, size])
        names = tuple(name for name, keep in zip(names, kept, strict=False) if keep)
        return Table(names, numbers[kept])
    return Table(names, numbers)


@lru_cache(maxsize=KNOWN_FORMS)
def _gather_bounds(
    names: tuple[str, ...], dictionary: Dictionary
) -> tuple[Numbers, Numbers, Flags]:
    unbounded = (-np.inf, np.inf, False)
    bounds = [
        (field.low, field.high, field.kind is Kind.INTEGER) if field.numeric else unbounded
        for field in map(dictionary.fields.__getitem__, names)
    ]
    # The last line, which is all NaN, has no bounds either.
    low, high, whole = np.array([*bounds, unbounded]).T[:, :, None]
    return low, high, whole > 0
