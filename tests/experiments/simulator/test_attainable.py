"""The attainable probability: right where it can be counted out, calibrated, not to be beaten."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from experiments.benchmarks.models import ceiling
from experiments.simulator import WORLDS, draw_new_sites, find_world, make_sites, simulate
from experiments.simulator.attainable import compute_attainable, integrate_sites
from experiments.simulator.copula import draw_latents, find_intervals, find_within
from experiments.simulator.outcomes import compute_truth, make_followups, pick_primary
from experiments.simulator.patients import make_patients, measure_field
from experiments.simulator.world import LATENTS
from features.model.prediction import compute_probability

WORLD = find_world("world-17")
SITES = make_sites(WORLD)


def tell_truth(world, sites, patients):
    """Everything known, totals on record as they are."""
    followups = make_followups(world, sites, patients, np.random.default_rng(0))
    by_key = {
        one.instrument: compute_truth(one, patients[one.instrument], patients[one.instrument])
        for one in followups
        if one.horizon == "acute"
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
    return ceiling.compute_loss(estimate, truth)


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


def test_with_nothing_missing_it_is_the_true_probability(patients, truth):
    found, _ = compute_attainable(WORLD, SITES, patients, draws=2)
    assert found == pytest.approx(truth, abs=1e-9)


def test_what_is_recorded_is_never_changed_by_a_draw(patients):
    known = lose(patients, 0.4)
    condition = np.tile(known["condition"], 2).astype(int)
    for latent in draw_latents(*find_intervals(known), 2, np.random.default_rng(1)):
        for place, name in enumerate(LATENTS):
            values, recorded = np.tile(known[name], 2), np.tile(~np.isnan(known[name]), 2)
            drawn = measure_field(name, latent[place], condition)
            assert (drawn[recorded] == values[recorded]).all(), name


def test_draws_of_what_is_missing_look_like_what_was_lost(patients):
    known = lose(patients, 0.5)
    truths = np.stack([patients[name] for name in LATENTS])
    condition = np.tile(known["condition"], 2).astype(int)
    *_, latent = draw_latents(*find_intervals(known), 30, np.random.default_rng(1))
    drawn = np.stack(
        [measure_field(name, latent[place], condition) for place, name in enumerate(LATENTS)]
    )
    assert np.corrcoef(drawn) == pytest.approx(np.corrcoef(truths), abs=0.06)
    assert drawn.std(axis=1) == pytest.approx(truths.std(axis=1), rel=0.08)


@pytest.mark.parametrize("recorded", [{"phq9": 20.0}, {"phq9": 15.0, "anxiety_comorbid": 1.0}])
def test_it_is_the_mean_over_everybody_who_looks_the_same(recorded):
    """Counted out: of very many depressed patients, those with just these values."""
    everyone = make_patients(SITES, 150_000, np.random.default_rng(4))
    same = everyone["condition"] == 0
    for name, value in recorded.items():
        same &= everyone[name] == value
    alike = {name: values[same] for name, values in everyone.items()}
    place = {"site": 2.0, "route": 0.0, "assessed_on": 20_000.0}
    alike |= {name: np.full(same.sum(), value) for name, value in place.items()}
    known = {name: np.full(500, value) for name, value in ({"condition": 0.0} | place).items()}
    known |= {name: np.full(500, recorded.get(name, np.nan)) for name in LATENTS}
    found, _ = compute_attainable(WORLD, SITES, known, draws=40)
    counted = tell_truth(WORLD, SITES, alike)
    assert found.mean() == pytest.approx(
        counted.mean(), abs=4 * counted.std() / np.sqrt(same.sum())
    )


def test_its_monte_carlo_error_is_what_the_docstring_says(patients):
    known = lose({name: values[:300] for name, values in patients.items()}, 0.4)
    found = np.stack([compute_attainable(WORLD, SITES, known, seed=seed)[0] for seed in range(4)])
    error = found.std(axis=0, ddof=1)
    assert np.sqrt((error**2).mean()) < 0.004
    assert np.quantile(error, 0.99) < 0.01


def test_it_is_calibrated_at_known_sites(at_known_sites):
    found = at_known_sites
    assert found["probability_observed"].mean() == pytest.approx(
        found["probability"].mean(), abs=0.005
    )
    intercept, slope = recalibrate(found["probability_observed"], found["probability"])
    assert intercept == pytest.approx(0, abs=0.025)
    assert slope == pytest.approx(1, abs=0.03)


def test_it_is_calibrated_for_outcomes_as_they_fall(at_known_sites):
    found = at_known_sites
    met = np.random.default_rng(3).random(len(found)) < found["probability"]
    intercept, slope = recalibrate(found["probability_observed"], met.astype(float))
    assert intercept == pytest.approx(0, abs=0.1)
    assert slope == pytest.approx(1, abs=0.12)


def test_it_is_calibrated_in_every_tenth(at_known_sites):
    found = at_known_sites.sort_values("probability_observed")
    for rows in np.array_split(np.arange(len(found)), 10):
        group = found.iloc[rows]
        assert group["probability"].mean() == pytest.approx(
            group["probability_observed"].mean(), abs=0.018
        )


def test_it_is_calibrated_at_sites_never_seen():
    sites = draw_new_sites(WORLD, 500, seed=3)
    found = simulate(WORLD, 8_000, seed=32, sites=sites, draws=60).truth.to_pandas()
    assert (found["probability_observed"] == found["probability_new_site"]).all()
    intercept, slope = recalibrate(found["probability_observed"], found["probability"])
    assert intercept == pytest.approx(0, abs=0.1)
    assert slope == pytest.approx(1, abs=0.08)


def test_knowing_the_site_is_worth_something_and_knowing_everything_more(at_known_sites):
    found = at_known_sites
    names = ("probability", "probability_observed", "probability_new_site")
    losses = [expect_loss(found[name], found["probability"]) for name in names]
    assert losses == sorted(losses)
    assert losses[2] - losses[0] > 0.01


def test_sites_are_integrated_out_as_drawing_them_would():
    level, moved = np.array([-1.0, 0.0, 0.5]), np.array([-2.0, 0.3, 1.5])
    generator = np.random.default_rng(2)
    effects = WORLD.site_spread * generator.standard_normal((400_000, 1))
    slopes = 1 + WORLD.slope_spread * generator.standard_normal((400_000, 1))
    drawn = compute_probability(level + effects + slopes * moved).mean(axis=0)
    assert integrate_sites(WORLD, level, moved) == pytest.approx(drawn, abs=0.001)


@pytest.mark.parametrize("fill", ["mean", "median", "draw"])
def test_it_beats_filling_in(patients, truth, fill):
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


def test_in_a_null_world_there_is_one_probability():
    found = simulate(WORLDS["null"], 300, seed=1, draws=4).truth.to_pandas()
    for name in ("probability_observed", "probability_new_site"):
        assert np.ptp(found[name]) < 1e-9
        assert found[name][0] == pytest.approx(0.45, abs=0.01)


def test_far_tails_are_drawn_where_they_are():
    low, high = np.array([8.0, -np.inf, -0.1, -9.0]), np.array([9.0, -8.0, 0.1, -8.0])
    found = find_within(low, high, np.full(4, 0.5))
    assert ((found >= low) & (found <= high)).all()
    assert found[0] == pytest.approx(-found[3])
    assert np.isfinite(found).all()


def test_the_rest_of_a_cohort_does_not_change_an_answer_by_more_than_chance(patients):
    known = lose({name: values[:400] for name, values in patients.items()}, 0.4)
    few = {name: values[:40] for name, values in known.items()}
    alone, _ = compute_attainable(WORLD, SITES, few, draws=300)
    together, _ = compute_attainable(WORLD, SITES, known, draws=300)
    assert alone == pytest.approx(together[:40], abs=0.03)


def test_asking_for_it_changes_nothing_else():
    without, asked = (simulate(WORLD, 50, seed=1, draws=draws) for draws in (0, 4))
    assert without.cohort.equals(asked.cohort)
    assert "probability_observed" not in without.truth.column_names
    assert asked.truth.drop_columns(["probability_observed", "probability_new_site"]).equals(
        without.truth
    )


def test_the_command_writes_it_beside_the_truth(fresh_commands, tmp_path):
    out, truth = tmp_path / "c.parquet", tmp_path / "t.parquet"
    where = ("--world", "world-17", "--new-sites", 3, "--out", out, "--truth", truth)
    arguments = ("--patients", 60, "--seed", 2, *where, "--draws", 20, "--json")
    done = fresh_commands.run("experiments", "simulate", *arguments)
    assert json.loads(done.stdout)["world"] == "world-17"
    told = pd.read_parquet(truth)
    assert told["simulated"].all()
    assert set(pd.read_parquet(out)["site"]) <= {"new-01", "new-02", "new-03"}
    for name in ("probability", "probability_observed", "probability_new_site"):
        assert told[name].between(0, 1).all()


def test_a_fitted_model_comes_near_it_and_not_beyond(monkeypatch):
    """In small; `python -m experiments ceiling` does the same on hundreds of thousands."""
    small = {"PART": 6_000, "TEST_PATIENTS": 3_000, "TEST_DRAWS": 60, "ROUNDS": 150}
    small |= {"CORRECTED_PATIENTS": 3_000, "CORRECTED_DRAWS": 40}
    for name, value in small.items():
        monkeypatch.setattr(ceiling, name, value)
    losses = ceiling.measure_ceiling(WORLD, 6_000, 0)
    assert losses["truth"] < losses["attainable"] < losses["model"] < losses["base_rate"]
    assert losses["corrected"] > losses["attainable"] - 5e-4
    gained = losses["base_rate"] - losses["model"]
    assert gained > 0.9 * (losses["base_rate"] - losses["attainable"])
