"""Kinds of calibration and the choice among them, against independent code and known truth."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

from training.candidates.calibration import (
    KINDS,
    NONE,
    Calibration,
    choose_calibration,
    fit_calibration,
)
from training.measures.losses import compute_log_loss
from training.measures.predictions import Predictions

TRUTHS = {
    "none": Calibration(0.0, 1.0, 1.0),
    "intercept": Calibration(-1.0, 1.0, 1.0),
    "logistic": Calibration(0.5, 0.4, 0.4),
    "beta": Calibration(0.2, 1.0, 0.1),
}


def draw_predictions(truth, courses=600, seed=1, spread=2.0):
    """Draw predictions whose calibration gives the true log-odds."""
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(0, spread, courses)
    outcome = (generator.random(courses) < expit(truth.apply(log_odds))).astype(float)
    patients = np.arange(courses)
    return Predictions(log_odds, outcome, patients, patients % 5)


def compute_loss(predictions, calibration):
    return compute_log_loss(calibration.apply(predictions.log_odds), predictions.outcome).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_with_many_courses_each_kind_finds_its_truth(kind):
    truth = TRUTHS[kind]
    calibration = fit_calibration(kind, draw_predictions(truth, 200_000))
    assert vars(calibration) == pytest.approx(vars(truth), abs=0.03)


def test_beta_calibration_agrees_with_scikit_learn():
    predictions = draw_predictions(Calibration(0.2, 0.8, 0.5), 4000)
    table = np.column_stack([log_expit(predictions.log_odds), -log_expit(-predictions.log_odds)])
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(table, predictions.outcome)
    below, above = model.coef_[0]
    calibration = fit_calibration("beta", predictions)
    assert (calibration.below, calibration.above) == pytest.approx((below, above), abs=2e-3)
    assert calibration.intercept == pytest.approx(model.intercept_[0], abs=2e-3)


def test_calibration_shrinks_but_never_sharpens_or_reverses():
    truth = Calibration(0.3, 0.7, 0.7)
    predictions = draw_predictions(truth, 2000)
    for kind in ("logistic", "beta"):
        sharper = replace(predictions, log_odds=predictions.log_odds / 4)
        calibration = fit_calibration(kind, sharper)
        assert (calibration.below, calibration.above) == pytest.approx((1.0, 1.0))
        turned = replace(predictions, log_odds=-predictions.log_odds)
        calibration = fit_calibration(kind, turned)
        assert (calibration.below, calibration.above) == pytest.approx((0.0, 0.0), abs=1e-6)
        assert expit(calibration.intercept) == pytest.approx(predictions.outcome.mean(), abs=1e-4)


def test_courses_count_by_their_weights():
    predictions = draw_predictions(TRUTHS["logistic"], 400)
    weights = np.where(np.arange(400) < 200, 2.0, 0.0)
    weighted = replace(predictions, weights=weights)
    alone = predictions.select(np.arange(400) < 200)
    for kind in KINDS[1:]:
        calibration, expected = fit_calibration(kind, weighted), fit_calibration(kind, alone)
        assert vars(calibration) == pytest.approx(vars(expected), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clear_case_is_chosen_whatever_was_preferred(kind):
    predictions = draw_predictions(TRUTHS[kind], 5000, spread=3.0)
    for preferred in KINDS:
        chosen = choose_calibration(predictions, preferred).calibration
        gap = compute_loss(predictions, chosen) - compute_loss(predictions, TRUTHS[kind])
        assert gap < 0.002


@pytest.mark.parametrize("preferred", KINDS)
def test_the_preferred_kind_is_kept_if_true(preferred):
    kept = 0
    for seed in range(20):
        predictions = draw_predictions(TRUTHS[preferred], 80, seed)
        kept += choose_calibration(predictions, preferred).calibration == fit_calibration(
            preferred, predictions
        )
    assert kept >= 18


@pytest.mark.parametrize("kind", KINDS)
def test_choices_losses_are_cross_calibrated(kind):
    predictions = draw_predictions(TRUTHS[kind], 5000, spread=3.0)
    chosen = choose_calibration(predictions, kind)
    assert chosen.calibration == fit_calibration(kind, predictions)
    for fold in range(5):
        held = predictions.select(predictions.groups == fold)
        calibration = fit_calibration(kind, predictions.select(predictions.groups != fold))
        expected = -log_expit(np.where(held.outcome == 1, 1, -1) * calibration.apply(held.log_odds))
        assert chosen.losses[predictions.groups == fold] == pytest.approx(expected, abs=1e-12)


def test_one_class_leaves_log_odds_unchanged():
    predictions = draw_predictions(NONE, 20)
    one_class = replace(predictions, outcome=np.ones(20))
    assert all(fit_calibration(kind, one_class) == NONE for kind in KINDS)


def test_calibration_survives_a_round_trip_through_settings():
    assert Calibration.from_settings(TRUTHS["beta"].as_settings()) == TRUTHS["beta"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_class_by_weight_is_left_as_it_is(kind):
    """A bootstrap sample may hold no event, though its courses do."""
    outcome = np.array([1.0, 0.0, 0.0, 0.0])
    predictions = Predictions(
        np.linspace(-1, 1, 4), outcome, np.arange(4), np.arange(4), weights=1 - outcome
    )
    assert fit_calibration(kind, predictions) == NONE
