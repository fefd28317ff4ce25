"""Rules between fields: totals against their items, one dose, numbers in their order.

Every rule works on columns, so one patient and a million pass through the same lines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Numbers
from features.base.errors import Problem
from features.dictionary.dictionary import Dictionary
from features.dictionary.instrument import Instrument
from features.records.columns import Columns

ESKETAMINE_DOSES = (28.0, 56.0, 84.0)


def find_rows(mask: Flags, first_row: int) -> tuple[int, ...]:
    """List the numbers of the marked rows, counting on from `first_row`."""
    return tuple((np.flatnonzero(mask) + first_row).tolist())


@dataclass(frozen=True)
class Scoring:
    """How an instrument's items make its total.

    Parameters
    ----------
    fields
        Names of the items.
    singles
        Positions of the items that count by themselves.
    shared
        Positions of the items of each unit that scores its highest.
    highs
        ``float64[items]``: each item's highest score.
    """

    instrument: Instrument
    fields: tuple[str, ...]
    singles: NDArray[np.int64]
    shared: tuple[NDArray[np.int64], ...]
    highs: Numbers

    def sum(self, items: Numbers) -> Numbers:
        """Sum items of which none is missing."""
        total: Numbers = items[:, self.singles].sum(axis=1)
        for unit in self.shared:
            total += items[:, unit].max(axis=1)
        return total


def make_scoring(instrument: Instrument) -> Scoring:
    """Work out once how items make a total."""
    singles = np.array([unit[0] for unit in instrument.scoring if len(unit) == 1], dtype=np.int64)
    shared = tuple(np.array(unit) for unit in instrument.scoring if len(unit) > 1)
    highs = np.array(instrument.item_highs, dtype=np.float64)
    return Scoring(instrument, instrument.item_fields, singles, shared, highs)


@lru_cache(maxsize=8)
def list_scorings(dictionary: Dictionary) -> dict[str, Scoring]:
    """List the scorings of a dictionary's instruments, by key."""
    return {key: make_scoring(instrument) for key, instrument in dictionary.instruments.items()}


@dataclass(frozen=True)
class Scored:
    """What items say of their total, each ``[rows]``.

    Parameters
    ----------
    least, most
        The total if whatever is missing scored nothing, or as much as it can.
    prorated
        The total, or NaN where too many are missing.
    """

    scoring: Scoring
    least: Numbers
    most: Numbers
    prorated: Numbers


def score_items(scoring: Scoring, items: Numbers) -> Scored:
    """Score items, ``float64[rows, items]``."""
    instrument, absent = scoring.instrument, np.isnan(items)
    if not np.count_nonzero(absent):
        total = scoring.sum(items)
        return Scored(scoring, total, total, total)
    least = scoring.sum(np.where(absent, 0.0, items))
    most = scoring.sum(np.where(absent, scoring.highs, items))
    count = items.shape[1]
    present = count - absent.sum(axis=1)
    prorated = np.floor(least * count / np.maximum(present, 1) + 0.5)
    enough = (present >= count - instrument.missing_items_allowed) & (present > 0)
    prorated = np.where(enough, np.minimum(prorated, instrument.high), np.nan)
    return Scored(scoring, least, most, prorated)


def prorate_total(instrument: Instrument, items: Numbers) -> Numbers:
    """Derive a total from items, pro-rated where few enough are missing, else NaN.

    The mean of the items present stands for those missing; halves round up.

    Parameters
    ----------
    items
        ``float64[rows, items]``.

    Examples
    --------
    >>> items = np.full((1, 9), 2.0); items[0, 3] = np.nan
    >>> from features.dictionary.dictionary import load_dictionary
    >>> known = load_dictionary().instruments
    >>> prorate_total(known["phq9"], items)
    array([18.])
    >>> prorate_total(known["qids"], np.array([[3.0, 1, 0, 2] + [1.0] * 12]))
    array([11.])
    """
    return score_items(make_scoring(instrument), items).prorated


def list_scored(columns: Columns) -> list[Scored]:
    """Score the items of every instrument of which some were given."""
    owners = columns.dictionary.item_owners
    itemised = {owners[name] for name in columns.values if name in owners}
    scorings = list_scorings(columns.dictionary)
    return [
        score_items(scoring, columns.stack(scoring.fields).T)
        for key, scoring in scorings.items()
        if key in itemised
    ]


def derive_totals(columns: Columns, scored: Sequence[Scored]) -> Columns:
    """Fill totals that are missing from their items."""
    derived = {}
    for one in scored:
        key = one.scoring.instrument.key
        total = columns.get_numbers(key)
        derived[key] = np.where(np.isnan(total), one.prorated, total)
    return columns.replace(derived) if derived else columns


def check_totals(columns: Columns, scored: Sequence[Scored], first_row: int) -> Iterator[Problem]:
    """Find totals that no way of completing their items could give."""
    for one in scored:
        fields, key = one.scoring.fields, one.scoring.instrument.key
        total = columns.get_numbers(key)
        wrong = (total < one.least) | (total > one.most)
        if np.count_nonzero(wrong):
            message = f"disagrees with its items {fields[0]} … {fields[-1]}"
            yield Problem(key, "total", message, find_rows(wrong, first_row))


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


def check_consistency(
    columns: Columns, scored: Sequence[Scored], first_row: int = 1
) -> list[Problem]:
    """Find every break of a rule between fields; totals must have been derived."""
    return [
        *check_totals(columns, scored, first_row),
        *check_regimen(columns, first_row),
        *check_order(columns, first_row),
    ]


def _is_category(columns: Columns, name: str, category: str) -> Flags:
    position = columns.dictionary.fields[name].categories.index(category)
    matches: Flags = columns.get_numbers(name) == position
    return matches
