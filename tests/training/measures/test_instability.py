"""Instability against R: eight refits of a model, on the same courses."""

import numpy as np
import pytest
from scipy.special import expit

from training.measures.decision import compute_benefits
from training.measures.instability import (
    band_estimates,
    compute_errors,
    compute_flips,
    draw_curves,
    find_limits,
)
from training.measures.logistic import logit


@pytest.fixture(scope="module")
def reference(truth):
    return truth["instability"]


@pytest.fixture(scope="module")
def probability(courses, reference):
    intercept, slope = reference["original"]
    return expit(intercept + slope * logit(courses.probability))


@pytest.fixture(scope="module")
def versions(courses, reference):
    intercepts, slopes = np.array(reference["coefficients"]).T[:, :, None]
    return expit(intercepts + slopes * logit(courses.probability))


def test_limits_agree_with_r(versions, reference):
    low, high = find_limits(versions, 0.95)
    assert [low[0], high[0]] == pytest.approx(reference["first_limits"], abs=1e-9)
    assert (low.mean(), high.mean()) == pytest.approx(
        (reference["low"], reference["high"]), abs=1e-9
    )


def test_mean_absolute_errors_agree_with_r(probability, versions, reference):
    errors = compute_errors(probability, versions)
    assert errors.mean() == pytest.approx(reference["mape"], abs=1e-9)
    assert errors[0] == pytest.approx(reference["first_mape"], abs=1e-9)


def test_flips_agree_with_r(probability, versions, reference):
    flips = compute_flips(probability, versions, 0.5)
    assert flips.mean() == pytest.approx(reference["flips"], abs=1e-12)


def test_decision_curves_agree_with_r(courses, versions, reference):
    at, each = np.array([0.4]), np.ones((1, 200))
    benefits = [compute_benefits(row, courses.outcome, at, each)[0, 0] for row in versions]
    assert benefits == pytest.approx(reference["benefits"], abs=1e-12)


def test_calibration_curves_are_each_versions_own(courses, versions, reference):
    """With 19 courses in the smaller class the curve is a line, whose slope R gives."""
    at = np.array([0.4, 0.6])
    rows = np.concatenate(
        [np.flatnonzero(courses.outcome == 1)[:19], np.flatnonzero(courses.outcome == 0)]
    )
    curves = draw_curves(versions[:, rows], courses.outcome[rows], at)
    rise = np.diff(logit(curves), axis=1)[:, 0] / np.diff(logit(at))[0]
    # All refits are lines in the same log-odds, so the product of slopes is the same for each.
    own = np.array(reference["coefficients"])[:, 1]
    assert rise * own == pytest.approx(np.full(8, (rise * own)[0]), abs=1e-6)
    assert np.array(reference["slopes"]) * own == pytest.approx(np.full(8, 0.5923), abs=1e-3)


def test_bands_are_ordered_and_cover_all_courses(probability, versions):
    bands = band_estimates(probability, versions, 0.95)
    assert [band.courses for band in bands] == [20] * 10
    estimates = [band.estimate for band in bands]
    assert estimates == sorted(estimates)
    assert np.mean([band.error for band in bands]) == pytest.approx(
        compute_errors(probability, versions).mean()
    )
    assert all(band.low < band.estimate < band.high for band in bands[1:-1])


def test_no_band_is_of_less_than_ten(probability, versions):
    bands = band_estimates(probability[:35], versions[:, :35], 0.95)
    assert len(bands) == 3
    assert min(band.courses for band in bands) >= 10
    assert len(band_estimates(probability[:7], versions[:, :7], 0.95)) == 1


def test_a_model_that_never_changes_is_stable(courses):
    estimates = np.full(200, 0.4)
    same = np.tile(estimates, (5, 1))
    (band,) = band_estimates(estimates, same, 0.95)
    assert (band.courses, band.low, band.high, band.error) == pytest.approx((200, 0.4, 0.4, 0))
    assert not compute_flips(estimates, same, 0.4).any()
    assert np.isnan(draw_curves(same, courses.outcome, np.array([0.4]))).all()
