"""Elastic-net logistic regression along a path of penalties, from the strongest to the weakest.

As in glmnet (Friedman, Hastie & Tibshirani, 2010): a Newton step is a least-squares problem with
the same penalty, which scikit-learn's coordinate descent solves. The problem has as many rows as
columns, whatever the number of courses, and each penalty starts where the stronger one ended.
scikit-learn's own logistic regression passes over all courses some fifty times a penalty, and stops
where all coefficients are 0 before the intercept is the base rate's.
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
from training.candidates.evidence.laplace import Curvature

MOST_STEPS, MOST_HALVINGS = 100, 30
# Change of any course's log-odds below which a step is the last.
SETTLED = 1e-5
# How exactly a step's problem is solved, and by how many rounds of coordinate descent at the most.
EXACT, MOST_ROUNDS = 1e-8, 10_000
# Added to the curvature of columns that say nothing, or what others say together.
BLANK = 1e-9


def fit_penalties(
    table: Numbers,
    outcome: Numbers,
    weights: Numbers,
    strengths: Sequence[float],
    l1_ratio: float,
) -> Iterator[Numbers]:
    """Find the coefficients under each penalty, the intercept first and not penalised.

    They minimise the courses' weighted log loss, summed, plus ``strength`` times
    ``l1_ratio * |b| + (1 - l1_ratio) / 2 * b**2`` of each coefficient ``b``.

    Parameters
    ----------
    table
        ``[courses, coefficients]``, of about unit spread.
    outcome, weights
        ``[courses]``; outcomes are 0 or 1, and both occur.
    strengths
        Falling, so that each search starts near its end.
    """
    whole = np.column_stack([np.ones(len(table)), table])
    curvature, found = Curvature(whole), np.zeros(whole.shape[1])
    rate = np.average(outcome, weights=weights)
    found[0] = np.log(rate / (1 - rate))
    for strength in strengths:
        found = descend(whole, outcome, weights, (strength, l1_ratio), found, curvature)
        yield found


def descend(
    table: Numbers,
    outcome: Numbers,
    weights: Numbers,
    penalty: tuple[float, float],
    start: Numbers,
    curvature: Curvature,
) -> Numbers:
    """Descend to the lowest penalised loss by Newton steps, halved wherever they would lead up."""
    strength, l1_ratio = penalty

    def measure(found: Numbers, log_odds: Numbers) -> float:
        loss = weights @ (np.logaddexp(0, log_odds) - outcome * log_odds)
        size = np.abs(found[1:]).sum() * l1_ratio + found[1:] @ found[1:] * (1 - l1_ratio) / 2
        return float(loss + strength * size)

    found, log_odds = start, table @ start
    height = measure(found, log_odds)
    for _ in range(MOST_STEPS):
        expected = compute_probability(log_odds)
        gradient = table.T @ (weights * (outcome - expected))
        spread = weights * expected * (1 - expected)
        step = solve_step(curvature.find(spread), gradient, found, penalty) - found
        moved = table @ step
        for _ in range(MOST_HALVINGS):
            reached = measure(found + step, log_odds + moved)
            if reached <= height:
                break
            step, moved = step / 2, moved / 2
        found, log_odds, height = found + step, log_odds + moved, reached
        if np.abs(moved).max() < SETTLED:
            break
    return found


def solve_step(
    curvature: Numbers, gradient: Numbers, found: Numbers, penalty: tuple[float, float]
) -> Numbers:
    """Find the coefficients that are best if the likelihood is the parabola that it looks like.

    The intercept follows from the others, so that these alone are searched.
    """
    strength, l1_ratio = penalty
    level, beside = curvature[0, 0], curvature[0, 1:]
    inner = curvature[1:, 1:] - np.outer(beside, beside) / level
    inner[np.diag_indices_from(inner)] += BLANK * level
    pull = gradient[1:] - beside * gradient[0] / level + inner @ found[1:]
    factor = cholesky(inner, lower=True)
    width = len(pull)
    model = ElasticNet(
        alpha=strength / width,
        l1_ratio=l1_ratio,
        fit_intercept=False,
        tol=EXACT,
        max_iter=MOST_ROUNDS,
        warm_start=True,
    )
    model.coef_ = found[1:].copy()
    with (
        warnings.catch_warnings(),
        config_context(assume_finite=True, skip_parameter_validation=True),
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(factor.T, solve_triangular(factor, pull, lower=True))
    others = model.coef_
    base = found[0] + (gradient[0] - beside @ (others - found[1:])) / level
    return np.append(base, others)
