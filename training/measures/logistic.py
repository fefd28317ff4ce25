"""Logistic regression of outcomes on log-odds or a few columns, of many samples at once.

Used to calibrate candidates on held-out folds, and to measure calibration. Samples are weights of
the same rows, so one Newton step serves all of them.
"""

import numpy as np

from features.base.arrays import Flags, Numbers
from features.model.prediction import compute_probability

# The bounds only stop a search that cannot converge; it usually takes fewer than ten steps.
_MAX_STEPS = 50
_TOLERANCE = 1e-10
_MAX_HALVINGS = 30
# If classes are nearly separated a full step would overshoot into a flat likelihood.
_MAX_STEP = 5.0
# Coefficients above this are those of separated classes: no finite maximum exists.
_MAX_COEFFICIENT = 30.0


def logit(probability: Numbers) -> Numbers:
    """Turn probabilities into log-odds, kept within 1e-12 of 0 and 1."""
    inside = np.clip(probability, 1e-12, 1 - 1e-12)
    log_odds: Numbers = np.log(inside) - np.log1p(-inside)
    return log_odds


def fit_intercept_slope(log_odds: Numbers, outcome: Numbers, weights: Numbers) -> Numbers:
    """Fit outcome ~ intercept + slope x log-odds by maximum likelihood.

    Parameters
    ----------
    log_odds, outcome
        ``[rows]``.
    weights
        ``[samples, rows]``: how often each row counts in each sample.

    Returns
    -------
    ndarray
        ``[samples, 2]``; NaN if no finite maximum exists: constant log-odds, one class, or
        outcomes that the log-odds separate.
    """
    # Centred and scaled, or the Hessian of extreme log-odds would be ill-conditioned; undone below.
    centre, scale = log_odds.mean(), log_odds.std() or 1.0
    design = np.column_stack([np.ones_like(log_odds), (log_odds - centre) / scale])
    coefficients = fit_logistic(design, np.zeros_like(log_odds), outcome, weights)
    slope = coefficients[:, 1] / scale
    fitted = np.column_stack([coefficients[:, 0] - slope * centre, slope])
    fitted[~_find_overlapping(log_odds, outcome, weights)] = np.nan
    fitted[np.abs(slope) > _MAX_COEFFICIENT] = np.nan
    return fitted


def _find_overlapping(log_odds: Numbers, outcome: Numbers, weights: Numbers) -> Flags:
    # Newton's steps may come to rest although classes are separated, where the likelihood is flat.
    # A fraction of an event belongs to both classes.
    classes = [(weights > 0) & part for part in (outcome > 0, outcome < 1)]
    highest = [np.where(rows, log_odds, -np.inf).max(axis=1) for rows in classes]
    lowest = [np.where(rows, log_odds, np.inf).min(axis=1) for rows in classes]
    overlapping: Flags = (highest[0] > lowest[1]) & (highest[1] > lowest[0])
    return overlapping


def fit_intercept(log_odds: Numbers, outcome: Numbers, weights: Numbers) -> Numbers:
    """Fit outcome ~ intercept + log-odds, the slope held at 1; ``[samples]``."""
    design = np.ones((len(log_odds), 1))
    return fit_logistic(design, log_odds, outcome, weights)[:, 0]


def fit_logistic(design: Numbers, offset: Numbers, outcome: Numbers, weights: Numbers) -> Numbers:
    """Maximise each sample's likelihood by Newton steps, halved if they would decrease it.

    Parameters
    ----------
    design
        ``[rows, columns]`` of like size: a column of ones, then those that carry the log-odds.
    offset, outcome
        ``[rows]``.
    weights
        ``[samples, rows]``.

    Returns
    -------
    ndarray
        ``[samples, columns]``; NaN if no finite maximum exists.
    """
    samples, width = len(weights), design.shape[1]
    coefficients = np.zeros((samples, width))
    active = _find_solvable(design, outcome, weights)
    likelihood = _compute_likelihood(coefficients, design, offset, outcome, weights)
    step = np.zeros_like(coefficients)
    for _ in range(_MAX_STEPS):
        step = _compute_step(coefficients, design, offset, outcome, weights)
        step[~active] = 0
        for _ in range(_MAX_HALVINGS):
            reached = _compute_likelihood(coefficients + step, design, offset, outcome, weights)
            # Within rounding, nothing has decreased: at the maximum all halvings would be used up.
            lower = reached < likelihood - 1e-9 * np.abs(likelihood)
            if not lower.any():
                break
            step[lower] /= 2
        else:
            # No part of the step helps: the sample is at its maximum, but for rounding.
            step[lower] = 0
        coefficients, likelihood = coefficients + step, reached
        if np.abs(step).max(initial=0) < _TOLERANCE:
            break
    # Still moving at the end: the classes are separated, and coefficients grow without limit.
    unsettled = np.abs(step).max(axis=1, initial=0) > 1e-4
    coefficients[~active | unsettled | (np.abs(coefficients) > _MAX_COEFFICIENT).any(axis=1)] = (
        np.nan
    )
    return coefficients


def _compute_likelihood(
    coefficients: Numbers, design: Numbers, offset: Numbers, outcome: Numbers, weights: Numbers
) -> Numbers:
    log_odds = coefficients @ design.T + offset
    likelihood: Numbers = (weights * (outcome * log_odds - np.logaddexp(0, log_odds))).sum(axis=1)
    return likelihood


def _compute_step(
    coefficients: Numbers, design: Numbers, offset: Numbers, outcome: Numbers, weights: Numbers
) -> Numbers:
    width = design.shape[1]
    expected = compute_probability(coefficients @ design.T + offset)
    gradient = (weights * (outcome - expected)) @ design
    # The Hessians of all samples by a single matrix product.
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    curvature = ((weights * expected * (1 - expected)) @ products).reshape(-1, width, width)
    # One singular sample must not stop the solver for all others; it is set to NaN in the end.
    ridge = 1e-12 * np.eye(width)
    full = np.linalg.solve(curvature + ridge, gradient[..., None])[..., 0]
    # Shortened as a whole: cut off in one coordinate, it could point downhill.
    longest = np.abs(full).max(axis=1, keepdims=True)
    step: Numbers = full * (_MAX_STEP / np.maximum(longest, _MAX_STEP))
    return step


def _find_solvable(design: Numbers, outcome: Numbers, weights: Numbers) -> Flags:
    events, total = weights @ outcome, weights.sum(axis=1)
    both: Flags = (events > 0) & (events < total)
    if design.shape[1] == 1:
        return both
    # A sample may hold a single value of the log-odds, repeated: then no slope exists.
    mean = weights @ design[:, 1] / total
    spread = weights @ design[:, 1] ** 2 / total - mean**2
    both &= spread > 1e-10 * (1 + mean**2)
    return both
