"""Courses with outcomes drawn anew from a model, so that the truth about them is known.

A bootstrap sample of courses takes what was noise in them for signal: whoever is drawn twice agrees
with himself, and a procedure that learns how far to trust itself trusts itself too much. Where the
outcomes are drawn from a model, nothing but the model is signal (model-based resampling, Davison
and Hinkley 1997, 6.3; for prediction error, Efron, JASA 2004;99:619).

The truth is then only as good as the model. One that knows its own courses by heart would be found
right by them; so its log-odds are shrunk first, as far as cross-validation finds them too extreme.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from features.base.arrays import Numbers
from training.candidates.evidence.laplace import Curvature, Prior, find_posterior
from training.candidates.evidence.ordinal import Grades, Likelihood, grade_courses
from training.measures.calibration_curve import estimate_slope
from training.measures.logistic import fit_intercept
from training.measures.predictions import Predictions
from training.study.design import Design

# The model's log-odds are taken as they are.
AS_SAID = Prior(np.ones(1), np.full(1, 1e-6))


@dataclass(frozen=True)
class Redrawing:
    """What outcomes are drawn from.

    Parameters
    ----------
    log_odds
        True ones of the outcome, ``[courses]``.
    thresholds
        Of all grades but the first, the outcome's own among them, which is 0.
    pools
        By grade, the improvements found in it.
    """

    log_odds: Numbers
    thresholds: Numbers
    pools: tuple[Numbers, ...]

    @property
    def probability(self) -> Numbers:
        """The true probability of each course's outcome, ``[courses]``."""
        probability: Numbers = expit(self.log_odds)
        return probability

    def redraw(self, design: Design, rows: NDArray[np.int64], seed: int) -> Design:
        """Select courses of the design that this was found for, and draw their outcomes anew.

        A course that is selected twice gets two outcomes.
        """
        generator = np.random.default_rng(seed)
        latent = self.log_odds[rows] + generator.logistic(size=len(rows))
        grades = np.searchsorted(self.thresholds, latent, side="right")
        improvement = np.empty(len(rows))
        for grade, pool in enumerate(self.pools):
            placed = grades == grade
            improvement[placed] = generator.choice(pool, placed.sum())
        outcome = (latent >= 0).astype(np.float64)
        return replace(design.select(rows), outcome=outcome, improvement=improvement)


def find_redrawing(design: Design, log_odds: Numbers) -> Redrawing:
    """Find what outcomes would be drawn from if a model were right.

    Grades follow by proportional odds, with thresholds as the courses at hand have them.

    Parameters
    ----------
    log_odds
        Of the outcome by the model, ``[courses]``.
    """
    grades = grade_courses(design.outcome, design.improvement)
    likelihood = Likelihood(grades, design.effective_weights)
    table, start = log_odds[:, None], (np.ones(1), likelihood.place_thresholds())
    free = find_posterior(table, likelihood, AS_SAID, start, Curvature(table)).thresholds
    pools = tuple(design.improvement[grades.numbers == grade] for grade in range(grades.count))
    return Redrawing(log_odds, insert_own(grades, free), pools)


def insert_own(grades: Grades, free: Numbers) -> Numbers:
    """Insert the outcome's own threshold, 0, among the free ones."""
    return np.insert(free, grades.cut - 1, 0.0)


def shrink_log_odds(own: Predictions, nested: Predictions) -> Numbers:
    """Shrink a model's log-odds as far as cross-validation finds them too extreme.

    Beyond one standard error of the slope found there: up to that the model is believed. They are
    shrunk towards the base rate of the courses at hand, and never stretched.

    Parameters
    ----------
    own
        What the model says of the courses that it learned from.
    nested
        What its procedure said of them in cross-validation.
    """
    shrunk = find_strength(own, nested) * own.log_odds
    weights = own.weights_or_ones
    level: Numbers = fit_intercept(shrunk, own.outcome, weights[None, :])
    return shrunk + level


def find_strength(own: Predictions, nested: Predictions) -> float:
    """Find how far a model's log-odds can be believed, from 0 to 1.

    Log-odds in cross-validation may be less spread than those of courses learned from: that counts
    as shrunk already. Not at all where cross-validation has no slope.
    """
    if own.is_constant or nested.is_constant:
        return 0.0
    slope = estimate_slope(nested.log_odds, nested.outcome, nested.weights, nested.patients)
    spread = nested.log_odds.std() / own.log_odds.std()
    return float(np.clip(np.nan_to_num(slope.value + slope.error) * spread, 0.0, 1.0))
