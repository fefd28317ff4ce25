"""Sparse terms: against a closed form, and on terms known to be in or out."""

import numpy as np
import pytest

from training.candidates.evidence.curves import _visit_terms, draw_terms

SLAB = 0.15


def make_terms(size, courses, inside, seed=1):
    """Compute gradient and curvature of a logistic likelihood at 0, for standardised terms."""
    generator = np.random.default_rng(seed)
    table = generator.standard_normal((courses, size))
    log_odds = table[:, list(inside)] @ np.array(list(inside.values()))
    outcome = generator.random(courses) < 1 / (1 + np.exp(-log_odds))
    return table.T @ (outcome - 0.5), table.T @ table / 4


def draw(gradient, curvature, expected, count=400, seed=2):
    return draw_terms(gradient, curvature, SLAB, expected, count, np.random.default_rng(seed))


def test_inclusion_agrees_with_bayes_factors():
    """If the likelihood factorises, inclusion has a closed form: terms share only the share."""
    gradient, curvature = np.array([30.0, 0.0]), np.diag([400.0, 400.0])
    drawn = draw(gradient, curvature, expected=0.5, count=6000)
    variance = 1 / (400 + SLAB**-2.0)
    shares = np.linspace(1e-4, 0.5, 4000)
    belief = shares**3 * (1 - shares) ** (4 * 2 / 0.5 - 1)  # prior of the share
    factors = [np.sqrt(variance) / SLAB * np.exp(variance * slope**2 / 2) for slope in gradient]
    both = [shares * factor / (shares * factor + 1 - shares) for factor in factors]
    likely = belief * np.prod([shares * f + 1 - shares for f in factors], axis=0)
    exact = [(inclusion * likely).sum() / likely.sum() for inclusion in both]
    assert (drawn != 0).mean(axis=0) == pytest.approx(exact, abs=0.05)
    inside = drawn[drawn[:, 0] != 0, 0]
    assert inside.mean() == pytest.approx(variance * 30, abs=0.01)
    assert inside.std() == pytest.approx(np.sqrt(variance), rel=0.1)


def visit_each(coefficients, slope, curvature, variance, prior, generator):
    """Visit the terms one by one, none skipped, with the same random numbers."""
    size = len(coefficients)
    needed = -np.log(1 / generator.uniform(1e-300, 1, size) - 1)
    noise = np.sqrt(variance) * generator.standard_normal(size)
    for term in generator.permutation(size):
        gradient = slope[term] + curvature[term, term] * coefficients[term]
        mean = variance[term] * gradient
        enters = prior[term] + mean * gradient / 2 > needed[term]
        after = mean + noise[term] if enters else 0.0
        slope -= curvature[term] * (after - coefficients[term])
        coefficients[term] = after


def test_skipping_terms_equals_visiting_each():
    """With so few courses that a term comes and goes on a small slope."""
    gradient, curvature = make_terms(30, 2, {3: 0.4})
    variance = 1 / (np.diag(curvature) + SLAB**-2.0)
    ends = []
    for visit in (_visit_terms, visit_each):
        generator = np.random.default_rng(5)
        coefficients, slope = np.zeros(30), gradient.copy()
        for chance in np.linspace(-2, 2, 3000):
            visit(coefficients, slope, curvature, variance, np.full(30, chance), generator)
            ends.append(coefficients.copy())
    assert np.array(ends[:3000]) == pytest.approx(np.array(ends[3000:]), abs=1e-9)


def test_two_real_terms_among_three_hundred_are_found():
    drawn = draw(*make_terms(300, 4000, {10: 0.3, 200: -0.25}), expected=6)
    often = (drawn != 0).mean(axis=0)
    assert often[10] > 0.95
    assert often[200] > 0.95
    assert drawn.mean(axis=0)[[10, 200]] == pytest.approx([0.3, -0.25], abs=0.1)
    assert np.delete(often, [10, 200]).mean() < 0.05


def test_without_real_terms_the_mean_is_almost_0():
    drawn = draw(*make_terms(300, 250, {0: 0.0}), expected=6)
    assert np.sqrt((drawn.mean(axis=0) ** 2).sum()) < 0.2  # least squares would give more than 2


def test_draws_are_the_same_for_the_same_seed():
    terms = make_terms(40, 500, {3: 0.2})
    assert (draw(*terms, expected=2) == draw(*terms, expected=2)).all()
    assert (draw(*terms, expected=2) != draw(*terms, expected=2, seed=3)).any()


def test_no_terms_give_empty_draws():
    assert draw(np.empty(0), np.empty((0, 0)), expected=6, count=5).shape == (5, 0)
