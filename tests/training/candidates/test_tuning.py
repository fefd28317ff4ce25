"""Tuning: its budget, reproducibility, and resumption after a kill."""

import json
import math
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from features.base.files import Journal
from training.candidates.registry import make_candidates
from training.candidates.trees.boosted import Boosted
from training.candidates.trees.trees import SPACE
from training.candidates.tuning import (
    UNPRUNED_FOLDS,
    UNPRUNED_TRIALS,
    Range,
    Search,
    Space,
    Tuning,
    choose_trial,
    digest_fit,
    try_settings,
)

FOLDS = 5
BOWL = Space(
    fixed=({"x": 0.9, "n": 1}, {"x": 0.1, "n": 5}),
    ranges={"x": Range(0, 1), "n": Range(1, 9, whole=True)},
)


class Judge:
    """A loss with its minimum at x = 0.6 and n = 7, slightly different in each fold."""

    def __init__(self, last=math.inf):
        self.asked, self.last = 0, last

    def __call__(self, settings):
        loss = (settings["x"] - 0.6) ** 2 + 0.01 * (settings["n"] - 7) ** 2
        for fold in range(FOLDS):
            self.asked += 1
            if self.asked > self.last:
                raise KeyboardInterrupt
            yield loss + 0.01 * math.sin(fold * settings["x"])


def search(trials, journal=None, seed=1, judge=None):
    return try_settings(Search(BOWL, judge or Judge(), FOLDS, seed, journal), trials)


@pytest.mark.parametrize("trials", [3, 12, 30])
def test_budget_is_kept_and_fixed_settings_come_first(trials):
    tried = search(trials)
    assert len(tried) == trials
    assert [trial.settings for trial in tried[:2]] == list(BOWL.fixed)
    assert len({tuple(trial.settings.values()) for trial in tried}) > trials / 2


@pytest.mark.parametrize("trials", [0, 1, 2])
def test_without_a_budget_only_fixed_settings_are_tried(trials, tmp_path):
    tried = search(trials, Journal(tmp_path / "j.jsonl"))
    assert [trial.settings for trial in tried] == list(BOWL.fixed)
    assert not list(tmp_path.iterdir())


def test_settings_stay_in_their_ranges():
    for trial in search(40):
        assert 0 <= trial.settings["x"] <= 1
        assert trial.settings["n"] in range(1, 10)


def test_seed_determines_the_settings_tried():
    assert search(20) == search(20)
    assert search(20) != search(20, seed=2)


def test_search_ends_near_the_lowest_loss():
    for seed in range(5):
        tried = search(40, seed=seed)
        best = choose_trial(tried)
        assert best.loss <= min(trial.loss for trial in tried[:2])
        assert best.settings["x"] == pytest.approx(0.6, abs=0.15)
        assert abs(best.settings["n"] - 7) <= 1


def test_pruned_trials_stop_early_and_are_never_chosen():
    judge = Judge()
    tried = search(30, judge=judge)
    pruned = [trial for trial in tried if trial.pruned]
    assert pruned
    assert judge.asked == sum(len(trial.losses) for trial in tried) < 30 * FOLDS
    assert all(UNPRUNED_FOLDS <= len(trial.losses) < FOLDS for trial in pruned)
    assert not any(trial.pruned for trial in tried[:UNPRUNED_TRIALS])
    assert all(len(trial.losses) == FOLDS for trial in tried if not trial.pruned)
    assert not choose_trial(tried).pruned


def test_trials_that_fall_behind_late_are_pruned_too():
    def judge(settings):
        for fold in range(FOLDS):
            late = fold == FOLDS - 2
            yield 0.1 * settings["x"] * late

    pruned = [trial for trial in search(30, judge=judge) if trial.pruned]
    assert pruned
    assert {len(trial.losses) for trial in pruned} == {FOLDS - 1}


@pytest.mark.parametrize("last", [3, 27, 61, 80])
def test_interrupted_search_resumes_identically(tmp_path, last):
    whole = search(30)
    journal = Journal(tmp_path / "j.jsonl")
    with pytest.raises(KeyboardInterrupt):
        search(30, journal, judge=Judge(last))
    done = len(list(journal.read()))
    judge = Judge()
    assert search(30, journal, judge=judge) == whole
    assert judge.asked == sum(len(trial.losses) for trial in whole[done:])
    assert [entry["number"] for entry in journal.read()] == list(range(30))


def test_a_line_cut_off_is_done_again(tmp_path):
    path = tmp_path / "j.jsonl"
    whole = search(20, Journal(path))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:11]) + lines[11][:30])
    assert search(20, Journal(path)) == whole


def test_a_larger_budget_extends_a_smaller_one(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    short = search(12, journal)
    judge = Judge()
    assert search(20, journal, judge=judge) == search(20)
    assert search(20)[:12] == short == search(12, journal)
    assert judge.asked <= 8 * FOLDS


def test_two_processes_may_keep_the_same_trials(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    whole = search(15, journal)
    for entry in list(journal.read())[:9]:
        journal.add(entry)
    assert search(15, journal, judge=Judge(0)) == whole


def make_checkers(design):
    """Draw outcomes that follow the exclusive or of two fields: no single split helps."""
    odd = (design.columns.get_numbers("bmi") >= 32) != (design.columns.get_numbers("gad7") >= 11)
    outcome = np.random.default_rng(4).random(design.size) < np.where(odd, 0.85, 0.15)
    return replace(design, outcome=outcome.astype(float))


def test_tuning_finds_an_interaction_that_stumps_miss(make_design):
    design = make_checkers(make_design(500, missing=0.0))
    fit = Boosted(Tuning(8)).fit(design, 1)
    stumps = fit.trials[0]
    assert stumps.settings["depth"] == 1
    assert stumps.loss > 0.68
    assert choose_trial(fit.trials).loss < 0.6
    assert fit.settings["depth"] > 1


def test_refits_use_the_tuned_settings(make_design):
    design = make_checkers(make_design(300, missing=0.0))
    candidate = Boosted(Tuning(8))
    fit = candidate.fit(design, 1)
    chosen = {name: fit.settings[name] for name in SPACE.ranges}
    assert chosen in [trial.settings for trial in fit.trials if not trial.pruned]
    log_odds = fit.equation.compute_log_odds(design.columns)
    again = candidate.refit(design, fit.settings, 1).compute_log_odds(design.columns)
    assert (again == log_odds).all()
    for name, value in (("eta", 0.02), ("lambda", 90.0), ("min_child_weight", 30.0)):
        other = candidate.refit(design, {**fit.settings, name: value}, 1)
        assert (other.compute_log_odds(design.columns) != log_odds).any()


def test_tuned_anchored_trees_keep_their_anchor_on_noise(make_design):
    """By chance, one standard error is sometimes exceeded, with tuning or without."""
    candidates = make_candidates(Tuning(15))
    stayed = 0
    for seed in range(1, 7):
        design = make_design(150, strength=0.0, seed=seed)
        fit = candidates["anchored_xgboost"].fit(design, 1)
        assert len(fit.trials) == 15
        if not fit.settings["rounds"]:
            anchor = candidates["evidence_prior"].fit(design, 1).equation
            log_odds = fit.equation.compute_log_odds(design.columns)
            assert (log_odds == anchor.compute_log_odds(design.columns)).all()
            stayed += 1
    assert stayed >= 4


def test_fixed_settings_yield_only_to_clearly_better_ones(make_design):
    """The best of many trials has a lower loss by luck, and is not selected."""
    design = make_design(150, strength=0.0)
    fit = Boosted(Tuning(15)).fit(design, 1)
    fixed = fit.trials[: len(SPACE.fixed)]
    assert choose_trial(fit.trials).loss < choose_trial(fixed).loss
    assert {name: fit.settings[name] for name in SPACE.ranges} in [
        trial.settings for trial in fixed
    ]


def test_settings_that_are_clearly_better_are_taken(make_design):
    """Three fields interact, and no fixed setting has trees that deep."""
    design = make_checkers(make_design(900, missing=0.0))
    odd = design.columns.get_numbers("bipolar") == 1
    crossed = replace(design, outcome=np.where(odd, 1 - design.outcome, design.outcome))
    fit = Boosted(Tuning(20)).fit(crossed, 1)
    assert {name: fit.settings[name] for name in SPACE.ranges} == choose_trial(fit.trials).settings
    assert fit.settings != fit.trials[1].settings


def test_journal_holds_nothing_of_a_patient(make_design, tmp_path):
    design = make_design(120)
    Boosted(Tuning(6, tmp_path)).fit(design, 1)
    (path,) = tmp_path.iterdir()
    entries = list(Journal(path).read())
    assert len(entries) == 6
    for entry in entries:
        assert set(entry) == {"number", "settings", "losses", "pruned"}
        assert set(entry["settings"]) == set(SPACE.ranges)
        assert len(entry["losses"]) <= 5
    assert path.stem == digest_of(design)


def digest_of(design, seed=1, candidate="xgboost", xgboost=None):
    from xgboost import __version__

    return digest_fit(candidate, design, seed, {"xgboost": xgboost or __version__})


def test_journal_serves_the_very_same_fit_alone(make_design):
    design = make_design(120, site_effects=(0.0, 1.0))
    flipped = design.outcome.copy()
    flipped[7] = 1 - flipped[7]
    matrix = design.matrix.copy()
    matrix[3, 0] += 1
    others = [
        digest_of(design, seed=2),
        digest_of(design, candidate="anchored_xgboost"),
        digest_of(design, xgboost="0.0"),
        digest_of(replace(design, outcome=flipped)),
        digest_of(replace(design, matrix=matrix)),
        digest_of(replace(design, given_weights=np.full(120, 0.5))),
        digest_of(replace(design, inner_folds=3)),
        digest_of(replace(design, site_names=("site-0", "other"))),
        digest_of(design.select(np.arange(119))),
        digest_of(design.select(np.arange(120)[::-1])),
    ]
    assert len({digest_of(design), *others}) == 1 + len(others)
    assert digest_of(design) == digest_of(make_design(120, site_effects=(0.0, 1.0)))


FIT = (
    *("experiments/studies/demo.toml", "--json", "--jobs", "1", "--set", "tuning.trials=6"),
    *("--set", 'candidates=["xgboost", "base_rate"]', "--set", "validation.resamples=100"),
    *(
        "--set",
        "validation.folds=2",
        "--set",
        "validation.repeats=1",
        "--set",
        "validation.bootstraps=4",
    ),
    *("--set", "uncertainty.redevelopments=20"),
)


def count_trials(home):
    return {path.name: len(list(Journal(path).read())) for path in home.glob("tuning/*/*.jsonl")}


def list_trials(home, run_id):
    """List the trials of the chosen candidate's final fit in MLflow."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{home}/mlflow.db")
    runs = client.search_runs([client.get_run(run_id).info.experiment_id])
    parents = {run.info.run_id: run.data.tags.get("mlflow.parentRunId") for run in runs}
    trials = [run for run in runs if parents.get(parents[run.info.run_id]) == run_id]
    return {run.info.run_name: (run.data.params, run.data.metrics) for run in trials}


def test_killed_tuning_resumes_to_the_same_numbers(cohort, make_commands, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit = ("fit", *FIT, "--cohort", cohort)
    expected = json.loads(make_commands(whole).call(*fit).stdout)
    process = make_commands(broken).start("training", *fit, warm=True)
    while process.poll() is None and sum(count_trials(broken).values()) < 9:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = count_trials(broken)
    assert 9 <= sum(kept.values()) < 3 * 6, "killed too late"
    resumed = json.loads(make_commands(broken).call(*fit).stdout)
    assert resumed["chosen"] == "xgboost"
    assert resumed["candidates"] == expected["candidates"]
    trials = list_trials(broken, resumed["run_id"])
    assert trials == list_trials(whole, expected["run_id"])
    assert len(trials) == 6
    assert not (broken / "tuning" / "demo").exists()
