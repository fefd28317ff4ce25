"""Dates in texts, written as ISO 8601 has them or as a mapping says."""

import re
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np

from features.base.arrays import Flags, Numbers
from features.sources.cells import encode_distinct, list_texts, simplify_array
from features.sources.texts import MISSING_TOKENS

_EPOCH = date(1970, 1, 1).toordinal()
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PART = re.compile("YYYY|MMM|MM?|DD?")
# A time of day is left out, as from timestamps in Parquet.
_TIME = r"([ T]+\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?(Z|[+-]\d{2}:?\d{2})?)?"
_ISO = re.compile(rf"\s*(?P<Y>\d{{4}})-(?P<M>\d{{2}})-(?P<D>\d{{2}}){_TIME}\s*")
# Two numbers and a year, of which a reader cannot tell the day from the month.
_OTHER = re.compile(r"\d{1,2}([./-])\d{1,2}\1(\d{4})\b.*|\d{1,2}[ -]?[A-Za-z]{3}[ -]?\d{4}\b.*")


@lru_cache(maxsize=64)
def compile_dates(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of dates such as ``DD/MM/YYYY``; MMM is an English month's short name.

    Raises
    ------
    ValueError
        If it does not have year, month and day once each. Years must have four digits, since 50 may
        mean 1950 or 2050.
    """
    parts = _PART.findall(pattern)
    between = _PART.split(pattern)
    letters = sorted(part[0] for part in parts)
    if letters != ["D", "M", "Y"] or any(map(str.isalnum, "".join(between))):
        raise ValueError(pattern)
    # Without anything between them, only fixed widths tell day from month.
    digits = r"\d{1,2}" if all(between[1:-1]) else r"\d{2}"
    texts = {"YYYY": r"(?P<Y>\d{4})", "MMM": r"(?P<M>[A-Za-z]{3})"}
    texts |= {part: rf"(?P<{part[0]}>{digits})" for part in ("MM", "M", "DD", "D")}
    joined = re.escape(between[0])
    for part, after in zip(parts, between[1:], strict=True):
        joined += texts[part] + re.escape(after)
    return re.compile(rf"\s*{joined}{_TIME}\s*")


def write_iso_date(text: str, pattern: str) -> str:
    """Write a date as ISO has it; any other text, or a day that does not exist, as it is.

    Examples
    --------
    >>> write_iso_date("3/4/2026 10:15", "DD/MM/YYYY"), write_iso_date("31/02/2026", "DD/MM/YYYY")
    ('2026-04-03', '31/02/2026')
    """
    day = _read_date(text, compile_dates(pattern))
    return text if day is None else day.isoformat()


def _read_date(text: str, pattern: re.Pattern[str]) -> date | None:
    match = pattern.fullmatch(text)
    if match is None:
        return None
    month = match["M"].lower()
    try:
        number = _MONTHS.index(month) + 1 if month.isalpha() else int(month)
        return date(int(match["Y"]), number, int(match["D"]))
    except ValueError:
        return None


def find_days(array: Any, pattern: str | None = None) -> tuple[Numbers, Flags]:
    """Read the dates of a readable Arrow array.

    Parameters
    ----------
    pattern
        Of texts, in addition to ISO 8601.

    Returns
    -------
    Numbers
        Days since 1970-01-01, ``[rows]``; NaN if missing or not a date.
    Flags
        Which cells are neither missing nor a date, ``[rows]``.
    """
    encoded = encode_distinct(simplify_array(array))
    texts = list_texts(encoded.dictionary)
    patterns = [_ISO] if pattern is None else [_ISO, compile_dates(pattern)]
    days = [_count_days(text, patterns) for text in texts]
    broken = [
        np.isnan(day) and text is not None and text.strip() not in MISSING_TOKENS
        for text, day in zip(texts, days, strict=True)
    ]
    # Arrow gives null no code, so it becomes the last one.
    codes = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return np.array([*days, np.nan])[codes], np.array([*broken, False], dtype=bool)[codes]


def _count_days(text: str | None, patterns: Sequence[re.Pattern[str]]) -> float:
    if text is not None:
        for pattern in patterns:
            if (day := _read_date(text, pattern)) is not None:
                return float(day.toordinal() - _EPOCH)
    return np.nan


def have_other_dates(texts: Sequence[str | None]) -> bool:
    """Return whether some text may be a date that is not written as ISO has it."""
    return any(text and _OTHER.fullmatch(text.strip()) for text in texts)
