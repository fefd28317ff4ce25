"""Calibration against R: regressions by glm, splines by rms, sandwiches by robcov."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from training.measures.bootstrap import IntervalSettings
from training.measures.calibration_curve import (
    estimate_intercept,
    estimate_ratio,
    estimate_slope,
    fit_curve,
    measure_curve,
)
from training.measures.logistic import logit

KNOTS = {"three_knots": 3, "five_knots": 5}
FEW = IntervalSettings(samples=100, level=0.95, seed=1)


@pytest.fixture(scope="module")
def reference(truth):
    return truth["calibration"]


def test_intercept_and_slope_agree_with_glm(courses, reference):
    log_odds = logit(courses.probability)
    intercept = estimate_intercept(log_odds, courses.outcome)
    slope = estimate_slope(log_odds, courses.outcome)
    assert intercept.value == pytest.approx(reference["intercept"], abs=1e-7)
    assert intercept.error == pytest.approx(reference["intercept_error"], abs=1e-7)
    assert slope.value == pytest.approx(reference["slope"], abs=1e-7)
    assert slope.error == pytest.approx(reference["slope_error"], abs=1e-7)


def test_slope_agrees_with_val_prob(courses, reference):
    slope = estimate_slope(logit(courses.probability), courses.outcome)
    assert slope.value == pytest.approx(reference["val_prob"]["Slope"], abs=1e-8)


def test_clustered_errors_agree_with_robcov(courses, reference):
    log_odds, patients = logit(courses.probability), courses.patients
    expected = reference["clustered"]
    slope = estimate_slope(log_odds, courses.outcome, patients=patients)
    intercept = estimate_intercept(log_odds, courses.outcome, patients=patients)
    ratio = estimate_ratio(courses.probability, courses.outcome, patients=patients)
    assert slope.error == pytest.approx(expected["slope_error"], abs=1e-7)
    assert intercept.error == pytest.approx(expected["intercept_error"], abs=1e-7)
    assert ratio.move("log").error == pytest.approx(expected["ratio_log_error"], abs=1e-9)


def test_weights_are_heeded_as_by_glm(courses, reference):
    log_odds, patients, weights = logit(courses.probability), courses.patients, courses.weights
    expected = reference["weighted"]
    slope = estimate_slope(log_odds, courses.outcome, weights, patients)
    ratio = estimate_ratio(courses.probability, courses.outcome, weights, patients)
    assert slope.value == pytest.approx(expected["slope"], abs=1e-7)
    assert slope.error == pytest.approx(expected["slope_error"], abs=1e-7)
    assert ratio.value == pytest.approx(expected["ratio"], abs=1e-9)
    assert ratio.move("log").error == pytest.approx(expected["ratio_log_error"], abs=1e-9)


def test_observed_over_expected_agrees_with_r(courses, reference):
    ratio = estimate_ratio(courses.probability, courses.outcome).make_interval(0.95, "log")
    assert ratio.value == pytest.approx(reference["ratio"], abs=1e-9)
    assert [ratio.low, ratio.high] == pytest.approx(reference["ratio_interval"], abs=1e-9)


@pytest.mark.parametrize("kind", KNOTS)
def test_curve_and_interval_agree_with_rms(courses, reference, kind):
    curve = fit_curve(courses.probability, courses.outcome, count=KNOTS[kind])
    at, expected = np.array(reference["at"]), reference[kind]
    low, high = curve.read_interval(at, 0.95)
    assert curve.knots == pytest.approx(expected["knots"], abs=1e-9)
    assert curve.read(at) == pytest.approx(expected["observed"], abs=1e-7)
    # Only to 1e-6: the weights of R's covariance are those before its last step.
    assert low == pytest.approx(expected["low"], abs=1e-6)
    assert high == pytest.approx(expected["high"], abs=1e-6)


@pytest.mark.parametrize(("kind", "count"), [*KNOTS.items(), ("line", 0)])
def test_errors_of_the_curve_agree_with_r(predicted, reference, kind, count):
    for name, measure in measure_curve(predicted, FEW, count).items():
        assert measure.value == pytest.approx(reference[kind][name], abs=1e-7)
        assert measure.low < measure.high


def test_loess_and_lowess_see_the_same_miscalibration(predicted, reference):
    """Other smoothers give other numbers, so these agree only roughly."""
    ici = measure_curve(predicted, FEW, 3)["ici"].value
    assert ici == pytest.approx(reference["loess"]["ici"], abs=0.025)
    assert ici == pytest.approx(reference["val_prob"]["Eavg"], abs=0.025)


def test_even_weights_change_nothing_and_uneven_ones_do(courses, predicted):
    plain, even, uneven = (
        measure_curve(replace(predicted, weights=weights), FEW, 3)["ici"].value
        for weights in (None, np.ones(200), courses.weights)
    )
    assert even == pytest.approx(plain, abs=1e-9)
    assert abs(uneven - plain) > 1e-4


def test_weight_of_2_equals_two_courses(predicted):
    """Without knots, since weights and copies would place them differently."""
    rows = np.repeat(np.arange(200), 1 + (np.arange(200) % 2))
    counted = 1.0 + (np.arange(200) % 2)
    once = measure_curve(replace(predicted, weights=counted), FEW, count=0)
    twice = measure_curve(predicted.select(rows), FEW, count=0)
    for name, measure in once.items():
        assert measure.value == pytest.approx(twice[name].value, abs=1e-9)


def test_thirty_courses_have_a_line_with_wide_interval():
    generator = np.random.default_rng(4)
    probability = expit(generator.normal(0, 0.8, 30))
    outcome = (generator.random(30) < probability).astype(float)
    curve = fit_curve(probability, outcome)
    low, high = curve.read_interval(np.array([0.5]), 0.95)
    assert len(curve.knots) == 0
    assert high[0] - low[0] > 0.25
    slope = estimate_slope(logit(probability), outcome).value
    assert curve.coefficients[1] == pytest.approx(slope, abs=1e-7)


def test_small_samples_never_break_it(predict):
    """Separated resamples are excluded; if all are separated, there is no interval."""
    generator = np.random.default_rng(11)
    for size in (6, 10, 15, 30):
        probability = expit(generator.normal(0, 0.8, size))
        outcome = np.arange(size) % 3 == 0
        measures = measure_curve(predict(probability, outcome.astype(float)), FEW)
        assert set(measures) == {"ici", "e50", "e90", "emax"}


@pytest.mark.parametrize(
    ("probability", "outcome"),
    [([0.5] * 4, [0, 1, 0, 1]), ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]), ([0.1, 0.2], [1, 1])],
    ids=["constant", "separated", "one class"],
)
def test_undefined_curve_is_none(predict, probability, outcome):
    estimates, truth = np.array(probability), np.array(outcome, float)
    assert fit_curve(estimates, truth) is None
    measures = measure_curve(predict(estimates, truth), FEW)
    assert all(measure.value is None for measure in measures.values())


def test_equal_estimates_at_the_knots_give_a_line():
    probability = np.repeat([0.3, 0.5], [95, 5])
    outcome = np.tile([1.0, 0.0], 50)
    assert len(fit_curve(probability, outcome, count=5).knots) == 0


def test_ratio_without_events_is_0_without_interval():
    ratio = estimate_ratio(np.full(5, 0.2), np.zeros(5)).make_interval(0.95, "log")
    assert (ratio.value, ratio.low) == (0.0, None)
    assert np.isnan(estimate_intercept(np.zeros(5), np.zeros(5)).value)


# What docs/reference/measures.md says of a perfect model's distance.
@pytest.mark.parametrize(
    ("size", "expected"), [(30, 0.09), (100, 0.06), (300, 0.03), (1000, 0.02)], ids=str
)
def test_perfect_models_distance_shrinks_with_size(size, expected):
    generator, distances = np.random.default_rng(0), []
    for _ in range(200):
        probability = expit(generator.normal(0, 0.8, size))
        outcome = (generator.random(size) < probability).astype(float)
        curve = fit_curve(probability, outcome)
        distances.append(np.abs(curve.read(probability) - probability).mean())
    assert np.mean(distances) == pytest.approx(expected, abs=0.006)
