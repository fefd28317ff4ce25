"""Calibration: a map of log-odds after which predicted and observed event rates agree.

Log-odds z become ::

    intercept + above x ln(1 + e^z) - below x ln(1 + e^-z)

with slope ``below`` for unlikely events and ``above`` for likely ones. With equal slopes it is
logistic recalibration; with both 1 only the intercept changes; with two slopes it is beta
calibration (Kull et al., Electron J Stat 2017;11(2)).
"""

import numpy as np

from features.base.arrays import Numbers

# Intercept, slope below and slope above even odds that change nothing.
IDENTITY = (0.0, 1.0, 1.0)
# Closer to the reference than this, the chord is taken over this distance: 0/0 otherwise.
NEAR = 1e-6


def calibrate_log_odds(log_odds: Numbers, calibration: Numbers) -> Numbers:
    """Calibrate log-odds.

    Parameters
    ----------
    log_odds
        ``[..., versions]``.
    calibration
        ``[versions, 3]``: intercept, slope below and slope above even odds.

    Examples
    --------
    >>> calibrate_log_odds(np.array([[-9.0], [9.0]]), np.array([[0.0, 1.0, 0.5]])).ravel().round(3)
    array([-9. ,  4.5])
    """
    intercept, below, above = calibration.T
    straight: Numbers = intercept + above * log_odds
    difference = above - below
    if difference.any():
        straight += difference * np.logaddexp(0, -log_odds)
    return straight


def compute_chord_slope(log_odds: Numbers, reference: Numbers, calibration: Numbers) -> Numbers:
    """Compute the slope of the calibration between a reference and each row, ``[rows]``.

    Of the chord, so that contributions times it sum to the difference in calibrated log-odds. Both
    are given before calibration.
    """
    distance = log_odds - reference
    near = np.abs(distance) < NEAR
    further = np.where(near, reference + NEAR, log_odds)
    low, high = (
        calibrate_log_odds(end[:, None], calibration[None, :])[:, 0] for end in (reference, further)
    )
    slope: Numbers = (high - low) / np.where(near, NEAR, distance)
    return slope
