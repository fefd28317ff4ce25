"""Recalibration for another cohort, to the last bit, and by folds."""

import numpy as np
import pytest
from scipy.special import expit

from features.records.assessment import read_assessments
from training.measures.closed_test import run_closed_test
from training.validation.external.recalibration import cross_recalibrate, recalibrate


@pytest.mark.parametrize("calibration", [(0.0, 1.0, 1.0), (-0.3, 0.4, 0.9)])
def test_recalibration_is_intercept_plus_slope_times_log_odds(known_equation, calibration):
    rows = [
        {"patient_id": f"p{n}", "condition": "depression", "age": 20 + n, "phq9": 5 + n % 22}
        for n in range(40)
    ]
    people = read_assessments(rows)
    before = known_equation(calibration=calibration)
    after = recalibrate(before, 0.3, 0.6)
    expected = 0.3 + 0.6 * before.compute_log_odds(people, slice(None))
    assert after.compute_log_odds(people, slice(None)) == pytest.approx(expected, abs=1e-12)
    split = after.explain(people)
    summed = split.intercept + split.contributions.sum(axis=1)
    assert summed == pytest.approx(expected[:, 0], abs=1e-9)


def test_no_fold_learns_from_its_own_patients():
    """Each fold is recalibrated by the patients of the other folds."""
    generator = np.random.default_rng(1)
    log_odds = generator.normal(-0.2, 0.9, 600)
    outcome = (generator.random(600) < expit(0.6 + 0.5 * log_odds)).astype(float)
    patients = np.arange(600) // 2
    moved, folds = cross_recalibrate(log_odds[:, None] + [0.0, 0.1], outcome, patients, seed=1)
    assert sorted(set(folds.tolist())) == list(range(10))
    for fold in range(10):
        own = folds == fold
        assert not set(patients[own]) & set(patients[~own])
        learned = run_closed_test(log_odds[~own], outcome[~own])
        expected = learned.intercept + learned.slope * log_odds[own]
        assert moved[own, 0] == pytest.approx(expected)
        assert moved[own, 1] - moved[own, 0] == pytest.approx(0.1 * learned.slope)
