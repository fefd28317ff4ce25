"""Every number of the report: its text, and beside it the value that it was rounded from.

What stands in ``value`` or ``data-value`` is the number of the JSON, digit for digit, so that a
reader, or a test, can find each one there.
"""

import json

from markupsafe import Markup

from features.model.card import Measure

Number = float | int
# What is not defined; never an empty cell.
NOTHING = "\u2013"
MINUS = "\u2212"


def write_number(value: Number, digits: int = 3, signed: bool = False) -> str:
    """Round a number for people, never to a negative nothing.

    Examples
    --------
    >>> write_number(0.65123), write_number(-0.0001, 2), write_number(1234, 0)
    ('0.651', '0.00', '1,234')
    >>> write_number(0.031, 2, signed=True), write_number(0.0, 2, signed=True)
    ('+0.03', '0.00')
    """
    rounded = round(value, digits) + 0
    return f"{rounded:{'+' if signed and rounded else ''},.{digits}f}".replace("-", MINUS)


def mark(value: Number, text: str) -> Markup:
    """Write a text with the number behind it."""
    return Markup('<data value="{}">{}</data>').format(json.dumps(value), text)


def show_number(value: Number | None, digits: int = 3, signed: bool = False) -> Markup:
    """Show a number.

    Examples
    --------
    >>> print(show_number(0.65123))
    <data value="0.65123">0.651</data>
    """
    return Markup(NOTHING) if value is None else mark(value, write_number(value, digits, signed))


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
    return mark(value, text.replace("-", MINUS))


def show_count(value: int | None) -> Markup:
    """Show a whole number."""
    return show_number(value, 0)


def show_share(value: Number | None, digits: int = 0) -> Markup:
    """Show a share in per cent.

    Examples
    --------
    >>> print(show_share(0.4567).replace(chr(160), " "))
    <data value="0.4567">46 %</data>
    """
    if value is None:
        return Markup(NOTHING)
    return mark(value, f"{write_number(100 * value, digits)}\u00a0%")


def show_frequency(value: Number) -> Markup:
    """Show a share as so many in a hundred, which people take in more easily.

    Examples
    --------
    >>> print(show_frequency(0.4567).replace(chr(160), " "))
    <data value="0.4567">46 in 100</data>
    """
    return mark(value, f"{write_number(100 * value, 0)}\u00a0in\u00a0100")


def show_points(value: Number) -> Markup:
    """Show a difference between shares in percentage points."""
    return mark(value, f"{write_number(100 * value, 1)}\u00a0points")


def show_measure(found: Measure | None, digits: int = 3, signed: bool = False) -> Markup:
    """Show a measure with its interval.

    Examples
    --------
    >>> print(show_measure(Measure(value=0.5, low=0.4, high=0.6), 1).striptags())
    0.5 (0.4 to 0.6)
    """
    if found is None or found.value is None:
        return Markup(NOTHING)
    value = show_number(found.value, digits, signed)
    if found.low is None or found.high is None:
        return value
    low, high = (show_number(end, digits, signed) for end in (found.low, found.high))
    return Markup("{} <small>({} to {})</small>").format(value, low, high)
