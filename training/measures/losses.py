"""Log losses, their differences, and the rule of one standard error that chooses by them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.base.arrays import Numbers
from training.measures.intervals import Patients, fill_weights, sum_by_patient


def compute_log_loss(log_odds: Numbers, outcome: Numbers) -> Numbers:
    """Compute the log loss of log-odds, each against its outcome; shapes as NumPy broadcasts them.

    >>> compute_log_loss(np.zeros(2), np.array([1.0, 0.0])).round(3)
    array([0.693, 0.693])
    """
    # logaddexp, not log(1 + exp): large log-odds must not overflow.
    losses: Numbers = np.logaddexp(0, np.where(outcome == 1, -log_odds, log_odds))
    return losses


@dataclass(frozen=True)
class Difference:
    """Mean difference in log loss on the same courses, and its standard error over patients."""

    mean: float
    error: float


def compare_losses(
    losses: Numbers, others: Numbers, patients: Patients, weights: Numbers | None = None
) -> Difference:
    """Compare losses course by course, ``[courses]`` each; negative if the first are lower.

    >>> gap = compare_losses(np.array([0.5, 0.8]), np.array([0.6, 0.6]), np.array([0, 1]))
    >>> round(gap.mean, 3), round(gap.error, 3)
    (0.05, 0.15)
    """
    gap, each = losses - others, fill_weights(weights, len(losses))
    mean = np.average(gap, weights=each)
    sums = sum_by_patient(each * (gap - mean), patients)
    # Not NaN for a single patient: a difference without an error would choose nothing.
    correction = len(sums) / max(len(sums) - 1, 1)
    error = np.sqrt(correction * (sums**2).sum()) / each.sum()
    # Rounded, so that two equal candidates differ by 0 and not by the last digit.
    return Difference(round(float(mean), 15), float(error))


def choose_candidate(
    losses: Mapping[str, Numbers], patients: Patients, weights: Numbers | None = None
) -> str:
    """Choose by the one-standard-error rule.

    Of all candidates within one standard error of the lowest log loss, the first in the order of
    preference is chosen.

    Parameters
    ----------
    losses
        Each candidate's losses, ``[courses]``, in the order of preference.
    """
    best = min(losses.values(), key=lambda loss: np.average(loss, weights=weights))
    gaps = {name: compare_losses(loss, best, patients, weights) for name, loss in losses.items()}
    return next(name for name, gap in gaps.items() if gap.mean <= gap.error)
