"""The calibration of a candidate: one of four kinds, chosen on held-out courses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from features.base.arrays import Numbers
from features.model.calibration import IDENTITY, calibrate_log_odds
from features.model.equation import Equation
from features.model.prediction import compute_probability
from training.measures.logistic import fit_intercept, fit_intercept_slope
from training.measures.losses import compare_losses, compute_log_loss
from training.measures.predictions import Predictions
from training.study.design import Design
from training.study.split import Fold

# The simplest first.
KINDS = ("none", "intercept", "logistic", "beta")
# Calibration may shrink predictions, never spread them: a slope above 1 would trust few courses
# over the candidate's own penalty, and one below 0 would reverse its ranking.
_MAX_SLOPE = 1.0
# Standard errors by which another kind must beat the preferred one: with three alternatives, one is
# not enough.
_CLEARLY = 2.0


def gather_inner(design: Design, folds: Sequence[Fold], log_odds: Numbers) -> Predictions:
    """Gather log-odds of inner folds' test courses, one fold after the other."""
    rows = np.concatenate([fold.test for fold in folds])
    numbers = np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds])
    weights = None if design.given_weights is None else design.given_weights[rows]
    return Predictions(log_odds, design.outcome[rows], design.patients[rows], numbers, weights)


@dataclass(frozen=True)
class Calibration:
    """The calibration of log-odds, see :mod:`features.model.calibration`."""

    intercept: float
    below: float
    above: float

    @property
    def is_constant(self) -> bool:
        """Whether every patient is given the same prediction."""
        return self.below == 0 and self.above == 0

    def apply(self, log_odds: Numbers) -> Numbers:
        """Calibrate log-odds, ``[courses]``."""
        return calibrate_log_odds(log_odds[:, None], self._as_array())[:, 0]

    def apply_to(self, equation: Equation) -> Equation:
        """Calibrate an equation and all its versions; replaces their calibration."""
        tiled = np.tile(self._as_array(), (len(equation.terms.intercept), 1))
        return replace(equation, terms=replace(equation.terms, calibration=tiled))

    def as_settings(self) -> dict[str, float]:
        """Return it as settings, which a refit takes as given."""
        return {f"calibration_{name}": value for name, value in vars(self).items()}

    @classmethod
    def from_settings(cls, settings: Mapping[str, float]) -> "Calibration":
        """Read it back from settings."""
        return cls(*(settings[f"calibration_{name}"] for name in ("intercept", "below", "above")))

    def _as_array(self) -> Numbers:
        return np.array([[self.intercept, self.below, self.above]])


NONE = Calibration(*IDENTITY)
CONSTANT = Calibration(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Choice:
    """The calibration chosen, and each course's log loss by its kind, fitted on the other folds."""

    calibration: Calibration
    losses: Numbers


def choose_calibration(predictions: Predictions, preferred: str) -> Choice:
    """Choose a kind of calibration by cross-validation over the folds, and fit it on all of them.

    The preferred kind is kept unless another has a lower log loss by two standard errors.
    """
    losses = {kind: _cross_losses(predictions, kind) for kind in KINDS}
    # Averaged over patients who were not used to fit the calibration: the more flexible kinds have
    # no advantage.
    best = min(losses, key=lambda kind: np.average(losses[kind], weights=predictions.weights))
    gap = compare_losses(losses[best], losses[preferred], predictions.patients, predictions.weights)
    kind = best if gap.mean < -_CLEARLY * gap.error else preferred
    return Choice(fit_calibration(kind, predictions), losses[kind])


def calibrate_on_folds(
    design: Design, folds: Sequence[Fold], log_odds: Numbers, preferred: str
) -> tuple[Calibration, Numbers]:
    """Choose a calibration by log-odds of inner folds' test courses, one fold after the other.

    Returns also each course's log loss by it, ``[courses]``; NaN if in no fold's test.
    """
    chosen = choose_calibration(gather_inner(design, folds, log_odds), preferred)
    losses = np.full(design.size, np.nan)
    losses[np.concatenate([fold.test for fold in folds])] = chosen.losses
    return chosen.calibration, losses


def _cross_losses(predictions: Predictions, kind: str) -> Numbers:
    losses = np.empty(len(predictions.outcome))
    for fold in np.unique(predictions.groups):
        rows = predictions.groups == fold
        calibration = fit_calibration(kind, predictions.select(~rows))
        log_odds = calibration.apply(predictions.log_odds[rows])
        losses[rows] = compute_log_loss(log_odds, predictions.outcome[rows])
    return losses


def fit_calibration(kind: str, predictions: Predictions) -> Calibration:
    """Fit one kind of calibration.

    >>> predictions = Predictions(np.ones(4), np.eye(4)[0], np.arange(4), np.arange(4))
    >>> fitted = fit_calibration("logistic", predictions)
    >>> round(fitted.intercept, 9), fitted.above  # constant log-odds: the base rate, 1 in 4
    (-1.098612289, 0.0)
    """
    # A bootstrap sample may weigh courses of one class alone: no intercept exists then.
    weighed = predictions.outcome[predictions.weights_or_ones > 0]
    if kind == "none" or np.ptp(weighed) == 0:
        return NONE
    if kind == "intercept":
        return _fit_intercept_given_slope(predictions, 1.0)
    if kind == "logistic":
        return _fit_intercept_given_slope(predictions, _find_slope(predictions))
    return _fit_beta(predictions)


def _find_slope(predictions: Predictions) -> float:
    # Constant log-odds have no slope: 0 leaves the base rate.
    _, slope = fit_intercept_slope(
        predictions.log_odds, predictions.outcome, predictions.weights_or_ones[None, :]
    )[0]
    return 0.0 if np.isnan(slope) else float(np.clip(slope, 0.0, _MAX_SLOPE))


def _fit_intercept_given_slope(predictions: Predictions, slope: float) -> Calibration:
    offset = slope * predictions.log_odds
    intercept = float(
        fit_intercept(offset, predictions.outcome, predictions.weights_or_ones[None, :])[0]
    )
    # One that is out of all bounds is undefined too.
    if np.isnan(intercept):
        return NONE
    return Calibration(intercept, slope, slope)


def _fit_beta(predictions: Predictions) -> Calibration:
    # Beta calibration with its two slopes kept within 0 and the maximum, for the reasons given
    # there.
    start = _fit_intercept_given_slope(predictions, _find_slope(predictions))
    # log p and -log(1 - p): their sum is the log-odds, so equal slopes are logistic calibration.
    below, above = -np.logaddexp(0, -predictions.log_odds), np.logaddexp(0, predictions.log_odds)
    table = np.column_stack([np.ones_like(below), below, above])
    weights, outcome = predictions.weights_or_ones, predictions.outcome
    total = weights.sum()

    def compute_loss(coefficients: Numbers) -> tuple[float, Numbers]:
        log_odds = table @ coefficients
        losses = np.logaddexp(0, log_odds) - outcome * log_odds
        residual = compute_probability(log_odds) - outcome
        return float(weights @ losses / total), (weights * residual) @ table / total

    limits = [(None, None), (0.0, _MAX_SLOPE), (0.0, _MAX_SLOPE)]
    first = np.array([start.intercept, start.below, start.above])
    result = optimize.minimize(compute_loss, first, jac=True, bounds=limits, method="L-BFGS-B")
    return Calibration(*map(float, result.x))
