"""The closed test: how much of a model must be recalibrated for another cohort.

Vergouwe et al. (Stat Med 2017;36:4529): likelihood ratio tests from the general to the particular.
If intercept and slope together do not improve the model, nothing is proposed; else, if the slope
does not improve on the intercept, the intercept alone; else both. Nothing is proposed if estimates
differ and their slope does not exist or is not above 0; a constant prediction has only its level to
correct. Their third step, new coefficients, is left to a study. Courses count as independent: if
patients have several, the test proposes somewhat too readily.
"""

from typing import Literal

import numpy as np
from scipy import special

from features.base.arrays import Numbers
from features.model.card import Facts
from training.measures.logistic import fit_intercept, fit_intercept_slope
from training.measures.losses import compute_log_loss
from training.measures.predictions import CONSTANT

# By convention.
SIGNIFICANT = 0.05


class RecalibrationFacts(Facts):
    """A proposed recalibration: the log-odds times the slope, plus the intercept."""

    intercept: float
    slope: float
    # Of the recalibrated model in the registry; None if it was not registered.
    version: str | None = None
    # ``intercept``: the slope stays 1. ``none``: nothing is proposed; findings then hold None.
    kind: Literal["none", "intercept", "both"] = "both"
    # Of the closed test; the latter is None if predictions are constant.
    p_any: float | None = None
    p_slope: float | None = None
    because: str = ""


def run_closed_test(
    log_odds: Numbers, outcome: Numbers, weights: Numbers | None = None
) -> RecalibrationFacts:
    """Run the closed test on predictions of courses that the model was not fitted on.

    Parameters
    ----------
    weights
        ``[courses]``, which sum to the effective number of courses; None if all are 1.
    """
    weights = np.ones(len(outcome)) if weights is None else weights

    def add_up(recalibrated: Numbers) -> float:
        return float(-weights @ compute_log_loss(recalibrated, outcome))

    intercept = float(fit_intercept(log_odds, outcome, weights[None, :])[0])
    # Without both classes there is no maximum to find.
    if np.isnan(intercept):
        return propose("none", 1.0, None, "only one class is there")
    as_it_is, shifted = (add_up(log_odds + by) for by in (0.0, intercept))
    p_level = _compare_likelihoods(as_it_is, shifted, 1)
    if np.ptp(log_odds) < CONSTANT:
        return _choose_level(intercept, p_level)
    both = fit_intercept_slope(log_odds, outcome, weights[None, :])[0]
    if np.isnan(both).any():
        reason = "no slope exists: estimates separate the outcomes, as they may in few courses"
        return propose("none", p_level, None, reason)
    stretched = add_up(both[0] + both[1] * log_odds)
    p_any = _compare_likelihoods(as_it_is, stretched, 2)
    p_slope = _compare_likelihoods(shifted, stretched, 1)
    return choose_recalibration(intercept, (float(both[0]), float(both[1])), p_any, p_slope)


def _choose_level(intercept: float, p_level: float) -> RecalibrationFacts:
    # Of a constant prediction, as the base rate's.
    if p_level >= SIGNIFICANT:
        reason = f"the intercept is not needed ({_show_p(p_level)})"
        return propose("none", p_level, None, reason)
    reason = f"the base rate differs from the expected one ({_show_p(p_level)}); no slope exists"
    return propose("intercept", p_level, None, reason, intercept)


def choose_recalibration(
    intercept: float, both: tuple[float, float], p_any: float, p_slope: float
) -> RecalibrationFacts:
    """Choose the least that the tests ask for.

    Parameters
    ----------
    intercept
        With the slope fixed at 1.
    both
        Intercept and slope.
    """
    if p_any >= SIGNIFICANT:
        reason = f"intercept and slope together are not needed ({_show_p(p_any)})"
        return propose("none", p_any, p_slope, reason)
    # Before the second test: few courses may not tell a slope of 0 from one of 1.
    if both[1] <= 0:
        reason = (
            f"the slope would be {both[1]:.2f}: higher estimates do not mean more responses here, "
            "and no recalibration can correct the ranking of patients"
        )
        return propose("none", p_any, p_slope, reason)
    improved = f"intercept and slope together improve the fit ({_show_p(p_any)})"
    if p_slope >= SIGNIFICANT:
        reason = f"{improved}, but the slope does not improve on the intercept ({_show_p(p_slope)})"
        return propose("intercept", p_any, p_slope, reason, intercept)
    reason = f"{improved}, and the intercept alone is not enough ({_show_p(p_slope)})"
    return propose("both", p_any, p_slope, reason, *both)


def propose(
    kind: Literal["none", "intercept", "both"],
    p_any: float,
    p_slope: float | None,
    reason: str,
    intercept: float = 0.0,
    slope: float = 1.0,
) -> RecalibrationFacts:
    """Propose a recalibration, or ``none``: to leave the model as it is."""
    return RecalibrationFacts(
        kind=kind, intercept=intercept, slope=slope, p_any=p_any, p_slope=p_slope, because=reason
    )


def _compare_likelihoods(smaller: float, larger: float, freedom: int) -> float:
    # The p-value of a likelihood ratio test.
    # Rounding can leave the larger model's maximum just below the smaller one's.
    return float(special.chdtrc(freedom, max(0.0, 2 * (larger - smaller))))


def _show_p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
