"""The calibration of a candidate: one of four kinds, chosen on courses not learned from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from features.base.arrays import Flags, Numbers
from features.model.calibration import IDENTITY, calibrate_log_odds
from features.model.equation import Equation
from features.model.response_model import compute_probability
from training.measures.evaluate import compare_losses, compute_log_loss
from training.measures.logistic import fit_intercept, fit_intercept_slope
from training.study.design import Design
from training.study.split import Fold

# The simplest first.
KINDS = ("none", "intercept", "logistic", "beta")
# Calibration may shrink, never sharpen: a slope above 1 would trust a handful of courses over the
# candidate's own penalty, and one below 0 would turn the candidate on its head.
MOST_SLOPE = 1.0
# Standard errors by which another kind must be better than the preferred one: one is not enough
# where three others try their luck.
CLEARLY = 2.0


@dataclass(frozen=True)
class HeldBack:
    """What a candidate said of courses that it had not learned from, fold by fold.

    Parameters
    ----------
    log_odds, outcome, weights
        ``[courses]``.
    patients, folds
        ``int64[courses]``.
    """

    log_odds: Numbers
    outcome: Numbers
    weights: Numbers
    patients: NDArray[np.int64]
    folds: NDArray[np.int64]

    @classmethod
    def gather(cls, design: Design, folds: Sequence[Fold], log_odds: Numbers) -> "HeldBack":
        """Gather what was said of the folds' tests, one fold after the other."""
        rows = np.concatenate([fold.test for fold in folds])
        numbers = np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds])
        return cls(
            log_odds, design.outcome[rows], design.weights[rows], design.patients[rows], numbers
        )

    def select(self, rows: Flags) -> "HeldBack":
        """Keep some courses."""
        return HeldBack(*(values[rows] for values in vars(self).values()))

    def compute_losses(self, calibration: "Calibration") -> Numbers:
        """Compute the log loss of each course once calibrated."""
        return compute_log_loss(calibration.apply(self.log_odds), self.outcome)


@dataclass(frozen=True)
class Calibration:
    """What is done to log-odds, see :mod:`features.model.calibration`."""

    intercept: float
    below: float
    above: float

    @property
    def says_nothing(self) -> bool:
        """Whether everybody is given the same."""
        return self.below == 0 and self.above == 0

    def apply(self, log_odds: Numbers) -> Numbers:
        """Calibrate log-odds, ``[courses]``."""
        return calibrate_log_odds(log_odds[:, None], self._as_array())[:, 0]

    def apply_to(self, equation: Equation) -> Equation:
        """Calibrate an equation and all its versions, in place of any calibration before."""
        tiled = np.tile(self._as_array(), (len(equation.terms.intercept), 1))
        return replace(equation, terms=replace(equation.terms, calibration=tiled))

    def as_settings(self) -> dict[str, float]:
        """Return what a re-fit takes as given."""
        return {f"calibration_{name}": value for name, value in vars(self).items()}

    @classmethod
    def from_settings(cls, settings: Mapping[str, float]) -> "Calibration":
        """Read it back from settings."""
        return cls(*(settings[f"calibration_{name}"] for name in ("intercept", "below", "above")))

    def _as_array(self) -> Numbers:
        return np.array([[self.intercept, self.below, self.above]])


NONE = Calibration(*IDENTITY)
SAYS_NOTHING = Calibration(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Choice:
    """The calibration chosen.

    Parameters
    ----------
    losses
        Each course's log loss by one of the same kind, fitted on the other folds; ``[courses]``.
    """

    calibration: Calibration
    losses: Numbers


def choose_calibration(said: HeldBack, preferred: str) -> Choice:
    """Choose a kind of calibration on folds that it was not fitted on, and fit it on all.

    Parameters
    ----------
    preferred
        The kind that is kept unless another has a lower log loss by two standard errors.

    Returns
    -------
    Choice
        Of the preferred kind where there are too few folds to choose.
    """
    losses = {kind: cross_losses(said, kind) for kind in KINDS}
    best = min(losses, key=lambda kind: np.average(losses[kind], weights=said.weights))
    gap = compare_losses(losses[best], losses[preferred], said.patients, said.weights)
    kind = best if gap.mean < -CLEARLY * gap.error else preferred
    return Choice(fit_calibration(kind, said), losses[kind])


def place_losses(design: Design, folds: Sequence[Fold], losses: Numbers) -> Numbers:
    """Place losses of the folds' tests in the order of a design's courses; NaN where in none."""
    placed = np.full(design.size, np.nan)
    placed[np.concatenate([fold.test for fold in folds])] = losses
    return placed


def cross_losses(said: HeldBack, kind: str) -> Numbers:
    """Compute each course's log loss by a calibration fitted on the other folds."""
    losses = np.empty(len(said.outcome))
    for fold in np.unique(said.folds):
        rows = said.folds == fold
        calibration = fit_calibration(kind, said.select(~rows))
        losses[rows] = said.select(rows).compute_losses(calibration)
    return losses


def fit_calibration(kind: str, said: HeldBack) -> Calibration:
    """Fit one kind of calibration.

    Examples
    --------
    >>> ones = np.ones(4)
    >>> said = HeldBack(np.ones(4), np.array([1.0, 0, 0, 0]), ones, np.arange(4), np.arange(4))
    >>> found = fit_calibration("logistic", said)
    >>> round(found.intercept, 9), found.above  # log-odds that say nothing give way to one in four
    (-1.098612289, 0.0)
    """
    if kind == "none" or np.ptp(said.outcome) == 0:
        return NONE
    if kind == "intercept":
        return set_level(said, 1.0)
    if kind == "logistic":
        return set_level(said, find_slope(said))
    return fit_beta(said)


def find_slope(said: HeldBack) -> float:
    """Find the slope of outcomes on log-odds, within 0 and 1; 0 where they say nothing."""
    _, slope = fit_intercept_slope(said.log_odds, said.outcome, said.weights[None, :])[0]
    return 0.0 if np.isnan(slope) else float(np.clip(slope, 0.0, MOST_SLOPE))


def set_level(said: HeldBack, slope: float) -> Calibration:
    """Find the intercept that goes with a slope."""
    offset = slope * said.log_odds
    intercept = float(fit_intercept(offset, said.outcome, said.weights[None, :])[0])
    return Calibration(intercept, slope, slope)


def fit_beta(said: HeldBack) -> Calibration:
    """Fit slopes below and above even odds, each within 0 and 1, by maximum likelihood."""
    start = set_level(said, find_slope(said))
    below, above = -np.logaddexp(0, -said.log_odds), np.logaddexp(0, said.log_odds)
    table = np.column_stack([np.ones_like(below), below, above])
    total = said.weights.sum()

    def measure(found: Numbers) -> tuple[float, Numbers]:
        log_odds = table @ found
        losses = np.logaddexp(0, log_odds) - said.outcome * log_odds
        missed = compute_probability(log_odds) - said.outcome
        return float(said.weights @ losses / total), (said.weights * missed) @ table / total

    limits = [(None, None), (0.0, MOST_SLOPE), (0.0, MOST_SLOPE)]
    first = np.array([start.intercept, start.below, start.above])
    found = optimize.minimize(measure, first, jac=True, bounds=limits, method="L-BFGS-B")
    return Calibration(*map(float, found.x))
