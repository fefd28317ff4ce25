"""Penalty paths against scikit-learn's solver and the optimality conditions."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.candidates.linear.lasso import fit_penalties

STRENGTHS = (300.0, 30.0, 10.0, 3.0, 1.0)


def make_courses(courses=300, columns=12, rate=0.0, seed=1):
    """Draw weighted courses with correlated columns, of which a few predict."""
    generator = np.random.default_rng(seed)
    table = generator.standard_normal((courses, columns))
    table[:, 1] = 0.9 * table[:, 0] + 0.4 * table[:, 1]
    log_odds = rate + table[:, 0] - 0.7 * table[:, 3]
    outcome = (generator.random(courses) < expit(log_odds)).astype(float)
    return table, outcome, generator.uniform(0.2, 3, courses)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("rate", [0.0, -3.0])
def test_coefficients_are_those_that_scikit_learn_converges_to(l1_ratio, rate):
    table, outcome, weights = make_courses(rate=rate)
    for strength, coefficients in zip(
        STRENGTHS, fit_penalties(table, outcome, weights, STRENGTHS, l1_ratio), strict=True
    ):
        model = LogisticRegression(
            C=1 / strength, l1_ratio=l1_ratio, solver="saga", tol=1e-10, max_iter=100_000
        )
        model.fit(table, outcome, sample_weight=weights)
        if model.coef_.any():  # else it stops before its intercept has moved
            expected = np.append(model.intercept_, model.coef_[0])
            assert coefficients == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("l1_ratio", [0.1, 0.5, 1.0])
@pytest.mark.parametrize(("courses", "columns"), [(400, 12), (40, 60)])
def test_coefficients_are_at_the_penalised_minimum(l1_ratio, courses, columns):
    """The loss gradient equals the penalty at nonzero coefficients and does not exceed it at 0."""
    table, outcome, weights = make_courses(courses, columns, rate=-1.0)
    for strength, coefficients in zip(
        STRENGTHS, fit_penalties(table, outcome, weights, STRENGTHS, l1_ratio), strict=True
    ):
        missed = weights * (outcome - expit(coefficients[0] + table @ coefficients[1:]))
        assert missed.sum() == pytest.approx(0, abs=1e-3)
        pull = table.T @ missed - strength * (1 - l1_ratio) * coefficients[1:]
        counts = coefficients[1:] != 0
        limit = strength * l1_ratio
        assert pull[counts] == pytest.approx(limit * np.sign(coefficients[1:][counts]), abs=1e-2)
        assert (np.abs(pull[~counts]) <= limit + 1e-2).all()


def test_strongest_penalty_gives_the_weighted_base_rate():
    table, outcome, weights = make_courses(rate=-2.0)
    (coefficients,) = fit_penalties(table, outcome, weights, [1e6], 1.0)
    assert expit(coefficients[0]) == pytest.approx(np.average(outcome, weights=weights), abs=1e-9)
    assert not coefficients[1:].any()


def test_path_ends_at_the_last_penaltys_own_fit():
    table, outcome, weights = make_courses()
    *_, last = fit_penalties(table, outcome, weights, STRENGTHS, 0.5)
    (alone,) = fit_penalties(table, outcome, weights, STRENGTHS[-1:], 0.5)
    assert last == pytest.approx(alone, abs=1e-4)


def test_constant_and_duplicate_columns_are_survived():
    table, outcome, weights = make_courses()
    doubled = np.hstack([table, table[:, :2], np.zeros((len(table), 1)), np.ones((len(table), 1))])
    for expected, coefficients in zip(
        fit_penalties(table, outcome, weights, STRENGTHS, 0.5),
        fit_penalties(doubled, outcome, weights, STRENGTHS, 0.5),
        strict=True,
    ):
        assert np.isfinite(coefficients).all()
        assert coefficients[-2:] == pytest.approx(0, abs=1e-6)
        assert coefficients[1] == pytest.approx(coefficients[13], abs=1e-4)
        assert np.sign(coefficients[1]) == np.sign(expected[1])
