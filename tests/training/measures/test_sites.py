"""Pooling over sites against metafor."""

import numpy as np
import pytest

from training.measures.intervals import Estimated
from training.measures.sites import METHODS, SCALES, estimate_sites, find_spread, pool


@pytest.fixture(scope="module")
def found(courses):
    return estimate_sites(courses.probability, courses.outcome, courses.sites)


def unscale(scale, measure):
    inverse = {
        "log": np.log,
        "logit": lambda share: np.log(share / (1 - share)),
        "plain": lambda value: value,
    }[scale]
    return [inverse(one) for one in (measure.value, measure.low, measure.high)]


def check(pooled, scale, expected):
    mean, *interval = unscale(scale, pooled.mean)
    assert mean == pytest.approx(expected["mean"], abs=1e-7)
    assert interval == pytest.approx(expected["interval"], abs=1e-7)
    assert unscale(scale, pooled.next_site)[1:] == pytest.approx(expected["next_site"], abs=1e-6)
    assert pooled.spread**2 == pytest.approx(expected["tau2"], abs=1e-7)
    assert pooled.inconsistency == pytest.approx(expected["i2"], abs=1e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["auc", "ratio", "slope"])
def test_measures_of_six_sites_are_pooled_as_by_metafor(found, truth, name, method):
    pooled = pool(found[name], SCALES[name], 0.95, method)
    assert (pooled.sites, pooled.left_out) == (6, 0)
    check(pooled, SCALES[name], truth["sites"][name][method])


@pytest.mark.parametrize("method", METHODS)
def test_thirteen_published_trials_are_pooled_as_by_metafor(truth, method):
    """BCG vaccine (Colditz 1994): REML gives .3132 and -.7145, as metafor's manual has it."""
    bcg = truth["sites"]["bcg"]
    trials = [
        Estimated(value, np.sqrt(variance))
        for value, variance in zip(bcg["values"], bcg["variances"], strict=True)
    ]
    pooled = pool(trials, "plain", 0.95, method)
    check(pooled, "plain", bcg[method])
    if method == "reml":
        assert pooled.mean.value == pytest.approx(-0.7145, abs=5e-5)
        assert pooled.spread**2 == pytest.approx(0.3132, abs=5e-5)


def test_equal_errors_by_hand():
    """Variance of 1, 2, 3 is 1, less .25 of sampling; error 1/sqrt 3; t(2) 4.3027, t(1) 12.7062."""
    pooled = pool([Estimated(value, 0.5) for value in (1.0, 2.0, 3.0)], "plain", 0.95)
    assert pooled.mean.high - 2 == pytest.approx(4.302653 / np.sqrt(3), abs=1e-5)
    assert pooled.next_site.high - 2 == pytest.approx(12.706205 * np.sqrt(0.75 + 1 / 3), abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_sites_that_agree_have_no_spread(method):
    pooled = pool([Estimated(value, 0.5) for value in (1.0, 1.1, 0.9, 1.0)], "plain", 0.95, method)
    assert pooled.spread == 0.0
    assert pooled.inconsistency == 0.0


def test_one_site_has_no_interval_and_two_say_nothing_of_the_next():
    one = pool([Estimated(0.7, 0.05)], "logit", 0.95)
    assert (one.mean.value, one.mean.low) == (pytest.approx(0.7), None)
    two = pool([Estimated(0.7, 0.05), Estimated(0.6, 0.05)], "logit", 0.95)
    assert two.mean.low is not None
    assert two.next_site.low is None
    assert pool([], "logit", 0.95) is None


def test_an_auc_of_1_and_an_undefined_slope_are_left_out_and_counted():
    pooled = pool([Estimated(1.0, 0.0), Estimated(0.7, 0.05), Estimated(0.6, 0.05)], "logit", 0.95)
    assert (pooled.sites, pooled.left_out) == (2, 1)
    undefined = [Estimated(np.nan, np.nan), Estimated(0.9, 0.2)]
    assert pool(undefined, "plain", 0.95).left_out == 1


def test_sites_with_few_courses_of_a_class_are_not_measured(courses):
    rarer = min(
        min((courses.outcome[courses.sites == one] == side).sum() for side in (0, 1))
        for one in range(6)
    )
    kept = estimate_sites(
        courses.probability, courses.outcome, courses.sites, fewest=int(rarer) + 1
    )
    assert {len(sites) for sites in kept.values()} == {5}


def test_patients_and_weights_reach_every_sites_measures(courses):
    plain = estimate_sites(courses.probability, courses.outcome, courses.sites)
    full = estimate_sites(
        courses.probability, courses.outcome, courses.sites, courses.weights, courses.patients
    )
    for name in SCALES:
        assert all(a.error != b.error for a, b in zip(plain[name], full[name], strict=True))
        assert all(a.value != b.value for a, b in zip(plain[name], full[name], strict=True))


def test_reml_is_the_highest_point_of_its_likelihood():
    generator = np.random.default_rng(6)
    for _ in range(20):
        variances = generator.uniform(0.01, 0.5, 8)
        values = generator.normal(0, np.sqrt(variances + generator.uniform(0, 0.4)))
        found = find_spread(values, variances, "reml")
        grid = np.append(np.linspace(0, 3, 3001), found)
        heights = [compute_restricted(one, values, variances) for one in grid]
        assert heights[-1] >= max(heights) - 1e-9


def compute_restricted(between, values, variances):
    weights = 1 / (variances + between)
    mean = weights @ values / weights.sum()
    return -0.5 * (
        np.log(variances + between).sum()
        + np.log(weights.sum())
        + (weights * (values - mean) ** 2).sum()
    )
