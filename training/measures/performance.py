"""Performance: every measure of predictions, with intervals over patients."""

from dataclasses import dataclass

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from features.model.prediction import compute_probability
from training.measures.calibration_curve import (
    ERRORS,
    estimate_intercept,
    estimate_ratio,
    estimate_slope,
    measure_curve,
)
from training.measures.discrimination import compute_grouped_auc, estimate_auc
from training.measures.intervals import LOG, LOGIT, resample, summarise_draws
from training.measures.logistic import fit_intercept, fit_intercept_slope
from training.measures.overall import OVERALL, compute_overall, measure_overall
from training.measures.predictions import CONSTANT, Predictions
from training.study.parts import MEASURE_LEVEL
from training.study.split import derive_seed
from training.study.study import Study

MEASURES = ("auc", *OVERALL, "ratio", "intercept", "slope")
# What candidates are compared by: the others are measured of the chosen one alone.
COMPARED = ("log_loss", "brier", "auc", "intercept", "slope")
# Each resample of the curve is a regression of its own; its distances need no more.
_CURVE_RESAMPLES = 200
# Index among the seeds derived from the study's own.
MEASURE_SEED = 3


@dataclass(frozen=True)
class IntervalSettings:
    """How intervals are made: bootstrap samples, level, seed."""

    samples: int
    level: float
    seed: int


def make_interval_settings(study: Study) -> IntervalSettings:
    """Return how a study makes the intervals of its measures."""
    # One seed for all measures and models: they are compared on the same bootstrap samples.
    seed = derive_seed(study.seed, MEASURE_SEED)
    return IntervalSettings(study.validation.resamples, MEASURE_LEVEL, seed)


def measure_performance(predictions: Predictions, settings: IntervalSettings) -> dict[str, Measure]:
    """Measure everything; a measure that is not defined has no value."""
    return {
        "auc": _measure_auc(predictions, settings),
        **_measure_overall(predictions, settings),
        **_measure_calibration(predictions, settings),
        **_measure_curve(predictions, settings),
    }


def measure_candidate(predictions: Predictions, settings: IntervalSettings) -> dict[str, Measure]:
    """Measure what candidates are compared by, in the order of :data:`COMPARED`."""
    measures = {
        **_measure_overall(predictions, settings),
        "auc": _measure_auc(predictions, settings),
        **_measure_calibration(predictions, settings),
    }
    return {name: measures[name] for name in COMPARED}


def _measure_overall(predictions: Predictions, settings: IntervalSettings) -> dict[str, Measure]:
    return measure_overall(
        predictions.probability,
        predictions.outcome,
        predictions.patients,
        settings.samples,
        settings.level,
        settings.seed,
        predictions.weights,
    )


def _measure_auc(predictions: Predictions, settings: IntervalSettings) -> Measure:
    # Of a single group the interval is DeLong's or Obuchowski's, of several by the bootstrap: pairs
    # are formed within groups, for which neither has a variance.
    outcome, weights, patients = predictions.outcome, predictions.weights, predictions.patients
    if np.ptp(predictions.groups) == 0:
        auc = estimate_auc(predictions.probability, outcome, weights, patients)
        return auc.make_interval(settings.level, LOGIT)

    def compute(drawn: Numbers) -> Numbers:
        return compute_grouped_auc(predictions.log_odds, outcome, drawn, predictions.groups)

    value = float(compute(predictions.weights_or_ones[None, :])[0])
    draws = resample(compute, patients, settings.samples, settings.seed, weights)
    return summarise_draws(value, draws, settings.level)


def _measure_calibration(
    predictions: Predictions, settings: IntervalSettings
) -> dict[str, Measure]:
    rest = (predictions.outcome, predictions.weights, predictions.patients)
    ratio = estimate_ratio(predictions.probability, *rest)
    intercept = estimate_intercept(predictions.log_odds, *rest)
    slope = Measure(value=None)
    if not predictions.is_constant:
        slope = estimate_slope(predictions.log_odds, *rest).make_interval(settings.level)
    return {
        "ratio": ratio.make_interval(settings.level, LOG),
        "intercept": intercept.make_interval(settings.level),
        "slope": slope,
    }


def _measure_curve(predictions: Predictions, settings: IntervalSettings) -> dict[str, Measure]:
    if predictions.is_constant:
        return dict.fromkeys(ERRORS, Measure(value=None))
    return measure_curve(
        predictions.probability,
        predictions.outcome,
        predictions.patients,
        min(settings.samples, _CURVE_RESAMPLES),
        settings.level,
        settings.seed,
        predictions.weights,
    )


def compute_performance(log_odds: Numbers, outcome: Numbers, weights: Numbers) -> Numbers:
    """Compute every measure but the curve's distances in every weighted sample.

    Parameters
    ----------
    log_odds, outcome
        ``[courses]``, of a single group.
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
