"""Optimism: as R computes it, and by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from training.validation.optimism import Redeveloped, correct_optimism, gather_versions
from training.validation.performance import MEASURES, compute_performance
from training.validation.procedure import Answer
from training.validation.units import Unit

RUNS, SAMPLES = 6, 300
PLACES = {name: MEASURES.index(name) for name in ("auc", "brier", "slope")}


@pytest.fixture(scope="module")
def told():
    path = Path(__file__).parent.parent / "measures" / "optimism.json"
    return json.loads(path.read_text("utf-8"))


def fit_plainly(predictors, outcome, rows):
    """Plain logistic regression on some rows, asked about all."""
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(predictors[rows], outcome[rows])
    return model.intercept_[0] + predictors @ model.coef_[0]


def test_corrected_auc_brier_and_slope_are_those_of_rms(told, make_design):
    """Seeds averaged, within Monte-Carlo error, which both sides have."""
    predictors, outcome = np.array(told["predictors"]), np.array(told["outcome"], dtype=float)
    size = len(outcome)
    design, all_rows = replace(make_design(size), outcome=outcome), np.arange(size)
    apparent = compute_performance(
        fit_plainly(predictors, outcome, all_rows), outcome, np.ones((1, size))
    )[0]
    assert 2 * apparent[PLACES["auc"]] - 1 == pytest.approx(told["apparent"]["dxy"], abs=1e-6)
    assert apparent[PLACES["brier"]] == pytest.approx(told["apparent"]["brier"], abs=1e-6)
    corrected = []
    for seed in range(RUNS):
        generator, found = np.random.default_rng(seed), []
        for number in range(SAMPLES):
            rows = generator.integers(size, size=size)
            said = fit_plainly(predictors, outcome, rows)[None, :]
            found.append((Unit(str(number), rows, all_rows, 0), Answer("a", ("a",), said)))
        measures = correct_optimism(apparent, gather_versions(design, found), 0.95)
        corrected.append([measures[name].value for name in PLACES])
    auc, brier, slope = np.mean(corrected, axis=0)
    for name, ours in (("dxy", 2 * auc - 1), ("brier", brier), ("slope", slope)):
        error = told["monte_carlo_sd"][name] * np.sqrt(1 / RUNS + 1 / len(told["corrected"][name]))
        assert abs(ours - told["mean_corrected"][name]) < 3.5 * error, name


def test_optimism_is_what_versions_reach_on_their_own_sample_less_what_they_reach_on_all():
    own, others = np.full((3, len(MEASURES)), 0.8), np.full((3, len(MEASURES)), 0.7)
    own[2] = 0.9
    found = Redeveloped(("a", "a", "b"), np.zeros((3, 4)), own, others)
    assert found.optimism == pytest.approx(np.full(len(MEASURES), 0.4 / 3))


def test_versions_without_a_slope_are_left_out_of_its_optimism():
    own, others = np.full((2, len(MEASURES)), 1.0), np.full((2, len(MEASURES)), 0.75)
    own[1, PLACES["slope"]] = np.nan
    found = Redeveloped(("a", "base_rate"), np.zeros((2, 4)), own, others)
    assert found.optimism[PLACES["slope"]] == pytest.approx(0.25)
    nothing = replace(found, own=np.full_like(own, np.nan))
    assert correct_optimism(np.ones(len(MEASURES)), nothing, 0.95)["slope"].value is None


def test_the_interval_is_that_of_apparent_performance_moved_by_the_optimism():
    generator = np.random.default_rng(1)
    own = np.tile(0.7 + 0.05 * generator.standard_normal(4000)[:, None], len(MEASURES))
    found = Redeveloped(("a",) * 4000, np.zeros((4000, 1)), own, own - 0.1)
    measured = correct_optimism(np.full(len(MEASURES), 0.7), found, 0.95)["auc"]
    assert measured.value == pytest.approx(0.6)
    assert (measured.low, measured.high) == pytest.approx((0.502, 0.698), abs=0.006)


def test_a_sample_is_measured_with_the_weights_of_its_copies_and_of_the_courses(make_design):
    design = replace(make_design(60), given_weights=np.linspace(0.5, 1.5, 60))
    rows = np.random.default_rng(2).integers(60, size=60)
    log_odds = np.random.default_rng(3).normal(size=60)
    unit, answer = Unit("one", rows, np.arange(60), 0), Answer("a", ("a",), log_odds[None, :])
    found = gather_versions(design, [(unit, answer)])
    copied = compute_performance(
        log_odds[rows], design.outcome[rows], design.given_weights[rows][None, :]
    )
    # Knots and quantiles are those of the courses at hand, so curves differ a little.
    assert found.own[0, :7] == pytest.approx(copied[0, :7], abs=1e-9)
    assert not np.allclose(found.own[0], found.others[0])
