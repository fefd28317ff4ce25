"""Every number of the report: its text, with the value that it was rounded from.

``value`` or ``data-value`` holds the number of the JSON, digit for digit, so that a reader, or a
test, can find each one there.
"""

import json

from markupsafe import Markup

from features.model.card import Measure
from training.findings.format import MINUS, format_rounded

Number = float | int
# For what is undefined; never an empty cell.
NOTHING = "\u2013"


def show_number(value: Number | None, digits: int = 3, signed: bool = False) -> Markup:
    """Show a number.

    Examples
    --------
    >>> print(show_number(0.65123))
    <data value="0.65123">0.651</data>
    """
    return Markup(NOTHING) if value is None else _mark(value, format_rounded(value, digits, signed))


def show_plain(value: Number | None) -> Markup:
    """Show a number that is round already: a bound, a seed, the end of a range.

    Examples
    --------
    >>> print(show_plain(0.8), show_plain(20260101))
    <data value="0.8">0.8</data> <data value="20260101">20260101</data>
    """
    if value is None:
        return Markup(NOTHING)
    text = str(value) if isinstance(value, int) else f"{value:.3f}".rstrip("0").rstrip(".")
    return _mark(value, text.replace("-", MINUS))


def show_count(value: int | None) -> Markup:
    """Show a whole number."""
    return show_number(value, 0)


def show_percent(value: Number | None, digits: int = 0) -> Markup:
    """Show a proportion in percent.

    Examples
    --------
    >>> print(show_percent(0.4567))
    <data value="0.4567">46%</data>
    """
    return Markup(NOTHING) if value is None else _mark(value, f"{_scale(value, digits)}%")


def show_frequency(value: Number) -> Markup:
    """Show a proportion as a count in a hundred, which readers understand more easily.

    Examples
    --------
    >>> print(show_frequency(0.4567).replace(chr(160), " "))
    <data value="0.4567">46 of 100</data>
    """
    # No-break spaces: a number and its unit stay on one line.
    return _mark(value, f"{_scale(value, 0)}\u00a0of\u00a0100")


def show_points(value: Number) -> Markup:
    """Show a difference between proportions in percentage points."""
    return _mark(value, f"{_scale(value, 1)}\u00a0points")


def show_measure(measure: Measure | None, digits: int = 3, signed: bool = False) -> Markup:
    """Show a measure with its interval.

    Examples
    --------
    >>> print(show_measure(Measure(value=0.5, low=0.4, high=0.6), 1).striptags())
    0.5 (0.4 to 0.6)
    """
    if measure is None or measure.value is None:
        return Markup(NOTHING)
    value = show_number(measure.value, digits, signed)
    if measure.low is None or measure.high is None:
        return value
    low, high = (show_number(end, digits, signed) for end in (measure.low, measure.high))
    return Markup("{} <small>({} to {})</small>").format(value, low, high)


def _mark(value: Number, text: str) -> Markup:
    return Markup('<data value="{}">{}</data>').format(json.dumps(value), text)


def _scale(value: Number, digits: int) -> str:
    return format_rounded(100 * value, digits)
