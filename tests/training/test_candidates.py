"""Candidates: equations that say what their pipelines say, and know nothing of unseen sites."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from features.equation import Equation
from training.calibration import NONE
from training.candidates import CANDIDATES
from training.candidates.boosted import Boosted, fit_start
from training.candidates.logistic import (
    Penalty,
    build_columns,
    build_regression,
    fit_path,
    keep_features,
)
from training.candidates.trees import SPACE

warnings.simplefilter("ignore", ConvergenceWarning)


def say(equation: Equation, design):
    return equation.compute_log_odds(design.columns)[:, 0]


def rename_sites(design, name):
    columns = design.columns.replace({"site": np.full(design.size, name, dtype=object)})
    return columns


@pytest.mark.parametrize("sites", [(), (1.0, -1.0, 0.0)])
@pytest.mark.parametrize("penalty", [Penalty(0.1, 0.5), Penalty(1.0, 0.0)])
def test_equation_says_what_the_pipeline_says(make_design, sites, penalty):
    design, new = make_design(site_effects=sites), make_design(site_effects=sites, seed=2)
    equation = fit_path(design, (penalty,), seed=1)[penalty]
    columns = build_columns(design)
    table = columns.fit_transform(np.column_stack([design.matrix, design.sites]).astype(float))
    regression = build_regression(penalty, 1).fit(table, design.outcome)
    asked = columns.transform(np.column_stack([new.matrix, new.sites]).astype(float))
    assert say(equation, new) == pytest.approx(regression.decision_function(asked), abs=1e-9)


def test_missing_values_take_the_mean_of_the_courses_learned_from_and_move_nothing(make_design):
    design = make_design(missing=0.3)
    equation = CANDIDATES["elastic_net"].fit(design, 1).equation
    place = equation.fields.index("age")
    absent = design.columns.find_missing("age")
    contributions = equation.explain(design.columns).contributions[:, place]
    assert absent.any()
    assert contributions[absent] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["elastic_net", "xgboost"])
def test_a_site_is_learned_where_it_is_known_and_absent_where_it_is_not(make_design, name):
    design = make_design(600, site_effects=(2.0, -2.0, 0.0))
    equation = CANDIDATES[name].fit(design, 1).equation
    known = [equation.compute_log_odds(rename_sites(design, f"site-{n}")).mean() for n in range(3)]
    assert known[0] > known[2] > known[1]
    unseen = equation.compute_log_odds(rename_sites(design, "site-9"))
    no_site = equation.compute_log_odds(rename_sites(design, None))
    assert (unseen == no_site).all()
    names = {feature.field for feature in equation.features}
    assert "site" not in names


@pytest.mark.parametrize("name", ["base_rate", "severity_only"])
def test_simple_candidates_know_no_site(make_design, name):
    design = make_design(site_effects=(2.0, -2.0))
    assert CANDIDATES[name].fit(design, 1).equation.sites == () or not np.any(
        CANDIDATES[name].fit(design, 1).equation.terms.sites
    )


@pytest.mark.parametrize("name", ["severity_only", "elastic_net", "xgboost"])
def test_a_strong_signal_is_learned_and_calibrated(make_design, name):
    design, new = make_design(800, strength=0.25), make_design(3000, strength=0.25, seed=9)
    log_odds = say(CANDIDATES[name].fit(design, 1).equation, new)
    truth = 0.25 * (new.columns.get_numbers("phq9") - 16)
    assert np.corrcoef(log_odds, truth)[0, 1] > 0.9
    assert np.abs(expit(log_odds) - expit(truth)).mean() < 0.08


@pytest.mark.parametrize("name", ["severity_only", "elastic_net", "xgboost"])
def test_noise_leaves_little_but_the_base_rate(make_design, name):
    design, new = make_design(400, strength=0.0), make_design(2000, strength=0.0, seed=9)
    log_odds = say(CANDIDATES[name].fit(design, 1).equation, new)
    assert expit(log_odds).std() < 0.06


def test_base_rate_is_the_share_and_nothing_else(make_design):
    design = make_design(100)
    equation = CANDIDATES["base_rate"].fit(design, 1).equation
    assert expit(say(equation, design)) == pytest.approx(design.outcome.mean(), abs=1e-12)
    assert equation.features == ()


@pytest.mark.parametrize("name", list(CANDIDATES))
def test_a_handful_of_courses_is_survived(make_design, name):
    design = make_design(8)
    rows = np.array([np.flatnonzero(design.outcome == 1)[0], *np.flatnonzero(design.outcome == 0)])
    fit = CANDIDATES[name].fit(design.select(rows), 1)
    assert np.isfinite(say(fit.equation, design)).all()


@pytest.mark.parametrize("name", list(CANDIDATES))
def test_the_same_seed_gives_the_same_equation(make_design, name):
    design = make_design(200)
    first, again = (CANDIDATES[name].fit(design, 7).equation for _ in range(2))
    assert (say(first, design) == say(again, design)).all()


def test_severity_only_reads_the_outcomes_own_instrument(make_design):
    equation = CANDIDATES["severity_only"].fit(make_design(), 1).equation
    assert equation.fields == ("phq9",)


def test_severity_only_without_that_instrument_is_the_base_rate(make_design):
    design = keep_features(make_design(), [0])
    equation = CANDIDATES["severity_only"].fit(design, 1).equation
    assert np.ptp(say(equation, design)) == 0


def test_trees_keep_to_the_evidenced_sign(make_design):
    """Data that say the old respond more cannot teach the trees so."""
    design = make_design(800, strength=0.0)
    age = design.columns.get_numbers("age")
    outcome = (np.nan_to_num(age) >= 65).astype(float)
    flipped = design.select(np.arange(design.size))
    object.__setattr__(flipped, "outcome", outcome)
    settings = {**SPACE.fixed[1], "rounds": 50, **NONE.as_settings()}
    place = [feature.name for feature in design.features].index("age_from_65")
    alone = keep_features(flipped, [place])
    equation = Boosted().refit(alone, settings, 1)
    old = alone.columns.replace({"age": np.full(800, 70.0)})
    young = alone.columns.replace({"age": np.full(800, 40.0)})
    assert equation.compute_log_odds(old)[0, 0] <= equation.compute_log_odds(young)[0, 0]


def test_trees_start_from_shrunken_site_effects(make_design):
    design = make_design(600, strength=0.0, site_effects=(1.5, -1.5))
    effects = fit_start(design).terms.sites[0]
    shares = [design.outcome[design.sites == site].mean() for site in (0, 1)]
    raw = [np.log(share / (1 - share)) for share in shares]
    assert raw[0] > effects[0] > 0 > effects[1] > raw[1]


def make_step(design):
    """Outcomes that follow a threshold and an interaction, which no line sees."""
    age, phq9 = design.columns.get_numbers("age"), design.columns.get_numbers("phq9")
    log_odds = np.where((age >= 52) & (phq9 >= 15), 1.8, -0.6)
    outcome = np.random.default_rng(3).random(design.size) < expit(np.nan_to_num(log_odds))
    return replace(design, outcome=outcome.astype(float))


def test_anchored_trees_are_their_anchor_where_trees_add_nothing(make_design):
    design = make_design(150, strength=0.0)
    anchor = CANDIDATES["evidence_prior"].fit(design, 1).equation
    fit = CANDIDATES["anchored_xgboost"].fit(design, 1)
    assert fit.settings["rounds"] == 0
    assert not fit.equation.boosters
    assert (say(fit.equation, design) == say(anchor, design)).all()


def test_anchored_trees_find_what_lines_miss_and_stay_exact(make_design):
    design = make_step(make_design(2500, missing=0.0))
    new = make_step(make_design(2500, missing=0.0, seed=8))
    fit = CANDIDATES["anchored_xgboost"].fit(design, 1)
    assert fit.settings["rounds"] > 0
    losses = [
        np.logaddexp(0, np.where(new.outcome == 1, -1, 1) * say(equation, new)).mean()
        for equation in (fit.equation, CANDIDATES["evidence_prior"].fit(design, 1).equation)
    ]
    assert losses[0] < losses[1]
    explained = fit.equation.explain(new.columns)
    total = explained.intercept + explained.contributions.sum(axis=1)
    assert total == pytest.approx(say(fit.equation, new), abs=1e-6)


def test_anchored_trees_are_redrawn_with_their_anchor(make_design):
    design = make_step(make_design(1200, missing=0.0))
    fit = CANDIDATES["anchored_xgboost"].fit(design, 1)
    drawn = fit.posterior.draw(5, np.random.default_rng(1))
    log_odds = drawn.compute_log_odds(design.columns, slice(None))
    assert log_odds.shape == (1200, 5)
    assert (np.ptp(log_odds, axis=1) > 0).all()
