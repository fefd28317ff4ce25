"""The attainable probability: exact in countable cases, calibrated, and never exceeded."""

import json

import numpy as np
import pandas as pd
import pytest
import xgboost
from scipy import special
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from experiments.benchmarks.samples import read_simulated
from experiments.benchmarks.scores import compute_expected_loss
from experiments.simulator import WORLDS, draw_new_sites, find_world, make_sites, simulate
from experiments.simulator.attainable import compute_attainable, integrate_sites
from experiments.simulator.copula import compute_intervals, draw_latents, truncate_normal
from experiments.simulator.outcomes import compute_truth, make_followups, pick_primary
from experiments.simulator.patients import make_patients, measure_field
from experiments.simulator.published import LATENTS
from features.model.matrix import build_matrix, list_features
from features.model.prediction import compute_probability

WORLD = find_world("world-17")
SITES = make_sites(WORLD)


def tell_truth(world, sites, patients):
    """Compute the truth from complete fields, with totals as recorded."""
    followups = make_followups(world, sites, patients, np.random.default_rng(0))
    by_key = {
        followup.instrument: compute_truth(
            followup, patients[followup.instrument], patients[followup.instrument]
        )
        for followup in followups
        if followup.horizon == "acute"
    }
    return pick_primary(by_key, patients["condition"])


def lose(patients, share, seed=5):
    """Lose a share of every field at random."""
    generator = np.random.default_rng(seed)
    return patients | {
        name: np.where(generator.random(len(patients[name])) < share, np.nan, patients[name])
        for name in LATENTS
    }


def expect_loss(estimate, truth):
    return compute_expected_loss(estimate, truth)


def recalibrate(estimate, truth):
    """Regress outcomes on the estimate's log-odds, both outcomes weighted by the truth."""
    estimate, truth = np.asarray(estimate), np.asarray(truth)
    margin = np.log(estimate / (1 - estimate))[:, None]
    model = LogisticRegression(C=np.inf, tol=1e-8)
    met = np.repeat([1, 0], len(truth))
    model.fit(np.vstack([margin, margin]), met, sample_weight=np.concatenate([truth, 1 - truth]))
    return model.intercept_[0], model.coef_[0, 0]


@pytest.fixture(scope="module")
def patients():
    return make_patients(SITES, 4_000, np.random.default_rng(21))


@pytest.fixture(scope="module")
def truth(patients):
    return tell_truth(WORLD, SITES, patients)


@pytest.fixture(scope="module")
def at_known_sites():
    return simulate(WORLDS["strong"], 8_000, seed=31, draws=100).truth.to_pandas()


def test_attainable_is_the_truth_if_nothing_is_missing(patients, truth):
    attainable, _ = compute_attainable(WORLD, SITES, patients, draws=2)
    assert attainable == pytest.approx(truth, abs=1e-9)


def test_recorded_values_are_never_redrawn(patients):
    known = lose(patients, 0.4)
    condition = np.tile(known["condition"], 2).astype(int)
    for latent in draw_latents(*compute_intervals(known), 2, np.random.default_rng(1)):
        for index, name in enumerate(LATENTS):
            values, recorded = np.tile(known[name], 2), np.tile(~np.isnan(known[name]), 2)
            drawn = measure_field(name, latent[index], condition)
            assert (drawn[recorded] == values[recorded]).all(), name


def test_draws_resemble_the_lost_values(patients):
    known = lose(patients, 0.5)
    truths = np.stack([patients[name] for name in LATENTS])
    condition = np.tile(known["condition"], 2).astype(int)
    *_, latent = draw_latents(*compute_intervals(known), 30, np.random.default_rng(1))
    drawn = np.stack(
        [measure_field(name, latent[index], condition) for index, name in enumerate(LATENTS)]
    )
    assert np.corrcoef(drawn) == pytest.approx(np.corrcoef(truths), abs=0.06)
    assert drawn.std(axis=1) == pytest.approx(truths.std(axis=1), rel=0.08)


@pytest.mark.parametrize("recorded", [{"phq9": 20.0}, {"phq9": 15.0, "anxiety_comorbid": 1.0}])
def test_attainable_is_the_mean_over_identical_records(recorded):
    """Against counts among very many depressed patients with exactly these values."""
    everyone = make_patients(SITES, 150_000, np.random.default_rng(4))
    same = everyone["condition"] == 0
    for name, value in recorded.items():
        same &= everyone[name] == value
    same_patients = {name: values[same] for name, values in everyone.items()}
    constants = {"site": 2.0, "route": 0.0, "assessed_on": 20_000.0}
    same_patients |= {name: np.full(same.sum(), value) for name, value in constants.items()}
    known = {name: np.full(500, value) for name, value in ({"condition": 0.0} | constants).items()}
    known |= {name: np.full(500, recorded.get(name, np.nan)) for name in LATENTS}
    attainable, _ = compute_attainable(WORLD, SITES, known, draws=40)
    counted = tell_truth(WORLD, SITES, same_patients)
    assert attainable.mean() == pytest.approx(
        counted.mean(), abs=4 * counted.std() / np.sqrt(same.sum())
    )


def test_monte_carlo_error_is_as_documented(patients):
    known = lose({name: values[:300] for name, values in patients.items()}, 0.4)
    repeated = np.stack(
        [compute_attainable(WORLD, SITES, known, seed=seed)[0] for seed in range(4)]
    )
    error = repeated.std(axis=0, ddof=1)
    assert np.sqrt((error**2).mean()) < 0.004
    assert np.quantile(error, 0.99) < 0.01


def test_attainable_is_calibrated_at_known_sites(at_known_sites):
    truth = at_known_sites
    assert truth["probability_observed"].mean() == pytest.approx(
        truth["probability"].mean(), abs=0.005
    )
    intercept, slope = recalibrate(truth["probability_observed"], truth["probability"])
    assert intercept == pytest.approx(0, abs=0.025)
    assert slope == pytest.approx(1, abs=0.03)


def test_attainable_is_calibrated_for_drawn_outcomes(at_known_sites):
    truth = at_known_sites
    met = np.random.default_rng(3).random(len(truth)) < truth["probability"]
    intercept, slope = recalibrate(truth["probability_observed"], met.astype(float))
    assert intercept == pytest.approx(0, abs=0.1)
    assert slope == pytest.approx(1, abs=0.12)


def test_attainable_is_calibrated_in_every_tenth(at_known_sites):
    truth = at_known_sites.sort_values("probability_observed")
    for rows in np.array_split(np.arange(len(truth)), 10):
        group = truth.iloc[rows]
        assert group["probability"].mean() == pytest.approx(
            group["probability_observed"].mean(), abs=0.018
        )


def test_attainable_is_calibrated_at_new_sites():
    sites = draw_new_sites(WORLD, 500, seed=3)
    truth = simulate(WORLD, 8_000, seed=32, sites=sites, draws=60).truth.to_pandas()
    assert (truth["probability_observed"] == truth["probability_new_site"]).all()
    intercept, slope = recalibrate(truth["probability_observed"], truth["probability"])
    assert intercept == pytest.approx(0, abs=0.1)
    assert slope == pytest.approx(1, abs=0.08)


def test_more_information_lowers_the_loss(at_known_sites):
    truth = at_known_sites
    names = ("probability", "probability_observed", "probability_new_site")
    losses = [expect_loss(truth[name], truth["probability"]) for name in names]
    assert losses == sorted(losses)
    assert losses[2] - losses[0] > 0.01


def test_quadrature_over_sites_equals_drawing_them():
    level, moved = np.array([-1.0, 0.0, 0.5]), np.array([-2.0, 0.3, 1.5])
    generator = np.random.default_rng(2)
    effects = WORLD.site_spread * generator.standard_normal((400_000, 1))
    slopes = 1 + WORLD.slope_spread * generator.standard_normal((400_000, 1))
    drawn = compute_probability(level + effects + slopes * moved).mean(axis=0)
    assert integrate_sites(WORLD, level, moved) == pytest.approx(drawn, abs=0.001)


@pytest.mark.parametrize("fill", ["mean", "median", "draw"])
def test_attainable_beats_imputation(patients, truth, fill):
    known = lose(patients, 0.4)
    generator = np.random.default_rng(7)
    fillers = {
        "mean": np.nanmean,
        "median": np.nanmedian,
        "draw": lambda values: generator.choice(values[~np.isnan(values)], size=len(values)),
    }
    filled = known | {
        name: np.where(np.isnan(known[name]), fillers[fill](known[name]), known[name])
        for name in LATENTS
    }
    attainable, _ = compute_attainable(WORLD, SITES, known, draws=60)
    assert (
        expect_loss(attainable, truth) < expect_loss(tell_truth(WORLD, SITES, filled), truth) - 5e-4
    )


def test_null_world_has_one_probability():
    truth = simulate(WORLDS["null"], 300, seed=1, draws=4).truth.to_pandas()
    for name in ("probability_observed", "probability_new_site"):
        assert np.ptp(truth[name]) < 1e-9
        assert truth[name][0] == pytest.approx(0.45, abs=0.01)


def test_truncated_normal_is_exact_in_the_tails():
    low, high = np.array([8.0, -np.inf, -0.1, -9.0]), np.array([9.0, -8.0, 0.1, -8.0])
    quantiles = truncate_normal(low, high, np.full(4, 0.5))
    assert ((quantiles >= low) & (quantiles <= high)).all()
    assert quantiles[0] == pytest.approx(-quantiles[3])
    assert np.isfinite(quantiles).all()


def test_other_patients_do_not_change_the_attainable(patients):
    known = lose({name: values[:400] for name, values in patients.items()}, 0.4)
    few = {name: values[:40] for name, values in known.items()}
    alone, _ = compute_attainable(WORLD, SITES, few, draws=300)
    together, _ = compute_attainable(WORLD, SITES, known, draws=300)
    assert alone == pytest.approx(together[:40], abs=0.03)


def test_attainable_changes_nothing_else():
    without, attainable = (simulate(WORLD, 50, seed=1, draws=draws) for draws in (0, 4))
    assert without.cohort.equals(attainable.cohort)
    assert "probability_observed" not in without.truth.column_names
    assert attainable.truth.drop_columns(["probability_observed", "probability_new_site"]).equals(
        without.truth
    )


def test_command_writes_the_attainable_with_the_truth(fresh_commands, tmp_path):
    out, truth = tmp_path / "c.parquet", tmp_path / "t.parquet"
    where = ("--world", "world-17", "--new-sites", 3, "--out", out, "--truth", truth)
    arguments = ("--patients", 60, "--seed", 2, *where, "--draws", 20, "--json")
    done = fresh_commands.run("experiments", "simulate", *arguments)
    assert json.loads(done.stdout)["world"] == "world-17"
    written = pd.read_parquet(truth)
    assert written["simulated"].all()
    assert set(pd.read_parquet(out)["site"]) <= {"new-01", "new-02", "new-03"}
    for name in ("probability", "probability_observed", "probability_new_site"):
        assert written[name].between(0, 1).all()


def draw_courses(seed, count, draws):
    """Draw courses: recorded values, true probability, and attainable log-odds."""
    simulation = simulate(WORLD, count, seed, intake=True, draws=draws)
    columns = read_simulated(simulation)
    names = (*(name for name in LATENTS if name != "female"), "sex", "condition", "route")
    sites = columns.get_texts("site")[:, None] == [SITES.names]
    day = columns.get_numbers("assessed_on")[:, None]
    matrix = np.hstack([build_matrix(columns, list_features(names)), day, sites])
    truth = simulation.truth.to_pandas()
    return matrix, truth["probability"], special.logit(truth["probability_observed"])


def boost(matrix, truth, margin):
    """Boost trees from given log-odds towards the truth, until a tenth of it gains no more."""
    checked = np.arange(len(truth)) % 10 == 0
    fitted, stopped = (
        xgboost.DMatrix(matrix[rows], truth[rows], base_margin=margin[rows])
        for rows in (~checked, checked)
    )
    settings = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.04, "nthread": 1}
    settings |= {"min_child_weight": 20.0, "subsample": 0.7, "colsample_bytree": 0.5, "seed": 1}
    return xgboost.train(
        settings,
        fitted,
        150,
        evals=[(stopped, "checked")],
        early_stopping_rounds=40,
        verbose_eval=False,
    )


def predict(model, matrix, margin):
    rounds = (0, model.best_iteration + 1)
    return model.predict(xgboost.DMatrix(matrix, base_margin=margin), iteration_range=rounds)


def test_no_fitted_model_exceeds_the_attainable():
    """Models learn from the true probabilities, as informative as many times as many courses.

    One starts from a linear model, the other from the attainable probability, looking for
    anything that it leaves out.
    """
    matrix, truth, _ = draw_courses(seed=1, count=6_000, draws=2)
    few, few_truth, few_margin = draw_courses(seed=900_002, count=3_000, draws=40)
    tested, true, margin = draw_courses(seed=900_001, count=3_000, draws=60)
    line = make_pipeline(SimpleImputer(add_indicator=True), LinearRegression())
    line.fit(matrix, special.logit(truth))
    model = boost(matrix, truth, line.predict(matrix))
    correction = boost(few, few_truth, few_margin)
    estimates = {
        "base_rate": np.full(len(true), truth.mean()),
        "model": predict(model, tested, line.predict(tested)),
        "attainable": special.expit(margin),
        "corrected": predict(correction, tested, margin),
        "truth": true,
    }
    losses = {name: expect_loss(values, true) for name, values in estimates.items()}
    assert losses["truth"] < losses["attainable"] < losses["model"] < losses["base_rate"]
    assert losses["corrected"] > losses["attainable"] - 5e-4
    gained = losses["base_rate"] - losses["model"]
    assert gained > 0.9 * (losses["base_rate"] - losses["attainable"])
