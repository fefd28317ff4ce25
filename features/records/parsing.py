"""Reading raw values into typed columns: strictly from JSON, leniently from cohort files."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Numbers
from features.dictionary.field import DATE_PATTERN, TEXT_PATTERN, Field, Kind
from features.sources.texts import NUMBER_PATTERN

# Outside of these a date is a slip of the keyboard, or stands for a missing one (1900-01-01).
EARLIEST_DATE, LATEST_DATE = date(1990, 1, 1), date(2100, 12, 31)
DATE_LETTERS = len("2026-02-28")
FLAG_WORDS = MappingProxyType(
    {"true": 1.0, "yes": 1.0, "y": 1.0, "false": 0.0, "no": 0.0, "n": 0.0}
)


class RuleBroken(Exception):  # noqa: N818 - control flow inside this module's readers, never shown
    """A value breaks the rule named in its only argument."""


@dataclass(frozen=True)
class Parsed:
    """One field's values and the rows that broke a rule."""

    # As in `Columns`; missing if a rule is broken.
    values: NDArray[Any]
    # For each rule, `bool[rows]`.
    broken: Mapping[str, Flags]


def _read_number(field: Field, value: Any) -> float:
    # Not isinstance: a bool is an int, and true is not a number.
    if type(value) not in (int, float):
        raise RuleBroken("type")
    try:
        number = float(value)
    except OverflowError:
        raise RuleBroken("range") from None
    if not math.isfinite(number):
        raise RuleBroken("type")
    return number


def _read_flag(field: Field, value: Any) -> float:
    if type(value) is not bool:
        raise RuleBroken("type")
    return float(value)


def _read_category(field: Field, value: Any) -> float:
    if type(value) is not str:
        raise RuleBroken("type")
    if value not in field.categories:
        raise RuleBroken("category")
    return float(field.categories.index(value))


def _read_text(field: Field, value: Any) -> str:
    if type(value) is not str:
        raise RuleBroken("type")
    if not re.fullmatch(TEXT_PATTERN, value):
        raise RuleBroken("pattern")
    return value


def count_days(value: Any) -> float:
    """Count the days from 1970-01-01 to an ISO date."""
    if type(value) is not str:
        raise RuleBroken("type")
    try:
        day = date.fromisoformat(value) if re.fullmatch(DATE_PATTERN, value) else None
    except ValueError:
        day = None
    if day is None:
        raise RuleBroken("date")
    if not EARLIEST_DATE <= day <= LATEST_DATE:
        raise RuleBroken("range")
    return float(day.toordinal() - date(1970, 1, 1).toordinal())


def _read_number_text(field: Field, value: Any) -> float:
    text = value.strip() if isinstance(value, str) else ""
    if not NUMBER_PATTERN.fullmatch(text):
        raise RuleBroken("type")
    return _read_number(field, float(text))


def _read_flag_text(field: Field, value: Any) -> float:
    text = str(value).strip().lower()
    if text in FLAG_WORDS:
        return FLAG_WORDS[text]
    # Also 1.0, as pandas writes flags if their column has a gap.
    if NUMBER_PATTERN.fullmatch(text) and float(text) in (0, 1):
        return float(text)
    raise RuleBroken("type")


def _read_day_text(field: Field, value: Any) -> float:
    # A time of day is left out, as from timestamps in Parquet.
    return count_days(value[:DATE_LETTERS] if _is_time(value) else value)


def _is_time(value: Any) -> bool:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


Reader = Callable[[Field, Any], float | str]
Conversion = Callable[[Numbers], Numbers]

JSON_READERS: Mapping[Kind, Reader] = MappingProxyType(
    {
        Kind.NUMBER: _read_number,
        Kind.INTEGER: _read_number,
        Kind.FLAG: _read_flag,
        Kind.CATEGORY: _read_category,
        Kind.TEXT: _read_text,
        Kind.DATE: lambda _, value: count_days(value),
    }
)
TEXT_READERS: Mapping[Kind, Reader] = MappingProxyType(
    {
        **JSON_READERS,
        Kind.NUMBER: _read_number_text,
        Kind.INTEGER: _read_number_text,
        Kind.FLAG: _read_flag_text,
        Kind.DATE: _read_day_text,
    }
)


def parse_values(field: Field, raw: Sequence[Any], readers: Mapping[Kind, Reader]) -> Parsed:
    """Read values one at a time; None is missing."""
    read = readers[field.kind]
    texts = field.kind is Kind.TEXT
    values = np.full(len(raw), None if texts else np.nan, dtype=object if texts else np.float64)
    broken: dict[str, Flags] = {}
    for position, value in enumerate(raw):
        if value is None:
            continue
        try:
            values[position] = read(field, value)
        except RuleBroken as rule:
            broken.setdefault(rule.args[0], np.zeros(len(raw), dtype=bool))[position] = True
    return Parsed(values, broken)


def check_numbers(field: Field, parsed: Parsed, convert: Conversion | None = None) -> Parsed:
    """Apply range and wholeness to numbers already read, once converted to the field's unit."""
    if not field.numeric:
        return parsed
    if convert is not None:
        parsed = Parsed(convert(parsed.values), parsed.broken)
    values = parsed.values
    with np.errstate(invalid="ignore"):
        outside = (values < field.low) | (values > field.high)
        fraction = (values != np.floor(values)) & ~np.isnan(values) & ~outside
    broken = dict(parsed.broken)
    if outside.any():
        broken["range"] = outside | broken.get("range", False)
    if field.kind is Kind.INTEGER and fraction.any():
        broken["whole"] = fraction
        outside = outside | fraction
    return Parsed(np.where(outside, np.nan, values), broken) if broken else parsed
