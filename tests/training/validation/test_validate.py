"""`python -m training validate`: a real registry, real files, real processes."""

import json
import os
import shutil
import signal
import sqlite3
import time

import pytest

from features.base.home import find_home
from features.model.tracking import EXPERIMENT
from features.records.cohort import digest_cohort, read_cohort
from training.findings.findings import Findings
from training.registry.registry import Registry

OUTCOME = "phq9.acute.response"


@pytest.fixture(scope="module")
def model_home(tmp_path_factory, make_registered):
    """A home whose registry holds the known model as version 1, the champion; to be copied."""
    folder = tmp_path_factory.mktemp("registered")
    make_registered(folder)
    return folder


@pytest.fixture
def home(model_home, tmp_path, make_commands):
    """Commands in the test's own home, with artifacts where the registry expects them."""
    shutil.copytree(model_home, tmp_path / "home")
    return make_commands(tmp_path / "home")


@pytest.fixture
def registry(home):
    return Registry(find_home({"KETAMINE_RESPONSE_HOME": str(home.home)}))


@pytest.fixture
def moved(draw, write, tmp_path):
    """An external cohort: its true log-odds are 0.5 times the model's, plus 0.5."""
    return write(tmp_path / "elsewhere.csv", draw(1200, intercept=0.5, slope=0.5))


def list_runs(registry):
    experiment = registry.client.get_experiment_by_name(EXPERIMENT).experiment_id
    return registry.client.search_runs([experiment], "tags.purpose = 'validation'")


def test_a_validation_is_reported_written_and_logged(home, registry, moved, tmp_path):
    out = tmp_path / "out"
    done = home.call("validate", OUTCOME, moved, "--out", out)
    assert "On 1200 courses that it was not fitted on" in done.stdout
    assert "Proposed: the log-odds times 0." in done.stdout
    assert "| Calibration slope " in done.stdout
    assert sorted(path.name for path in out.iterdir()) == ["findings.json", "report.html"]
    findings = Findings.model_validate_json((out / "findings.json").read_text("utf-8"))
    assert findings.recalibration.slope == pytest.approx(0.5, abs=0.15)
    flow = findings.flow
    assert flow.read == 1200 == flow.analysed + sum(row.courses for row in flow.excluded)
    assert "External cohort" in (out / "report.html").read_text("utf-8")
    (run,) = list_runs(registry)
    tags = run.data.tags
    assert (tags["outcome"], tags["validated_version"], tags["data"]) == (OUTCOME, "1", "real")
    assert tags["data_digest"] == digest_cohort(read_cohort(moved))
    assert run.data.metrics["slope"] == pytest.approx(
        findings.find_performance("external").measures["slope"].value
    )
    logged = registry.client.list_artifacts(run.info.run_id, "validation")
    assert {artifact.path for artifact in logged} == {
        "validation/findings.json",
        "validation/report.html",
    }
    versions = registry.client.search_model_versions(f"name='{OUTCOME}'")
    assert len(versions) == 1, "nothing was registered unasked"


def test_a_registered_recalibration_goes_back_through_the_gate(home, registry, moved, tmp_path):
    done = home.call("validate", f"{OUTCOME}@1", moved, "--out", tmp_path, "--register", "--json")
    answer = json.loads(done.stdout)
    assert (answer["version"], answer["registered"]) == ("1", "2")
    assert answer["findings"]["recalibration"]["version"] == "2"
    model = registry.load_version(OUTCOME, "2").model
    (facts,) = model.card.recalibrated
    proposed = answer["findings"]["recalibration"]
    assert (facts.intercept, facts.slope) == (proposed["intercept"], proposed["slope"])
    findings = registry.read_findings(OUTCOME, "2")
    assert (findings.version, findings.purpose) == ("2", "external")
    assert findings.find_performance("external").measures["slope"].value == pytest.approx(
        1, abs=0.15
    )
    assert registry.open_history(OUTCOME).find_champion() == "1"
    promoted = json.loads(home.call("promote", OUTCOME, "--version", "2", "--json").stdout)
    assert promoted["state"] == "promoted"
    assert {criterion["name"]: criterion["passed"] for criterion in promoted["gate"]}[
        "calibration_slope"
    ] is True
    assert registry.open_history(OUTCOME).find_champion() == "2"


def test_nothing_is_registered_if_nothing_is_proposed(home, registry, draw, write, tmp_path):
    cohort = write(tmp_path / "same.csv", draw(600, seed=4))
    done = home.call("validate", OUTCOME, cohort, "--out", tmp_path / "o", "--register")
    assert "Nothing was registered" in done.stdout
    assert len(registry.client.search_model_versions(f"name='{OUTCOME}'")) == 1


def test_a_mapping_renames_a_clinics_columns(home, draw, write, tmp_path):
    rows = [
        {("PHQ total" if name == "phq9" else name): value for name, value in row.items()}
        | {"ward": "B"}
        for row in draw(300)
    ]
    cohort = write(tmp_path / "theirs.csv", rows)
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[rename]\n"PHQ total" = "phq9"\n')
    command = ("validate", OUTCOME, cohort, "--out", tmp_path / "o")
    refused = home.call(*command, "--mapping", mapping, code=2)
    assert "ward (unknown)" in refused.stderr
    done = home.call(*command, "--mapping", mapping, "--ignore-unknown")
    assert "On 300 courses" in done.stdout


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        (f"{OUTCOME}@best", 2, "what follows @"),
        (f"{OUTCOME}@7", 1, "the registry has no version 7"),
    ],
)
def test_a_missing_model_is_refused(home, moved, tmp_path, model, code, message):
    done = home.call("validate", model, moved, "--out", tmp_path / "o", code=code)
    assert message in done.stderr
    assert not list(tmp_path.glob("o/*"))


def test_an_unusable_cohort_leaves_no_run(home, registry, draw, write, tmp_path):
    rows = [row | {"phq9_acute": ""} for row in draw(30)]
    cohort = write(tmp_path / "open.csv", rows)
    done = home.call("validate", OUTCOME, cohort, "--out", tmp_path / "o", "--json", code=2)
    (problem,) = json.loads(done.stdout)["errors"]
    assert (problem["field"], problem["rule"]) == (OUTCOME, "outcome")
    assert not list((tmp_path / "o").iterdir())
    assert not list_runs(registry)


def test_fit_and_validate_lose_no_row_behind_a_quotation_mark(home, registry, tmp_path):
    """The second row would be part of the first one's remarks."""
    cohort = tmp_path / "open.csv"
    cohort.write_text(
        'patient_id,condition,phq9,phq9_acute,remarks\na1,depression,17,8,"low\n'
        "a2,depression,18,15,ok\n"
    )
    message = "file (quotes): line 2 opens a quotation mark that is never closed"
    done = home.call("validate", OUTCOME, cohort, "--out", tmp_path / "o", code=2)
    assert message in done.stderr
    done = home.call("fit", "experiments/studies/demo.toml", "--cohort", cohort, code=2)
    assert message in done.stderr
    assert not list_runs(registry)


def test_a_file_as_output_folder_is_refused(home, moved, tmp_path):
    (tmp_path / "file").write_text("mine")
    done = home.call("validate", OUTCOME, moved, "--out", tmp_path / "file", code=2)
    assert "--out (folder)" in done.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_what_a_validation_reads_is_not_replaced(home, registry, moved, tmp_path):
    """Neither a mapping by the report, nor a link in the folder."""
    out = tmp_path / "o"
    out.mkdir()
    (out / "report.html").write_text("[rename]\n")
    mapping = ("--mapping", tmp_path / "o" / ".." / "o" / "report.html")
    done = home.call("validate", OUTCOME, moved, "--out", out, *mapping, code=2)
    assert "--out (same_file): must not be the same file as --mapping" in done.stderr
    (out / "findings.json").symlink_to(tmp_path / "kept.json")
    done = home.call("validate", OUTCOME, moved, "--out", out, "--json", code=2)
    (problem,) = json.loads(done.stdout)["errors"]
    assert (problem["field"], problem["rule"]) == ("--out", "symlink")
    assert (out / "report.html").read_text() == "[rename]\n"
    assert not list_runs(registry)


def test_no_patient_is_logged(home, registry, draw, write, tmp_path):
    cohort = write(tmp_path / "elsewhere.csv", draw(600, intercept=0.8, first="zebra"))
    done = home.call("validate", OUTCOME, cohort, "--out", tmp_path / "o", "--register", "--json")
    assert "zebra" not in done.stdout + done.stderr
    folders = [home.home, tmp_path / "o"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if b"zebra" in path.read_bytes()]


def test_kill_during_logging_leaves_nothing_half_written(home, registry, draw, write, tmp_path):
    out = tmp_path / "out"
    moved = write(tmp_path / "elsewhere.csv", draw(400, intercept=0.5, slope=0.5))
    command = ("training", "validate", OUTCOME, moved, "--out", out, "--register")
    for moment in (0.0, 1.5):
        process = home.start(*command, warm=True)
        opened = len(list_runs(registry))
        while len(list_runs(registry)) == opened and process.poll() is None:
            time.sleep(0.05)
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert {path.name for path in out.iterdir()} <= {"findings.json", "report.html"}
        for path in out.glob("findings.json"):
            Findings.model_validate_json(path.read_text("utf-8"))
        with sqlite3.connect(home.home / "mlflow.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for version in registry.client.search_model_versions(f"name='{OUTCOME}'"):
            registry.load_version(OUTCOME, version.version)
            registry.read_findings(OUTCOME, version.version)
    home.call(*command[1:])
    assert len(list(out.iterdir())) == 2
    assert {run.info.status for run in list_runs(registry)} <= {"FINISHED", "KILLED"}
