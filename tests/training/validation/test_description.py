"""Descriptions for drawings and tables, from estimates made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from training.candidates.registry import make_candidates
from training.measures.bootstrap import IntervalSettings
from training.measures.logistic import logit
from training.measures.predictions import Predictions
from training.measures.subgroups import MIN_PATIENTS
from training.validation.across_sites import measure_across_sites
from training.validation.description import (
    Shown,
    count_bins,
    describe_calibration,
    describe_decisions,
    describe_factors,
    describe_instability,
)

CANDIDATES = make_candidates()

SETTINGS = IntervalSettings(samples=100, level=0.95, seed=1)


def make_predictions(size=400, sites=1, seed=1, slope=1.0):
    """Draw calibrated or stretched predictions of patients at identical sites."""
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(0, 1, size)
    outcome = (generator.random(size) < 1 / (1 + np.exp(-log_odds))).astype(float)
    return Predictions(slope * log_odds, outcome, np.arange(size), np.arange(size) % sites)


def show(predictions, versions=()):
    """Show predictions by a model and by its refits; one prediction per course."""
    return Shown(
        way="nested",
        predictions=predictions,
        columns=None,
        estimates=predictions.probability,
        versions=np.reshape(versions, (len(versions), predictions.size)),
        method="by hand",
        by_site=None,
    )


def test_curve_of_true_probabilities_is_the_diagonal():
    calibration = describe_calibration(show(make_predictions(4000)), SETTINGS)
    for point in calibration.points:
        assert point.low <= point.observed <= point.high
        assert point.observed == pytest.approx(point.estimate, abs=0.06)
    assert calibration.versions == ()


def test_curves_of_refits_share_their_estimates():
    predictions = make_predictions(300)
    versions = [predictions.probability, np.full(300, 0.4)]
    calibration = describe_calibration(show(predictions, versions), SETTINGS)
    assert len(calibration.at) == len(calibration.points) == len(calibration.versions[0])
    assert calibration.versions[0] == pytest.approx(
        [point.observed for point in calibration.points], abs=1e-6
    )
    assert set(calibration.versions[1]) == {None}  # constant predictions have no curve


def test_bars_of_few_courses_are_hidden():
    estimates = np.concatenate([np.full(30, 0.52), np.full(4, 0.91)])
    counts = {bar.low: bar.courses for bar in count_bins(estimates)}
    assert counts[0.5] == 30
    assert counts[0.9] == 0
    assert {bar.low: bar.courses for bar in count_bins(np.tile(estimates, 3), 3)}[0.5] == 30


def test_decision_curves_of_refits_are_drawn():
    predictions = make_predictions(300)
    decisions = describe_decisions(show(predictions, [predictions.probability]), SETTINGS)
    assert decisions.versions[0] == pytest.approx(
        [point.benefit.value for point in decisions.points]
    )


def test_instability_is_the_mean_distance_of_versions():
    even = replace(make_predictions(40), log_odds=np.zeros(40))
    shown = show(even, [np.repeat(0.4, 40), np.repeat(0.7, 40)])
    instability = describe_instability(shown, 0.95, threshold=0.45)
    assert (instability.versions, instability.method) == (2, "by hand")
    assert instability.error == pytest.approx(0.15)
    assert instability.flips == pytest.approx(0.5)
    assert describe_instability(show(even), 0.95, 0.45).error is None


def test_factors_are_the_spread_of_contributions(make_design):
    design = make_design(600, strength=0.3)
    equation = CANDIDATES["elastic_net"].fit(design, 1).equation
    factors = describe_factors(equation, design.columns, 0.8)
    by_hand = equation.explain(design.columns).contributions.std(axis=0)
    assert factors[0].field == "phq9"
    index = equation.fields.index("phq9")
    assert factors[0].deviation.value == pytest.approx(by_hand[index], rel=1e-9)
    assert factors[0].recorded == 1.0


def test_sites_are_measured_singly_and_pooled():
    across_sites = measure_across_sites(make_predictions(1200, sites=4), ("a", "b", "c", "d"), 0.95)
    assert [site.name for site in across_sites.sites] == ["a", "b", "c", "d"]
    assert all(site.courses == 300 for site in across_sites.sites)
    assert across_sites.pooled["slope"].mean.low < 1 < across_sites.pooled["slope"].mean.high
    next_site, mean = across_sites.pooled["ratio"].next_site, across_sites.pooled["ratio"].mean
    assert next_site.low <= mean.low < mean.high <= next_site.high


def test_small_sites_are_hidden_with_another():
    predictions = make_predictions(615, sites=1)
    groups = np.repeat([0, 1, 2], [400, 200, 15])
    predictions = Predictions(
        predictions.log_odds, predictions.outcome, predictions.patients, groups
    )
    across_sites = measure_across_sites(predictions, ("a", "b", "c"), 0.95)
    hidden = [site.name for site in across_sites.sites if site.courses is None]
    assert "c" in hidden
    assert len(hidden) >= 2  # else the total would disclose it
    assert all(not site.measures for site in across_sites.sites if site.courses is None)
    assert MIN_PATIENTS == 10


def test_constant_predictions_have_no_curve():
    outcome = np.tile([1.0, 0.0], 50)
    predictions = Predictions(
        np.full(100, logit(np.array(0.5))), outcome, np.arange(100), np.zeros(100, int)
    )
    assert describe_calibration(show(predictions), SETTINGS).points == ()
