"""Net benefit against plain arithmetic in R, and properties of every decision curve."""

import numpy as np
import pytest

from training.measures.bootstrap import IntervalSettings
from training.measures.decision import THRESHOLDS, compute_benefits, measure_decisions


@pytest.fixture(scope="module")
def decisions(predicted, truth):
    thresholds = tuple(row["threshold"] for row in truth["decisions"])
    return measure_decisions(predicted, IntervalSettings(4000, 0.95, seed=2), thresholds)


def test_net_benefit_agrees_with_r_at_every_threshold(decisions, truth):
    for row, expected in zip(decisions, truth["decisions"], strict=True):
        assert row.treated == pytest.approx(expected["treated"], abs=1e-12)
        assert row.benefit.value == pytest.approx(expected["benefit"], abs=1e-12)
        assert row.treat_all.value == pytest.approx(expected["treat_all"], abs=1e-12)
        assert row.standardised.value == pytest.approx(expected["standardised"], abs=1e-12)
        assert row.gain.value == pytest.approx(expected["gain"], abs=1e-12)


def test_net_benefit_agrees_with_dcurves(decisions):
    """From version 1.1.7 on the same courses; not a dependency, because it needs statsmodels."""
    benefits = [row.benefit.value for row in decisions]
    treat_all = [row.treat_all.value for row in decisions]
    assert benefits == pytest.approx([0.33625, 0.237857, 0.17, 0.095, 0.0275], abs=5e-7)
    assert treat_all == pytest.approx([0.3375, 0.242857, 0.116667, -0.06, -0.325], abs=5e-7)


def test_interval_widths_agree_with_the_closed_form(decisions, truth):
    """Within 6%: 4000 resamples have a relative error of 2%."""
    for row, expected in zip(decisions, truth["decisions"], strict=True):
        width = row.benefit.high - row.benefit.low
        assert width == pytest.approx(2 * 1.96 * expected["benefit_error"], rel=0.06)


def test_weights_are_heeded(courses, truth):
    at = np.array([row["threshold"] for row in truth["decisions"]])
    weights = courses.weights[None, :]
    benefits = compute_benefits(courses.probability, courses.outcome, at, weights)[0]
    expected = [row["weighted"] for row in truth["decisions"]]
    assert benefits == pytest.approx(expected, abs=1e-12)


def test_ten_courses_by_hand():
    """At a threshold of 0.25, three false positives cost one response: 3/10 minus 4/10/3."""
    probability = np.array([0.9, 0.8, 0.25, 0.2, 0.7, 0.6, 0.5, 0.3, 0.1, 0.1])
    outcome = np.array([1.0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    benefits = compute_benefits(probability, outcome, np.array([0.25]), np.ones((1, 10)))
    assert benefits[0, 0] == pytest.approx(0.3 - 0.4 / 3)


def test_treating_every_patient_gains_nothing(courses, predict):
    everyone = predict(np.full(200, 0.99), courses.outcome, courses.patients)
    for row in measure_decisions(everyone, IntervalSettings(200, 0.95, 1), (0.2, 0.3)):
        assert row.benefit.value == row.treat_all.value
        assert row.gain.value == pytest.approx(0)


def test_knowing_the_outcome_is_worth_the_base_rate(courses, predict):
    known = predict(courses.outcome, courses.outcome, courses.patients)
    (row,) = measure_decisions(known, IntervalSettings(50, 0.95, 1), (0.4,))
    assert row.benefit.value == pytest.approx(courses.outcome.mean())
    assert row.standardised.value == pytest.approx(1)
    assert row.standardised.low == pytest.approx(1)


def test_thresholds_go_from_two_to_six_in_ten():
    assert THRESHOLDS == (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
