"""Ordinal outcomes: against R, an independent sampler, and Whitehead's gain in information."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.candidates.evidence.laplace import Prior, mix_posteriors
from training.candidates.evidence.ordinal import Categories, Likelihood, categorise_courses

TRUTH = Path(__file__).parents[2] / "measures" / "truth.json"
CUTS = (-1.5, -0.5, 0.3, 1.2)


@pytest.fixture(scope="module")
def truth():
    return json.loads(TRUTH.read_text("utf-8"))["ordinal"]


def find(table, likelihood, deviation=1e4):
    """The posterior, by default under a nearly flat prior."""
    prior = Prior(np.zeros(table.shape[1]), np.full(table.shape[1], deviation))
    return mix_posteriors(table, likelihood, [prior]).posteriors[0]


def draw(size, slope=0.8, seed=1):
    """Draw courses whose latent improvement follows one feature, with logistic noise."""
    generator = np.random.default_rng(seed)
    table = np.column_stack([np.ones(size), generator.standard_normal(size)])
    return table, table @ np.array([0.2, slope]) + generator.logistic(size=size)


def grade(latent, cuts=CUTS, cut=3):
    return Categories(np.searchsorted(cuts, latent), len(cuts) + 1, cut)


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
@pytest.mark.parametrize("counted", ["alike", "weighted"])
def test_proportional_odds_are_those_of_rms(truth, counted, cut):
    reference, weights = truth[counted], np.array(truth["weight"])
    table = np.column_stack([np.ones(len(weights)), truth["predictors"]])
    grades = Categories(np.array(truth["grade"]), 5, cut)
    likelihood = Likelihood(grades, weights if counted == "weighted" else np.ones(len(weights)))
    posterior = find(table, likelihood)
    coefficients, places = np.array(reference["coefficients"]), [cut - 1, 4, 5]
    assert posterior.mode == pytest.approx(coefficients[places], abs=1e-3)
    others = coefficients[cut - 1] - np.delete(coefficients[:4], cut - 1)
    assert posterior.thresholds == pytest.approx(others, abs=1e-3)
    there = likelihood.differentiate(table @ posterior.mode, posterior.thresholds)
    mixed, taken = there.eliminate_thresholds(table)
    covariance = np.linalg.inv((table * there.spread[:, None]).T @ table - mixed @ taken.T)
    expected = np.array(reference["covariance"])[np.ix_(places, places)]
    assert covariance == pytest.approx(expected, rel=2e-3, abs=1e-6)
    # HessianCache is kept while it hardly moves.
    widths = [posterior.compute_deviation(index) for index in range(3)]
    assert widths == pytest.approx(np.sqrt(np.diag(expected)), rel=0.02)
    reached = likelihood.compute(table @ coefficients[places], others)
    assert -2 * reached == pytest.approx(reference["deviance"], abs=1e-6)


def test_one_category_per_class_is_logistic_regression():
    table, latent = draw(50)
    grades = Categories((latent > 0).astype(int), 2, 1)
    likelihood, log_odds = Likelihood(grades, np.ones(50)), table @ np.array([0.3, -0.4])
    chance = 1 / (1 + np.exp(-log_odds))
    expected = np.log(np.where(latent > 0, chance, 1 - chance)).sum()
    assert likelihood.compute(log_odds, np.empty(0)) == pytest.approx(expected)
    derivatives = likelihood.differentiate(log_odds, np.empty(0))
    assert derivatives.gradient == pytest.approx((latent > 0) - chance)
    assert derivatives.spread == pytest.approx(chance * (1 - chance))


def test_derivatives_are_those_of_finite_differences():
    table, latent = draw(40)
    likelihood = Likelihood(grade(latent), np.linspace(0.5, 1.5, 40))
    point = np.concatenate([[0.1, 0.5], [-1.6, -0.7, 0.8]])

    def measure(at):
        return likelihood.compute(table @ at[:2], at[2:])

    def slope(at):
        derivatives = likelihood.differentiate(table @ at[:2], at[2:])
        return np.concatenate([table.T @ derivatives.gradient, derivatives.threshold_gradient])

    steps = 1e-5 * np.eye(5)
    slopes = [(measure(point + step) - measure(point - step)) / 2e-5 for step in steps]
    assert slope(point) == pytest.approx(slopes, abs=1e-5)
    curvature = -np.array([(slope(point + step) - slope(point - step)) / 2e-5 for step in steps])
    derivatives = likelihood.differentiate(table @ point[:2], point[2:])
    mixed, taken = derivatives.eliminate_thresholds(table)
    assert (table * derivatives.spread[:, None]).T @ table == pytest.approx(
        curvature[:2, :2], abs=1e-5
    )
    assert mixed == pytest.approx(curvature[:2, 2:], abs=1e-5)
    assert derivatives.threshold_hessian == pytest.approx(curvature[2:, 2:], abs=1e-5)
    assert taken @ derivatives.threshold_hessian == pytest.approx(mixed)


def test_width_agrees_with_a_full_sampler():
    table, latent = draw(60)
    likelihood = Likelihood(grade(latent), np.ones(60))
    prior = Prior(np.array([0.0, 0.3]), np.array([0.6, 0.4]))
    posterior = mix_posteriors(table, likelihood, [prior]).posteriors[0]
    generator = np.random.default_rng(2)
    here, kept = np.concatenate([posterior.mode, posterior.thresholds]), []

    def measure(at):
        z = (at[:2] - prior.mean) / prior.deviation
        return likelihood.compute(table @ at[:2], at[2:]) - z @ z / 2

    height = measure(here)
    for _ in range(60_000):
        there = here + 0.16 * generator.standard_normal(5)
        reached = measure(there)
        if np.log(generator.random()) < reached - height:
            here, height = there, reached
        kept.append(here[:2])
    sampled = np.array(kept)
    assert posterior.mode == pytest.approx(sampled.mean(axis=0), abs=0.03)
    width = np.sqrt(np.diag(np.linalg.inv(posterior.factor @ posterior.factor.T)))
    assert width == pytest.approx(sampled.std(axis=0), rel=0.08)


def test_ten_categories_inform_as_whitehead_computed():
    table, latent = draw(20_000, slope=0.0)
    widths = []
    for count in (2, 10):
        cuts = np.quantile(latent, np.arange(1, count) / count)
        posterior = find(table, Likelihood(grade(latent, cuts, count // 2), np.ones(20_000)))
        widths.append(posterior.compute_deviation(1))
    assert (widths[1] / widths[0]) ** 2 == pytest.approx((1 - 1 / 4) / (1 - 1 / 100), rel=0.01)


def test_base_rate_holds_without_proportional_odds():
    generator = np.random.default_rng(3)
    table = np.column_stack([np.ones(4000), generator.standard_normal(4000)])
    latent = 0.8 * generator.standard_normal(4000) * np.exp(0.7 * table[:, 1])  # spread, no shift
    improvement = np.where(latent > 0.4, 0.4 + (latent - 0.4) ** 2, latent)
    grades = categorise_courses((latent > 0.4).astype(float), improvement)
    posterior = find(table, Likelihood(grades, np.ones(4000)))
    probability = 1 / (1 + np.exp(-table @ posterior.mode))
    assert probability.mean() == pytest.approx((latent > 0.4).mean(), abs=0.03)


def test_categories_keep_to_one_class_and_none_is_empty():
    improvement = np.repeat([0.0, 0.1, 0.2, 0.5, 0.6, 1.0], [40, 7, 8, 30, 5, 25])
    outcome = (improvement >= 0.5).astype(float)
    grades = categorise_courses(outcome, improvement)
    assert (grades.numbers >= grades.cut).astype(float) == pytest.approx(outcome)
    assert np.bincount(grades.numbers, minlength=grades.count).min() > 0
    assert grades.count > 3
    assert (np.diff(grades.numbers[np.argsort(improvement, kind="stable")]) >= 0).all()


def test_few_courses_have_two_categories():
    outcome, improvement = np.repeat([0.0, 1.0], 19), np.linspace(-0.5, 1, 38)
    assert categorise_courses(outcome, improvement).count == 2
    assert categorise_courses(np.ones(30), improvement[:30]).cut == 1


def test_no_courses_leave_the_prior_as_it_is():
    grades = categorise_courses(np.empty(0), np.empty(0))
    assert (grades.count, grades.cut) == (2, 1)
    assert len(Likelihood(grades, np.empty(0)).start_thresholds()) == 0


def test_thresholds_out_of_order_have_no_likelihood():
    table, latent = draw(30)
    likelihood = Likelihood(grade(latent), np.ones(30))
    assert likelihood.compute(table @ np.zeros(2), np.array([-0.5, -1.0, 0.5])) == -np.inf
