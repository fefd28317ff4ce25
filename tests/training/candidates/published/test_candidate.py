"""Published equations as candidates: what is recalibrated when, against independent optimisers."""

import tomllib
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from features.base.errors import CohortError, StudyError
from features.records.columns import Columns
from training.candidates.published.candidate import check_recorded, import_equations
from training.candidates.registry import (
    colour_candidate,
    complete_study,
    label_candidate,
    list_candidates,
)
from training.measures.closed_test import run_closed_test
from training.measures.losses import compute_log_loss
from training.study.parts import PublishedPart
from training.study.split import split_inner
from training.study.study import Study
from training.validation.resample import redevelop

EQUATION = """
name = "invented"
label = "Invented 2026"
source = "an invented equation"
outcome = "phq9.acute.response"
intercept = -2.4
[terms.phq9]
coefficient = 0.15
"""
AS_PUBLISHED, CLOSED = "invented", "invented_closed_test"
UPDATES = ("as-published", "intercept", "logistic", "closed-test")


def make_study(text=EQUATION, updates=(), **facts):
    part = PublishedPart(file="invented.toml", updates=updates, content=tomllib.loads(text))
    known = {"name": "t", "question": "?", "outcome": "phq9.acute.response", "seed": 1}
    known["uncertainty"] = {"redevelopments": 60}
    return Study(**known | facts, published=(part,))


@pytest.fixture
def design(make_design):
    """True log-odds are 0.15 (PHQ-9 - 16), so that the equation is right as published."""
    return make_design(400, study=make_study())


def shift(design, intercept, slope):
    """The same courses, with outcomes such that the equation needs this recalibration."""
    generator = np.random.default_rng(5)
    log_odds = intercept + slope * 0.15 * (design.columns.get_numbers("phq9") - 16)
    outcome = (generator.random(design.size) < expit(log_odds)).astype(float)
    moved = replace(design, outcome=outcome, improvement=outcome)
    return replace(moved, enrolled=moved)


def fit(design, name, **study):
    candidate = import_equations(make_study(**{"updates": UPDATES} | study))[name]
    return candidate, candidate.fit(design, 1)


def recalibrate(log_odds, outcome, weights, slope):
    """By Nelder-Mead: an intercept, and a slope if asked for."""

    def lose(coefficients):
        moved = coefficients[0] + (coefficients[1] if slope else 1) * log_odds
        return weights @ (np.logaddexp(0, moved) - outcome * moved)

    tight = {"method": "Nelder-Mead", "options": {"xatol": 1e-9, "fatol": 1e-10}}
    best = minimize(lose, [0.0, 1.0] if slope else [0.0], **tight).x
    return (best[0], best[1] if slope else 1.0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "slope"), [("invented_intercept", False), ("invented_logistic", True)]
)
def test_updates_are_those_of_an_independent_optimiser(design, name, slope, weighted):
    moved = shift(design, 0.6, 0.5)
    weights = np.random.default_rng(2).uniform(0.5, 2, design.size) if weighted else None
    moved = replace(moved, given_weights=weights)
    _, made = fit(moved, name)
    log_odds = 0.15 * moved.columns.get_numbers("phq9") - 2.4
    intercept, b = recalibrate(log_odds, moved.outcome, moved.weights, slope)
    assert made.equation.terms.calibration[0] == pytest.approx([intercept, b, b], abs=1e-5)
    expected = intercept + b * log_odds
    assert made.equation.compute_log_odds(moved.columns)[:, 0] == pytest.approx(expected, abs=1e-5)


def test_as_published_learns_nothing(design):
    moved = shift(design, 1.5, 0.2)
    _, made = fit(moved, AS_PUBLISHED)
    expected = 0.15 * moved.columns.get_numbers("phq9") - 2.4
    assert made.equation.compute_log_odds(moved.columns)[:, 0] == pytest.approx(expected, abs=1e-6)
    assert made.inner == pytest.approx(compute_log_loss(expected, moved.outcome), abs=1e-6)
    assert made.posterior is None


@pytest.mark.parametrize(
    ("intercept", "slope", "kind"),
    [(0, 1, "none"), (0.7, 1, "intercept"), (0.5, 0.4, "both")],
)
def test_closed_test_updates_no_more_than_is_needed(design, intercept, slope, kind):
    moved = shift(design, intercept, slope)
    _, made = fit(moved, CLOSED)
    log_odds = 0.15 * moved.columns.get_numbers("phq9") - 2.4
    facts = run_closed_test(log_odds, moved.outcome)
    assert facts.kind == kind
    expected = (facts.intercept, facts.slope, facts.slope)
    assert made.equation.terms.calibration[0] == pytest.approx(expected, abs=1e-6)


def test_wrong_ranking_leaves_the_level_to_correct(design):
    """The closed test proposes nothing, since the slope would be below 0."""
    moved = shift(design, 0.6, -1)
    _, made = fit(moved, CLOSED)
    log_odds = 0.15 * moved.columns.get_numbers("phq9") - 2.4
    assert run_closed_test(log_odds, moved.outcome).kind == "none"
    intercept, _ = recalibrate(log_odds, moved.outcome, moved.weights, slope=False)
    assert made.equation.terms.calibration[0] == pytest.approx([intercept, 1, 1], abs=1e-5)


def test_inner_losses_are_of_courses_not_recalibrated_on(design):
    """The closed test itself is repeated in every fold."""
    moved = shift(design, 0.5, 0.4)
    _, made = fit(moved, CLOSED)
    log_odds = 0.15 * moved.columns.get_numbers("phq9") - 2.4
    for fold in split_inner(moved, 1):
        learned = run_closed_test(log_odds[fold.train], moved.outcome[fold.train])
        expected = learned.intercept + learned.slope * log_odds[fold.test]
        losses = compute_log_loss(expected, moved.outcome[fold.test])
        assert made.inner[fold.test] == pytest.approx(losses, abs=1e-6)


def test_few_events_leave_the_slope_as_published(make_design):
    """With six events, a true slope of 0.5 is not estimated."""
    design = shift(make_design(60, study=make_study()), -2.5, 0.5)
    assert design.events == 6
    _, made = fit(design, CLOSED)
    assert made.settings["estimates_slope"] == 0


def test_equation_without_intercept_is_recalibrated_in_the_large(design):
    text = EQUATION.replace("intercept = -2.4\n", "")
    study = make_study(text)
    assert list(import_equations(study)) == [CLOSED]
    made = import_equations(study)[CLOSED].fit(design, 1)
    log_odds = 0.15 * design.columns.get_numbers("phq9")
    intercept, _ = recalibrate(log_odds, design.outcome, design.weights, slope=False)
    assert made.equation.terms.calibration[0] == pytest.approx([intercept, 1, 1], abs=1e-5)
    with pytest.raises(StudyError, match="needs an intercept"):
        import_equations(make_study(text, updates=("as-published",)))


def test_samples_of_one_class_have_a_finite_level(design):
    """Half an event of 401 courses, by hand."""
    candidate, made = fit(shift(design, 0.7, 1), "invented_intercept")
    without = replace(design, outcome=np.zeros(design.size))
    refitted = candidate.refit(without, made.settings, 1)
    probability = expit(refitted.compute_log_odds(without.columns)[:, 0])
    assert probability.sum() == pytest.approx(0.5 * 400 / 401, rel=1e-6)


def spread_of(design, text, name=AS_PUBLISHED):
    candidate, made = fit(design, name, text=text)
    versions = redevelop(design, candidate, made, jobs=1)
    return versions, versions.compute_log_odds(design.columns, slice(1, None)).std(axis=1)


@pytest.mark.parametrize("name", [AS_PUBLISHED, "invented_intercept"])
def test_intervals_cover_the_level_even_as_published(design, name):
    """The standard error of an intercept is 1 / sqrt(sum p (1 - p)) of the resampled courses."""
    moved = shift(design, 0.0, 1.0)
    versions, spread = spread_of(moved, EQUATION, name)
    p = expit(versions.compute_log_odds(moved.columns)[:, 0])
    assert spread == pytest.approx(1 / np.sqrt((p * (1 - p)).sum()), rel=0.35)
    assert np.ptp(spread) == pytest.approx(0, abs=1e-9)


def test_published_errors_widen_intervals_where_patients_are_unusual(design):
    """The level is re-estimated for each drawn slope, so that the average patient varies least."""
    text = EQUATION.replace("coefficient = 0.15", "coefficient = 0.15\nstandard_error = 0.1")
    _, spread = spread_of(design, text)
    phq9 = design.columns.get_numbers("phq9")
    expected = np.hypot(0.12, 0.1 * (phq9 - phq9.mean()))
    assert spread[phq9 > 25] == pytest.approx(expected[phq9 > 25], rel=0.35)
    assert spread[phq9 == 16].mean() < 0.3


def test_before_the_first_outcome_it_draws_clinics_levels(design):
    study = make_study(cohort={"outcomes": "none-yet"})
    empty = replace(design.select(np.arange(0)), study=study, enrolled=design)
    candidate = import_equations(study)[AS_PUBLISHED]
    made = candidate.fit(empty, 1)
    assert not candidate.needs_outcomes
    versions = redevelop(empty, candidate, made, jobs=1)
    log_odds = versions.compute_log_odds(design.columns, slice(None))
    assert log_odds[:, 0] == pytest.approx(0.15 * design.columns.get_numbers("phq9") - 2.4)
    # docs/reference/evidence.md: clinics' levels differ by 0.8.
    assert log_odds[:, 1:].std(axis=1) == pytest.approx(0.8, rel=0.3)


def test_missing_values_the_file_does_not_provide_for_are_refused(design):
    text = EQUATION + "[terms.age]\ncoefficient = 0.01\n"
    missing = int(np.isnan(design.columns.get_numbers("age")).sum())
    with pytest.raises(CohortError, match=f"missing in {missing} of 400 courses"):
        check_recorded(make_study(text), design)
    check_recorded(make_study(f"{text}[missing]\nage = 50\n"), design)


def test_studies_compare_every_form_of_an_equation():
    study = complete_study(make_study())
    assert study.candidates[1:3] == (AS_PUBLISHED, CLOSED)
    assert set(study.candidates) == {AS_PUBLISHED, CLOSED, *list_candidates()}
    assert label_candidate(AS_PUBLISHED, study) == "Invented 2026, as published"
    assert label_candidate(AS_PUBLISHED) == AS_PUBLISHED
    colours = {colour_candidate(name, study) for name in study.candidates}
    assert len(colours) == len(study.candidates)


@pytest.mark.parametrize(
    ("candidates", "rule"),
    [(("base_rate",), "published"), (("base_rate", AS_PUBLISHED, CLOSED), None)],
)
def test_named_candidates_include_the_equations(candidates, rule):
    study = make_study(candidates=candidates)
    if rule is None:
        assert complete_study(study).candidates == candidates
        return
    with pytest.raises(StudyError) as refused:
        complete_study(study)
    assert {problem.rule for problem in refused.value.problems} == {rule}


def test_names_that_are_taken_are_refused():
    with pytest.raises(StudyError, match="taken by a candidate"):
        complete_study(make_study(EQUATION.replace('"invented"', '"elastic_net"', 1)))
    twice = make_study()
    twice = twice.model_copy(update={"published": twice.published * 2})
    with pytest.raises(StudyError, match="taken by another equation"):
        import_equations(twice)


def test_columns_without_rows_are_computed():
    """A cohort may have no course at all in a fold's test."""
    equation = import_equations(make_study())[AS_PUBLISHED].equation
    written = equation.write(equation.coefficients[None, :], Columns(0, {}))
    assert written.compute_log_odds(Columns(0, {})).shape == (0, 1)
