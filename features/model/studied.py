"""Studied ranges: which assessments a model may estimate, by its card.

The estimator abstains for all others; validation excludes their courses.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from features.base.arrays import Flags
from features.dictionary.dictionary import Dictionary
from features.model.card import ModelCard, StudiedRange
from features.records.columns import Columns
from features.records.comparisons import Interval, make_comparisons, make_interval


def list_early(card: ModelCard) -> list[str]:
    """List the early scores that an update model was developed with; empty for a baseline model."""
    early = card.parse_outcome().early_scores
    return [studied.field for studied in card.ranges if studied.field in early]


def find_unread(columns: Columns, early: Sequence[str]) -> Flags:
    """Return which rows lack every early score, if the model needs one; ``bool[rows]``."""
    unread = np.full(columns.size, bool(early))
    for name in early:
        unread &= columns.find_missing(name)
    return unread


class StudiedRanges:
    """A model's studied ranges, prepared to be compared with many rows.

    Its dictionary lists the categories of a field.
    """

    def __init__(self, ranges: Sequence[StudiedRange], dictionary: Dictionary) -> None:
        unseen = {studied.field: list(_list_unseen(studied, dictionary)) for studied in ranges}
        # In the card's order; a field of which every category was studied has nothing outside.
        self.fields = tuple(field for field, intervals in unseen.items() if intervals)
        counts = [len(unseen[field]) for field in self.fields]
        self._first = np.cumsum([0, *counts])[:-1]
        self._unseen = make_comparisons(
            (field, interval) for field, intervals in unseen.items() for interval in intervals
        )

    def find_outside(self, columns: Columns) -> Flags:
        """Return which values were never studied, ``bool[fields, rows]``; missing ones are not."""
        if not self.fields:
            return np.zeros((0, columns.size), dtype=bool)
        unseen = self._unseen.compare(columns.stack(self._unseen.fields))
        return np.logical_or.reduceat(unseen, self._first, axis=0)


def _list_unseen(studied: StudiedRange, dictionary: Dictionary) -> Iterator[Interval]:
    if studied.categories:
        for position, name in enumerate(dictionary.fields[studied.field].categories):
            if name not in studied.categories:
                yield make_interval("is", float(position))
        return
    if studied.low is not None:
        yield make_interval("below", studied.low)
    if studied.high is not None:
        yield make_interval("above", studied.high)
