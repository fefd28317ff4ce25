"""Measures, against scikit-learn, hand counts and known simulators."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics

from training.measures.evaluate import (
    HeldOut,
    choose_candidate,
    compare_losses,
    compute_losses,
    compute_measures,
    count_pairs,
    measure,
)
from training.measures.intervals import resample_patients


@pytest.fixture
def one_fold():
    """200 courses held out at once; the estimates are true."""
    generator = np.random.default_rng(5)
    log_odds = generator.normal(-0.2, 0.9, 200).round(1)
    outcome = (generator.random(200) < expit(log_odds)).astype(float)
    return HeldOut(log_odds[None, :], np.zeros((1, 200), dtype=int)), outcome


def test_measures_agree_with_scikit_learn(one_fold):
    held_out, outcome = one_fold
    probability = expit(held_out.log_odds[0])
    found = compute_measures(held_out, outcome, np.ones((1, 200)))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(outcome, probability), abs=1e-12)
    assert found["brier"] == pytest.approx(
        metrics.brier_score_loss(outcome, probability), abs=1e-12
    )
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(outcome, probability), abs=1e-12)


def test_weighted_auc_agrees_with_scikit_learn(one_fold):
    held_out, outcome = one_fold
    weights = np.random.default_rng(1).integers(0, 4, (3, 200)).astype(float)
    right, pairs = count_pairs(held_out.log_odds[0], outcome, weights)
    for sample in range(3):
        expected = metrics.roc_auc_score(
            outcome, held_out.log_odds[0], sample_weight=weights[sample]
        )
        assert right[sample] / pairs[sample] == pytest.approx(expected, abs=1e-12)


def test_auc_by_hand_with_a_tie():
    """Pairs: 3>1, 3=3 (half), 2>1, 2<3: 2.5 of 4."""
    found = count_pairs(np.array([3.0, 2, 1, 3]), np.array([1.0, 1, 0, 0]), np.ones((1, 4)))
    assert (found[0] / found[1]).tolist() == [0.625]


def test_auc_compares_within_folds_only():
    """Folds with different base rates must not make a ranking out of nothing."""
    log_odds = np.array([[-1.0] * 10 + [1.0] * 10])
    folds = np.array([[0] * 10 + [1] * 10])
    outcome = np.array([1.0] * 2 + [0.0] * 8 + [1.0] * 8 + [0.0] * 2)
    found = compute_measures(HeldOut(log_odds, folds), outcome, np.ones((1, 20)))
    assert found["auc"].tolist() == [0.5]
    assert np.isnan(found["slope"]).all()


def test_true_estimates_are_calibrated_within_their_interval(one_fold):
    held_out, outcome = one_fold
    found = measure(held_out, outcome, np.arange(200), samples=500, level=0.95, seed=1)
    assert found["slope"].low < 1 < found["slope"].high
    assert found["intercept"].low < 0 < found["intercept"].high
    for name in ("log_loss", "brier", "auc"):
        assert found[name].low < found[name].value < found[name].high


def test_intervals_cover_at_their_level():
    """80 % intervals of the Brier score of true estimates cover its expectation so often."""
    generator = np.random.default_rng(11)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    expected = (weights * expit(nodes) * expit(-nodes)).sum() / weights.sum()
    covered = 0
    for repeat in range(400):
        log_odds = generator.normal(0, 1, 300)
        outcome = (generator.random(300) < expit(log_odds)).astype(float)
        held_out = HeldOut(log_odds[None, :], np.zeros((1, 300), dtype=int))
        found = measure(held_out, outcome, np.arange(300), 100, 0.8, repeat)["brier"]
        covered += found.low < expected < found.high
    # Three standard errors of a share of 400 around .80.
    assert 0.74 < covered / 400 < 0.86


def test_repeats_are_averaged():
    log_odds = np.array([[0.0, 0.0], [2.0, -2.0]])
    held_out = HeldOut(log_odds, np.zeros((2, 2), dtype=int))
    expected = [(np.log(2) + np.log1p(np.exp(-2))) / 2] * 2
    assert compute_losses(held_out, np.array([1.0, 0.0])) == pytest.approx(expected)


def test_resampling_keeps_a_patients_courses_together():
    patients = np.array([0, 0, 1, 2, 2, 2])
    weights = resample_patients(patients, 50, seed=1)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()


def test_the_error_of_a_difference_counts_patients_not_courses():
    """Two courses that say the same are worth one."""
    losses = np.array([0.1, 0.4, 0.2, 0.5])
    once = compare_losses(losses, np.zeros(4), np.arange(4))
    twice = compare_losses(np.tile(losses, 2), np.zeros(8), np.tile(np.arange(4), 2))
    assert twice.mean == pytest.approx(once.mean)
    assert twice.error == pytest.approx(once.error)
    assert once.error == pytest.approx(losses.std(ddof=1) / 2)


def test_the_first_within_one_standard_error_of_the_best_is_chosen():
    generator = np.random.default_rng(2)
    base = generator.random(400)
    noise = generator.normal(size=400)
    patients = np.arange(400)
    close = base - 0.001 + 0.1 * (noise - noise.mean())
    clear = base - 0.05 + 0.1 * (noise - noise.mean())
    assert choose_candidate({"simple": base, "rich": close}, patients)[0] == "simple"
    assert choose_candidate({"simple": base, "rich": clear}, patients)[0] == "rich"
    assert choose_candidate({"rich": close, "simple": base}, patients)[0] == "rich"


def test_a_course_that_counts_twice_is_as_good_as_one_that_is_there_twice():
    generator = np.random.default_rng(3)
    patients, counts = np.arange(60), generator.integers(1, 4, 60)
    outcome = np.arange(60) % 2.0
    log_odds, others = generator.normal(size=(2, 60))
    twice = np.repeat(patients, counts)
    weighted = compare_losses(log_odds, others, patients, counts.astype(float))
    repeated = compare_losses(log_odds[twice], others[twice], twice)
    assert weighted.mean == pytest.approx(repeated.mean, abs=1e-12)
    assert weighted.error == pytest.approx(repeated.error, abs=1e-12)
    whole = HeldOut(log_odds[None, :], np.zeros((1, 60), dtype=np.int64))
    longer = HeldOut(log_odds[None, twice], np.zeros((1, len(twice)), dtype=np.int64))
    found = measure(whole, outcome, patients, 100, 0.95, 1, counts.astype(float))
    expected = measure(longer, outcome[twice], twice, 100, 0.95, 1)
    for name, one in expected.items():
        assert (found[name].value, found[name].low, found[name].high) == pytest.approx(
            (one.value, one.low, one.high), abs=1e-7
        )
