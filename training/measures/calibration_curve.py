"""Calibration: intercept, slope, O/E ratio, and the flexible curve with its errors.

The curve is a logistic regression of outcomes on a restricted cubic spline of the log-odds, as in
`CalibrationCurves::val.prob.ci.2(smooth = "rcs")`. Unlike loess it has a likelihood and standard
errors, takes weights, and with few courses becomes the straight line of the calibration slope.
Errors are those of Austin and Steyerberg (Stat Med 2019).
"""

from dataclasses import dataclass, replace

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from features.model.prediction import compute_probability
from training.measures.bootstrap import IntervalSettings, measure_resampled
from training.measures.covariance import compute_covariance, compute_sandwich
from training.measures.intervals import (
    UNDEFINED,
    Estimated,
    Patients,
    correct_few,
    fill_weights,
    find_reach,
    number_patients,
    sum_by_patient,
)
from training.measures.logistic import fit_intercept, fit_intercept_slope, fit_logistic, logit
from training.measures.predictions import Predictions

# Harrell's (Regression Modeling Strategies, 2015, table 2.3): quantiles of the log-odds.
_KNOTS = {3: (0.1, 0.5, 0.9), 5: (0.05, 0.275, 0.5, 0.725, 0.95)}
# Courses of the smaller class that splines of 3 and 5 knots need; with fewer, a line. Assumed:
# ten for each of two slopes; and 200, as Van Calster et al. advise (J Clin Epidemiol 2016).
_NEEDED = {3: 20, 5: 200}
# Each resample is a regression of its own; the distances need no more.
_MAX_RESAMPLES = 200
ERRORS = ("ici", "e50", "e90", "emax")


def estimate_ratio(
    probability: Numbers,
    outcome: Numbers,
    weights: Numbers | None = None,
    patients: Patients | None = None,
) -> Estimated:
    """Estimate the O/E ratio of events; its interval is symmetric on the log scale.

    The expected number is taken as known (Debray et al., BMJ 2017). Without weights and patients
    the error of the logarithm is ``sqrt((1 - share) / events)``.
    """
    each = fill_weights(weights, len(outcome))
    events, expected = float(each @ outcome), float(each @ probability)
    # A ratio of 0 has no logarithm, so no error either.
    if not events:
        return Estimated(0.0, np.nan) if expected else UNDEFINED
    share = events / each.sum()
    if weights is None and patients is None:
        error = np.sqrt((1 - share) / events)
    else:
        people = number_patients(patients, len(outcome))
        # Delta method: the error of the share, over patients, relative to the share.
        sums = sum_by_patient(each * (outcome - share), people)
        error = np.sqrt(correct_few(len(sums)) * (sums**2).sum()) / events
    return Estimated(events / expected, float(error * events / expected))


def estimate_intercept(
    log_odds: Numbers,
    outcome: Numbers,
    weights: Numbers | None = None,
    patients: Patients | None = None,
) -> Estimated:
    """Estimate calibration in the large: the intercept with the log-odds as offset."""
    each = fill_weights(weights, len(outcome))
    (intercept,) = fit_intercept(log_odds, outcome, each[None, :])
    design, fitted = np.ones((len(outcome), 1)), compute_probability(log_odds + intercept)
    covariance = compute_sandwich(design, fitted, outcome, weights, patients)
    return Estimated(float(intercept), float(np.sqrt(covariance[0, 0])))


def estimate_slope(
    log_odds: Numbers,
    outcome: Numbers,
    weights: Numbers | None = None,
    patients: Patients | None = None,
) -> Estimated:
    """Estimate the calibration slope; NaN if there is none."""
    each = fill_weights(weights, len(outcome))
    intercept, slope = fit_intercept_slope(log_odds, outcome, each[None, :])[0]
    if np.isnan(slope):
        return UNDEFINED
    design = np.column_stack([np.ones_like(log_odds), log_odds])
    fitted = compute_probability(intercept + slope * log_odds)
    covariance = compute_sandwich(design, fitted, outcome, weights, patients)
    return Estimated(float(slope), float(np.sqrt(covariance[1, 1])))


def measure_intercept(predictions: Predictions, level: float) -> Measure:
    """Measure calibration in the large, with an interval that holds if events are few."""
    log_odds, outcome = predictions.log_odds, predictions.outcome
    (intercept,) = fit_intercept(log_odds, outcome, predictions.weights_or_ones[None, :])
    design = np.ones((len(outcome), 1))
    return _measure_last(predictions, intercept, design, log_odds + intercept, level)


def measure_slope(predictions: Predictions, level: float) -> Measure:
    """Measure the calibration slope, with an interval that holds if events are few."""
    log_odds, outcome = predictions.log_odds, predictions.outcome
    ((intercept, slope),) = fit_intercept_slope(
        log_odds, outcome, predictions.weights_or_ones[None, :]
    )
    design = np.column_stack([np.ones_like(log_odds), log_odds])
    return _measure_last(predictions, slope, design, intercept + slope * log_odds, level)


def _measure_last(
    predictions: Predictions, value: float, design: Numbers, log_odds: Numbers, level: float
) -> Measure:
    # The coefficient of the last column.
    if np.isnan(value):
        return Measure(value=None)
    covariance = compute_covariance(
        design, compute_probability(log_odds), *predictions.courses, repeats=predictions.repeats
    )
    return Estimated(float(value), float(np.sqrt(covariance[-1, -1]))).make_interval(level)


@dataclass(frozen=True)
class _Curve:
    # Knots are on the log-odds, and empty for a straight line.
    knots: Numbers
    coefficients: Numbers
    covariance: Numbers

    def read(self, probability: Numbers) -> Numbers:
        return compute_probability(_make_basis(logit(probability), self.knots) @ self.coefficients)

    def read_interval(self, probability: Numbers, level: float) -> tuple[Numbers, Numbers]:
        # Pointwise, and symmetric on the log-odds.
        basis = _make_basis(logit(probability), self.knots)
        middle, reach = basis @ self.coefficients, find_reach(level)
        width = reach * np.sqrt(((basis @ self.covariance) * basis).sum(axis=1))
        return compute_probability(middle - width), compute_probability(middle + width)


def fit_curve(
    probability: Numbers,
    outcome: Numbers,
    weights: Numbers | None = None,
    patients: Patients | None = None,
    count: int | None = None,
    repeats: int = 1,
) -> _Curve | None:
    """Fit the calibration curve.

    Parameters
    ----------
    count
        How many knots, 0 for a straight line; None if the smaller class decides.
    repeats
        Predictions of each course, as in :class:`Predictions`.

    Returns
    -------
    _Curve
        None if no curve exists: constant estimates, one class, or classes that the estimates
        separate.
    """
    log_odds = logit(probability)
    knots = _place_knots(log_odds, _choose_knots(outcome) if count is None else count)
    # Constant but for rounding: there is nothing to fit a slope to.
    if np.ptp(log_odds) < 1e-9:
        return None
    basis = _make_basis(log_odds, knots)
    each = fill_weights(weights, len(outcome))
    (coefficients,) = _fit_basis(basis, outcome, each[None, :])
    if np.isnan(coefficients).any():
        return None
    fitted = compute_probability(basis @ coefficients)
    covariance = compute_covariance(basis, fitted, outcome, weights, patients, repeats)
    return _Curve(knots, coefficients, covariance)


def _choose_knots(outcome: Numbers) -> int:
    """Choose the number of knots by the size of the smaller class.

    >>> [_choose_knots(np.repeat([1.0, 0.0], [few, 200])) for few in (12, 20, 200)]
    [0, 3, 5]
    """
    smaller = min(outcome.sum(), len(outcome) - outcome.sum())
    return max((count for count, needed in _NEEDED.items() if smaller >= needed), default=0)


def _place_knots(log_odds: Numbers, count: int) -> Numbers:
    # If knots coincide, as with few distinct estimates, a line is fitted.
    knots = np.quantile(log_odds, np.array(_KNOTS.get(count, ()))).astype(np.float64)
    return knots if np.all(np.diff(knots) > 1e-6) else np.empty(0)


def _make_basis(log_odds: Numbers, knots: Numbers) -> Numbers:
    # The columns of a restricted cubic spline: ones, the log-odds, one per knot but two.
    columns = [np.ones_like(log_odds), log_odds]
    # Cubes that cancel to a line beyond the last knot, over the squared range so that columns are
    # of like size (Harrell, Regression Modeling Strategies, 2015).
    for knot in knots[:-2]:
        before, last = knots[-2:]
        cubes = [np.maximum(log_odds - end, 0) ** 3 for end in (knot, before, last)]
        share = (last - knot) / (last - before)
        column = cubes[0] - share * cubes[1] + (share - 1) * cubes[2]
        columns.append(column / (last - knots[0]) ** 2)
    return np.column_stack(columns)


def _fit_basis(basis: Numbers, outcome: Numbers, weights: Numbers) -> Numbers:
    # The columns of a spline are nearly collinear: Newton's method is run on orthogonal ones.
    orthogonal, triangle = np.linalg.qr(basis)
    scale = np.sqrt(len(basis))
    fitted = fit_logistic(scale * orthogonal, np.zeros(len(basis)), outcome, weights)
    coefficients: Numbers = np.linalg.solve(triangle, scale * fitted.T).T
    return coefficients


def measure_curve(
    predictions: Predictions, settings: IntervalSettings, count: int | None = None
) -> dict[str, Measure]:
    """Measure the distance of the curve from perfect calibration, over all estimates.

    Parameters
    ----------
    count
        How many knots; see :func:`fit_curve`.

    Returns
    -------
    dict
        The mean (`ici`), median, 90th percentile and maximum, with percentile intervals over
        resampled patients, the knots fixed. They cannot be negative, so with few courses those of
        a perfect model are well above 0.
    """
    probability, outcome = predictions.probability, predictions.outcome
    curve = None
    if not predictions.is_constant:
        curve = fit_curve(probability, outcome, predictions.weights, count=count)
    if curve is None:
        return dict.fromkeys(ERRORS, Measure(value=None))
    # Knots stay fixed, so that one basis serves all bootstrap samples.
    basis = _make_basis(logit(probability), curve.knots)

    def compute(drawn: Numbers) -> Numbers:
        observed = compute_probability(_fit_basis(basis, outcome, drawn) @ basis.T)
        return np.array(
            [
                _summarise_errors(row, counted)
                for row, counted in zip(np.abs(observed - probability), drawn, strict=True)
            ]
        )

    fewer = replace(settings, samples=min(settings.samples, _MAX_RESAMPLES))
    return measure_resampled(ERRORS, compute, predictions, fewer)


def _summarise_errors(errors: Numbers, weights: Numbers) -> Numbers:
    # In the order of ERRORS.
    middle, most = _find_quantiles(errors, weights, np.array([0.5, 0.9]))
    mean = weights @ errors / weights.sum()
    # A course that was not drawn must not set the maximum.
    return np.array([mean, middle, most, errors[weights > 0].max()])


def _find_quantiles(values: Numbers, weights: Numbers, at: Numbers) -> Numbers:
    # As if each value occurred `weights` times: R's type 7 if all occur once. NumPy's weighted
    # quantiles are of another type.
    order = np.argsort(values)
    ends = np.cumsum(weights[order])
    rank = at * (ends[-1] - 1)
    below, rest = np.floor(rank), rank % 1
    neighbours = [
        values[order][np.minimum(np.searchsorted(ends, index, side="right"), len(values) - 1)]
        for index in (below, below + 1)
    ]
    quantiles: Numbers = (1 - rest) * neighbours[0] + rest * neighbours[1]
    return quantiles
