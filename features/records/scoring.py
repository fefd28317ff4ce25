"""Scoring: what an instrument's items say of its total.

Columns at once, so that one patient and a million pass through the same lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from features.base.arrays import Flags, Indices, Numbers
from features.dictionary.dictionary import Dictionary
from features.dictionary.instrument import Instrument
from features.records.columns import Columns


@dataclass(frozen=True)
class Scoring:
    """How an instrument's items make its total."""

    instrument: Instrument
    fields: tuple[str, ...]
    # Positions of the items that count by themselves, and of those of which the highest counts.
    singles: Indices
    shared: tuple[Indices, ...]
    # `float64[items, 1]`: each item's highest score.
    highs: Numbers

    @property
    def units(self) -> tuple[tuple[int, ...], ...]:
        """Item positions of each scored unit, in the order of :meth:`find_answered`."""
        groups = (*self.singles[:, None], *self.shared)
        return tuple(tuple(group.tolist()) for group in groups)

    def find_answered(self, items: Numbers) -> Flags:
        """Return which scored units of ``[items, rows]`` are answered, ``[units, rows]``.

        A unit of several items, of which the highest counts, is answered by any of them.
        """
        answered = ~np.isnan(items)
        shared = [answered[unit].any(axis=0, keepdims=True) for unit in self.shared]
        units: Flags = np.concatenate([answered[self.singles], *shared])
        return units

    def sum(self, items: Numbers) -> Numbers:
        """Sum ``[items, rows]`` of which none is missing."""
        total: Numbers = items[self.singles].sum(axis=0)
        for unit in self.shared:
            total += items[unit].max(axis=0)
        return total


def _make_scoring(instrument: Instrument) -> Scoring:
    singles = np.array([unit[0] for unit in instrument.scoring if len(unit) == 1], dtype=np.intp)
    shared = tuple(np.array(unit) for unit in instrument.scoring if len(unit) > 1)
    highs = np.array(instrument.item_highs, dtype=np.float64)[:, None]
    return Scoring(instrument, instrument.item_fields, singles, shared, highs)


@lru_cache(maxsize=8)
def _list_scorings(dictionary: Dictionary) -> dict[str, Scoring]:
    return {key: _make_scoring(instrument) for key, instrument in dictionary.instruments.items()}


@dataclass(frozen=True)
class Scored:
    """What items say of their total, each ``[rows]``."""

    scoring: Scoring
    # If missing items scored 0, or as much as they can.
    lowest: Numbers
    highest: Numbers
    # NaN if too many items are missing.
    prorated: Numbers
    # How many scored units are answered, and how many are blank.
    answered: Indices
    blank: Indices

    @property
    def is_short(self) -> Flags:
        """Whether more is blank than a total can be derived from, though several are answered."""
        short: Flags = self.blank > self.scoring.instrument.missing_items_allowed
        return short & (self.answered > 1)


def _score_items(scoring: Scoring, items: Numbers) -> Scored:
    instrument, absent = scoring.instrument, np.isnan(items)
    times = instrument.multiplier
    units = len(scoring.singles) + len(scoring.shared)
    # Fast path of the lines below, for complete items; equal by the tables of tests/spec/items.md.
    if not np.count_nonzero(absent):
        total = times * scoring.sum(items)
        blank = np.zeros(len(total), dtype=np.intp)
        return Scored(scoring, total, total, total, blank + units, blank)
    lowest = scoring.sum(np.where(absent, 0.0, items))
    highest = scoring.sum(np.where(absent, scoring.highs, items))
    count = len(items)
    present = count - absent.sum(axis=0)
    # Not np.round, which rounds halves to the even number; and before it is multiplied, since a
    # total is a multiple of a whole sum.
    prorated = times * np.floor(lowest * count / np.maximum(present, 1) + 0.5)
    enough = (present >= count - instrument.missing_items_allowed) & (present > 0)
    prorated = np.where(enough, np.minimum(prorated, instrument.high), np.nan)
    answered = scoring.find_answered(items).sum(axis=0)
    blank = units - answered
    return Scored(scoring, times * lowest, times * highest, prorated, answered, blank)


def prorate_total(instrument: Instrument, items: Numbers) -> Numbers:
    """Derive a total from items, pro-rated if few enough are missing, else NaN.

    Missing items are taken to be the mean of those present; halves round up, before the sum is
    multiplied.

    Parameters
    ----------
    items
        ``float64[rows, items]``.
    """
    return _score_items(_make_scoring(instrument), items.T).prorated


def list_scored(columns: Columns) -> list[Scored]:
    """Score the items of every instrument that has any."""
    owners = columns.dictionary.item_owners
    itemised = {key for name in columns.values if name in owners for key in owners[name]}
    scorings = _list_scorings(columns.dictionary)
    return [
        _score_items(scoring, columns.stack(scoring.fields))
        for key, scoring in scorings.items()
        if key in itemised
    ]


def derive_totals(columns: Columns, scored: Sequence[Scored]) -> Columns:
    """Fill missing totals from their items, and mark those that are pro-rated."""
    derived, prorated = {}, {}
    for score in scored:
        key = score.scoring.instrument.key
        total = columns.get_numbers(key)
        filled = np.isnan(total) & ~np.isnan(score.prorated)
        derived[key] = np.where(filled, score.prorated, total)
        if np.count_nonzero(score.blank):
            prorated[key] = filled & (score.blank > 0)
    return columns.replace(derived).mark_prorated(prorated) if derived else columns
