"""Performance of predictions: measures against R, comparison within groups, and coverage."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics

from training.measures.bootstrap import IntervalSettings
from training.measures.performance import (
    COMPARED,
    MEASURES,
    OVERALL,
    compute_overall,
    compute_performance,
    measure_candidate,
    measure_overall,
    measure_performance,
)
from training.measures.predictions import Predictions

SETTINGS = IntervalSettings(samples=500, level=0.95, seed=1)


@pytest.fixture
def calibrated():
    """Calibrated predictions of 200 courses, all in one fold."""
    generator = np.random.default_rng(5)
    log_odds = generator.normal(-0.2, 0.9, 200).round(1)
    outcome = (generator.random(200) < expit(log_odds)).astype(float)
    return Predictions(log_odds, outcome, np.arange(200), np.zeros(200, dtype=int))


def test_measures_agree_with_scikit_learn(calibrated):
    measures, outcome = measure_candidate(calibrated, SETTINGS), calibrated.outcome
    expected = {
        "log_loss": metrics.log_loss(outcome, calibrated.probability),
        "brier": metrics.brier_score_loss(outcome, calibrated.probability),
        "auc": metrics.roc_auc_score(outcome, calibrated.probability),
    }
    for name, value in expected.items():
        assert measures[name].value == pytest.approx(value, abs=1e-12)


def test_true_estimates_are_calibrated_within_intervals(calibrated):
    measures = measure_performance(calibrated, SETTINGS)
    assert measures["slope"].low < 1 < measures["slope"].high
    assert measures["intercept"].low < 0 < measures["intercept"].high
    assert measures["ratio"].low < 1 < measures["ratio"].high
    for name in ("log_loss", "brier", "auc", "ici"):
        assert measures[name].low < measures[name].value < measures[name].high


def test_candidates_are_compared_by_the_same_figures(calibrated):
    measures, compared = (
        measure_performance(calibrated, SETTINGS),
        measure_candidate(calibrated, SETTINGS),
    )
    assert tuple(compared) == COMPARED
    assert all(compared[name] == measures[name] for name in COMPARED)


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
def test_repeats_leave_values_and_widths_as_they_are(calibrated, weighted):
    """A course with two identical predictions counts once."""
    weights = np.linspace(0.5, 1.5, 200) if weighted else None
    single = replace(calibrated, weights=weights, groups=np.arange(200) % 2)
    twice = Predictions.from_repeats(
        np.tile(calibrated.log_odds, (2, 1)),
        np.tile(np.arange(200) % 2, (2, 1)),
        calibrated.outcome,
        calibrated.patients,
        weights,
    )
    expected = measure_candidate(single, SETTINGS)
    for name, measure in measure_candidate(twice, SETTINGS).items():
        assert vars(measure) == pytest.approx(vars(expected[name]), abs=1e-9)


def test_auc_compares_within_folds_only():
    """Different base rates of folds must not be mistaken for discrimination."""
    log_odds, folds = np.repeat([-1.0, 1.0], 10), np.repeat([0, 1], 10)
    outcome = np.array([1.0] * 2 + [0.0] * 8 + [1.0] * 8 + [0.0] * 2)
    predictions = Predictions(log_odds, outcome, np.arange(20), folds)
    measures = measure_performance(predictions, SETTINGS)
    assert measures["auc"].value == 0.5
    assert measures["slope"].value is None
    assert measures["ici"].value is None


def test_single_group_has_a_closed_interval(calibrated):
    """DeLong's interval does not depend on the seed; the bootstrap for several groups does."""
    other = replace(SETTINGS, seed=2)
    assert (
        measure_candidate(calibrated, SETTINGS)["auc"]
        == (measure_candidate(calibrated, other)["auc"])
    )
    folds = replace(calibrated, groups=np.arange(200) % 2)
    assert measure_candidate(folds, SETTINGS)["auc"] != measure_candidate(folds, other)["auc"]


def test_weight_of_2_equals_two_copies(calibrated):
    counts = np.random.default_rng(3).integers(1, 4, 200)
    copies = np.repeat(np.arange(200), counts)
    folds = replace(calibrated, groups=np.arange(200) % 2)
    weighted = measure_candidate(replace(folds, weights=counts.astype(float)), SETTINGS)
    repeated = Predictions(
        folds.log_odds[copies], folds.outcome[copies], copies, folds.groups[copies]
    )
    for name, expected in measure_candidate(repeated, SETTINGS).items():
        assert vars(weighted[name]) == pytest.approx(vars(expected), abs=1e-7)


def test_samples_are_measured_as_predictions_are(calibrated):
    values = compute_performance(calibrated.log_odds, calibrated.outcome, np.ones((1, 200)))
    measures = measure_performance(calibrated, SETTINGS)
    assert values[0] == pytest.approx([measures[name].value for name in MEASURES], abs=1e-8)


def test_constant_log_odds_have_no_slope():
    values = compute_performance(np.full(4, 0.2), np.array([1.0, 0, 1, 0]), np.ones((1, 4)))
    assert np.isnan(values[0, MEASURES.index("slope")])
    assert values[0, MEASURES.index("auc")] == 0.5


def test_intervals_cover_at_their_level():
    """80% intervals of the Brier score of true probabilities cover its expectation in 80%."""
    generator = np.random.default_rng(11)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    expected = (weights * expit(nodes) * expit(-nodes)).sum() / weights.sum()
    covered = 0
    for repeat in range(400):
        log_odds = generator.normal(0, 1, 300)
        outcome = (generator.random(300) < expit(log_odds)).astype(float)
        predictions = Predictions(log_odds, outcome, np.arange(300), np.zeros(300, dtype=int))
        brier = measure_candidate(predictions, IntervalSettings(100, 0.8, repeat))["brier"]
        covered += brier.low < expected < brier.high
    # Three standard errors of a proportion of 0.80 in 400.
    assert 0.74 < covered / 400 < 0.86


@pytest.fixture(scope="module")
def overall(predicted):
    return measure_overall(predicted, IntervalSettings(samples=4000, level=0.95, seed=2))


@pytest.mark.parametrize("name", OVERALL)
def test_overall_measures_agree_with_r(overall, truth, name):
    assert overall[name].value == pytest.approx(truth["overall"][name], abs=1e-9)


def test_brier_agrees_with_val_prob(overall, truth):
    expected = truth["calibration"]["val_prob"]["Brier"]
    assert overall["brier"].value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", OVERALL)
def test_interval_widths_agree_with_the_closed_form(overall, truth, name):
    """Within 6%: the closed form is approximate, and 4000 resamples have a relative error of 2%."""
    width = overall[name].high - overall[name].low
    assert width == pytest.approx(2 * 1.96 * truth["overall"][f"{name}_error"], rel=0.06)


def test_overall_measures_heed_weights(courses, truth):
    weighted = compute_overall(courses.probability, courses.outcome, courses.weights[None, :])
    assert weighted[0, 1] == pytest.approx(truth["overall"]["weighted_brier"], abs=1e-9)


def test_base_rate_scores_0_and_perfection_1(courses):
    each = np.ones((1, 200))
    constant = np.full(200, courses.outcome.mean())
    assert compute_overall(constant, courses.outcome, each)[0, 2] == pytest.approx(0)
    assert compute_overall(courses.outcome, courses.outcome, each)[0, 2] == pytest.approx(1)


def test_one_class_has_no_scaled_brier(predict):
    measures = measure_overall(predict(np.full(4, 0.9), np.ones(4)), IntervalSettings(20, 0.95, 1))
    assert measures["scaled_brier"].value is None
    assert measures["brier"].value == pytest.approx(0.01)
