"""Items that add up to a total: one common factor, ordinal answers."""

import numpy as np

from features.base.arrays import Numbers
from features.dictionary.instrument import Instrument

# Standard deviation of an item's own part, in steps between its answers; gives an alpha of about
# 0.87.
_OWN_SPREAD = 0.6
_STEP = 1.0
_DIFFICULTY_SPREAD = 0.5


def make_items(instrument: Instrument, total: Numbers, generator: np.random.Generator) -> Numbers:
    """Draw items that sum to each total exactly.

    Every step of every item has a threshold; a patient takes as many of the lowest thresholds as
    the total asks for, so that items rise together and the later steps of an item come last.

    Returns
    -------
    ndarray
        ``float64[patients, items]``.
    """
    highs = np.array(instrument.item_highs)
    difficulty = _DIFFICULTY_SPREAD * np.linspace(-1, 1, len(highs))
    own = _OWN_SPREAD * generator.standard_normal((len(total), len(highs))) + difficulty
    item_of_step = np.repeat(np.arange(len(highs)), highs)
    step_number = np.concatenate([np.arange(high) for high in highs])
    thresholds = own[:, item_of_step] + _STEP * step_number
    rank = thresholds.argsort(axis=1).argsort(axis=1)
    taken = rank < total[:, None]
    starts = np.concatenate([[0], np.cumsum(highs)[:-1]])
    return np.add.reduceat(taken, starts, axis=1).astype(float)
