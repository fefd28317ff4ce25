"""Studied: which assessments a model may be asked about, told from its card.

The service withholds estimates from all others; validation leaves their courses aside.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from features.base.arrays import Flags
from features.dictionary.fields import FIELDS
from features.dictionary.outcome import parse_outcome
from features.model.card import ModelCard, StudiedRange
from features.records.columns import Columns
from features.records.comparisons import Interval, make_comparisons, make_interval


def list_early(card: ModelCard) -> list[str]:
    """List the early scores that an update model was developed with; none for a baseline model."""
    early = parse_outcome(card.outcome.id).early_scores
    return [found.field for found in card.ranges if found.field in early]


def find_unread(columns: Columns, early: Sequence[str]) -> Flags:
    """Find rows without any early score, where the model needs one; ``[rows]``."""
    unread = np.full(columns.size, bool(early))
    for name in early:
        unread &= columns.find_missing(name)
    return unread


class StudiedRanges:
    """What a model has seen, ready to be held against many rows.

    Parameters
    ----------
    fields
        The fields with a range, in the card's order.
    """

    def __init__(self, ranges: Sequence[StudiedRange]) -> None:
        unseen = [list(list_unseen(one)) for one in ranges]
        found = [(one, n) for one, n in zip(ranges, map(len, unseen), strict=True) if n]
        self.fields = tuple(one.field for one, _ in found)
        self._first = np.cumsum([0, *(n for _, n in found)])[:-1]
        self._unseen = make_comparisons(
            (one.field, values)
            for one, intervals in zip(ranges, unseen, strict=True)
            for values in intervals
        )

    def find_outside(self, columns: Columns) -> Flags:
        """Find values that the model has never seen, ``[fields, rows]``; missing ones are not."""
        if not self.fields:
            return np.zeros((0, columns.size), dtype=bool)
        unseen = self._unseen.compare(columns.stack(self._unseen.fields))
        return np.logical_or.reduceat(unseen, self._first, axis=0)


def list_unseen(studied: StudiedRange) -> Iterator[Interval]:
    """List the values that a model has never seen, as intervals.

    Examples
    --------
    >>> list(list_unseen(StudiedRange(field="sex", categories=("female", "male"))))
    [(2.0, 2.0)]
    """
    if studied.categories:
        for place, name in enumerate(FIELDS[studied.field].categories):
            if name not in studied.categories:
                yield make_interval("is", float(place))
        return
    if studied.low is not None:
        yield make_interval("below", studied.low)
    if studied.high is not None:
        yield make_interval("above", studied.high)


def find_outside(columns: Columns, studied: StudiedRange) -> Flags:
    """Find rows whose value the model has never seen, ``[rows]``; a missing one is not outside."""
    outside: Flags = np.logical_or.reduce(StudiedRanges([studied]).find_outside(columns), axis=0)
    return outside
