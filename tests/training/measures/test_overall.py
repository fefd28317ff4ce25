"""Log loss, Brier and scaled Brier against R, and their bootstrap against closed forms."""

import numpy as np
import pytest

from training.measures.overall import OVERALL, compute_overall, measure_overall


@pytest.fixture(scope="module")
def measures(courses):
    return measure_overall(
        courses.probability, courses.outcome, courses.patients, samples=4000, level=0.95, seed=2
    )


@pytest.mark.parametrize("name", OVERALL)
def test_values_agree_with_r(measures, truth, name):
    assert measures[name].value == pytest.approx(truth["overall"][name], abs=1e-9)


def test_brier_agrees_with_val_prob(measures, truth):
    expected = truth["calibration"]["val_prob"]["Brier"]
    assert measures["brier"].value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", OVERALL)
def test_interval_widths_agree_with_the_closed_form(measures, truth, name):
    """Within 6%: the closed form is approximate, and 4000 resamples have a relative error of 2%."""
    width = measures[name].high - measures[name].low
    assert width == pytest.approx(2 * 1.96 * truth["overall"][f"{name}_error"], rel=0.06)


def test_weights_are_heeded(courses, truth):
    weighted = compute_overall(courses.probability, courses.outcome, courses.weights[None, :])
    assert weighted[0, 1] == pytest.approx(truth["overall"]["weighted_brier"], abs=1e-9)


def test_base_rate_scores_0_and_perfection_1(courses):
    each = np.ones((1, 200))
    constant = np.full(200, courses.outcome.mean())
    assert compute_overall(constant, courses.outcome, each)[0, 2] == pytest.approx(0)
    assert compute_overall(courses.outcome, courses.outcome, each)[0, 2] == pytest.approx(1)


def test_one_class_has_no_scaled_brier():
    measures = measure_overall(np.full(4, 0.9), np.ones(4), np.arange(4), 20, 0.95, 1)
    assert measures["scaled_brier"].value is None
    assert measures["brier"].value == pytest.approx(0.01)
