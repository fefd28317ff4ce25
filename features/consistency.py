"""Rules between fields: totals against their items, one dose, numbers in their order.

Every rule works on columns, so one patient and a million pass through the same lines.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.errors import Problem
from features.fields import FIELDS
from features.instruments import INSTRUMENTS, Instrument

ESKETAMINE_DOSES = (28.0, 56.0, 84.0)
ITEM_INSTRUMENTS = {
    name: instrument.key for instrument in INSTRUMENTS.values() for name in instrument.item_fields
}


def find_rows(mask: NDArray[np.bool_], first_row: int) -> tuple[int, ...]:
    """List the numbers of the marked rows, counting on from `first_row`."""
    return tuple((np.flatnonzero(mask) + first_row).tolist())


def sum_items(instrument: Instrument, items: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score items; NaN counts as nothing.

    Parameters
    ----------
    items
        ``float64[rows, items]``.

    Examples
    --------
    >>> qids = INSTRUMENTS["qids"]
    >>> sum_items(qids, np.array([[3.0, 1, 0, 2] + [1.0] * 12]))
    array([11.])
    """
    filled = np.where(np.isnan(items), 0.0, items)
    units = [filled[:, list(unit)].max(axis=1) for unit in instrument.scoring]
    total: NDArray[np.float64] = np.sum(units, axis=0)
    return total


def prorate_total(instrument: Instrument, items: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derive a total from items, pro-rated where few enough are missing, else NaN.

    The mean of the items present stands for those missing; halves round up.

    Examples
    --------
    >>> items = np.full((1, 9), 2.0); items[0, 3] = np.nan
    >>> prorate_total(INSTRUMENTS["phq9"], items)
    array([18.])
    """
    count = items.shape[1]
    present = count - np.isnan(items).sum(axis=1)
    total = sum_items(instrument, items)
    with np.errstate(divide="ignore", invalid="ignore"):
        prorated = np.floor(total * count / present + 0.5)
    enough = (present >= count - instrument.missing_items_allowed) & (present > 0)
    return np.where(enough, np.minimum(prorated, instrument.high), np.nan)


def derive_totals(columns: Columns) -> Columns:
    """Fill totals that are missing from their items."""
    derived = {}
    for instrument, items in _list_items(columns):
        total = columns.get_numbers(instrument.key)
        derived[instrument.key] = np.where(np.isnan(total), prorate_total(instrument, items), total)
    return columns.replace(derived) if derived else columns


def check_totals(columns: Columns, first_row: int) -> Iterator[Problem]:
    """Find totals that no way of completing their items could give."""
    for instrument, items in _list_items(columns):
        total = columns.get_numbers(instrument.key)
        highest = np.where(np.isnan(items), np.array(instrument.item_highs, float), items)
        least, most = sum_items(instrument, items), sum_items(instrument, highest)
        with np.errstate(invalid="ignore"):
            wrong = (total < least) | (total > most)
        if wrong.any():
            first, last = instrument.item_fields[0], instrument.item_fields[-1]
            message = f"disagrees with its items {first} … {last}"
            yield Problem(instrument.key, "total", message, find_rows(wrong, first_row))


def check_regimen(columns: Columns, first_row: int) -> Iterator[Problem]:
    """Find doses given twice, and esketamine sprays that do not exist."""
    if "dose_mg" not in columns.values:
        return
    by_weight, fixed = columns.get_numbers("dose_mg_kg"), columns.get_numbers("dose_mg")
    twice = ~np.isnan(by_weight) & ~np.isnan(fixed)
    if twice.any():
        message = "give dose_mg_kg or dose_mg, not both"
        yield Problem("dose_mg", "one_dose", message, find_rows(twice, first_row))
    spray = _is_category(columns, "agent", "esketamine")
    spray &= _is_category(columns, "route", "intranasal") & ~np.isnan(fixed)
    odd = spray & ~np.isin(fixed, ESKETAMINE_DOSES)
    if odd.any():
        message = "intranasal esketamine is given as 28, 56 or 84 mg"
        yield Problem("dose_mg", "dose", message, find_rows(odd, first_row))


def check_order(columns: Columns, first_row: int) -> Iterator[Problem]:
    """Find pairs of numbers that cannot stand in that order."""
    for low, high in (("onset_age", "age"), ("diastolic", "systolic")):
        if low not in columns.values or high not in columns.values:
            continue
        wrong = columns.values[low] > columns.values[high]
        if np.count_nonzero(wrong):
            message = f"cannot be above {high}"
            yield Problem(low, "order", message, find_rows(wrong, first_row))


def check_consistency(columns: Columns, first_row: int = 1) -> list[Problem]:
    """Find every break of a rule between fields; totals must have been derived."""
    checks = (check_totals, check_regimen, check_order)
    return [problem for check in checks for problem in check(columns, first_row)]


def _list_items(columns: Columns) -> Iterator[tuple[Instrument, NDArray[np.float64]]]:
    asked = {ITEM_INSTRUMENTS[name] for name in columns.values if name in ITEM_INSTRUMENTS}
    for key in (key for key in INSTRUMENTS if key in asked):
        yield INSTRUMENTS[key], columns.stack(INSTRUMENTS[key].item_fields).T


def _is_category(columns: Columns, name: str, category: str) -> NDArray[np.bool_]:
    position = FIELDS[name].categories.index(category)
    matches: NDArray[np.bool_] = columns.get_numbers(name) == position
    return matches
