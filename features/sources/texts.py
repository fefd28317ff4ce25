"""Texts of cells: what they may mean, and how a value that is not a text is written as one.

Whatever a file stores, a column is given as the texts that a CSV file would hold.
"""

import re
from datetime import date, datetime, time
from typing import Any

MISSING_TOKENS = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")
# Narrower than float(), which also takes `1_000`, `nan` and the digits of other scripts.
NUMBER_PATTERN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
DECIMAL_COMMA = re.compile(r"(\s*[+-]?[0-9]*),([0-9]+(?:[eE][+-]?[0-9]{1,3})?\s*)")
# Beyond, not every whole number is a float.
_MAX_EXACT = 2.0**53


def write_text(value: Any, decimal: str = ".") -> str | None:
    """Write a cell's value as a text; None if the cell is empty.

    Parameters
    ----------
    decimal
        The decimal sign of the file's texts, so that a number is read as they are.

    Examples
    --------
    >>> write_text(17.0), write_text(44.5, ","), write_text(datetime(2026, 2, 28)), write_text("")
    ('17', '44,5', '2026-02-28', None)
    """
    # Fast path of the lines below, for what most cells are.
    if type(value) is str:
        return value or None
    match value:
        case None | "":
            return None
        case bool():
            return "true" if value else "false"
        case float():
            return _write_number(value, decimal)
        case datetime():
            return value.isoformat(" ") if value.time() != time() else value.date().isoformat()
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)


def _write_number(number: float, decimal: str) -> str | None:
    if number != number:  # NaN
        return None
    # Programs store whole numbers as floats, among them codes of patients and sites.
    if number.is_integer() and abs(number) < _MAX_EXACT:
        return str(int(number))
    return repr(number).replace(".", decimal)
