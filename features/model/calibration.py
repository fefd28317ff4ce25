"""Calibration: what is done to log-odds so that estimates come true as often as they say.

Log-odds z become ::

    intercept + above x ln(1 + e^z) - below x ln(1 + e^-z)

which has the slope ``below`` where the outcome is unlikely and ``above`` where it is likely. With
both alike it is a straight line, logistic recalibration; with both 1 only the base rate moves; with
two slopes it is beta calibration (Kull et al., Electron J Stat 2017;11(2)).
"""

import numpy as np

from features.base.arrays import Numbers

# Intercept, slope below and slope above even odds, that change nothing.
IDENTITY = (0.0, 1.0, 1.0)
# Nearer than this to the reference, the share of a contribution is taken from the slope there.
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
    >>> calibrate_log_odds(np.array([[-2.0], [2.0]]), np.array([[0.0, 1.0, 1.0]])).ravel()
    array([-2.,  2.])
    >>> calibrate_log_odds(np.array([[-9.0], [9.0]]), np.array([[0.0, 1.0, 0.5]])).ravel().round(3)
    array([-9. ,  4.5])
    """
    intercept, below, above = calibration.T
    straight: Numbers = intercept + above * log_odds
    bend = above - below
    return straight + bend * np.logaddexp(0, -log_odds) if bend.any() else straight


def find_steepness(log_odds: Numbers, reference: Numbers, calibration: Numbers) -> Numbers:
    """Find what one unit of log-odds between a reference and a row is worth once calibrated.

    The slope of the chord, so that contributions times it still add up to what is between.

    Parameters
    ----------
    log_odds, reference
        ``[rows]``, before calibration.
    calibration
        ``[3]``.

    Examples
    --------
    >>> find_steepness(np.array([4.0, 0.0]), np.zeros(2), np.array([1.0, 0.5, 0.5]))
    array([0.5, 0.5])
    """
    one = calibration[None, :]
    apart = log_odds - reference
    near = np.abs(apart) < NEAR
    further = np.where(near, reference + NEAR, log_odds)
    ends = [calibrate_log_odds(end[:, None], one)[:, 0] for end in (reference, further)]
    steepness: Numbers = (ends[1] - ends[0]) / np.where(near, NEAR, apart)
    return steepness
