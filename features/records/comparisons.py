"""Comparisons: many fields compared with bounds at once, for rules and for studied ranges."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from features.base.arrays import Flags, Numbers

Interval = tuple[float, float]


def make_interval(comparison: str, value: float) -> Interval:
    """Turn a comparison into the interval of values that meet it, both ends included.

    Examples
    --------
    >>> make_interval("is", 1.0), make_interval("from", 180.0)
    ((1.0, 1.0), (180.0, inf))
    >>> make_interval("below", 18.0)[1] < 18.0 < make_interval("above", 18.0)[0]
    True
    """
    match comparison:
        case "is":
            return value, value
        case "from":
            return value, np.inf
        case "to":
            return -np.inf, value
        # The next number makes an open end a closed one, so that all compare in the same way.
        case "above":
            return float(np.nextafter(value, np.inf)), np.inf
        case "below":
            return -np.inf, float(np.nextafter(value, -np.inf))
        case _:
            raise ValueError(f"{comparison} is not a comparison")


@dataclass(frozen=True)
class Comparisons:
    """Fields and the intervals they are compared with; a field may occur many times."""

    fields: tuple[str, ...]
    # `float64[comparisons, 1]`, both ends included.
    lows: Numbers
    highs: Numbers

    def compare(self, values: Numbers) -> Flags:
        """Return which values lie inside, ``bool[comparisons, rows]``; missing ones do not."""
        return (values >= self.lows) & (values <= self.highs)


def make_comparisons(intervals: Iterable[tuple[str, Interval]]) -> Comparisons:
    """Put fields and their intervals into arrays."""
    pairs = list(intervals)
    bounds = np.array([interval for _, interval in pairs]).reshape(-1, 2)
    return Comparisons(tuple(field for field, _ in pairs), bounds[:, :1], bounds[:, 1:])
