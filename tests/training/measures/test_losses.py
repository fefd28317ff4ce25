"""Log losses, their differences, and the rule of one standard error."""

import numpy as np
import pytest
from sklearn import metrics

from training.measures.losses import choose_candidate, compare_losses, compute_log_loss


def test_log_loss_agrees_with_scikit_learn():
    log_odds, outcome = np.linspace(-3, 3, 9), np.arange(9) % 2.0
    expected = metrics.log_loss(outcome, 1 / (1 + np.exp(-log_odds)))
    assert compute_log_loss(log_odds, outcome).mean() == pytest.approx(expected, abs=1e-12)


def test_log_loss_of_extreme_log_odds_is_finite():
    assert compute_log_loss(np.array([1e4, -1e4]), np.array([0.0, 0.0])).tolist() == [1e4, 0.0]


def test_error_counts_patients_not_courses():
    """Two courses of one patient with the same loss count as one."""
    losses = np.array([0.1, 0.4, 0.2, 0.5])
    once = compare_losses(losses, np.zeros(4), np.arange(4))
    twice = compare_losses(np.tile(losses, 2), np.zeros(8), np.tile(np.arange(4), 2))
    assert twice.mean == pytest.approx(once.mean)
    assert twice.error == pytest.approx(once.error)
    assert once.error == pytest.approx(losses.std(ddof=1) / 2)


def test_equal_losses_differ_by_exactly_0():
    losses = np.random.default_rng(1).random(50)
    assert compare_losses(losses + 1e-16, losses, np.arange(50)).mean == 0


def test_single_patient_has_an_error_of_0():
    gap = compare_losses(np.array([0.3, 0.5]), np.zeros(2), np.zeros(2, dtype=int))
    assert (gap.mean, gap.error) == (pytest.approx(0.4), pytest.approx(0, abs=1e-15))


def test_weight_of_2_equals_two_copies():
    generator = np.random.default_rng(3)
    patients, counts = np.arange(60), generator.integers(1, 4, 60)
    losses, others = generator.normal(size=(2, 60))
    copies = np.repeat(patients, counts)
    weighted = compare_losses(losses, others, patients, counts.astype(float))
    repeated = compare_losses(losses[copies], others[copies], copies)
    assert weighted.mean == pytest.approx(repeated.mean, abs=1e-12)
    assert weighted.error == pytest.approx(repeated.error, abs=1e-12)


def test_first_within_one_standard_error_is_chosen():
    generator = np.random.default_rng(2)
    base, noise = generator.random(400), generator.normal(size=400)
    centred, patients = 0.1 * (noise - noise.mean()), np.arange(400)
    close, clear = base - 0.001 + centred, base - 0.05 + centred
    assert choose_candidate({"simple": base, "rich": close}, patients) == "simple"
    assert choose_candidate({"simple": base, "rich": clear}, patients) == "rich"
    assert choose_candidate({"rich": close, "simple": base}, patients) == "rich"


@pytest.mark.parametrize(("errors", "chosen"), [(0.98, "simple"), (1.02, "rich")])
def test_boundary_of_the_choice_is_one_error(errors, chosen):
    """The richer candidate is better by `errors` standard errors of the difference."""
    noise = np.tile([1.0, -1.0], 50)
    error = noise.std(ddof=1) / 10
    losses = {"simple": noise + errors * error, "rich": np.zeros(100)}
    assert choose_candidate(losses, np.arange(100)) == chosen


def test_choice_heeds_weights():
    losses = {"first": np.array([0.0, 0, 9, 9]), "second": np.array([1.0, 1, 0, 0])}
    patients = np.arange(4)
    assert choose_candidate(losses, patients, np.array([1.0, 1, 0, 0])) == "first"
    assert choose_candidate(losses, patients, np.array([0.0, 0, 1, 1])) == "second"
