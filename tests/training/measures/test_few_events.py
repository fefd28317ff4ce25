"""Intervals of calibration intercept and slope with few events: coverage, copies and repeats."""

from functools import partial

import numpy as np
import pytest
from scipy.special import expit

from training.measures.bootstrap import IntervalSettings
from training.measures.calibration_curve import (
    estimate_slope,
    fit_curve,
    measure_intercept,
    measure_slope,
)
from training.measures.covariance import compute_covariance
from training.measures.logistic import fit_intercept_slope, logit
from training.measures.performance import measure_candidate
from training.measures.predictions import Predictions


def predict(log_odds, outcome, patients=None, weights=None):
    size = len(outcome)
    patients = np.arange(size) if patients is None else patients
    return Predictions(log_odds, outcome, patients, np.zeros(size, dtype=int), weights)


def draw_true(generator, events, size=60):
    """True log-odds with exactly so many events: normal, one variance apart between the classes."""
    outcome = (np.arange(size) < events) * 1.0
    log_odds = generator.normal(0, 0.6, size) + 0.36 * outcome + logit(np.array(events / size))
    return log_odds, outcome


def count_covered(measures, truth):
    """The share of intervals that hold the truth, and how many there are."""
    given = [measure for measure in measures if measure.low is not None]
    return np.mean([measure.low < truth < measure.high for measure in given]), len(given)


# Nominally 0.95; the sandwich of independent courses covers about 0.4, 0.75, 0.86 and 0.91 here.
@pytest.mark.parametrize("events", [1, 2, 3, 5])
def test_slope_intervals_cover_with_few_events(events):
    generator = np.random.default_rng(events)
    draws = (predict(*draw_true(generator, events)) for _ in range(400))
    covered, given = count_covered([measure_slope(drawn, 0.95) for drawn in draws], 1)
    assert given > 350
    assert covered > 0.93


def test_intercept_intervals_cover_with_few_events():
    generator, measures = np.random.default_rng(7), []
    for _ in range(400):
        log_odds = generator.normal(-3, 0.6, 60)
        outcome = (generator.random(60) < expit(log_odds)) * 1.0
        if outcome.any():
            measures.append(measure_intercept(predict(log_odds, outcome), 0.95))
    assert count_covered(measures, 0)[0] > 0.92


def test_slope_intervals_cover_with_repeat_courses_and_weights():
    """Forty patients with two identical courses each say as much as with one."""
    generator, measures = np.random.default_rng(3), []
    for _ in range(400):
        log_odds, outcome = draw_true(generator, 4, 40)
        weights = generator.uniform(0.5, 1.5, 40)
        twice = partial(np.repeat, repeats=2)
        drawn = predict(twice(log_odds), twice(outcome), twice(np.arange(40)), twice(weights))
        measures.append(measure_slope(drawn, 0.95))
    assert count_covered(measures, 1)[0] > 0.92


def test_one_event_leaves_the_slope_unknown():
    """The sandwich's interval is a fraction of this, and would exclude 1."""
    log_odds, outcome = np.linspace(-2, -1, 60), (np.arange(60) == 8) * 1.0
    measure = measure_slope(predict(log_odds, outcome), 0.95)
    assert measure.low < 1 < measure.high
    assert measure.high - measure.low > 10


def test_sites_use_the_error_of_the_likelihood(courses):
    """As docs/reference/measures.md says, if each patient has one course."""
    log_odds, outcome = logit(courses.probability), courses.outcome
    numbered = estimate_slope(log_odds, outcome, None, np.arange(len(outcome)))
    assert numbered.error == pytest.approx(estimate_slope(log_odds, outcome).error, rel=1e-12)


@pytest.mark.parametrize("gap", [0, 1, 10])
@pytest.mark.parametrize("side", [1, -1])
def test_separated_outcomes_have_no_slope(gap, side):
    """However wide the gap between the classes, and if they meet in one point."""
    log_odds = np.concatenate([np.linspace(-1, 0, 50), np.linspace(0, 1, 10) + gap / 10])
    outcome = np.repeat([0.0, 1.0], [50, 10])
    measure = measure_slope(predict(side * log_odds, outcome), 0.95)
    assert (measure.value, measure.low, measure.high) == (None, None, None)


def test_fractions_of_events_are_not_separated():
    log_odds = np.linspace(-1, 1, 9)
    (fitted,) = fit_intercept_slope(log_odds, expit(0.3 + 0.7 * log_odds), np.ones((1, 9)))
    assert fitted == pytest.approx([0.3, 0.7], abs=1e-8)


def test_copies_of_a_course_add_nothing():
    log_odds, outcome = draw_true(np.random.default_rng(2), 8, 50)
    design, people = np.column_stack([np.ones(50), log_odds]), np.arange(50)
    once = compute_covariance(design, expit(log_odds), outcome)
    tripled = compute_covariance(
        np.tile(design, (3, 1)),
        expit(np.tile(log_odds, 3)),
        np.tile(outcome, 3),
        None,
        np.tile(people, 3),
    )
    assert tripled == pytest.approx(once, rel=1e-9)


def test_repeats_of_a_cross_validation_are_not_courses():
    """A patient's two courses stay two, however often each was predicted."""
    generator = np.random.default_rng(8)
    log_odds, outcome = draw_true(generator, 10, 60)
    patients, folds = np.arange(60) // 2, np.zeros((4, 60), dtype=int)
    once = predict(log_odds, outcome, patients)
    often = Predictions.from_repeats(np.tile(log_odds, (4, 1)), folds, outcome, patients)
    for measure in (measure_intercept, measure_slope):
        assert vars(measure(often, 0.95)) == pytest.approx(vars(measure(once, 0.95)), abs=1e-8)
    bands = [
        fit_curve(part.probability, *part.courses, count=0, repeats=part.repeats)
        for part in (once, often)
    ]
    at = np.array([0.1, 0.2])
    first, second = (np.concatenate(band.read_interval(at, 0.95)) for band in bands)
    assert second == pytest.approx(first, abs=1e-9)


def test_band_of_the_curve_is_not_narrowed_by_few_events():
    """It is the likelihood's if each patient has one course."""
    log_odds, outcome = np.linspace(-2, -1, 60), (np.arange(60) == 20) * 1.0
    plain = fit_curve(expit(log_odds), outcome)
    numbered = fit_curve(expit(log_odds), outcome, None, np.arange(60))
    at = expit(np.array([-2.0, -1.5, -1.0]))
    expected = np.array(plain.read_interval(at, 0.95))
    assert np.array(numbered.read_interval(at, 0.95)) == pytest.approx(expected, rel=1e-9)


def test_candidates_are_measured_by_it():
    predictions = predict(*draw_true(np.random.default_rng(4), 4))
    measured = measure_candidate(predictions, IntervalSettings(20, 0.95, 1))
    assert measured["slope"] == measure_slope(predictions, 0.95)
    assert measured["intercept"] == measure_intercept(predictions, 0.95)
