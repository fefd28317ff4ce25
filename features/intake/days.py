"""Days: dates, day numbers and years of cells, and the time between two days."""

import re

import numpy as np
import pyarrow as pa

from features.base.arrays import Flags, Numbers
from features.intake.cells import Cells
from features.sources.dates import find_days
from features.sources.texts import NUMBER_PATTERN

_YEAR = re.compile(r"(1[89]|20)[0-9]{2}(?:\.0+)?")


def read_days(cells: Cells, pattern: str | None) -> tuple[Numbers, Flags]:
    """Read dates as days since 1970-01-01; also return which cells are something else."""
    days, broken = find_days(pa.array(cells.texts, pa.string()), pattern)
    blank = cells.codes < 0
    return np.append(days, np.nan)[cells.codes], np.append(broken, False)[cells.codes] & ~blank


def read_decimals(cells: Cells, decimal: str) -> tuple[Numbers, Flags]:
    """Read numbers; also return which cells are something else."""
    numbers = cells.map_numbers(lambda text: read_decimal(text, decimal))
    return numbers, np.isnan(numbers) & cells.present


def read_decimal(text: str, decimal: str = ".") -> float:
    """Read a number; NaN if the text is not one."""
    plain = text.strip()
    if decimal == ",":
        # A point may separate thousands, so such a number is not read.
        plain = plain.translate({ord(","): ".", ord("."): ","})
    return float(plain) if NUMBER_PATTERN.fullmatch(plain) else float("nan")


def read_year(text: str) -> float:
    """Read a calendar year from 1800 to 2099; NaN if the text is not one."""
    plain = text.strip()
    return float(plain) if _YEAR.fullmatch(plain) else float("nan")


def count_years(start: Numbers, end: Numbers) -> Numbers:
    """Count the birthdays between days since 1970-01-01; NaN if either is.

    Someone born on 29 February has the birthday on 1 March of a common year.

    Examples
    --------
    >>> days = np.array(["2000-02-29", "2018-02-28", "2018-03-01"], "M8[D]").astype(float)
    >>> count_years(days[[0, 0]], days[1:])
    array([17., 18.])
    """
    known = ~np.isnan(start) & ~np.isnan(end)
    (y1, m1), (y2, m2) = (_split_day(np.where(known, days, 0.0)) for days in (start, end))
    return np.where(known, y2 - y1 - (m2 < m1), np.nan)


def find_years(days: Numbers) -> Numbers:
    """Return the calendar year of days since 1970-01-01; NaN stays."""
    known = ~np.isnan(days)
    return np.where(known, _split_day(np.where(known, days, 0.0))[0], np.nan)


# The year, and the day in it as a number that grows with the calendar.
def _split_day(days: Numbers) -> tuple[Numbers, Numbers]:
    exact = days.astype("M8[D]")
    months = exact.astype("M8[M]")
    in_month = (exact - months).astype(np.int64)
    numbers = months.astype(np.int64) + 1970 * 12
    return (numbers // 12).astype(np.float64), (numbers % 12 * 32 + in_month).astype(np.float64)
