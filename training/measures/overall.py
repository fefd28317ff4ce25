"""Overall performance: log loss, Brier score, and the Brier score against that of the base rate."""

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from training.measures.intervals import Patients, measure_resampled
from training.measures.logistic import logit
from training.measures.losses import compute_log_loss

OVERALL = ("log_loss", "brier", "scaled_brier")


def compute_overall(probability: Numbers, outcome: Numbers, weights: Numbers) -> Numbers:
    """Compute the three in every weighted sample.

    The scaled Brier score, or index of prediction accuracy (Kattan and Gerds, Diagn Progn Res
    2018), is 1 minus the Brier score over that of the sample's own base rate: 1 is perfect, 0 no
    better than the base rate, below 0 worse; NaN in a sample of one class.

    Parameters
    ----------
    probability, outcome
        ``[courses]``.
    weights
        ``[samples, courses]``.

    Returns
    -------
    ndarray
        ``[samples, 3]``, in the order of :data:`OVERALL`.

    Examples
    --------
    >>> probability, outcome = np.array([0.8, 0.4, 0.6, 0.2]), np.array([1.0, 1, 0, 0])
    >>> compute_overall(probability, outcome, np.ones((1, 4))).round(4)  # 0.8 / 4; 1 - 0.2 / 0.25
    array([[0.5697, 0.2   , 0.2   ]])
    """
    log_odds, total = logit(probability), weights.sum(axis=1)
    losses = compute_log_loss(log_odds, outcome)
    brier = weights @ (probability - outcome) ** 2 / total
    share = weights @ outcome / total
    # The Brier score of the sample's own base rate.
    constant = share * (1 - share)
    # A bootstrap sample may hold one class alone: its base rate leaves nothing to improve.
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.where(constant > 0, 1 - brier / constant, np.nan)
    return np.column_stack([weights @ losses / total, brier, scaled])


def measure_overall(
    probability: Numbers,
    outcome: Numbers,
    patients: Patients,
    samples: int,
    level: float,
    seed: int,
    weights: Numbers | None = None,
) -> dict[str, Measure]:
    """Measure the three, with percentile intervals over resampled patients."""

    def compute(drawn: Numbers) -> Numbers:
        return compute_overall(probability, outcome, drawn)

    return measure_resampled(OVERALL, compute, patients, samples, level, seed, weights)
