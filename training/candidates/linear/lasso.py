"""Elastic-net logistic regression along a path of penalties, from the strongest to the weakest.

As in glmnet (Friedman, Hastie & Tibshirani, 2010): a Newton step is a least-squares problem with
the same penalty, which scikit-learn's coordinate descent solves, with as many rows as columns.
Fast path of scikit-learn's own logistic regression, which passes over all courses about fifty times
per penalty and, with all coefficients at 0, stops before the intercept is the base rate's; equal
by ``test_coefficients_are_those_that_scikit_learn_converges_to``.
"""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

from features.base.arrays import Numbers
from features.model.prediction import compute_probability
from training.candidates.evidence.laplace import HessianCache

_MAX_STEPS, _MAX_HALVINGS = 100, 30
# A step that changes no course's log-odds by more is the last.
_SETTLED = 1e-5
# Tolerance of a step's least-squares problem, and the maximal rounds of coordinate descent.
_EXACT, _MAX_ROUNDS = 1e-8, 10_000
# Added to the Hessian, which is singular if a column is constant or a sum of others.
_RIDGE = 1e-9


def fit_penalties(
    table: Numbers,
    outcome: Numbers,
    weights: Numbers,
    strengths: Sequence[float],
    l1_ratio: float,
) -> Iterator[Numbers]:
    """Fit the coefficients under each penalty, the intercept first and not penalised.

    They minimise the courses' weighted log loss, summed, plus ``strength`` times
    ``l1_ratio * |b| + (1 - l1_ratio) / 2 * b**2`` of each coefficient ``b``.

    Parameters
    ----------
    table
        ``[courses, coefficients]``, of about unit spread; both outcomes occur.
    strengths
        Falling, so that each search starts near its end.
    """
    table_with_ones = np.column_stack([np.ones(len(table)), table])
    cache, coefficients = HessianCache(table_with_ones), np.zeros(table_with_ones.shape[1])
    rate = np.average(outcome, weights=weights)
    # The base rate: the solution under an infinite penalty, where the path begins.
    coefficients[0] = np.log(rate / (1 - rate))
    for strength in strengths:
        coefficients = _descend(
            table_with_ones, outcome, weights, (strength, l1_ratio), coefficients, cache
        )
        yield coefficients


def _descend(
    table: Numbers,
    outcome: Numbers,
    weights: Numbers,
    penalty: tuple[float, float],
    start: Numbers,
    cache: HessianCache,
) -> Numbers:
    strength, l1_ratio = penalty

    def measure(coefficients: Numbers, log_odds: Numbers) -> float:
        loss = weights @ (np.logaddexp(0, log_odds) - outcome * log_odds)
        size = (
            np.abs(coefficients[1:]).sum() * l1_ratio
            + coefficients[1:] @ coefficients[1:] * (1 - l1_ratio) / 2
        )
        return float(loss + strength * size)

    coefficients, log_odds = start, table @ start
    height = measure(coefficients, log_odds)
    for _ in range(_MAX_STEPS):
        expected = compute_probability(log_odds)
        gradient = table.T @ (weights * (outcome - expected))
        spread = weights * expected * (1 - expected)
        step = _solve_step(cache.compute(spread), gradient, coefficients, penalty) - coefficients
        moved = table @ step
        for _ in range(_MAX_HALVINGS):
            reached = measure(coefficients + step, log_odds + moved)
            if reached <= height:
                break
            step, moved = step / 2, moved / 2
        coefficients, log_odds, height = coefficients + step, log_odds + moved, reached
        if np.abs(moved).max() < _SETTLED:
            break
    return coefficients


def _solve_step(
    hessian: Numbers, gradient: Numbers, coefficients: Numbers, penalty: tuple[float, float]
) -> Numbers:
    # The intercept is not penalised and is eliminated, so that only the others are searched. With
    # the Cholesky factor of their Hessian as design, this is the least-squares problem of an
    # elastic net.
    strength, l1_ratio = penalty
    diagonal, cross = hessian[0, 0], hessian[0, 1:]
    inner = hessian[1:, 1:] - np.outer(cross, cross) / diagonal
    inner[np.diag_indices_from(inner)] += _RIDGE * diagonal
    target = gradient[1:] - cross * gradient[0] / diagonal + inner @ coefficients[1:]
    factor = cholesky(inner, lower=True)
    width = len(target)
    # scikit-learn divides the squared errors by the number of rows, hence the strength by the
    # width.
    model = ElasticNet(
        alpha=strength / width,
        l1_ratio=l1_ratio,
        fit_intercept=False,
        tol=_EXACT,
        max_iter=_MAX_ROUNDS,
        warm_start=True,
    )
    model.coef_ = coefficients[1:].copy()
    with (
        warnings.catch_warnings(),
        config_context(assume_finite=True, skip_parameter_validation=True),
    ):
        # An inexact step does no harm: Newton's loop goes on until the loss itself settles.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(factor.T, solve_triangular(factor, target, lower=True))
    others = model.coef_
    intercept = coefficients[0] + (gradient[0] - cross @ (others - coefficients[1:])) / diagonal
    return np.append(intercept, others)
