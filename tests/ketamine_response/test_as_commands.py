"""Each call gives what its command gives, to the last digit."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

import ketamine_response as kr
from experiments.simulator import WORLDS, simulate
from experiments.simulator.exports import write_export
from features.base.home import find_home
from training.registry.registry import Registry

OUTCOME = "phq9.acute.response"
TABLES = ["demographics", "dosing", "scores"]


@pytest.fixture(scope="module")
def by_command(commands, move_home, tmp_path_factory):
    """The home in which commands fitted the same study, to be changed."""
    home = tmp_path_factory.mktemp("by-command")
    move_home(commands.home, home)
    yield home
    mlflow.set_tracking_uri(None)


def read_findings(home, version):
    """Read findings without what differs from run to run."""
    registry = Registry(find_home({"KETAMINE_RESPONSE_HOME": str(home)}))
    findings = registry.read_findings(OUTCOME, version).model_dump(mode="json")
    created = findings["card"].pop("created")
    assert created
    return findings


def test_fit_gives_the_same_findings(visit, by_command):
    """Of the command that read the same patients from a file; the model's files are the same."""
    expected = read_findings(by_command, visit.result.version)
    assert read_findings(visit.home, visit.result.version) == expected
    assert kr.load_model(OUTCOME, home=by_command).card.files == visit.result.card.files


def test_summary_is_that_of_the_command(visit):
    summary = visit.result.summary
    assert summary["chosen"] == visit.result.card.candidate
    assert summary["model"] == {
        "name": OUTCOME, "version": visit.result.version, "alias": visit.result.alias,
    }  # fmt: skip


def test_scores_are_those_of_the_command(commands, intake, tmp_path):
    """From the file, a data frame and a cohort that was read, and written to a file as well."""
    commands.run("serving", "score", intake, "--out", tmp_path / "scores.parquet")
    expected = pd.read_parquet(tmp_path / "scores.parquet")
    from_file = kr.score(intake, home=commands.home, out=tmp_path / "written.csv")
    pd.testing.assert_frame_equal(from_file.estimates, expected, check_exact=True)
    for cohort in (pd.read_parquet(intake), kr.read_cohort(intake)):
        scores = kr.score(cohort, home=commands.home)
        pd.testing.assert_frame_equal(scores.estimates, expected, check_exact=True)
    assert len(pd.read_csv(tmp_path / "written.csv")) == len(expected)


def test_predictions_are_the_scores(commands, intake):
    """Probability, interval, effective sample size and abstentions of every row."""
    scores = kr.score(intake, home=commands.home).estimates
    frame = pd.read_parquet(intake).set_index("patient_id", drop=False)
    predicted = kr.load_model(OUTCOME, home=commands.home).predict(frame)
    assert predicted.index.equals(frame.index)
    assert predicted["probability"].notna().sum() > 20
    for name in ("probability", "low", "high", "effective_sample_size", "base_rate"):
        np.testing.assert_array_equal(predicted[name], scores[name])
    for name in ("abstained", "abstained_fields", "prorated"):
        assert [*predicted[name].fillna("")] == [*scores[name].fillna("")]


def test_validation_is_that_of_the_command(commands, make_commands, by_command, tmp_path):
    cohort = tmp_path / "elsewhere.parquet"
    kr.simulate(300, seed=11, world="strong").to_parquet(cohort)
    arguments = ("validate", OUTCOME, cohort, "--out", tmp_path / "out", "--json")
    done = json.loads(make_commands(by_command).call(*arguments).stdout)
    result = kr.validate(OUTCOME, pd.read_parquet(cohort), home=by_command)
    assert result.summary["findings"] == done["findings"]
    auc = done["findings"]["performance"][-1]["measures"]["auc"]
    shown = result.performance.loc["external", ["auc", "auc_low", "auc_high"]]
    assert [*shown] == [auc["value"], auc["low"], auc["high"]]
    assert result.summary["files"] == []
    assert result.report.html == (tmp_path / "out" / "report.html").read_text("utf-8")


def test_validation_on_joined_exports_accounts_for_their_rows(commands, by_command, tmp_path):
    """As the command does: its findings, and so its report, have every table's rows."""
    write_export("tables", simulate(WORLDS["strong"], 300, 11), 11, tmp_path / "export")
    how = ("--mapping", tmp_path / "export" / "mapping.toml", "--out", tmp_path / "out", "--json")
    done = commands.call("validate", f"{OUTCOME}@champion", tmp_path / "export", *how)
    result = kr.validate(OUTCOME, tmp_path / "export", how[1], home=by_command)
    expected = json.loads(done.stdout)["findings"]
    assert [entry["table"] for entry in expected["flow"]["tables"]] == TABLES
    assert result.summary["findings"]["flow"] == expected["flow"]


def test_fit_accounts_for_the_rows_of_joined_exports(by_command, tmp_path):
    """Of a list of files, and of a cohort that was read from them."""
    write_export("tables", simulate(WORLDS["strong"], 120, 11), 11, tmp_path)
    mapping, files = tmp_path / "mapping.toml", [tmp_path / f"{name}.csv" for name in TABLES]
    study = kr.Study(
        name="joined",
        question="Who responds?",
        outcome="phq9.week12.response",
        seed=1,
        cohort={"mapping": str(mapping)},
        candidates=["base_rate"],
        validation={"profile": "quick", "repeats": 1, "resamples": 100},
        uncertainty={"redevelopments": 20},
        gate={"redevelopments": 0},
    )
    for cohort in (files, kr.read_cohort(files, mapping)):
        flow = kr.fit_study(study, cohort, jobs=1, home=by_command).findings.flow
        assert [entry.table for entry in flow.tables] == TABLES


def test_champions_change_as_by_command(by_command, make_commands):
    """A refusal is a state; an override, the history and a rollback are those of the commands."""
    command = make_commands(by_command)
    champion = kr.load_model(OUTCOME, home=by_command)
    assert kr.promote(OUTCOME, champion.version, home=by_command).state == "champion"
    with pytest.raises(kr.UnavailableError, match="no champion before"):
        kr.rollback(OUTCOME, "a try", home=by_command)
    chronicle = kr.history(OUTCOME, home=by_command)
    shown = json.loads(command.call("history", OUTCOME, "--json").stdout)
    assert chronicle.frame["digest"].tolist() == [event["digest"] for event in shown["events"]]
    assert chronicle.problems == ()
    assert repr(chronicle) == command.call("history", OUTCOME).stdout.rstrip("\n")


def test_model_card_is_that_of_the_command(by_command, make_commands):
    model = kr.load_model(OUTCOME, home=by_command)
    assert model.describe() == make_commands(by_command).call("card", OUTCOME).stdout
    assert model._repr_markdown_() == model.describe()
    assert model.aliases == ("challenger", "champion")


def test_simulation_is_that_of_the_command(make_commands, tmp_path):
    out, truth = tmp_path / "cohort.parquet", tmp_path / "truth.parquet"
    made = ("--patients", 40, "--seed", 3, "--out", out, "--truth", truth, "--draws", 5)
    make_commands(tmp_path).run("experiments", "simulate", *made)
    cohort, known = kr.simulate_with_truth(40, 3, draws=5)
    pd.testing.assert_frame_equal(cohort, pd.read_parquet(out), check_exact=True)
    pd.testing.assert_frame_equal(known, pd.read_parquet(truth), check_exact=True)
    pd.testing.assert_frame_equal(kr.simulate(40, 3), cohort, check_exact=True)


MAPPING = '[rename]\nPat_No = "patient_id"\n[constants]\ncondition = "depression"\n'


@pytest.fixture
def export(tmp_path):
    """A clinic's export and its mapping."""
    path, mapping = tmp_path / "export.csv", tmp_path / "mapping.toml"
    path.write_text("Pat_No,phq9,bipolar,assessed_on\na1,17,yes,2026-02-01\na2,21,,2026-02-03\n")
    mapping.write_text(MAPPING)
    return path, mapping


def test_cohort_is_that_of_the_intake_command(export, make_commands, tmp_path):
    """Its frame, its file and its account."""
    path, mapping = export
    out = tmp_path / "cohort.parquet"
    call = make_commands(tmp_path).call
    done = json.loads(call("intake", path, "--mapping", mapping, "--out", out, "--json").stdout)
    cohort = kr.read_cohort(path, mapping)
    assert cohort.digest == done["digest"]
    pd.testing.assert_frame_equal(cohort.frame, pd.read_parquet(out), check_exact=True)
    saved = pd.read_parquet(cohort.save(tmp_path / "saved.parquet"))
    pd.testing.assert_frame_equal(saved, cohort.frame, check_exact=True)
    facts = cohort.facts.model_dump(mode="json")
    assert facts["account"] == done["account"]
    assert facts["fields"] == done["fields"]
    assert "<h1" in cohort.report.html


def test_mapping_is_drafted_and_checked_as_by_command(export, make_commands, tmp_path, capfd):
    path, mapping = export
    call = make_commands(tmp_path).call
    drafted = call("mapping", "suggest", path, "--json").stdout
    checked = json.loads(call("mapping", "check", mapping, path, "--json").stdout)
    capfd.readouterr()
    assert kr.suggest_mapping(path).as_dict() == json.loads(drafted)
    tried = kr.check_mapping(mapping, [path]).as_dict()
    assert capfd.readouterr() == ("", "")
    for part in (tried, checked):
        part["intake"].pop("created")
    assert json.loads(json.dumps(tried)) == checked


def test_study_of_keywords_is_that_of_its_file():
    """Keys of a table replace the file's one by one, as --set does."""
    from training.study.study import read_study

    path = Path("experiments/studies/demo.toml")
    expected = read_study(path, ["validation.folds=3", "seed=9"])
    assert kr.Study(path, validation={"folds": 3}, seed=9).settings == expected
    assert kr.Study(str(path)).settings == read_study(path)
