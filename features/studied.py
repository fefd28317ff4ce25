"""Studied: which assessments a model may be asked about, told from its card.

The service withholds estimates from all others; validation leaves their courses aside.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.contract import ModelCard, StudiedRange
from features.fields import FIELDS
from features.outcome import parse_outcome

Mask = NDArray[np.bool_]


def list_early(card: ModelCard) -> list[str]:
    """List the early scores that an update model was developed with; none for a baseline model."""
    early = parse_outcome(card.outcome.id).early_scores
    return [found.field for found in card.ranges if found.field in early]


def find_unread(columns: Columns, early: Sequence[str]) -> Mask:
    """Find rows without any early score, where the model needs one; ``[rows]``."""
    unread = np.full(columns.size, bool(early))
    for name in early:
        unread &= columns.find_missing(name)
    return unread


def find_outside(columns: Columns, studied: StudiedRange) -> Mask:
    """Find rows whose value the model has never seen, ``[rows]``; a missing one is not outside."""
    values = columns.get_numbers(studied.field)
    known = ~np.isnan(values)
    if studied.categories:
        names = FIELDS[studied.field].categories
        return known & ~np.isin(values, [names.index(name) for name in studied.categories])
    low = -np.inf if studied.low is None else studied.low
    high = np.inf if studied.high is None else studied.high
    return known & ((values < low) | (values > high))
