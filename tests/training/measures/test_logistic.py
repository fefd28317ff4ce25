"""Logistic recalibration against independent code and cases worked by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.measures.logistic import fit_intercept, fit_intercept_slope, logit


@pytest.fixture
def courses():
    generator = np.random.default_rng(3)
    log_odds = generator.normal(0.3, 1.1, 400)
    outcome = (generator.random(400) < expit(0.4 + 0.7 * log_odds)).astype(float)
    return log_odds, outcome, generator


def test_intercept_and_slope_agree_with_scikit_learn(courses):
    log_odds, outcome, generator = courses
    weights = generator.multinomial(400, np.full(400, 1 / 400), size=5).astype(float)
    coefficients = fit_intercept_slope(log_odds, outcome, weights)
    for sample in range(5):
        model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000)
        model.fit(log_odds[:, None], outcome, sample_weight=weights[sample])
        expected = [model.intercept_[0], model.coef_[0, 0]]
        assert coefficients[sample] == pytest.approx(expected, abs=1e-6)


def test_intercept_alone_makes_the_mean_right(courses):
    log_odds, outcome, _ = courses
    (shift,) = fit_intercept(log_odds, outcome, np.ones((1, 400)))
    assert expit(log_odds + shift).mean() == pytest.approx(outcome.mean(), abs=1e-10)


def test_two_groups_are_calibrated_as_by_hand():
    """Rates of 0.3 and 0.6 at two values: the line goes through both logits."""
    log_odds = np.repeat([-1.0, 1.0], 100)
    outcome = np.concatenate([np.ones(30), np.zeros(70), np.ones(60), np.zeros(40)])
    low, high = logit(np.array([0.3, 0.6]))
    coefficients = fit_intercept_slope(log_odds, outcome, np.ones((1, 200)))[0]
    assert coefficients == pytest.approx([(low + high) / 2, (high - low) / 2], abs=1e-8)


@pytest.mark.parametrize(
    ("log_odds", "outcome"),
    [([0, 1, 2, 3], [0, 0, 1, 1]), ([1, 1, 1, 1], [0, 1, 0, 1]), ([0, 1, 2, 3], [1, 1, 1, 1])],
    ids=["separated", "constant", "one class"],
)
def test_infinite_slopes_are_nan(log_odds, outcome):
    coefficients = fit_intercept_slope(
        np.array(log_odds, float), np.array(outcome, float), np.ones((1, 4))
    )
    assert np.isnan(coefficients).all()


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_one_class_has_no_intercept(outcome):
    fitted = fit_intercept(np.array([-1.0, 0.5]), np.full(2, outcome), np.ones((1, 2)))
    assert np.isnan(fitted).all()


def test_heavy_tails_end_at_the_maximum():
    """Steps that must be shortened keep their direction; a search without derivatives agrees."""
    generator = np.random.default_rng(0)
    for _ in range(300):
        log_odds = 4 * generator.standard_t(2, 30)
        outcome = (generator.random(30) < expit(log_odds / 2 - generator.normal())).astype(float)
        fitted = fit_intercept_slope(log_odds, outcome, np.ones((1, 30)))[0]
        if np.isnan(fitted).any():
            continue

        def measure(line, log_odds=log_odds, outcome=outcome):
            line = line[0] + line[1] * log_odds
            return np.logaddexp(0, line).sum() - outcome @ line

        found = minimize(measure, [0.0, 0.5], method="Nelder-Mead", options={"xatol": 1e-6})
        assert measure(fitted) < found.fun + 1e-6


def test_nearly_constant_log_odds_neither_hang_nor_warn():
    generator = np.random.default_rng(1)
    log_odds = -0.4 + 1e-7 * generator.normal(size=1000)
    outcome = (generator.random(1000) < 0.4).astype(float)
    weights = generator.multinomial(1000, np.full(1000, 1e-3), size=200).astype(float)
    fit_intercept_slope(log_odds, outcome, weights)
