"""Courses with outcomes redrawn from a model, so that their true probabilities are known.

In a bootstrap sample of courses noise passes for signal: duplicates share their outcome, so a
procedure that estimates its own shrinkage shrinks too little. If outcomes are drawn from a model,
nothing but the model is signal (model-based resampling, Davison and Hinkley 1997, 6.3; for
prediction error, Efron, JASA 2004;99:619).

The truth is then only as good as the model: an overfitted model would be confirmed by its own
outcomes. So its log-odds are shrunk first, as far as cross-validation shows them too extreme.
"""

from dataclasses import dataclass, replace

import numpy as np

from features.base.arrays import Indices, Numbers
from training.candidates.evidence.laplace import HessianCache, Prior, find_posterior
from training.candidates.evidence.ordinal import Likelihood, categorise_courses
from training.measures.calibration_curve import estimate_slope
from training.measures.logistic import fit_intercept
from training.measures.predictions import Predictions
from training.study.design import Design
from training.study.study import Study

# So narrow around a coefficient of 1 that the model's log-odds are taken as they are.
_FIXED = Prior(np.ones(1), np.full(1, 1e-6))


@dataclass(frozen=True)
class Redrawing:
    """The model that outcomes are drawn from.

    Parameters
    ----------
    log_odds
        True ones of the outcome, ``[courses]``.
    thresholds
        Of all grades but the first, the outcome's own among them, which is 0.
    pools
        By grade, the improvements of the original sample.
    """

    log_odds: Numbers
    thresholds: Numbers
    pools: tuple[Numbers, ...]

    def redraw(self, design: Design, rows: Indices, seed: int) -> Design:
        """Select courses of the original sample and redraw their outcomes.

        A course that is selected twice gets two outcomes.
        """
        generator = np.random.default_rng(seed)
        latent = self.log_odds[rows] + generator.logistic(size=len(rows))
        grades = np.searchsorted(self.thresholds, latent, side="right")
        improvement = np.empty(len(rows))
        for grade, pool in enumerate(self.pools):
            drawn = grades == grade
            # Scores within a category are drawn from those observed: no distribution has to be
            # assumed.
            improvement[drawn] = generator.choice(pool, drawn.sum())
        # The threshold of the outcome itself is 0 by definition.
        outcome = (latent >= 0).astype(np.float64)
        return replace(design.select(rows), outcome=outcome, improvement=improvement)


def choose_redrawing(
    study: Study, design: Design, apparent: Predictions, nested: Predictions
) -> Redrawing | None:
    """Choose the model that redraws bootstrap outcomes; None if they stay as recorded."""
    if not study.validation.redraw_outcomes:
        return None
    return make_redrawing(design, shrink_log_odds(apparent, nested))


def make_redrawing(design: Design, log_odds: Numbers) -> Redrawing:
    """Make the redrawing that follows if log-odds are true.

    Categories follow by proportional odds, with the thresholds of the original sample.

    Log-odds are those of the outcome, ``[courses]``.
    """
    grades = categorise_courses(design.outcome, design.improvement)
    likelihood = Likelihood(grades, design.effective_weights)
    table, start = log_odds[:, None], (np.ones(1), likelihood.start_thresholds())
    free = find_posterior(table, likelihood, _FIXED, start, HessianCache(table)).thresholds
    pools = tuple(design.improvement[grades.numbers == grade] for grade in range(grades.count))
    return Redrawing(log_odds, np.insert(free, grades.cut - 1, 0.0), pools)


def shrink_log_odds(apparent: Predictions, nested: Predictions) -> Numbers:
    """Shrink a model's log-odds towards the base rate as far as cross-validation supports.

    They are never stretched.
    """
    shrunk = estimate_shrinkage(apparent, nested) * apparent.log_odds
    level: Numbers = fit_intercept(shrunk, apparent.outcome, apparent.weights_or_ones[None, :])
    return shrunk + level


def estimate_shrinkage(apparent: Predictions, nested: Predictions) -> float:
    """Compute by how much to shrink a model's log-odds, from 0 to 1; 0 if they do not discriminate.

    The calibration slope of cross-validation plus one standard error: the model gets the benefit of
    the doubt. If held-out log-odds are less spread than apparent ones, that is shrinkage, too.
    """
    if apparent.is_constant or nested.is_constant:
        return 0.0
    slope = estimate_slope(nested.log_odds, nested.outcome, nested.weights, nested.patients)
    spread = nested.log_odds.std() / apparent.log_odds.std()
    # Without a slope, as if classes are separated, nothing supports the spread of the log-odds.
    return float(np.clip(np.nan_to_num(slope.value + slope.error) * spread, 0.0, 1.0))
