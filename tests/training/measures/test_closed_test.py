"""The closed test, by hand and against an independent optimiser."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from training.measures.closed_test import choose_recalibration, run_closed_test

TRUTH = Path(__file__).with_name("truth.json")


def draw_outcomes(intercept, slope, size=4000, seed=1):
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(-0.2, 0.9, size)
    return log_odds, (generator.random(size) < expit(intercept + slope * log_odds)).astype(float)


def test_p_values_of_two_groups_by_hand():
    """Rates of 0.3 at log-odds -1 and 0.6 at +1: intercept and slope fit both exactly."""
    log_odds = np.repeat([-1.0, 1.0], 100)
    outcome = np.concatenate([np.ones(30), np.zeros(70), np.ones(60), np.zeros(40)])

    def add(low, high):
        shares = ((30, 70, low), (60, 40, high))
        return sum(a * math.log(p) + b * math.log(1 - p) for a, b, p in shares)

    # The shift a solves expit(a-1) + expit(a+1) = 0.9.
    below, above = -5.0, 5.0
    for _ in range(200):
        middle = (below + above) / 2
        both = expit(middle - 1) + expit(middle + 1)
        below, above = (middle, above) if both < 0.9 else (below, middle)
    as_it_is, best = add(expit(-1), expit(1)), add(0.3, 0.6)
    moved = add(expit(below - 1), expit(below + 1))
    result = run_closed_test(log_odds, outcome)
    # The tail of chi-squared is exp(-x/2) with two degrees of freedom, erfc(sqrt(x/2)) with one.
    assert result.p_any == pytest.approx(math.exp(as_it_is - best), rel=1e-6)
    assert result.p_slope == pytest.approx(math.erfc(math.sqrt(best - moved)), rel=1e-6)
    low, high = math.log(0.3 / 0.7), math.log(0.6 / 0.4)
    assert result.kind == "both"
    assert (result.intercept, result.slope) == pytest.approx(((low + high) / 2, (high - low) / 2))


def test_p_values_of_200_courses_agree_with_r():
    """With z the log-odds of truth.json and d0 twice the log loss, R 4 gives

    m1 <- glm(outcome ~ 1 + offset(z), binomial); m2 <- glm(outcome ~ z, binomial)
    pchisq(d0 - deviance(m2), 2, lower.tail = FALSE), pchisq(deviance(m1) - deviance(m2), 1, ...)
    """
    courses = json.loads(TRUTH.read_text("utf-8"))["courses"]
    result = run_closed_test(logit(np.array(courses["probability"])), np.array(courses["outcome"]))
    assert result.p_any == pytest.approx(0.00358199645326122, rel=1e-8)
    assert result.p_slope == pytest.approx(0.00285218707691893, rel=1e-8)
    assert result.kind == "both"
    assert result.intercept == pytest.approx(-0.185031490028281, rel=1e-8)
    assert result.slope == pytest.approx(0.592319832102751, rel=1e-8)


@pytest.mark.parametrize(("intercept", "slope"), [(0.0, 1.0), (0.25, 1.0), (0.3, 0.6), (-0.1, 1.3)])
def test_likelihoods_are_those_of_an_independent_optimiser(intercept, slope):
    log_odds, outcome = draw_outcomes(intercept, slope, size=600)

    def lose(coefficients):
        recalibrated = (
            coefficients[0] + (coefficients[1] if len(coefficients) > 1 else 1.0) * log_odds
        )
        return -np.sum(
            outcome * np.log(expit(recalibrated)) + (1 - outcome) * np.log(expit(-recalibrated))
        )

    tight = {"method": "Nelder-Mead", "options": {"xatol": 1e-9, "fatol": 1e-10}}
    moved, both = minimize(lose, [0.0], **tight), minimize(lose, [0.0, 1.0], **tight)
    result = run_closed_test(log_odds, outcome)
    assert result.p_any == pytest.approx(math.exp(both.fun - lose([0.0, 1.0])), rel=1e-5)
    assert result.p_slope == pytest.approx(math.erfc(math.sqrt(moved.fun - both.fun)), rel=1e-4)
    truth = {"none": [0.0, 1.0], "intercept": [moved.x[0], 1.0], "both": both.x}[result.kind]
    assert [result.intercept, result.slope] == pytest.approx(truth, abs=1e-5)


@pytest.mark.parametrize(
    ("intercept", "slope", "kind"),
    [(0.0, 1.0, "none"), (0.4, 1.0, "intercept"), (0.3, 0.6, "both"), (0.0, 1.4, "both")],
)
def test_no_more_is_proposed_than_is_needed(intercept, slope, kind):
    result = run_closed_test(*draw_outcomes(intercept, slope, seed=3))
    assert result.kind == kind


def test_calibrated_models_are_recalibrated_in_five_percent():
    kinds = [run_closed_test(*draw_outcomes(0, 1, 300, seed)).kind for seed in range(400)]
    assert 0.92 < kinds.count("none") / 400 < 0.98


@pytest.mark.parametrize(
    ("p_any", "p_slope", "kind"),
    [
        (0.2, 0.001, "none"),  # closed: the second test counts only if the first rejects
        (0.001, 0.2, "intercept"),
        (0.001, 0.001, "both"),
    ],
)
def test_the_test_is_closed(p_any, p_slope, kind):
    assert choose_recalibration(0.3, (0.4, 0.7), p_any, p_slope).kind == kind


def test_a_negative_slope_is_not_proposed():
    result = run_closed_test(*draw_outcomes(0.0, -0.5))
    assert result.kind == "none"
    assert "the slope would be -0.49" in result.because


def test_a_constant_model_is_tested_for_its_intercept():
    outcome = np.repeat([1.0, 0.0], [60, 40])
    result = run_closed_test(np.zeros(100), outcome)
    by_hand = 60 * math.log(0.6) + 40 * math.log(0.4) - 100 * math.log(0.5)
    assert result.kind == "intercept"
    assert result.intercept == pytest.approx(math.log(1.5))
    assert result.p_any == pytest.approx(math.erfc(math.sqrt(by_hand)))
    assert result.p_slope is None
    assert run_closed_test(np.zeros(100), np.repeat([1.0, 0.0], 50)).kind == "none"


@pytest.mark.parametrize("side", [1, -1], ids=["right way", "wrong way"])
def test_separated_outcomes_propose_nothing(side):
    """The slope is infinite; the base rate of 0.05 differs from the expected 0.5."""
    result = run_closed_test(side * np.linspace(-1, 1, 60), (np.arange(60) > 56).astype(float))
    assert result.kind == "none"
    assert "no slope exists" in result.because
    assert result.p_any < 0.001


@pytest.mark.parametrize("slope", [0.0, -0.3])
def test_slope_not_above_0_proposes_nothing_even_if_uncertain(slope):
    """The base rate is off, and courses are too few to tell the slope from 1."""
    assert choose_recalibration(0.9, (0.8, slope), 0.001, 0.4).kind == "none"
    log_odds = np.repeat([-1.0, -0.2, 0.2, 1.0], 10)
    outcome = np.tile([1.0] * 8 + [0.0] * 2, 4)
    outcome[8] = 1.0
    result = run_closed_test(log_odds * 0.5, outcome)
    assert result.p_any < 0.05 < result.p_slope
    assert result.kind == "none"


def test_one_class_proposes_nothing():
    assert run_closed_test(np.array([0.1, 0.5]), np.ones(2)).kind == "none"


def test_weights_count_as_copies():
    """Courses of weight 2 are two courses; of weight 0, none."""
    log_odds, outcome = draw_outcomes(0.5, 0.7, 300)
    weights = np.resize([1.0, 2.0, 0.0], 300)
    copies = np.repeat(np.arange(300), weights.astype(int))
    weighted = run_closed_test(log_odds, outcome, weights).model_dump()
    repeated = run_closed_test(log_odds[copies], outcome[copies]).model_dump()
    numbers = ("intercept", "slope", "p_any", "p_slope")
    assert [weighted[key] for key in numbers] == pytest.approx([repeated[key] for key in numbers])
