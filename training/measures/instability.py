"""Instability: how much predictions depend on the sample that the model was developed on.

Riley and Collins (Biometrical Journal 2023): the development is repeated on bootstrap samples of
patients, and every bootstrap model is applied to the original sample.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from training.measures.calibration_curve import fit_curve
from training.measures.decision import compute_benefits
from training.measures.intervals import fill_weights

# Fewer courses in a band would say something of single ones.
_MIN_IN_BAND = 10


@dataclass(frozen=True)
class InstabilityBand:
    """Courses with estimates near each other.

    Parameters
    ----------
    courses
        How many.
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
    """Find between which probabilities the versions lie for each course.

    Parameters
    ----------
    versions
        ``[courses, versions]``: predictions of each bootstrap model.

    Returns
    -------
    low, high
        ``[courses]`` each.
    """
    low, high = np.quantile(versions, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return low, high


def compute_errors(probability: Numbers, versions: Numbers) -> Numbers:
    """Compute each course's mean absolute prediction error, ``[courses]``.

    Examples
    --------
    >>> compute_errors(np.array([0.5]), np.array([[0.4, 0.5, 0.7]])).round(3)
    array([0.1])
    """
    errors: Numbers = np.abs(versions - probability[:, None]).mean(axis=1)
    return errors


def compute_flips(probability: Numbers, versions: Numbers, threshold: float) -> Numbers:
    """Compute each course's share of versions on the other side of a threshold, ``[courses]``.

    Examples
    --------
    >>> compute_flips(np.array([0.5, 0.2]), np.array([[0.4, 0.6], [0.1, 0.3]]), 0.5)
    array([0.5, 0. ])
    """
    here, there = probability[:, None] >= threshold, versions >= threshold
    flips: Numbers = (here != there).mean(axis=1)
    return flips


def band_estimates(
    probability: Numbers,
    versions: Numbers,
    level: float,
    bands: int = 10,
    weights: Numbers | None = None,
) -> list[InstabilityBand]:
    """Summarise instability by the size of the estimate, in bands of about as many courses.

    Parameters
    ----------
    bands
        Maximum number: fewer if a band would have under ten courses. Equal estimates share one.
    """
    bands_of = _find_bands(probability, bands)
    each = fill_weights(weights, len(probability))
    values = np.stack(
        [probability, *find_limits(versions, level), compute_errors(probability, versions)]
    )
    return [
        InstabilityBand(
            int(rows.sum()), *(values[:, rows] @ each[rows] / each[rows].sum()).tolist()
        )
        for rows in (bands_of == band for band in np.unique(bands_of))
    ]


def _find_bands(probability: Numbers, bands: int) -> NDArray[np.int64]:
    """Find the number of the band in which each estimate lies, ``[courses]``.

    >>> _find_bands(np.repeat([0.1, 0.2, 0.3], 10), 10)[::10]
    array([0, 1, 2])
    """
    count = max(1, min(bands, len(probability) // _MIN_IN_BAND))
    # Limits are estimates that occur, so that equal estimates are never divided between bands.
    limits = np.quantile(probability, np.arange(1, count) / count, method="inverted_cdf")
    return np.searchsorted(np.unique(limits), probability)


def draw_curves(
    versions: Numbers, outcome: Numbers, at: Numbers, weights: Numbers | None = None
) -> Numbers:
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
    curves = [fit_curve(version, outcome, weights) for version in versions.T]
    nothing = np.full(len(at), np.nan)
    return np.stack([nothing if curve is None else curve.read(at) for curve in curves])


def draw_benefits(
    versions: Numbers, outcome: Numbers, thresholds: Numbers, weights: Numbers | None = None
) -> Numbers:
    """Draw each version's decision curve on the original sample, ``[versions, thresholds]``."""
    each = fill_weights(weights, len(outcome))[None, :]
    return np.concatenate(
        [compute_benefits(version, outcome, thresholds, each) for version in versions.T]
    )
