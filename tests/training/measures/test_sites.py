"""Pooling over sites against metafor."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from training.measures.calibration_curve import estimate_ratio, estimate_slope
from training.measures.discrimination import estimate_auc
from training.measures.intervals import Estimated, return_from
from training.measures.logistic import logit
from training.measures.sites import (
    SCALES,
    estimate_between,
    estimate_site,
    pool,
    predict_site,
)


def estimate_by_site(probability, outcome, sites):
    """Estimate what is pooled at every site, with R's errors: those of maximum likelihood."""
    parts = [(probability[sites == site], outcome[sites == site]) for site in np.unique(sites)]
    return {
        "auc": [estimate_auc(*part) for part in parts],
        "ratio": [estimate_ratio(*part) for part in parts],
        "slope": [estimate_slope(logit(part[0]), part[1]) for part in parts],
    }


@pytest.fixture(scope="module")
def estimates(courses):
    return estimate_by_site(courses.probability, courses.outcome, courses.sites)


def unscale(scale, measure):
    inverse = {
        "log": np.log,
        "logit": lambda share: np.log(share / (1 - share)),
        "plain": lambda value: value,
    }[scale]
    return [inverse(value) for value in (measure.value, measure.low, measure.high)]


def check(pooled, scale, expected):
    mean, *interval = unscale(scale, pooled.mean)
    assert mean == pytest.approx(expected["mean"], abs=1e-7)
    assert interval == pytest.approx(expected["interval"], abs=1e-7)
    assert pooled.spread**2 == pytest.approx(expected["tau2"], abs=1e-7)
    assert pooled.inconsistency == pytest.approx(expected["i2"], abs=1e-7)


@pytest.mark.parametrize("name", ["auc", "ratio", "slope"])
def test_six_sites_are_pooled_as_by_metafor(estimates, truth, name):
    pooled = pool(estimates[name], SCALES[name], 0.95)
    assert (pooled.sites, pooled.left_out) == (6, 0)
    check(pooled, SCALES[name], truth["sites"][name]["reml"])


def test_thirteen_published_trials_are_pooled_as_by_metafor(truth):
    """BCG vaccine (Colditz 1994): REML gives 0.3132 and -0.7145, as in metafor's manual."""
    bcg = truth["sites"]["bcg"]
    trials = [
        Estimated(value, np.sqrt(variance))
        for value, variance in zip(bcg["values"], bcg["variances"], strict=True)
    ]
    pooled = pool(trials, "plain", 0.95)
    check(pooled, "plain", bcg["reml"])
    assert pooled.mean.value == pytest.approx(-0.7145, abs=5e-5)
    assert pooled.spread**2 == pytest.approx(0.3132, abs=5e-5)


@pytest.mark.parametrize("name", ["auc", "ratio", "slope"])
def test_new_site_interval_agrees_with_r(estimates, truth, name):
    pooled = pool(estimates[name], SCALES[name], 0.95)
    expected = truth["sites"][name]["next_site"]
    assert unscale(SCALES[name], pooled.next_site)[1:] == pytest.approx(expected, abs=2e-5)


def test_new_trial_interval_agrees_with_r(truth):
    bcg = truth["sites"]["bcg"]
    ends = predict_site(np.array(bcg["values"]), np.array(bcg["variances"]), 0.95)
    assert ends == pytest.approx(bcg["next_site"], abs=2e-5)


def test_equal_errors_by_hand():
    """The variance of 1, 2, 3 is 1, minus 0.25 of sampling; error 1/sqrt 3; t(2) 4.3027."""
    pooled = pool([Estimated(value, 0.5) for value in (1.0, 2.0, 3.0)], "plain", 0.95)
    assert pooled.mean.high - 2 == pytest.approx(4.302653 / np.sqrt(3), abs=1e-5)
    assert pooled.spread**2 == pytest.approx(0.75, abs=1e-6)


def test_new_site_without_sampling_error_is_textbook():
    """The SD of 1, 2, 3 is 1; a new draw lies within 4.3027 (t with 2 df) times sqrt(1 + 1/3)."""
    low, high = predict_site(np.array([1.0, 2.0, 3.0]), np.full(3, 1e-12), 0.95)
    assert (low - 2, high - 2) == pytest.approx((-4.968276, 4.968276), abs=1e-3)


def test_identical_sites_predict_an_identical_one():
    """The between-site SD is then 0: four errors of 0.5 pool to 0.25, times 1.959964."""
    low, high = predict_site(np.full(4, 7.0), np.full(4, 0.25), 0.95)
    assert (low - 7, high - 7) == pytest.approx((-0.489991, 0.489991), abs=1e-6)


def test_estimated_spread_of_0_is_still_uncertain():
    sites = [Estimated(value, 0.5) for value in (0.6, 1.4, 0.8, 1.2, 1.0)]
    pooled = pool(sites, "plain", 0.95)
    assert pooled.spread == 0.0
    assert pooled.next_site.high - pooled.next_site.low > 2 * 1.959964 * 0.5 / np.sqrt(5)


def test_prediction_interval_covers_at_its_level():
    """SIMULATED: 8 to 12 sites of 20 to 150 courses, each with its own base rate and slope."""
    generator = np.random.default_rng(20)
    held = np.array([hold_next(generator) for _ in range(120)])
    (usual_auc, auc), (usual_slope, slope) = held.mean(axis=0)
    assert usual_auc < 0.9
    assert usual_slope < 0.9
    assert 0.92 < auc < 0.98
    assert 0.92 < slope < 0.98


def hold_next(generator):
    """Compute the share of new sites in the usual interval and in ours, for AUC and slope."""
    log_odds, outcome, sites = draw_sites(generator)
    estimates = estimate_by_site(1 / (1 + np.exp(-log_odds)), outcome, sites)
    own = draw_own(generator, 20)
    true = {"auc": [find_true_auc(*coefficients) for coefficients in own], "slope": own[:, 1]}
    return [
        [
            share_within(ends, true[name])
            for ends in predict_both_ways(estimates[name], SCALES[name])
        ]
        for name in ("auc", "slope")
    ]


def draw_own(generator, count):
    """Draw each site's intercept and slope of the outcome on the model's log-odds."""
    return np.column_stack([generator.normal(-0.3, 0.5, count), generator.normal(1, 0.4, count)])


def draw_sites(generator):
    sizes = generator.integers(20, 151, generator.integers(8, 13))
    sites = np.repeat(np.arange(len(sizes)), sizes)
    intercept, slope = draw_own(generator, len(sizes))[sites].T
    log_odds = generator.normal(0, 0.6, len(sites))
    outcome = generator.random(len(sites)) < 1 / (1 + np.exp(-intercept - slope * log_odds))
    return log_odds, outcome.astype(float), sites


def find_true_auc(intercept, slope):
    """Compute the AUC over all pairs of log-odds, weighted by their shares of each class."""
    log_odds = 0.6 * stats.norm.ppf((np.arange(300) + 0.5) / 300)
    with_it = 1 / (1 + np.exp(-intercept - slope * log_odds))
    without = 1 - with_it
    return with_it @ (np.cumsum(without) - without / 2) / (with_it.sum() * without.sum())


def predict_both_ways(estimates, scale):
    """Predict by the mean and t times the root of variance and error, as is usual; and our way."""
    moved = [estimate.move(scale) for estimate in estimates]
    kept = [estimate for estimate in moved if np.isfinite(estimate.value) and estimate.error > 0]
    values = np.array([estimate.value for estimate in kept])
    variances = np.array([estimate.error for estimate in kept]) ** 2
    between, freedom = estimate_between(values, variances), len(values) - 1
    weights = 1 / (variances + between)
    mean = weights @ values / weights.sum()
    error = weights @ (values - mean) ** 2 / freedom / weights.sum()
    reach = stats.t.ppf(0.975, freedom - 1) * np.sqrt(between + error)
    usual = [return_from(scale, end) for end in (mean - reach, mean + reach)]
    ours = pool(estimates, scale, 0.95).next_site
    return usual, (ours.low, ours.high)


def share_within(ends, values):
    return np.mean((ends[0] <= np.array(values)) & (np.array(values) <= ends[1]))


def test_sites_that_agree_have_no_spread():
    pooled = pool([Estimated(value, 0.5) for value in (1.0, 1.1, 0.9, 1.0)], "plain", 0.95)
    assert pooled.spread == 0.0
    assert pooled.inconsistency == 0.0


def test_intervals_need_two_sites_and_predictions_three():
    single = pool([Estimated(0.7, 0.05)], "logit", 0.95)
    assert (single.mean.value, single.mean.low) == (pytest.approx(0.7), None)
    two = pool([Estimated(0.7, 0.05), Estimated(0.6, 0.05)], "logit", 0.95)
    assert two.mean.low is not None
    assert two.next_site.low is None
    assert pool([], "logit", 0.95) is None


def test_estimates_without_error_are_excluded_and_counted():
    pooled = pool([Estimated(1.0, 0.0), Estimated(0.7, 0.05), Estimated(0.6, 0.05)], "logit", 0.95)
    assert (pooled.sites, pooled.left_out) == (2, 1)
    undefined = [Estimated(np.nan, np.nan), Estimated(0.9, 0.2)]
    assert pool(undefined, "plain", 0.95).left_out == 1
    certain = [Estimated(0.8, 0.0), Estimated(0.7, 0.1), Estimated(0.6, 0.1)]
    assert pool(certain, "plain", 0.95).left_out == 1


def test_sites_with_few_events_are_not_measured(courses, predicted):
    """Five events are enough, four are not."""
    site = courses.sites == 0
    events = np.flatnonzero(site & (courses.outcome == 1))
    for count, expected in ((5, tuple(SCALES)), (4, ())):
        rows = np.setdiff1d(np.flatnonzero(site), events[count:])
        assert tuple(estimate_site(predicted.select(rows))) == expected


def test_patients_and_weights_reach_every_sites_measures(courses, predicted, predict):
    single = predict(courses.probability, courses.outcome)
    weighted = replace(predicted, weights=courses.weights)
    for site in range(6):
        rows = courses.sites == site
        plain, full = (
            estimate_site(predictions.select(rows)) for predictions in (single, weighted)
        )
        for name in SCALES:
            assert plain[name].error != full[name].error
            assert plain[name].value != full[name].value


def test_reml_is_the_highest_point_of_its_likelihood():
    generator = np.random.default_rng(6)
    for _ in range(20):
        variances = generator.uniform(0.01, 0.5, 8)
        values = generator.normal(0, np.sqrt(variances + generator.uniform(0, 0.4)))
        between = estimate_between(values, variances)
        grid = np.append(np.linspace(0, 3, 3001), between)
        heights = [compute_restricted(point, values, variances) for point in grid]
        assert heights[-1] >= max(heights) - 1e-9


def compute_restricted(between, values, variances):
    weights = 1 / (variances + between)
    mean = weights @ values / weights.sum()
    return -0.5 * (
        np.log(variances + between).sum()
        + np.log(weights.sum())
        + (weights * (values - mean) ** 2).sum()
    )
