"""A measure pooled over sites: mean, between-site SD, and prediction interval of a new site.

Random-effects meta-analysis, as Debray et al. (BMJ 2017) and Riley et al. (BMJ 2016) advise for
prediction models: AUC on the logit scale, observed over expected on the log scale, intercept and
slope as they are. The interval of the mean is that of Hartung, Knapp, Sidik and Jonkman.

The prediction interval does not take the between-site SD as known, since the estimate of a dozen
sites may be 0 although it is not. It is averaged over a confidence distribution of the SD, as
Nagashima, Noma and Furukawa advise (Stat Methods Med Res 2019), here from Viechtbauer's generalised
Q (Stat Med 2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from features.base.arrays import Numbers
from features.model.card import Measure
from training.measures.calibration_curve import estimate_intercept, estimate_ratio, estimate_slope
from training.measures.discrimination import estimate_auc
from training.measures.intervals import (
    LOG,
    LOGIT,
    PLAIN,
    Estimated,
    find_reach,
    make_measure,
    return_from,
)
from training.measures.logistic import logit
from training.measures.predictions import Predictions

SCALES = {"auc": LOGIT, "ratio": LOG, "intercept": PLAIN, "slope": PLAIN}
# Courses of each class below which a site's measures, and their errors, are not estimable.
_MIN_CLASS = 5
# With fewer, the between-site SD is not estimable.
_MIN_SITES = 3
# Only stops a search that cannot converge.
_MAX_STEPS = 1000
# Nodes of the Gauss-Legendre quadrature over the confidence distribution: four digits.
_QUANTILES = 200


@dataclass(frozen=True)
class Pooled:
    """A measure pooled over sites.

    Parameters
    ----------
    mean
        Without an interval for a single site.
    next_site
        The same with its prediction interval; without one for fewer than three sites.
    spread
        Standard deviation between sites (tau), on the measure's scale.
    inconsistency
        I2: the part of the differences that is not sampling error, 0 to 1.
    sites, left_out
        How many were pooled, and how many could not be.
    """

    mean: Measure
    next_site: Measure
    spread: float
    inconsistency: float
    sites: int
    left_out: int


def estimate_site(predictions: Predictions) -> dict[str, Estimated]:
    """Estimate each of :data:`SCALES` at one site; nothing with few events, or non-events."""
    probability, outcome = predictions.probability, predictions.outcome
    if min(outcome.sum(), len(outcome) - outcome.sum()) < _MIN_CLASS:
        return {}
    log_odds, rest = logit(probability), predictions.courses
    return {
        "auc": estimate_auc(probability, *rest),
        "ratio": estimate_ratio(probability, *rest),
        "intercept": estimate_intercept(log_odds, *rest),
        "slope": estimate_slope(log_odds, *rest),
    }


def pool(estimates: Sequence[Estimated], scale: str, level: float) -> Pooled | None:
    """Pool a measure over sites.

    Parameters
    ----------
    estimates
        One per site. Those outside the scale or without an error, as an AUC of 1, are excluded.
    scale
        On which sites are taken as normal: that of :data:`SCALES`.

    Returns
    -------
    Pooled
        None if none is left.
    """
    moved = [estimate.move(scale) for estimate in estimates]
    kept = [estimate for estimate in moved if np.isfinite(estimate.value) and estimate.error > 0]
    if not kept:
        return None
    values = np.array([estimate.value for estimate in kept])
    variances = np.array([estimate.error for estimate in kept]) ** 2
    between = estimate_between(values, variances)
    weights = 1 / (variances + between)
    mean = float(weights @ values / weights.sum())
    error = _find_error(values, weights, mean)
    count = len(kept)
    # NaN without a degree of freedom.
    reach = error * float(special.stdtrit(count - 1, (1 + level) / 2))
    around, ahead = (
        make_measure(*(return_from(scale, end) for end in (mean, *ends)))
        for ends in ((mean - reach, mean + reach), predict_site(values, variances, level))
    )
    return Pooled(
        mean=around,
        next_site=ahead,
        spread=float(np.sqrt(between)),
        inconsistency=_find_inconsistency(variances, between),
        sites=count,
        left_out=len(estimates) - count,
    )


def predict_site(values: Numbers, variances: Numbers, level: float) -> tuple[float, float]:
    """Predict between which ends the next site lies; NaN for fewer than three sites.

    At the true spread the generalised Q is chi-squared with k - 1 degrees of freedom. Each of its
    quantiles therefore names a spread, and each spread a normal distribution of the next site:
    around the mean that it gives, with the variance of that mean added. The ends are quantiles of
    all of these together.

    Values and variances are on the scale on which sites are taken as normal, ``[sites]``.
    """
    if len(values) < _MIN_SITES:
        return float("nan"), float("nan")
    nodes, parts = np.polynomial.legendre.leggauss(_QUANTILES)
    quantiles = 2 * special.gammaincinv((len(values) - 1) / 2, (1 + nodes) / 2)
    spreads = _find_spreads(values, variances, quantiles)
    weights = 1 / (variances + spreads[:, None])
    means = weights @ values / weights.sum(axis=1)
    errors = np.sqrt(spreads + 1 / weights.sum(axis=1))

    def exceed(end: float, share: float) -> float:
        # The quadrature's weights sum to 2.
        return float(parts @ special.ndtr((end - means) / errors) / 2 - share)

    # No normal distribution has as much beyond these; one more error, for rounding.
    reach = (find_reach(level) + 1) * errors
    around = float((means - reach).min()), float((means + reach).max())
    low, high = (
        float(optimize.brentq(exceed, *around, args=(share,), xtol=1e-12))
        for share in ((1 - level) / 2, (1 + level) / 2)
    )
    return low, high


def _find_spreads(values: Numbers, variances: Numbers, wanted: Numbers) -> Numbers:
    # Q is decreasing and convex in the variance: Newton's steps from 0 never overshoot.
    between = np.zeros_like(wanted)
    for _ in range(_MAX_STEPS):
        weights = 1 / (variances + between[:, None])
        means = weights @ values / weights.sum(axis=1)
        squares = weights * (values - means[:, None]) ** 2
        # The floor below avoids 0 / 0 if all sites have the same value.
        left = squares.sum(axis=1) - wanted
        step = np.where(left > 0, left / np.maximum((weights * squares).sum(axis=1), 1e-300), 0.0)
        between += step
        if np.all(step <= 1e-12 * between):
            break
    return between


def estimate_between(values: Numbers, variances: Numbers) -> float:
    """Estimate the between-site variance by REML, Fisher scoring (Viechtbauer, 2005)."""
    if len(values) < 2:
        return 0.0
    # Starts at the variance of the values, of which sampling error is a part.
    between = float(np.var(values, ddof=1))
    for _ in range(_MAX_STEPS):
        weights = 1 / (variances + between)
        projection = np.diag(weights) - np.outer(weights, weights) / weights.sum()
        residual = projection @ values
        slope = residual @ residual - np.trace(projection)
        step = float(slope / (projection**2).sum())
        # A variance cannot be negative: at 0, sites differ by sampling error alone.
        following = max(between + step, 0.0)
        if abs(following - between) < 1e-14:
            break
        between = following
    return between


def _find_error(values: Numbers, weights: Numbers, mean: float) -> float:
    # Hartung and Knapp: the observed spread of the sites rescales the error of their mean.
    if len(values) < 2:
        return float("nan")
    spread = weights @ (values - mean) ** 2 / (len(values) - 1)
    return float(np.sqrt(spread / weights.sum()))


def _find_inconsistency(variances: Numbers, between: float) -> float:
    # I² by a typical sampling variance (Higgins and Thompson, 2002).
    if len(variances) < 2:
        return 0.0
    weights = 1 / variances
    total = weights.sum()
    typical = (len(weights) - 1) * total / (total**2 - (weights**2).sum())
    return float(between / (between + typical))
