"""Outcomes redrawn from a model, whose true probabilities are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from training.candidates.evidence.ordinal import categorise_courses
from training.measures.predictions import Predictions
from training.validation.redrawing import estimate_shrinkage, make_redrawing, shrink_log_odds


@pytest.fixture
def drawn(make_design):
    """A design, a model of it, and many outcomes redrawn from that for each course."""
    design = make_design(300)
    improvement = design.outcome + np.random.default_rng(0).random(design.size)
    design = replace(design, improvement=improvement)
    log_odds = np.linspace(-2, 1.5, design.size)
    rows = np.repeat(np.arange(design.size), 200)
    return design, log_odds, make_redrawing(design, log_odds).redraw(design, rows, 3)


def test_outcomes_come_as_often_as_the_model_says(drawn):
    design, log_odds, redrawn = drawn
    shares = redrawn.outcome.reshape(design.size, -1).mean(axis=1)
    errors = (shares - expit(log_odds)) / np.sqrt(expit(log_odds) * expit(-log_odds) / 200)
    assert np.abs(errors.mean()) < 4 / np.sqrt(design.size)
    assert errors.std() == pytest.approx(1, abs=0.15)


def test_improvements_are_those_of_courses_with_that_outcome(drawn):
    design, _, redrawn = drawn
    for outcome in (0, 1):
        known = set(design.improvement[design.outcome == outcome])
        assert set(redrawn.improvement[redrawn.outcome == outcome]) <= known


def test_grades_are_in_proportional_odds(drawn):
    """The log-odds of exceeding a category's threshold are those of the course minus it."""
    design, log_odds, redrawn = drawn
    grades = categorise_courses(design.outcome, design.improvement)
    assert grades.count > 2
    thresholds = make_redrawing(design, log_odds).thresholds
    edges = [design.improvement[grades.numbers == grade].min() for grade in range(1, grades.count)]
    for threshold, edge in zip(thresholds, edges, strict=True):
        expected = expit(np.repeat(log_odds, 200) - threshold).mean()
        assert (redrawn.improvement >= edge).mean() == pytest.approx(expected, abs=0.01)


def test_the_same_seed_draws_the_same(make_design):
    design = make_design(120)
    redrawing, rows = make_redrawing(design, np.zeros(design.size)), np.arange(design.size)
    first, again, other = (redrawing.redraw(design, rows, seed) for seed in (1, 1, 2))
    assert (first.improvement == again.improvement).all()
    assert (first.outcome != other.outcome).any()


@pytest.fixture
def predictions():
    """Calibrated predictions of 4,000 courses."""
    generator = np.random.default_rng(5)
    log_odds = generator.normal(-0.3, 0.8, 4000)
    outcome = (generator.random(4000) < expit(log_odds)).astype(float)
    patients = np.arange(4000)
    return Predictions(log_odds, outcome, patients, np.zeros(4000, dtype=np.int64))


def test_a_sound_model_is_not_shrunk(predictions):
    halved = replace(predictions, log_odds=predictions.log_odds / 2)
    for own in (predictions, halved):
        assert estimate_shrinkage(own, own) == 1.0
        shrunk = shrink_log_odds(own, own)
        assert np.ptp(shrunk - own.log_odds) < 1e-9
        assert expit(shrunk).mean() == pytest.approx(predictions.outcome.mean(), abs=1e-9)


def test_extreme_model_is_shrunk_to_slope_plus_error(predictions):
    extreme = replace(predictions, log_odds=4 * predictions.log_odds)
    # A logistic regression's slope on 4,000 such courses has a standard error of 0.05.
    assert estimate_shrinkage(extreme, extreme) == pytest.approx((1 + 0.05) / 4, abs=0.025)
    assert np.std(shrink_log_odds(extreme, extreme)) == pytest.approx(0.84, abs=0.08)


def test_an_overfitted_model_is_shrunk(predictions):
    """Apparent log-odds spread much further than held-out ones."""
    known = replace(predictions, log_odds=20 * predictions.outcome - 10)
    assert estimate_shrinkage(known, predictions) == pytest.approx(0.8 / 10, rel=0.15)


def test_without_discrimination_all_is_shrunk_away(predictions):
    constant, reversed_order = (
        replace(predictions, log_odds=log_odds)
        for log_odds in (np.full(4000, 0.4), -predictions.log_odds)
    )
    for own, nested in (
        (constant, predictions),
        (predictions, constant),
        (predictions, reversed_order),
    ):
        shrunk = shrink_log_odds(own, nested)
        assert shrunk == pytest.approx(np.full(4000, logit(predictions.outcome.mean())), abs=1e-9)


def test_redrawing_keeps_the_weighted_base_rate(predictions):
    weighted = replace(predictions, weights=np.where(predictions.outcome == 1, 3.0, 1.0))
    share = np.average(weighted.outcome, weights=weighted.weights)
    drawn = expit(shrink_log_odds(weighted, weighted))
    assert np.average(drawn, weights=weighted.weights) == pytest.approx(share, abs=1e-9)
