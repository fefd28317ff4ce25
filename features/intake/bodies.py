"""Bodies: heights and weights in a clinic's units."""

import re
from collections.abc import Sequence
from functools import partial

import numpy as np

from features.base.arrays import Flags, Numbers
from features.intake.cells import Cells
from features.intake.days import read_decimal
from features.intake.plan import Length

METRES_PER_INCH, KILOGRAMS_PER_POUND = 0.0254, 0.45359237
# Units per metre or kilogram, and metres or kilograms per unit: 165 / 100 is exactly 1.65, so that
# 165 cm and 1.65 m are the same height; 165 * 0.01 is not.
_PARTS = {"cm": 100, "g": 1000}
_FACTORS = {"m": 1.0, "in": METRES_PER_INCH, "ft+in": METRES_PER_INCH}
_FACTORS |= {"kg": 1.0, "lb": KILOGRAMS_PER_POUND}
_INCHES_PER_FOOT = 12
# Outside of these a height in metres, or a weight in kilograms, is in another unit or mistyped.
PLAUSIBLE = {"height": (0.5, 2.5), "weight": (10.0, 400.0)}
# 5'10", 5 ft 10 in, 5' 10; also with typographic marks.
_FEET = re.compile(
    r"\s*(\d)\s*(?:['\u2032\u2019]|ft\.?|feet)"
    r"\s*(?:(\d{1,2}(?:\.\d+)?)\s*(?:[\"\u2033\u201d]|''|in\.?|inches)?)?\s*",
    re.IGNORECASE,
)


def _read_feet(text: str) -> float:
    match = _FEET.fullmatch(text)
    if match is None:
        return float("nan")
    return int(match[1]) * _INCHES_PER_FOOT + float(match[2] or 0)


def measure_length(
    part: Length, columns: Sequence[tuple[Cells, str]], name: str
) -> tuple[Numbers, list[Flags], Flags]:
    """Read a height in metres, or a weight in kilograms.

    Parameters
    ----------
    columns
        Cells, and the decimal mark of their table.
    name
        ``height`` or ``weight``.

    Returns
    -------
    Numbers
        NaN if missing or implausible.
    list of Flags
        For each column, the cells that are not numbers.
    Flags
        The rows whose height or weight is implausible.
    """
    numbers = []
    for cells, decimal in columns:
        if part.unit == "ft+in" and part.column is not None:
            numbers.append(cells.map_numbers(_read_feet))
        else:
            numbers.append(cells.map_numbers(partial(read_decimal, decimal=decimal)))
    broken = [
        np.isnan(values) & cells.present
        for values, (cells, _) in zip(numbers, columns, strict=True)
    ]
    whole = numbers[0] if len(numbers) == 1 else numbers[0] * _INCHES_PER_FOOT + numbers[1]
    unit = part.unit
    converted = whole / _PARTS[unit] if unit in _PARTS else whole * _FACTORS[unit]
    low, high = PLAUSIBLE[name]
    with np.errstate(invalid="ignore"):
        implausible = (converted < low) | (converted > high)
    return np.where(implausible, np.nan, converted), broken, implausible
