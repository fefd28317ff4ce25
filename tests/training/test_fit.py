"""Runs against a real MLflow store: what is logged, registered, named champion."""

import json
import re
import shutil
import socket
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from experiments.simulator import WORLDS, simulate, write_simulation
from features.base.errors import ArtifactError, UnavailableError
from features.base.home import find_home
from features.model.artifact import ARTIFACT_FOLDER, DIGEST_TAG
from features.model.tracking import EXPERIMENT
from features.records.assessment import read_assessments
from features.records.cohort import read_cohort
from training.candidates.trees.trees import SPACE
from training.fit import run_study
from training.registry.history import History
from training.registry.registry import Registry
from training.study.courses import load_design
from training.study.parts import ODDS_RATIOS
from training.study.study import Study

QUICK = {
    "validation": {
        "folds": 3,
        "repeats": 1,
        "resamples": 100,
        "profile": "quick",
        "bootstraps": 20,
    },
    "gate": {"redevelopments": 0},
    "uncertainty": {"redevelopments": 20},
}


OUTCOME = "phq9.acute.response"
# Fast to fit, for tests that are not about candidates.
CHEAP = ("severity_only", "base_rate")


def make_study(**parts):
    facts = {
        "name": "t",
        "question": "?",
        "outcome": OUTCOME,
        "seed": 3,
        "cohort": {"where": {"condition": ["depression"]}},
    }
    return Study(**(facts | QUICK | parts))


def run_file(study, home, path):
    """Run a study on a cohort file, in this process."""
    return run_study(load_design(study, path), home, jobs=1)


@pytest.fixture
def noise(cohort, tmp_path):
    """The same patients with shuffled outcomes: there is nothing to learn."""
    frame = pd.read_parquet(cohort)
    known = frame["phq9_acute"].notna()
    dealt = frame.loc[known, "phq9_acute"].sample(frac=1, random_state=4).to_numpy()
    frame.loc[known, "phq9_acute"] = dealt
    path = tmp_path / "noise.parquet"
    frame.drop(columns=["phq9", *(f"phq9_{n}" for n in range(1, 10))]).assign(phq9=18).to_parquet(
        path
    )
    return path


@pytest.fixture(scope="module")
def fitted(cohort, empty_store, tmp_path_factory):
    """A run on simulated patients, and a client of its store."""
    folder = tmp_path_factory.mktemp("fitted")
    shutil.copytree(empty_store, folder, dirs_exist_ok=True)
    home = find_home({"KETAMINE_RESPONSE_HOME": str(folder)})
    study = make_study(candidates=("elastic_net", *CHEAP))
    summary = run_file(study, home, cohort)
    return summary, Registry(home).client


def test_candidates_are_child_runs_of_the_study(fitted):
    summary, client = fitted
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id])
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert {run.info.run_name for run in children} == set(summary.comparison.measures)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {summary.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_the_run_logs_all_inputs_of_the_result(fitted):
    summary, client = fitted
    data = client.get_run(summary.run_id).data
    assert data.params["seed"] == "3"
    assert data.params["validation.folds"] == "3"
    assert len(data.tags["data_digest"]) == 64
    assert data.tags["data"] == "simulated"
    assert data.tags["version.scikit-learn"]
    assert data.tags["verdict"] == summary.comparison.verdict
    assert data.metrics["log_loss_low"] < data.metrics["log_loss"] < data.metrics["log_loss_high"]
    files = {file.path for file in client.list_artifacts(summary.run_id)}
    files |= {file.path for file in client.list_artifacts(summary.run_id, "figures")}
    figures = {"figures/roc.png", "figures/contributions.png"}
    assert {"report.md", *figures} <= files


def test_the_report_begins_with_simulated_and_verdict(fitted):
    lines = [line for line in fitted[0].report.splitlines() if line]
    assert "SIMULATED DATA" in lines[1]
    assert fitted[0].comparison.verdict in lines[2]


def test_report_and_summary_describe_missing_outcomes(fitted):
    summary = fitted[0]
    attrition = summary.as_dict()["attrition"]
    counted = summary.card.population
    aside = attrition["unmeasured"] + attrition["settled"]
    assert attrition["missing"] + aside == counted.without_outcome
    assert attrition["courses"] - attrition["missing"] == counted.courses
    assert attrition["effective"] is None
    assert [row["odds_ratio"] for row in attrition["scenarios"]] == list(ODDS_RATIOS)
    assert 0 < len(attrition["gaps"]) <= 5
    section = summary.report.partition("## Missing outcomes")[2]
    assert f"{attrition['missing']} of {attrition['courses']} courses" in section
    assert attrition["assumption"] in section
    for row in attrition["scenarios"]:
        assert f"| {row['odds_ratio']:.2f} " in section
        assert f"{100 * row['base_rate']:.1f}%" in section
    for gap in attrition["gaps"]:
        assert f"`{gap['feature']}`" in section


def test_report_and_summary_describe_the_flow_of_courses(fitted, cohort):
    summary, _ = fitted
    flow = summary.as_dict()["flow"]
    excluded = {row["key"]: row["courses"] for row in flow["excluded"]}
    assert flow["read"] == read_cohort(cohort).size == flow["analysed"] + sum(excluded.values())
    assert flow["analysed"] == summary.card.population.courses
    assert excluded["where.condition"] > 0
    assert "## Flow of courses" in summary.report
    assert re.search(rf"Courses read +\| {flow['read']:,} ", summary.report)


def test_the_version_has_digest_signature_example_alias(fitted):
    summary, client = fitted
    version = client.get_model_version("phq9.acute.response", summary.version)
    assert len(version.tags[DIGEST_TAG]) == 64
    model = mlflow.models.get_model_info(f"models:/{version.name}/{version.version}")
    inputs = {column.name: column for column in model.signature.inputs}
    assert inputs["patient_id"].required
    assert not inputs["age"].required
    assert model.saved_input_example_info
    version = client.get_model_version_by_alias("phq9.acute.response", "champion")
    assert str(version.version) == summary.champion.version


def test_no_patient_reaches_mlflow(fitted):
    """No patient's code is in the store's database or files."""
    database = Path(mlflow.get_tracking_uri().removeprefix("sqlite:///"))
    files = [path for path in database.parent.rglob("*") if path.is_file()]
    assert database in files
    assert len(files) > 20
    assert not [path for path in files if b"SIM-7-" in path.read_bytes()]


def test_the_pyfunc_predicts_as_our_model(fitted, make_assessment):
    summary, _ = fitted
    function = mlflow.pyfunc.load_model("models:/phq9.acute.response@champion")
    people = [make_assessment(age=30.0 + n, phq9=10.0 + n) for n in range(10)]
    predictions = function.predict(pd.DataFrame(people))
    expected = summary.champion.model.predict(read_assessments(people))
    assert predictions["probability"].to_numpy() == pytest.approx(expected.probability, abs=1e-12)
    assert predictions["low"].to_numpy() == pytest.approx(expected.low, abs=1e-12)


def test_the_pyfunc_refuses_what_the_service_refuses(fitted, make_assessment):
    function = mlflow.pyfunc.load_model("models:/phq9.acute.response@champion")
    with pytest.raises(Exception, match=r"phq9 \(range\)"):
        function.predict(pd.DataFrame([make_assessment(phq9=99.0, age=44.0)]))


def test_the_summary_is_the_promised_json(fitted):
    plain = json.loads(json.dumps(fitted[0].as_dict()))
    promised = {"run_id", "outcome", "courses", "events", "chosen", "candidates", "model"}
    assert promised <= set(plain)
    assert set(plain["model"]) == {"name", "version", "alias"}
    for measures in plain["candidates"].values():
        assert {"log_loss", "brier", "auc", "slope"} <= set(measures)


def test_card_ranges_are_rounded_to_hide_values(fitted):
    ranges = {studied.field: studied for studied in fitted[0].card.ranges}
    assert (ranges["age"].low % 5, ranges["age"].high % 5) == (0, 0)
    assert ranges["agent"].categories == ("ketamine", "esketamine")


def test_base_rate_is_champion_if_nothing_beats_it(home, noise):
    """The study prefers severity, which is selected and registered as challenger."""
    summary = run_file(make_study(candidates=CHEAP), home, noise)
    assert summary.comparison.chosen == "severity_only"
    assert summary.alias == "challenger"
    assert not summary.comparison.beats_base_rate
    assert "No candidate beats the base rate" in summary.report
    assert summary.champion.model.card.candidate == "base_rate"
    probability = summary.champion.model.predict(read_cohort(noise)).probability
    assert np.ptp(probability) < 1e-12
    assert probability[0] == pytest.approx(summary.card.population.base_rate)


def test_a_champion_stays_while_new_patients_support_it(home, cohort, noise, tmp_path):
    """A better candidate replaces the base rate, and the same study again does not replace it.

    Nor does the base rate, fitted alone on other patients of the same clinics. Patients without
    signal bring it back.
    """
    base = run_file(make_study(candidates=("base_rate",)), home, cohort)
    assert base.champion.model.card.candidate == "base_rate"
    study = make_study(candidates=("evidence_prior", "base_rate"))
    better, again = (run_file(study, home, cohort) for _ in range(2))
    assert (better.alias, again.alias) == ("champion", "challenger")
    assert better.champion.model.card.candidate == "evidence_prior"
    assert again.champion.version == better.version
    assert again.as_dict()["candidates"] == better.as_dict()["candidates"]
    write_simulation(simulate(WORLDS["default"], 2000, seed=70).cohort, tmp_path / "new.parquet")
    poorer = run_file(make_study(candidates=("base_rate",)), home, tmp_path / "new.parquet")
    assert poorer.champion.version == better.version
    contradicted = run_file(make_study(candidates=CHEAP), home, noise)
    assert contradicted.champion.version != better.version
    assert contradicted.champion.model.card.candidate == "base_rate"


def test_a_new_champion_is_a_recorded_event(fitted):
    summary, client = fitted
    (event,) = History(client, summary.card.name).read().events
    assert (event.action, event.before, event.after) == ("promotion", None, summary.version)
    assert event.reason == summary.comparison.verdict
    gap = summary.comparison.to_base[summary.comparison.chosen]
    assert event.gate[0]["value"] == pytest.approx(gap.mean)
    assert event.gate[0]["passed"]


def test_rollback_restores_an_intact_previous_champion(register):
    registry, (first, second) = register.registry, (register(), register())
    history = registry.open_history(OUTCOME)
    history.change(first, "override", "ada", "the first")
    with pytest.raises(UnavailableError, match="before"):
        registry.roll_back(OUTCOME, "ada", "worse")
    history.change(second, "override", "ada", "newer")
    event = registry.roll_back(OUTCOME, "ada", "worse at our clinic")
    assert (event.before, event.after) == (second, first)
    assert registry.load_champion(OUTCOME).version == first
    history.change(second, "override", "ada", "newer")
    source = registry.client.get_model_version(OUTCOME, first).source
    folder = Path(mlflow.artifacts.download_artifacts(source)) / ARTIFACT_FOLDER
    (folder / "terms.npz").write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="damaged"):
        registry.roll_back(OUTCOME, "ada", "worse")
    assert registry.load_champion(OUTCOME).version == second


def test_a_run_refuses_a_changed_history(register, home, cohort):
    history = register.registry.open_history(OUTCOME)
    history.change(register(), "override", "ada", "the first")
    history.client.delete_model_version(history.name, "1")
    with pytest.raises(ArtifactError, match="broken"):
        run_file(make_study(candidates=CHEAP), home, cohort)


def test_weights_reach_model_card_and_report(home, cohort):
    """Card and report show the weighted base rate, which the model also uses."""
    candidates = ("base_rate",)
    plain = run_file(make_study(candidates=candidates), home, cohort)
    study = make_study(candidates=candidates, attrition={"weights": True})
    weighted = run_file(study, home, cohort)
    people = weighted.card.population
    assert plain.card.population.weighted_rate is None
    assert people.base_rate == people.weighted_rate != people.events / people.courses
    assert weighted.champion.version == weighted.version
    probability = weighted.champion.model.predict(read_cohort(cohort)).probability
    assert probability == pytest.approx(people.base_rate)
    attrition = weighted.findings.attrition
    assert attrition.effective < people.courses
    assert f"as informative as {attrition.effective:.0f} equally weighted" in weighted.report
    assert f"base rate {100 * people.base_rate:.1f}%, weighted" in weighted.report


def test_runs_of_killed_processes_are_closed(home, cohort):
    registry = Registry(home)
    tags = {"process": "elsewhere:1"}
    foreign = registry.client.create_run(registry.experiment, tags=tags)
    dead = registry.client.create_run(
        registry.experiment, tags={"process": f"{socket.gethostname()}:{2**22 - 3}"}
    )
    with registry.open_study(make_study()):
        pass
    assert registry.client.get_run(dead.info.run_id).info.status == "KILLED"
    assert registry.client.get_run(foreign.info.run_id).info.status == "RUNNING"


def test_tuning_trials_are_child_runs_of_the_candidate(home, cohort):
    study = make_study(
        candidates=("xgboost", "base_rate"),
        tuning={"trials": 6},
        validation=QUICK["validation"] | {"folds": 2},
        features={"include": ["phq9", "age", "gad7"]},
    )
    summary = run_file(study, home, cohort)
    client = Registry(home).client
    runs = client.search_runs([client.get_run(summary.run_id).info.experiment_id])
    (candidate,) = [run for run in runs if run.info.run_name == "xgboost"]
    parents = [run.data.tags.get("mlflow.parentRunId") for run in runs]
    trials = [r for r, p in zip(runs, parents, strict=True) if p == candidate.info.run_id]
    by_name = {run.info.run_name: run for run in trials}
    assert sorted(by_name) == [f"trial-{number:03d}" for number in range(6)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in trials:
        assert set(run.data.params) == set(SPACE.ranges)
        history = client.get_metric_history(run.info.run_id, "inner_log_loss")
        pruned = run.data.tags["state"] == "pruned"
        assert [metric.step for metric in history] == list(range(1, len(history) + 1))
        assert (len(history) < 5) == pruned
        assert run.data.metrics["inner_log_loss"] == history[-1].value
    assert by_name["trial-000"].data.params["depth"] == "1"
    assert by_name["trial-000"].data.tags["state"] == "complete"
    assert client.get_run(summary.run_id).data.params["tuning.trials"] == "6"
    assert {f"chosen.{name}" for name in SPACE.ranges} <= set(
        client.get_run(summary.run_id).data.params
    )
    assert not list(home.tuning.iterdir())


def test_nothing_is_logged_for_a_refused_cohort(cohort, tmp_path):
    home = find_home({"KETAMINE_RESPONSE_HOME": str(tmp_path / "home")})
    frame = pd.read_parquet(cohort)
    frame.loc[0, "age"] = 900
    frame.to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(Exception, match=r"age \(range\), row 1"):
        run_file(make_study(), home, tmp_path / "bad.parquet")
    assert not home.folder.exists()
