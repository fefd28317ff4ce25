"""Posteriors: against quadrature, against an independent sampler, and at the edges."""

import numpy as np
import pytest

from training.candidates.evidence.laplace import Mixture, Posterior, Prior, mix_posteriors
from training.candidates.evidence.ordinal import Categories, Likelihood


def read_plainly(outcome, weights=None):
    """Make a likelihood of binary outcomes."""
    counted = np.ones(len(outcome)) if weights is None else weights
    return Likelihood(Categories(outcome.astype(int), 2, 1), counted)


def make_courses(size, coefficients, seed=1):
    generator = np.random.default_rng(seed)
    table = np.column_stack([np.ones(size), generator.normal(size=(size, len(coefficients) - 1))])
    chance = 1 / (1 + np.exp(-table @ np.array(coefficients)))
    return table, (generator.random(size) < chance).astype(float)


def measure_height(table, outcome, prior, coefficients):
    """Log of likelihood times normalised prior, independent of the code under test."""
    log_odds = coefficients @ table.T
    likelihood = (outcome * log_odds - np.logaddexp(0, log_odds)).sum(axis=-1)
    z = (coefficients - prior.mean) / prior.deviation
    volume = -np.log(prior.deviation * np.sqrt(2 * np.pi)).sum()
    return likelihood - (z**2).sum(axis=-1) / 2 + volume


def find(table, outcome, prior, weights=None):
    return mix_posteriors(table, read_plainly(outcome, weights), [prior]).posteriors[0]


def test_mean_width_and_evidence_agree_with_quadrature():
    table, outcome = make_courses(60, (-0.3, 0.8))
    prior = Prior(np.array([0.0, 0.2]), np.array([0.8, 0.5]))
    axes = [np.linspace(-2.5, 2.5, 401)] * 2
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    height = measure_height(table, outcome, prior, grid)
    mass = np.exp(height - height.max())
    cell = (axes[0][1] - axes[0][0]) ** 2
    evidence = height.max() + np.log(mass.sum() * cell)
    mean = (mass[:, None] * grid).sum(axis=0) / mass.sum()
    spread = np.sqrt((mass[:, None] * (grid - mean) ** 2).sum(axis=0) / mass.sum())
    posterior = find(table, outcome, prior)
    assert posterior.evidence == pytest.approx(evidence, abs=0.05)
    assert posterior.mode == pytest.approx(mean, abs=0.03)
    width = np.sqrt(np.diag(np.linalg.inv(posterior.factor @ posterior.factor.T)))
    assert width == pytest.approx(spread, rel=0.05)


def sample_metropolis(table, outcome, prior, steps, seed):
    """Sample by random walk, without modes or curvature."""
    generator = np.random.default_rng(seed)
    here = prior.mean.copy()
    height = measure_height(table, outcome, prior, here)
    kept = []
    for step in range(steps):
        there = here + 0.18 * generator.standard_normal(len(here))
        reached = measure_height(table, outcome, prior, there)
        if np.log(generator.random()) < reached - height:
            here, height = there, reached
        if step >= steps // 10:
            kept.append(here)
    return np.array(kept)


def test_draws_agree_with_an_independent_sampler():
    table, outcome = make_courses(80, (0.2, -0.5, 0.4, 0.0))
    prior = Prior(np.array([0.0, -0.3, 0.1, 0.0]), np.array([0.8, 0.3, 0.3, 0.5]))
    sampled = sample_metropolis(table, outcome, prior, 40_000, seed=3)
    mixture = mix_posteriors(table, read_plainly(outcome), [prior])
    _, drawn = mixture.draw(20_000, np.random.default_rng(4))
    assert drawn.mean(axis=0) == pytest.approx(sampled.mean(axis=0), abs=0.04)
    assert drawn.std(axis=0) == pytest.approx(sampled.std(axis=0), rel=0.1)


def test_without_courses_the_posterior_is_the_prior():
    prior = Prior(np.array([0.3, -1.0]), np.array([0.5, 2.0]), weight=-0.7)
    posterior = find(np.empty((0, 2)), np.empty(0), prior)
    assert posterior.mode == pytest.approx(prior.mean)
    assert np.diag(posterior.factor) == pytest.approx(1 / prior.deviation)
    assert posterior.evidence == pytest.approx(-0.7)


def test_weight_of_2_equals_two_courses():
    table, outcome = make_courses(50, (0.1, 0.6))
    prior = Prior(np.zeros(2), np.ones(2))
    weights = np.where(np.arange(50) < 20, 2.0, 1.0)
    rows = np.append(np.arange(50), np.arange(20))
    twice = find(table[rows], outcome[rows], prior)
    weighted = find(table, outcome, prior, weights)
    assert weighted.mode == pytest.approx(twice.mode, abs=1e-4)
    assert weighted.evidence == pytest.approx(twice.evidence, abs=1e-3)


def test_separated_courses_still_have_a_posterior():
    table = np.column_stack([np.ones(20), np.linspace(-1, 1, 20)])
    outcome = (table[:, 1] > 0).astype(float)
    posterior = find(table, outcome, Prior(np.zeros(2), np.full(2, 2.0)))
    assert 1 < posterior.mode[1] < 20


def test_prior_that_makes_courses_likelier_counts_more():
    table, outcome = make_courses(400, (0.0, 1.0))
    narrow, wide = (Prior(np.zeros(2), np.array([1.0, spread])) for spread in (0.05, 1.0))
    mixture = mix_posteriors(table, read_plainly(outcome), [narrow, wide])
    assert mixture.shares.sum() == pytest.approx(1)
    assert mixture.shares[1] > 0.99
    assert mixture.mean[1] == pytest.approx(mixture.posteriors[1].mode[1], abs=0.01)


def test_shared_hessian_changes_nothing_that_matters():
    table, outcome = make_courses(300, (-0.5, 0.7, -0.2))
    priors = [Prior(np.zeros(3), np.array([1.0, s, s])) for s in (0.05, 0.1, 0.3, 1.0, 3.0)]
    together = mix_posteriors(table, read_plainly(outcome), priors)
    for prior, shared in zip(priors, together.posteriors, strict=True):
        alone = find(table, outcome, prior)
        assert shared.mode == pytest.approx(alone.mode, abs=0.02)
        assert shared.evidence == pytest.approx(alone.evidence, abs=0.05)


def test_posteriors_are_drawn_by_their_shares():
    identity = np.eye(1) * 100
    two = (Posterior(np.array([-1.0]), identity, 0), Posterior(np.array([1.0]), identity, 0))
    numbers, drawn = Mixture(two, np.array([0.25, 0.75])).draw(4000, np.random.default_rng(1))
    assert numbers.mean() == pytest.approx(0.75, abs=0.03)
    assert (np.sign(drawn[:, 0]) == np.where(numbers == 1, 1, -1)).all()


def test_prior_with_a_forbidden_sign_counts_nothing():
    table, outcome = make_courses(500, (0.0, -0.8))
    free, none = (Prior(np.zeros(2), np.array([1.0, spread])) for spread in (1.0, 1e-4))
    likelihood = read_plainly(outcome)
    assert mix_posteriors(table, likelihood, [free, none]).shares[0] > 0.99
    assert mix_posteriors(table, likelihood, [free, none], positive=1).shares[0] < 0.01
    upwards = mix_posteriors(table * [1, -1], likelihood, [free, none], positive=1)
    assert upwards.shares[0] > 0.99
