"""Instability: how much predictions depend on the sample that the model was developed on.

Riley and Collins (Biometrical Journal 2023): the development is repeated on bootstrap samples of
patients, and every bootstrap model is applied to the original sample. Its predictions of that are
the *versions*, ``[versions, courses]``, of the model's own estimates, ``[courses]``.
"""

from dataclasses import dataclass

import numpy as np

from features.base.arrays import Indices, Numbers
from training.measures.calibration_curve import fit_curve

# Fewer courses in a band would say something of single ones.
_MIN_IN_BAND = 10
_MAX_BANDS = 10


@dataclass(frozen=True)
class InstabilityBand:
    """Courses with estimates near each other.

    Parameters
    ----------
    estimate, low, high
        Means of the estimate and of the limits of its versions.
    error
        Mean absolute difference between the estimate and its versions.
    """

    courses: int
    estimate: float
    low: float
    high: float
    error: float


def find_limits(versions: Numbers, level: float) -> tuple[Numbers, Numbers]:
    """Find between which probabilities the versions lie for each course, ``[courses]`` each."""
    low, high = np.quantile(versions, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def compute_errors(probability: Numbers, versions: Numbers) -> Numbers:
    """Compute each course's mean absolute prediction error, ``[courses]``."""
    errors: Numbers = np.abs(versions - probability).mean(axis=0)
    return errors


def compute_flips(probability: Numbers, versions: Numbers, threshold: float) -> Numbers:
    """Compute each course's share of versions on the other side of a threshold, ``[courses]``."""
    flips: Numbers = ((probability >= threshold) != (versions >= threshold)).mean(axis=0)
    return flips


def band_estimates(probability: Numbers, versions: Numbers, level: float) -> list[InstabilityBand]:
    """Summarise instability by the size of the estimate, in bands of about as many courses.

    They are ten, or fewer if a band would have under ten courses. Equal estimates share one.
    """
    bands_of = _find_bands(probability)
    values = np.stack(
        [probability, *find_limits(versions, level), compute_errors(probability, versions)]
    )
    return [
        # A product, not a mean, which would differ in the last digit from findings of earlier runs.
        InstabilityBand(len(rows), *(values[:, rows] @ np.ones(len(rows)) / len(rows)).tolist())
        for rows in (np.flatnonzero(bands_of == band) for band in np.unique(bands_of))
    ]


def _find_bands(probability: Numbers) -> Indices:
    count = max(1, min(_MAX_BANDS, len(probability) // _MIN_IN_BAND))
    # Limits are estimates that occur, so that equal estimates are never divided between bands.
    limits = np.quantile(probability, np.arange(1, count) / count, method="inverted_cdf")
    return np.searchsorted(np.unique(limits), probability)


def draw_curves(versions: Numbers, outcome: Numbers, at: Numbers) -> Numbers:
    """Draw each version's calibration curve on the original sample.

    Parameters
    ----------
    at
        Estimates at which to read the curves, ``[points]``.

    Returns
    -------
    ndarray
        ``[versions, points]``; NaN for a version that has no curve.
    """
    curves = [fit_curve(version, outcome) for version in versions]
    nothing = np.full(len(at), np.nan)
    return np.array([nothing if curve is None else curve.read(at) for curve in curves])
