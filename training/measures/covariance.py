"""Covariances of a logistic regression's coefficients, with weights and repeat courses."""

import numpy as np

from features.base.arrays import Numbers
from training.measures.intervals import (
    Patients,
    correct_few,
    fill_weights,
    number_patients,
    sum_by_patient,
)


def compute_covariance(
    design: Numbers,
    fitted: Numbers,
    outcome: Numbers,
    weights: Numbers | None = None,
    patients: Patients | None = None,
    repeats: int = 1,
) -> Numbers:
    """Compute the covariance by the variances that the regression itself supposes.

    Without weights and repeat courses it is the inverse information. Weights are known numbers, not
    copies, and courses of a patient have one correlation. Squared residuals, as the sandwich
    estimator uses them, are far too small if events are few
    (``docs/decisions/0021-few-events.md``).

    Parameters
    ----------
    design
        ``[predictions, columns]``.
    fitted
        Probabilities by the regression.
    repeats
        Predictions of each course, one after the other as in :class:`Predictions`. They share its
        outcome.
    """
    # Residuals of fitted probabilities of 0 or 1 would be infinite.
    inside = np.clip(fitted, 1e-12, 1 - 1e-12)
    each, deviation = fill_weights(weights, len(outcome)), np.sqrt(inside * (1 - inside))
    bread = _invert(design.T @ (design * (each * deviation**2)[:, None]))
    # What each course adds to the score if its residual is one standard deviation.
    parts = design * (each * deviation)[:, None]
    parts = parts.reshape(repeats, -1, design.shape[1]).sum(axis=0)
    residuals = ((outcome - fitted) / deviation).reshape(repeats, -1).mean(axis=0)
    people = number_patients(patients, len(outcome))[: len(parts)]
    together, correlation = sum_by_patient(parts, people), _correlate_courses(residuals, people)
    scores = correlation * together.T @ together + (1 - correlation) * parts.T @ parts
    covariance: Numbers = bread @ scores @ bread
    return covariance


def _correlate_courses(residuals: Numbers, patients: Patients) -> float:
    # Over all pairs of courses of a patient: the product over the mean square, so that copies of a
    # course have 1. Not below 0, which among few events is chance.
    squares = sum_by_patient(residuals**2, patients)
    products = float((sum_by_patient(residuals, patients) ** 2 - squares).sum())
    pairs = float((np.bincount(patients) - 1) @ squares)
    return max(products / pairs, 0.0) if pairs else 0.0


def compute_sandwich(
    design: Numbers,
    fitted: Numbers,
    outcome: Numbers,
    weights: Numbers | None,
    patients: Patients | None,
) -> Numbers:
    """Compute the sandwich estimator over patients; the inverse information if nothing needs it.

    Weights are not numbers of copies, and courses of one patient are not independent: without
    either, the inverse information holds with far fewer events.
    """
    each, people = fill_weights(weights, len(outcome)), number_patients(patients, len(outcome))
    bread = _invert(design.T @ (design * (each * fitted * (1 - fitted))[:, None]))
    if weights is None and len(np.unique(people)) == len(people):
        return bread
    scores = sum_by_patient(design * (each * (outcome - fitted))[:, None], people)
    covariance: Numbers = correct_few(len(scores)) * bread @ scores.T @ scores @ bread
    return covariance


def _invert(information: Numbers) -> Numbers:
    if np.isnan(information).any():
        return np.full_like(information, np.nan)
    return np.linalg.inv(information).astype(np.float64)
