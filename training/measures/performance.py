"""Performance: every measure of predictions, with intervals over patients."""

from functools import partial

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from features.model.prediction import compute_probability
from training.measures.bootstrap import IntervalSettings, measure_resampled
from training.measures.calibration_curve import (
    estimate_ratio,
    measure_curve,
    measure_intercept,
    measure_slope,
)
from training.measures.discrimination import compute_grouped_auc, estimate_auc
from training.measures.intervals import LOG, LOGIT
from training.measures.logistic import fit_intercept, fit_intercept_slope, logit
from training.measures.losses import compute_log_loss
from training.measures.predictions import CONSTANT, Predictions

OVERALL = ("log_loss", "brier", "scaled_brier")
MEASURES = ("auc", *OVERALL, "ratio", "intercept", "slope")
# What candidates are compared by: the others are measured of the chosen one alone.
COMPARED = ("log_loss", "brier", "auc", "intercept", "slope")


def measure_performance(predictions: Predictions, settings: IntervalSettings) -> dict[str, Measure]:
    """Measure everything; a measure that is not defined has no value."""
    return _measure_all(predictions, settings) | measure_curve(predictions, settings)


def measure_candidate(predictions: Predictions, settings: IntervalSettings) -> dict[str, Measure]:
    """Measure what candidates are compared by, in the order of :data:`COMPARED`."""
    measures = _measure_all(predictions, settings)
    return {name: measures[name] for name in COMPARED}


def _measure_all(predictions: Predictions, settings: IntervalSettings) -> dict[str, Measure]:
    # All of MEASURES, in its order.
    ratio = estimate_ratio(predictions.probability, *predictions.courses)
    slope = Measure(value=None)
    if not predictions.is_constant:
        slope = measure_slope(predictions, settings.level)
    return {
        "auc": _measure_auc(predictions, settings),
        **measure_overall(predictions, settings),
        "ratio": ratio.make_interval(settings.level, LOG),
        "intercept": measure_intercept(predictions, settings.level),
        "slope": slope,
    }


def measure_overall(predictions: Predictions, settings: IntervalSettings) -> dict[str, Measure]:
    """Measure :data:`OVERALL`, with percentile intervals over resampled patients."""
    compute = partial(compute_overall, predictions.probability, predictions.outcome)
    return measure_resampled(OVERALL, compute, predictions, settings)


def compute_overall(probability: Numbers, outcome: Numbers, weights: Numbers) -> Numbers:
    """Compute :data:`OVERALL` in every weighted sample.

    The scaled Brier score, or index of prediction accuracy (Kattan and Gerds, Diagn Progn Res
    2018), is 1 minus the Brier score over that of the sample's own base rate: 1 is perfect, 0 no
    better than the base rate, below 0 worse; NaN in a sample of one class.

    Parameters
    ----------
    weights
        ``[samples, courses]``.

    Returns
    -------
    ndarray
        ``[samples, 3]``, in the order of :data:`OVERALL`.
    """
    log_odds, total = logit(probability), weights.sum(axis=1)
    losses = compute_log_loss(log_odds, outcome)
    brier = weights @ (probability - outcome) ** 2 / total
    share = weights @ outcome / total
    constant = share * (1 - share)
    # A bootstrap sample may hold one class alone: its base rate leaves nothing to improve.
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.where(constant > 0, 1 - brier / constant, np.nan)
    return np.column_stack([weights @ losses / total, brier, scaled])


def _measure_auc(predictions: Predictions, settings: IntervalSettings) -> Measure:
    # Of a single group the interval is DeLong's or Obuchowski's, of several by the bootstrap: pairs
    # are formed within groups, for which neither has a variance.
    outcome, groups = predictions.outcome, predictions.groups
    if np.ptp(groups) == 0:
        auc = estimate_auc(predictions.probability, *predictions.courses)
        return auc.make_interval(settings.level, LOGIT)

    def compute(drawn: Numbers) -> Numbers:
        return compute_grouped_auc(predictions.log_odds, outcome, drawn, groups)[:, None]

    return measure_resampled(("auc",), compute, predictions, settings)["auc"]


def compute_performance(log_odds: Numbers, outcome: Numbers, weights: Numbers) -> Numbers:
    """Compute every measure but the curve's distances in every weighted sample.

    Parameters
    ----------
    log_odds, outcome
        ``[courses]``, ranked as a single group.
    weights
        ``[samples, courses]``.

    Returns
    -------
    ndarray
        ``[samples, measures]`` in the order of :data:`MEASURES`; NaN if not defined.
    """
    probability = compute_probability(log_odds)
    auc = compute_grouped_auc(log_odds, outcome, weights, np.zeros(len(outcome), dtype=np.int64))
    overall = compute_overall(probability, outcome, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (weights @ outcome) / (weights @ probability)
    intercept = fit_intercept(log_odds, outcome, weights)
    slope = np.full(len(weights), np.nan)
    if np.ptp(log_odds) >= CONSTANT:
        slope = fit_intercept_slope(log_odds, outcome, weights)[:, 1]
    return np.column_stack([auc, overall, ratio, intercept, slope])
