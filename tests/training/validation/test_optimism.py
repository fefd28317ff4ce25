"""Optimism against R, theory, and cases worked by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.model.card import Measure
from training.measures.performance import MEASURES, compute_performance
from training.validation.optimism import BootstrapRefits, correct_optimism, measure_refits
from training.validation.procedure import UnitResult
from training.validation.redrawing import make_redrawing
from training.validation.units import Unit

RUNS, SAMPLES = 6, 300
PLACES = {name: MEASURES.index(name) for name in ("auc", "brier", "slope")}


@pytest.fixture(scope="module")
def reference():
    path = Path(__file__).parents[1] / "measures" / "optimism.json"
    return json.loads(path.read_text("utf-8"))


def fit_plainly(predictors, outcome, rows):
    """Fit a logistic regression to some rows by Newton's method, and predict all rows."""
    table = np.column_stack([np.ones(len(predictors)), predictors])
    drawn, coefficients = table[rows], np.zeros(table.shape[1])
    for _ in range(30):
        probability = 1 / (1 + np.exp(-drawn @ coefficients))
        weighted = drawn * (probability * (1 - probability))[:, None]
        step = np.linalg.solve(weighted.T @ drawn, drawn.T @ (outcome[rows] - probability))
        coefficients += step
        if np.abs(step).max() < 1e-10:
            break
    return table @ coefficients


def test_corrected_measures_agree_with_rms(reference, make_design):
    """Averages over seeds agree within the Monte-Carlo error of both sides."""
    predictors, outcome = (
        np.array(reference["predictors"]),
        np.array(reference["outcome"], dtype=float),
    )
    size = len(outcome)
    design, all_rows = replace(make_design(size), outcome=outcome), np.arange(size)
    apparent = compute_performance(
        fit_plainly(predictors, outcome, all_rows), outcome, np.ones((1, size))
    )[0]
    assert 2 * apparent[PLACES["auc"]] - 1 == pytest.approx(reference["apparent"]["dxy"], abs=1e-6)
    assert apparent[PLACES["brier"]] == pytest.approx(reference["apparent"]["brier"], abs=1e-6)
    corrected = []
    for seed in range(RUNS):
        generator, refits = np.random.default_rng(seed), []
        for number in range(SAMPLES):
            rows = generator.integers(size, size=size)
            log_odds = fit_plainly(predictors, outcome, rows)
            refits.append((Unit(str(number), rows, all_rows, 0), UnitResult("a", {"a": log_odds})))
        apparent_measures = {n: Measure(value=v) for n, v in zip(MEASURES, apparent, strict=True)}
        measures = correct_optimism(apparent_measures, measure_refits(design, refits))
        corrected.append([measures[name].value for name in PLACES])
    auc, brier, slope = np.mean(corrected, axis=0)
    for name, ours in (("dxy", 2 * auc - 1), ("brier", brier), ("slope", slope)):
        error = reference["monte_carlo_sd"][name] * np.sqrt(
            1 / RUNS + 1 / len(reference["corrected"][name])
        )
        assert abs(ours - reference["mean_corrected"][name]) < 3.5 * error, name


def make_versions(own, others):
    """Make bootstrap refits with the same value of every measure."""
    return BootstrapRefits(
        ("a",) * len(own),
        np.outer(1 + np.arange(len(own)), np.arange(4)),
        *(np.tile(np.array(reached)[:, None], len(MEASURES)) for reached in (own, others)),
    )


APPARENT = dict.fromkeys(MEASURES, Measure(value=0.7, low=0.6, high=0.9))


def test_optimism_is_own_minus_original_performance():
    corrected = correct_optimism(APPARENT, make_versions([0.8, 0.8, 0.9], [0.7, 0.7, 0.7]))
    expected = (0.7 - 0.4 / 3, 0.6 - 0.4 / 3, 0.9 - 0.4 / 3)
    assert (corrected["auc"].value, corrected["auc"].low, corrected["auc"].high) == pytest.approx(
        expected
    )


def test_the_optimism_of_a_slope_is_a_factor():
    """Slopes of one refit are four times larger on both samples, which changes nothing."""
    corrected = correct_optimism(APPARENT, make_versions([1.0, 4.0], [0.5, 2.0]))["slope"]
    assert (corrected.value, corrected.low, corrected.high) == pytest.approx((0.35, 0.3, 0.45))


def test_what_is_not_fitted_has_no_optimism():
    """Refits that all predict the same differ by sampling error alone."""
    log_odds = np.tile([0.1, 0.5, 0.3, -1.0], (2, 1))
    versions = replace(make_versions([0.2, 4.0], [1.0, 1.0]), log_odds=log_odds)
    assert correct_optimism(APPARENT, versions) == APPARENT


def test_refits_of_the_level_have_optimism_of_the_level_alone():
    """The refits differ by a constant: ranking and slope are not estimated."""
    log_odds = np.array([0.1, 0.5, 0.3, -1.0]) + np.array([[0.0], [0.2]])
    versions = replace(make_versions([0.2, 4.0], [1.0, 1.0]), log_odds=log_odds)
    corrected = correct_optimism(APPARENT, versions)
    assert (corrected["auc"], corrected["slope"]) == (APPARENT["auc"], APPARENT["slope"])
    assert corrected["log_loss"].value == pytest.approx(0.7 - 1.1)


def test_refits_without_a_slope_are_ignored():
    versions = make_versions([1.0, np.nan], [0.75, np.nan])
    assert versions.shrinkage == pytest.approx(0.75)
    assert correct_optimism(APPARENT, versions)["slope"].value == pytest.approx(0.525)
    nothing = correct_optimism(APPARENT, make_versions([np.nan], [0.5]))
    assert nothing["slope"].value is None
    assert nothing["auc"].value is None


def test_undefined_measures_are_not_corrected():
    apparent = APPARENT | {"slope": Measure(value=None)}
    assert correct_optimism(apparent, make_versions([1.0], [0.5]))["slope"].value is None


def test_samples_are_weighted_by_copies_and_courses(make_design):
    design = replace(make_design(60), given_weights=np.linspace(0.5, 1.5, 60))
    rows = np.random.default_rng(2).integers(60, size=60)
    log_odds = np.random.default_rng(3).normal(size=60)
    unit, result = Unit("one", rows, np.arange(60), 0), UnitResult("a", {"a": log_odds})
    refits = measure_refits(design, [(unit, result)])
    copied = compute_performance(
        log_odds[rows], design.outcome[rows], design.given_weights[rows][None, :]
    )
    assert refits.on_sample[0] == pytest.approx(copied[0], abs=1e-9)
    assert not np.allclose(refits.on_sample[0], refits.on_original[0])


def test_redrawn_optimism_is_parameters_over_courses(make_design):
    """By Akaike's criterion it is parameters over courses, in mean log loss."""
    size, count, samples = 600, 6, 400
    generator = np.random.default_rng(8)
    predictors = generator.normal(size=(size, count - 1))
    true = predictors @ np.full(count - 1, 0.35) - 0.2
    design = replace(make_design(size), outcome=(true > 0).astype(float))
    redrawing, refits = make_redrawing(design, true), []
    for number in range(samples):
        unit = Unit(str(number), np.arange(size), np.arange(size), number)
        outcome = redrawing.redraw(design, unit.train, unit.seed).outcome
        log_odds = fit_plainly(predictors, outcome, unit.train)
        refits.append((unit, UnitResult("a", {"a": log_odds})))
    versions = measure_refits(design, refits, redrawing)
    index = MEASURES.index("log_loss")
    error = (versions.on_sample - versions.on_original)[:, index].std() / np.sqrt(samples)
    assert versions.optimism["log_loss"] == pytest.approx(-count / size, abs=4 * error)
    assert 4 * error < count / size / 2


def test_the_original_sample_is_judged_by_true_probabilities(make_design):
    design = replace(make_design(50), given_weights=np.linspace(0.5, 1.5, 50))
    true, log_odds = np.linspace(-2, 1, 50), np.linspace(-1, 1, 50)
    unit = Unit("one", np.arange(50), np.arange(50), 4)
    redrawing = make_redrawing(design, true)
    refits = measure_refits(design, [(unit, UnitResult("a", {"a": log_odds}))], redrawing)
    true, probability = 1 / (1 + np.exp(-true)), 1 / (1 + np.exp(-log_odds))
    brier = np.average(
        true * (1 - probability) ** 2 + (1 - true) * probability**2, weights=design.weights
    )
    assert refits.on_original[0, PLACES["brier"]] == pytest.approx(brier)
    drawn = redrawing.redraw(design, unit.train, unit.seed).outcome
    own = np.average((drawn - probability) ** 2, weights=design.weights)
    assert refits.on_sample[0, PLACES["brier"]] == pytest.approx(own)
