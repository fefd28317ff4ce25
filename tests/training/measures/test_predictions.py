"""Held-out predictions: repeats, selections, and constant predictions."""

from dataclasses import replace

import numpy as np
import pytest

from training.measures.predictions import Predictions

FOLDS = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])
OUTCOME = np.array([1.0, 0, 1, 0])


@pytest.fixture
def repeated():
    """Two repeats of four courses; the second and third are the same patient's."""
    log_odds = np.array([[0.0, 1, 2, 3], [2.0, -1, 0, 1]])
    weights = np.array([1.0, 2, 3, 4])
    return Predictions.from_repeats(log_odds, FOLDS, OUTCOME, np.array([0, 1, 1, 2]), weights)


def test_repeats_follow_each_other(repeated):
    assert (repeated.size, repeated.repeats) == (4, 2)
    assert repeated.outcome.tolist() == [1, 0, 1, 0, 1, 0, 1, 0]
    assert repeated.patients.tolist() == [0, 1, 1, 2, 0, 1, 1, 2]
    assert repeated.weights.tolist() == [1, 2, 3, 4, 1, 2, 3, 4]
    assert repeated.by_repeat(repeated.log_odds)[1].tolist() == [2, -1, 0, 1]


def test_folds_of_different_repeats_are_different_groups(repeated):
    assert repeated.groups.tolist() == [0, 0, 1, 1, 2, 3, 2, 3]


def test_average_has_one_prediction_per_course(repeated):
    averaged = repeated.average_repeats()
    assert averaged.log_odds.tolist() == [1, 0, 1, 2]
    assert averaged.outcome.tolist() == OUTCOME.tolist()
    assert averaged.weights.tolist() == [1, 2, 3, 4]
    assert (averaged.size, averaged.repeats) == (4, 1)


def test_losses_are_averaged_over_repeats():
    log_odds, courses = np.array([[0.0, 0.0], [2.0, -2.0]]), np.arange(2)
    folds = np.zeros((2, 2), dtype=int)
    predictions = Predictions.from_repeats(log_odds, folds, np.array([1.0, 0.0]), courses)
    expected = [(np.log(2) + np.log1p(np.exp(-2))) / 2] * 2
    assert predictions.compute_losses() == pytest.approx(expected)


def test_selection_renumbers_patients(repeated):
    selected = repeated.average_repeats().select(np.array([False, True, False, True]))
    assert selected.patients.tolist() == [0, 1]
    assert selected.groups.tolist() == [0, 1]
    assert selected.weights.tolist() == [2, 4]
    assert replace(repeated, weights=None).average_repeats().weights is None


def test_missing_weights_are_ones(repeated):
    assert repeated.weights_or_ones is repeated.weights
    assert replace(repeated, weights=None).weights_or_ones.tolist() == [1] * 8


def test_constant_means_constant_in_every_group():
    """Each fold's own base rate does not discriminate."""
    log_odds, groups = np.array([0.5, 0.5, -1.0, -1.0]), np.array([0, 0, 1, 1])
    by_fold = Predictions(log_odds, OUTCOME, np.arange(4), groups)
    assert by_fold.is_constant
    assert not replace(by_fold, groups=np.zeros(4, dtype=int)).is_constant
    assert replace(by_fold, log_odds=log_odds + 1e-10 * OUTCOME).is_constant
    assert not replace(by_fold, log_odds=log_odds + 1e-8 * OUTCOME).is_constant
