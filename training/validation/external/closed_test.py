"""The closed test: how much of a model must be recalibrated for a cohort that it meets.

Vergouwe et al. (Stat Med 2017;36:4529): likelihood ratios decide, from the whole question to its
parts. If intercept and slope together are no better than the model as it is, nothing is proposed;
else, if the slope adds nothing to the intercept, the intercept alone; else both. Their third step,
new coefficients, is left to a study. Courses count as independent: where patients have several, the
test proposes somewhat too readily.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from features.base.arrays import Numbers
from features.model.equation import Equation
from training.findings.findings import RecalibrationFacts
from training.measures.logistic import fit_intercept, fit_intercept_slope
from training.measures.losses import compute_log_loss
from training.measures.predictions import CONSTANT
from training.study.split import split_stratified

SIGNIFICANT = 0.05
FOLDS = 10


@dataclass(frozen=True)
class ClosedTest:
    """What the test proposes: log-odds times the slope, plus the intercept.

    Parameters
    ----------
    kind
        ``none`` where nothing is proposed; intercept and slope are then 0 and 1.
    p_any
        Of intercept and slope against nothing, 2 degrees of freedom; 1 where there is no slope.
    p_slope
        Of intercept and slope against the intercept alone; None where there is no slope.
    because
        Why, in words.
    """

    kind: Literal["none", "intercept", "both"]
    intercept: float
    slope: float
    p_any: float
    p_slope: float | None
    because: str

    def as_facts(self) -> RecalibrationFacts | None:
        """Return it as findings hold it; None where nothing is proposed."""
        if self.kind == "none":
            return None
        return RecalibrationFacts(
            intercept=self.intercept,
            slope=self.slope,
            kind=self.kind,
            p_any=self.p_any,
            p_slope=self.p_slope,
            because=self.because,
        )


def run_closed_test(log_odds: Numbers, outcome: Numbers) -> ClosedTest:
    """Run the closed test on what a model says of courses that it never saw.

    Parameters
    ----------
    log_odds, outcome
        ``[courses]``.

    Examples
    --------
    >>> outcome = np.repeat([1.0, 0.0], [60, 40])
    >>> found = run_closed_test(np.zeros(100), outcome)
    >>> found.kind, round(found.intercept, 6), round(found.p_any, 4)
    ('intercept', 0.405465, 0.0448)
    """
    ones = np.ones((1, len(outcome)))
    intercept = float(fit_intercept(log_odds, outcome, ones)[0])
    both = np.full(2, np.nan)
    if np.ptp(log_odds) >= CONSTANT:
        both = fit_intercept_slope(log_odds, outcome, ones)[0]
    if np.isnan(intercept):
        return propose_nothing(1.0, None, "only one class is there")
    as_it_is, moved = (add_log_likelihood(log_odds + one, outcome) for one in (0.0, intercept))
    if np.isnan(both).any():
        p_any = compare_likelihoods(as_it_is, moved, 1)
        if p_any >= SIGNIFICANT:
            return propose_nothing(p_any, None, f"the intercept is not needed ({show_p(p_any)})")
        because = f"the share expected is not the share observed ({show_p(p_any)}); no slope exists"
        return ClosedTest("intercept", intercept, 1.0, p_any, None, because)
    stretched = add_log_likelihood(both[0] + both[1] * log_odds, outcome)
    p_any = compare_likelihoods(as_it_is, stretched, 2)
    p_slope = compare_likelihoods(moved, stretched, 1)
    return choose_kind(intercept, (float(both[0]), float(both[1])), p_any, p_slope)


def choose_kind(
    intercept: float, both: tuple[float, float], p_any: float, p_slope: float
) -> ClosedTest:
    """Choose the least that the tests ask for.

    Parameters
    ----------
    intercept
        With the slope held at 1.
    both
        Intercept and slope.
    """
    if p_any >= SIGNIFICANT:
        because = f"intercept and slope together are not needed ({show_p(p_any)})"
        return propose_nothing(p_any, p_slope, because)
    off = f"intercept and slope together fit better than the model as it is ({show_p(p_any)})"
    if p_slope >= SIGNIFICANT:
        because = f"{off}, and the slope adds nothing to the intercept ({show_p(p_slope)})"
        return ClosedTest("intercept", intercept, 1.0, p_any, p_slope, because)
    if both[1] <= 0:
        because = (
            f"the slope would be {both[1]:.2f}: higher estimates do not mean more responses here, "
            "and no recalibration can mend the order of patients"
        )
        return propose_nothing(p_any, p_slope, because)
    because = f"{off}, and the intercept alone does not suffice ({show_p(p_slope)})"
    return ClosedTest("both", *both, p_any, p_slope, because)


def propose_nothing(p_any: float, p_slope: float | None, because: str) -> ClosedTest:
    """Propose to leave the model as it is."""
    return ClosedTest("none", 0.0, 1.0, p_any, p_slope, because)


def add_log_likelihood(log_odds: Numbers, outcome: Numbers) -> float:
    """Add up the log-likelihood of outcomes."""
    return float(-compute_log_loss(log_odds, outcome).sum())


def compare_likelihoods(smaller: float, larger: float, freedom: int) -> float:
    """Compute the p-value of a likelihood ratio; that of maxima is never below 0.

    Examples
    --------
    >>> round(compare_likelihoods(-101.920729, -100.0, 1), 4)
    0.05
    """
    return float(stats.chi2.sf(max(0.0, 2 * (larger - smaller)), freedom))


def show_p(value: float) -> str:
    """Show a p-value.

    Examples
    --------
    >>> show_p(0.0312), show_p(1e-9)
    ('p = 0.031', 'p < 0.001')
    """
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def recalibrate(equation: Equation, intercept: float, slope: float) -> Equation:
    """Recalibrate a model and all its versions on top of the calibration that they have.

    Exact: ``a + b x (intercept, below, above)`` is ``(a + b intercept, b below, b above)``.
    """
    calibration = slope * equation.terms.calibration + np.array([intercept, 0.0, 0.0])
    return replace(equation, terms=replace(equation.terms, calibration=calibration))


def cross_recalibrate(
    log_odds: Numbers, outcome: Numbers, patients: NDArray[np.int64], seed: int
) -> tuple[Numbers, NDArray[np.int64]]:
    """Recalibrate each of ten folds by the closed test on the patients of the others.

    The test is part of what is repeated: a fold whose others ask for nothing stays as it is.

    Parameters
    ----------
    log_odds
        ``[courses, versions]``, the model itself first; it alone is tested.

    Returns
    -------
    log_odds, folds
        ``[courses, versions]`` as recalibrated on the other folds, and ``int64[courses]``: the fold
        in which each course was held out.
    """
    folds = min(FOLDS, count_rarer(outcome, patients))
    moved, numbers = log_odds.copy(), np.zeros(len(outcome), dtype=np.int64)
    for number, fold in enumerate(split_stratified(outcome, patients, folds, seed)):
        found = run_closed_test(log_odds[fold.train, 0], outcome[fold.train])
        moved[fold.test] = found.intercept + found.slope * log_odds[fold.test]
        numbers[fold.test] = number
    return moved, numbers


def count_rarer(outcome: Numbers, patients: NDArray[np.int64]) -> int:
    """Count the patients with a course of the rarer class."""
    return min(len(np.unique(patients[outcome == one])) for one in (0, 1))
