"""Candidates: equations predict as their pipelines do, and have no effects of unseen sites."""

from dataclasses import replace

import joblib
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from features.model.equation import Equation
from training.candidates.calibration import NONE, choose_calibration, gather_inner
from training.candidates.evidence.evidence_prior import update_folds
from training.candidates.evidence.update import update_literature
from training.candidates.linear.logistic import Penalty, hold_out, keep_features
from training.candidates.registry import make_candidates
from training.candidates.trees import trees
from training.candidates.trees.boosted import Boosted, fit_start
from training.candidates.trees.trees import SPACE
from training.measures.losses import compute_log_loss
from training.study.split import split_inner

CANDIDATES = make_candidates()


def say(equation: Equation, design):
    return equation.compute_log_odds(design.columns)[:, 0]


def rename_sites(design, name):
    columns = design.columns.replace({"site": np.full(design.size, name, dtype=object)})
    return columns


def build_pipeline(design, penalty):
    """Scikit-learn's elastic net on features and site indicators, converged to the last digits."""
    width = design.matrix.shape[1]
    impute = SimpleImputer(strategy="mean", keep_empty_features=True)
    prepare = Pipeline([("impute", impute), ("scale", StandardScaler())])
    parts = [("features", prepare, list(range(width)))]
    if design.site_names:
        numbers = [list(range(len(design.site_names)))]
        mark = OneHotEncoder(categories=numbers, handle_unknown="ignore", sparse_output=False)
        parts.append(("sites", mark, [width]))
    solver = "saga" if penalty.l1_ratio else "lbfgs"
    regression = LogisticRegression(
        C=penalty.c, l1_ratio=penalty.l1_ratio, solver=solver, tol=1e-8, max_iter=100_000
    )
    return Pipeline([("columns", ColumnTransformer(parts)), ("regression", regression)])


def tabulate(design):
    return np.column_stack([design.matrix, design.sites]).astype(float)


@pytest.mark.parametrize("sites", [(), (1.0, -1.0, 0.0)])
@pytest.mark.parametrize("penalty", [Penalty(0.1, 0.5), Penalty(0.02, 1.0), Penalty(1.0, 0.0)])
@pytest.mark.parametrize("weighted", [False, True])
def test_equation_says_what_scikit_learns_pipeline_says(make_design, sites, penalty, weighted):
    design, new = make_design(site_effects=sites), make_design(site_effects=sites, seed=2)
    if weighted:
        design = replace(design, given_weights=np.random.default_rng(1).uniform(0.2, 3, 300))
    settings = {**vars(penalty), **NONE.as_settings()}
    equation = CANDIDATES["elastic_net"].refit(design, settings, 1)
    pipeline = build_pipeline(design, penalty)
    pipeline.fit(tabulate(design), design.outcome, regression__sample_weight=design.given_weights)
    assert say(equation, new) == pytest.approx(pipeline.decision_function(tabulate(new)), abs=5e-3)


def test_held_out_log_odds_are_those_of_refits(make_design):
    design = make_design(site_effects=(1.0, -1.0, 0.0), missing=0.3)
    folds, candidate = split_inner(design, 1), CANDIDATES["elastic_net"]
    held_out = hold_out(design, folds, candidate.grid)
    for penalty in candidate.grid:
        settings = {**vars(penalty), **NONE.as_settings()}
        log_odds = [
            say(candidate.refit(design.select(fold.train), settings, 1), design.select(fold.test))
            for fold in folds
        ]
        assert held_out[penalty] == pytest.approx(np.concatenate(log_odds), abs=1e-3)


def test_missing_values_take_the_training_mean(make_design):
    design = make_design(missing=0.3)
    equation = CANDIDATES["elastic_net"].fit(design, 1).equation
    index = equation.fields.index("age")
    absent = design.columns.find_missing("age")
    contributions = equation.explain(design.columns).contributions[:, index]
    assert absent.any()
    assert contributions[absent] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["elastic_net", "xgboost"])
def test_known_sites_have_effects_and_unknown_none(make_design, name):
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


def test_severity_only_without_severity_is_the_base_rate(make_design):
    design = keep_features(make_design(), [0])
    equation = CANDIDATES["severity_only"].fit(design, 1).equation
    assert np.ptp(say(equation, design)) == 0


def test_trees_keep_to_the_evidenced_sign(make_design):
    """Data in which older patients respond more do not override the published sign."""
    design = make_design(800, strength=0.0)
    age = design.columns.get_numbers("age")
    outcome = (np.nan_to_num(age) >= 65).astype(float)
    flipped = design.select(np.arange(design.size))
    object.__setattr__(flipped, "outcome", outcome)
    settings = {**SPACE.fixed[1], "rounds": 50, **NONE.as_settings()}
    index = [feature.name for feature in design.features].index("age_from_65")
    alone = keep_features(flipped, [index])
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
    """Draw outcomes that follow a threshold and an interaction, which linear terms miss."""
    age, phq9 = design.columns.get_numbers("age"), design.columns.get_numbers("phq9")
    log_odds = np.where((age >= 52) & (phq9 >= 15), 1.8, -0.6)
    outcome = np.random.default_rng(3).random(design.size) < expit(np.nan_to_num(log_odds))
    return replace(design, outcome=outcome.astype(float))


def test_anchored_trees_equal_their_anchor_on_noise(make_design):
    design = make_design(150, strength=0.0)
    anchor = CANDIDATES["evidence_prior"].fit(design, 1).equation
    fit = CANDIDATES["anchored_xgboost"].fit(design, 1)
    assert fit.settings["rounds"] == 0
    assert not fit.equation.boosters
    assert (say(fit.equation, design) == say(anchor, design)).all()


def test_anchored_trees_find_nonlinear_effects_exactly(make_design):
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


def gather(design, log_odds):
    return gather_inner(design, split_inner(design, 1), np.concatenate(log_odds))


def list_parts(design):
    """List the training and the test part of each inner fold."""
    return [
        (design.select(fold.train), design.select(fold.test)) for fold in split_inner(design, 1)
    ]


def sort_losses(design, losses):
    rows = np.concatenate([fold.test for fold in split_inner(design, 1)])
    return losses[np.argsort(rows)]


def repeat_patients(design):
    """Draw a bootstrap sample of patients, each with all courses."""
    rows = np.random.default_rng(5).integers(0, design.size, design.size)
    return design.select(rows)


@pytest.mark.parametrize("drawn", [False, True])
def test_base_rates_inner_losses_are_cross_fitted(make_design, drawn):
    weights = np.random.default_rng(1).uniform(0.2, 3, 120)
    design = replace(make_design(120), given_weights=weights)
    design = repeat_patients(design) if drawn else design
    expected = np.empty(design.size)
    for fold in split_inner(design, 1):
        share = np.average(design.outcome[fold.train], weights=design.weights[fold.train])
        held = design.outcome[fold.test]
        expected[fold.test] = -np.log(np.where(held == 1, share, 1 - share))
    assert CANDIDATES["base_rate"].fit(design, 1).inner == pytest.approx(expected, abs=1e-12)


def test_severitys_inner_losses_are_cross_calibrated(make_design):
    """Fitted and calibrated on the other folds by scikit-learn and SciPy alone."""
    design = make_design(400, missing=0.0, strength=0.05, seed=2)
    severity, outcome = design.matrix[:, [design.severity]].astype(float), design.outcome
    log_odds, expected = np.empty(400), np.empty(400)
    folds = split_inner(design, 1)
    for fold in folds:
        model = fit_exactly(severity[fold.train], outcome[fold.train])
        log_odds[fold.test] = model.decision_function(severity[fold.test])
    for fold in folds:
        learned, held = log_odds[fold.train], outcome[fold.train]
        slope = np.clip(fit_exactly(learned[:, None], held).coef_[0, 0], 0, 1)
        level = brentq(lambda intercept: (expit(intercept + slope * learned) - held).sum(), -5, 5)  # noqa: B023
        expected[fold.test] = compute_log_loss(
            level + slope * log_odds[fold.test], outcome[fold.test]
        )
    fit = CANDIDATES["severity_only"].fit(design, 1)
    assert fit.settings["calibration_above"] < 0.95  # a slope was fitted, as here
    assert fit.inner == pytest.approx(expected, abs=1e-3)


def fit_exactly(table, outcome):
    return LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(table, outcome)


def test_evidences_inner_losses_are_cross_fitted(make_design):
    design = repeat_patients(make_design(200))
    log_odds = [
        say(update_literature(learned, 1).equation, test) for learned, test in list_parts(design)
    ]
    expected = choose_calibration(gather(design, log_odds), "none").losses
    assert (
        CANDIDATES["evidence_prior"].fit(design, 1).inner == sort_losses(design, expected)
    ).all()


def test_trees_inner_losses_are_cross_fitted(make_design, monkeypatch):
    """Without early stopping, every fold has the selected number of rounds."""
    monkeypatch.setattr(trees, "PATIENCE", trees.MAX_ROUNDS)
    design = make_step(make_design(1200, missing=0.0))
    for name, preferred in (("xgboost", "logistic"), ("anchored_xgboost", "none")):
        fit = CANDIDATES[name].fit(design, 1)
        assert fit.settings["rounds"] > 0
        settings = {**fit.settings, **NONE.as_settings()}
        log_odds = [
            say(CANDIDATES[name].refit(learned, settings, 1), test)
            for learned, test in list_parts(design)
        ]
        expected = choose_calibration(gather(design, log_odds), preferred).losses
        assert fit.inner == pytest.approx(sort_losses(design, expected), abs=1e-4)


@pytest.mark.parametrize("name", list(CANDIDATES))
def test_inner_losses_beat_the_base_rate_given_signal(make_design, name):
    design = make_design(600, strength=0.25)
    inner, base = (CANDIDATES[candidate].fit(design, 1).inner for candidate in (name, "base_rate"))
    assert inner.shape == (600,)
    assert np.isfinite(inner).all()
    assert name == "base_rate" or inner.mean() < base.mean() - 0.03


@pytest.mark.parametrize("name", list(CANDIDATES))
def test_too_few_courses_have_no_inner_losses(make_design, name):
    design = make_design(30)
    rows = [*np.flatnonzero(design.outcome == 1)[:1], *np.flatnonzero(design.outcome == 0)]
    assert CANDIDATES[name].fit(design.select(np.array(rows)), 1).inner is None


@pytest.mark.parametrize("name", list(CANDIDATES))
def test_without_features_inner_losses_equal_the_base_rates(make_design, name):
    design = keep_features(make_design(200), [])
    inner, base = (CANDIDATES[candidate].fit(design, 1).inner for candidate in (name, "base_rate"))
    assert inner.mean() == pytest.approx(base.mean(), abs=0.01)


def test_design_limits_its_inner_folds(make_design):
    design = replace(make_design(200), inner_folds=3)
    assert len(split_inner(design, 1)) == 3
    assert len(split_inner(repeat_patients(design), 1)) == 3
    assert len(split_inner(make_design(200), 1)) == 5


def test_kept_updates_change_no_fit(make_design):
    """Caching the last design's updates for the next candidate does not change any fit."""
    design, other = make_step(make_design(600)), make_design(600, seed=2)
    cases = [(design, 1), (design, 2), (replace(design, inner_folds=3), 2), (other, 2)]
    for courses, seed in cases:
        for name in ("evidence_prior", "anchored_xgboost"):
            fit = CANDIDATES[name].fit(courses, seed)
            update_folds.cache_clear()
            expected = CANDIDATES[name].fit(courses, seed)
            assert (say(fit.equation, other) == say(expected.equation, other)).all()
            assert (fit.inner == expected.inner).all()


def test_candidates_sent_to_processes_hold_no_courses(make_design):
    before = [joblib.hash(candidate) for candidate in CANDIDATES.values()]
    for candidate in CANDIDATES.values():
        candidate.fit(make_design(120), 1)
    assert [joblib.hash(candidate) for candidate in CANDIDATES.values()] == before
