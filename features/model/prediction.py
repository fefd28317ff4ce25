"""Predictions: from the log-odds of a model and its re-developments to probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Numbers
from features.model.plan import ROUNDING

# Re-developments that all agree have no variance: the size is then huge, not a division by 0.
MIN_VARIANCE = np.finfo(np.float64).tiny

Real = TypeVar("Real", np.float32, np.float64)


@dataclass(frozen=True)
class Prediction:
    """Probabilities of many assessments, each array ``[rows]``."""

    log_odds: Numbers
    probability: Numbers
    # Interval for the patient's own probability at the card's level; NaN without re-developments,
    # or if no interval was asked for.
    low: Numbers
    high: Numbers
    # Number of patients like this one whose event rate would be as precise: p(1-p)/var(p),
    # Thomassen et al., Stat Med 2024.
    effective_sample_size: Numbers


def compute_probability(log_odds: NDArray[Real]) -> NDArray[Real]:
    """Turn log-odds into probabilities.

    Examples
    --------
    >>> compute_probability(np.array([0.0, 800.0, -800.0]))
    array([0.5, 1. , 0. ])
    """
    # Negating an array of no dimension gives a number, into which nothing can be written.
    odds_against = np.asarray(np.negative(log_odds))
    with np.errstate(over="ignore"):
        np.exp(odds_against, out=odds_against)
    odds_against += 1.0
    probability: NDArray[Real] = np.reciprocal(odds_against, out=odds_against)
    return probability


def summarise_versions(log_odds: Numbers, level: float | None) -> Prediction:
    """Turn the log-odds of a model and its re-developments into estimates with intervals.

    Parameters
    ----------
    log_odds
        ``[rows, versions]``, the model itself first.
    level
        Of the interval; None if no interval is wanted.
    """
    probability = compute_probability(log_odds)
    point, others = probability[:, 0], probability[:, 1:]
    if not others.shape[1]:
        unknown = np.full(len(point), np.nan)
        return Prediction(log_odds[:, 0], point, unknown, unknown, unknown)
    if level is not None:
        # Only quantiles need the values in order.
        others = np.sort(others, axis=1)
    summary = weigh_ordered(others.shape[1], level)
    low, high, mean = (others @ summary).T
    variance = np.square(others - mean[:, None]) @ summary[:, 2]
    size = point * (1 - point) / np.maximum(variance, MIN_VARIANCE)
    if level is None:
        low = high = np.full(len(point), np.nan)
    # The model itself may lie outside of what its re-developments span; its interval holds it.
    return Prediction(log_odds[:, 0], point, np.minimum(low, point), np.maximum(high, point), size)


def compare_sizes(
    probability: Numbers, log_odds: NDArray[np.float32], error: Numbers, limit: float
) -> tuple[Numbers, Flags]:
    """Compare effective sample sizes with a limit, from sums in single precision.

    Parameters
    ----------
    probability
        ``[rows]``: the model's own.
    log_odds, error
        ``float32[rows, re-developments]``, and the largest error in each row.

    Returns
    -------
    ndarray
        ``[rows]``: effective sample sizes.
    ndarray
        ``[rows]``: whether each is on its side of the limit despite the error.
    """
    others = compute_probability(log_odds)
    others -= others.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(others).mean(axis=1, dtype=np.float64))
    certain = probability * (1 - probability)
    # A probability moves by a quarter of its log-odds at most; it is rounded, and so is the mean.
    error = error / 4 + ROUNDING * (others.shape[1] + 8)
    sure = np.abs(spread - np.sqrt(certain / limit)) > error
    return certain / np.maximum(np.square(spread), MIN_VARIANCE), sure


@lru_cache(maxsize=64)
def weigh_ordered(count: int, level: float | None) -> Numbers:
    """Make the weights, ``[count, 3]``, that turn sorted values into quantiles and a mean.

    The interval's ends are interpolated between the two nearest values; 0 without a level.

    Examples
    --------
    >>> np.array([1.0, 2.0, 3.0, 5.0, 9.0]) @ weigh_ordered(5, 0.8)
    array([1.4, 7.4, 4. ])
    """
    weights = np.zeros((count, 3))
    weights[:, 2] = 1 / count
    tail = 0.0 if level is None else (1 - level) / 2
    for end, share in enumerate((tail, 1 - tail) if level is not None else ()):
        index = share * (count - 1)
        below = min(int(index), count - 1)
        weights[below, end] += 1 - (index - below)
        weights[min(below + 1, count - 1), end] += index - below
    # It is cached: a caller that changed it would change every later interval.
    weights.flags.writeable = False
    return weights


def join_predictions(parts: Sequence[Prediction]) -> Prediction:
    """Join the predictions of blocks of rows."""
    if len(parts) == 1:
        return parts[0]
    names = Prediction.__dataclass_fields__
    return Prediction(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
