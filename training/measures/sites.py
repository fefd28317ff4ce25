"""A measure pooled over sites: its mean, how far sites differ, and what to expect at the next one.

Random-effects meta-analysis, as Debray et al. (BMJ 2017) and Riley et al. (BMJ 2016) advise for
prediction models: AUC on the logit scale, observed over expected on the log scale, intercept and
slope as they are. The interval of the mean is that of Hartung, Knapp, Sidik and Jonkman.

The prediction interval does not take the spread between sites as known: of a dozen sites it may be
found to be 0 where it is not. It is averaged over all spreads by how far the sites bear them out: a
confidence distribution, as Nagashima, Noma and Furukawa advise (Stat Methods Med Res 2019), here of
Viechtbauer's generalised Q (Stat Med 2007). The usual one, mean and t with k - 2 degrees of freedom
times the root of spread and error (Higgins, Thompson and Spiegelhalter, 2009), is too narrow where
sites differ no more than their errors are large (Partlett and Riley, Stat Med 2017).

Folds of a cross-validation share most of what they learned from: their errors are not independent,
and the interval of the mean over folds is too narrow. Sites held out one by one are nearer to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from features.base.arrays import Numbers
from features.model.card import Measure
from training.measures.calibration_curve import estimate_intercept, estimate_ratio, estimate_slope
from training.measures.discrimination import estimate_auc
from training.measures.intervals import (
    LOG,
    LOGIT,
    PLAIN,
    Estimated,
    Patients,
    find_reach,
    make_measure,
    return_from,
)
from training.measures.logistic import logit

SCALES = {"auc": LOGIT, "ratio": LOG, "intercept": PLAIN, "slope": PLAIN}
# Courses of either class without which a site's measures say too little, and their errors less.
_FEWEST = 5
# Below, the spread between sites is anyone's guess.
_FEWEST_SITES = 3
_MOST_STEPS = 1000
# Of the confidence distribution of the spread, as many as Gauss and Legendre need for four digits.
_QUANTILES = 200
REML, _PAULE_MANDEL = METHODS = ("reml", "paule_mandel")


@dataclass(frozen=True)
class Pooled:
    """A measure pooled over sites.

    Parameters
    ----------
    mean
        With its interval; without one for a single site.
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


def estimate_sites(
    probability: Numbers,
    outcome: Numbers,
    sites: NDArray[np.int64],
    weights: Numbers | None = None,
    patients: Patients | None = None,
    fewest: int = _FEWEST,
) -> dict[str, list[Estimated]]:
    """Estimate AUC, observed over expected, intercept and slope at every site.

    Parameters
    ----------
    fewest
        Sites with fewer courses with the outcome, or without it, are left out.

    Returns
    -------
    dict
        For each of :data:`SCALES`, one a site in the order of their numbers.
    """
    log_odds = logit(probability)
    found: dict[str, list[Estimated]] = {name: [] for name in SCALES}
    for site in np.unique(sites):
        rows = sites == site
        truth = outcome[rows]
        if min(truth.sum(), len(truth) - truth.sum()) < fewest:
            continue
        counted = None if weights is None else weights[rows]
        people = None if patients is None else np.unique(patients[rows], return_inverse=True)[1]
        found["auc"].append(estimate_auc(probability[rows], truth, counted, people))
        found["ratio"].append(estimate_ratio(probability[rows], truth, counted, people))
        found["intercept"].append(estimate_intercept(log_odds[rows], truth, counted, people))
        found["slope"].append(estimate_slope(log_odds[rows], truth, counted, people))
    return found


def pool(
    estimates: Sequence[Estimated], scale: str, level: float, method: str = REML
) -> Pooled | None:
    """Pool a measure over sites.

    Parameters
    ----------
    estimates
        One a site. Those without a place on the scale or without an error are left out: an AUC of
        1 has none.
    scale
        On which sites are taken as normal: that of :data:`SCALES`.
    method
        Of the spread between sites: one of :data:`METHODS`.

    Returns
    -------
    Pooled
        None where nothing is left.

    Examples
    --------
    >>> found = pool([Estimated(1.0, 0.5), Estimated(2.0, 0.5), Estimated(3.0, 0.5)], "plain", 0.95)
    >>> found.mean.value, round(found.spread**2, 6), round(found.inconsistency, 6)  # 1 - .25
    (2.0, 0.75, 0.75)
    """
    moved = [one.move(scale) for one in estimates]
    kept = [one for one in moved if np.isfinite(one.value) and one.error > 0]
    if not kept:
        return None
    values = np.array([one.value for one in kept])
    variances = np.array([one.error for one in kept]) ** 2
    between = find_spread(values, variances, method)
    weights = 1 / (variances + between)
    mean = float(weights @ values / weights.sum())
    error = _find_error(values, weights, mean)
    count = len(kept)
    reach = error * _find_reach(level, count - 1)
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


def find_spread(values: Numbers, variances: Numbers, method: str) -> float:
    """Find the variance between sites; 0 for a single one."""
    if len(values) < 2:
        return 0.0
    return _find_reml(values, variances) if method == REML else _find_paule(values, variances)


def predict_site(values: Numbers, variances: Numbers, level: float) -> tuple[float, float]:
    """Predict between which ends the next site lies; NaN for fewer than three sites.

    At the true spread the generalised Q is chi-squared with k - 1 degrees of freedom. Each of its
    quantiles therefore names a spread, and each spread a normal distribution of the next site:
    around the mean that it gives, with the variance of that mean added. The ends are quantiles of
    all of these together.

    Parameters
    ----------
    values, variances
        ``[sites]``, on the scale on which sites are taken as normal.

    Examples
    --------
    Without sampling error this is the textbook's: t with 2 degrees of freedom times root 4 / 3.

    >>> low, high = predict_site(np.array([1.0, 2.0, 3.0]), np.full(3, 1e-9), 0.95)
    >>> round(high - 2, 2), round(4.302653 * (4 / 3) ** 0.5, 2)
    (4.97, 4.97)
    """
    if len(values) < _FEWEST_SITES:
        return float("nan"), float("nan")
    places, parts = np.polynomial.legendre.leggauss(_QUANTILES)
    quantiles = stats.chi2.ppf((1 + places) / 2, len(values) - 1)
    spreads = _find_spreads(values, variances, quantiles)
    weights = 1 / (variances + spreads[:, None])
    means = weights @ values / weights.sum(axis=1)
    errors = np.sqrt(spreads + 1 / weights.sum(axis=1))

    def exceed(end: float, share: float) -> float:
        return float(parts @ stats.norm.cdf((end - means) / errors) / 2 - share)

    # Beyond these each of the normal distributions has less left; one error more, for rounding.
    reach = (find_reach(level) + 1) * errors
    around = float((means - reach).min()), float((means + reach).max())
    low, high = (
        float(optimize.brentq(exceed, *around, args=(share,), xtol=1e-12))
        for share in ((1 - level) / 2, (1 + level) / 2)
    )
    return low, high


def _find_spreads(values: Numbers, variances: Numbers, wanted: Numbers) -> Numbers:
    """Find the variances between sites at which Q is what is wanted; 0 where it is always less.

    Q falls with the variance, ever more slowly: Newton's steps from 0 never go too far.
    """
    found = np.zeros_like(wanted)
    for _ in range(_MOST_STEPS):
        weights = 1 / (variances + found[:, None])
        means = weights @ values / weights.sum(axis=1)
        squares = weights * (values - means[:, None]) ** 2
        left = squares.sum(axis=1) - wanted
        step = np.where(left > 0, left / np.maximum((weights * squares).sum(axis=1), 1e-300), 0.0)
        found += step
        if np.all(step <= 1e-12 * found):
            break
    return found


def _find_reml(values: Numbers, variances: Numbers) -> float:
    """Climb the restricted likelihood by Fisher scoring (Viechtbauer, 2005), never below 0."""
    between = float(np.var(values, ddof=1))
    for _ in range(_MOST_STEPS):
        weights = 1 / (variances + between)
        projection = np.diag(weights) - np.outer(weights, weights) / weights.sum()
        residual = projection @ values
        slope = residual @ residual - np.trace(projection)
        step = float(slope / (projection**2).sum())
        following = max(between + step, 0.0)
        if abs(following - between) < 1e-14:
            break
        between = following
    return between


def _find_paule(values: Numbers, variances: Numbers) -> float:
    """Find the variance at which Cochran's Q is what it is expected to be."""

    def exceed(between: float) -> float:
        weights = 1 / (variances + between)
        mean = weights @ values / weights.sum()
        return float(weights @ (values - mean) ** 2 - (len(values) - 1))

    if exceed(0.0) <= 0:
        return 0.0
    highest = float(np.var(values, ddof=1)) * len(values)
    return float(optimize.brentq(exceed, 0.0, highest, xtol=1e-14))


def _find_error(values: Numbers, weights: Numbers, mean: float) -> float:
    """Find the error of the mean by how far sites lie from it; NaN for a single site."""
    if len(values) < 2:
        return float("nan")
    spread = weights @ (values - mean) ** 2 / (len(values) - 1)
    return float(np.sqrt(spread / weights.sum()))


def _find_reach(level: float, freedom: int) -> float:
    return float(stats.t.ppf((1 + level) / 2, freedom)) if freedom > 0 else float("nan")


def _find_inconsistency(variances: Numbers, between: float) -> float:
    """Find I2, against a typical sampling variance (Higgins and Thompson, 2002)."""
    if len(variances) < 2:
        return 0.0
    weights = 1 / variances
    total = weights.sum()
    typical = (len(weights) - 1) * total / (total**2 - (weights**2).sum())
    return float(between / (between + typical))
