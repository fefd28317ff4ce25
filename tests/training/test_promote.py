"""Promotion in a real MLflow store: by a version's findings, or by a named user's override."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import mlflow
import pytest
import warm_python
from typer.testing import CliRunner

from features.base.errors import ArtifactError, InputError, UnavailableError
from features.base.files import digest_bytes
from features.model.artifact import CHALLENGER_ALIAS
from training.__main__ import app
from training.findings.criteria import RULES
from training.promote import promote_version
from training.registry.history import describe_history
from training.registry.reference import parse_reference
from training.registry.registry import FINDINGS_TAG, Registry

NAME = "phq9.acute.response"
PROJECT = Path(__file__).parents[2]
OVERFITTED = {"ways": {"corrected": {"slope": 0.4}}}


@pytest.fixture
def ask(register):
    """Promotes a version in this process."""

    def ask(version, reason="", registry=None):
        reference = parse_reference(f"{NAME}@{version}")
        return promote_version(registry or register.registry, reference, "ada", reason)

    return ask


@pytest.fixture
def history(register):
    return register.registry.open_history(NAME)


@pytest.fixture
def command(home, monkeypatch):
    """Runs a command of training in the test's home."""
    monkeypatch.setenv("KETAMINE_RESPONSE_HOME", str(home.folder))
    monkeypatch.setenv("LOGNAME", "ada")
    return lambda *words: CliRunner().invoke(app, list(words))


def locate_findings(registry, version):
    stored = registry.client.get_model_version(NAME, version)
    path = f"report/{stored.tags['candidate']}/findings.json"
    folder = registry.client.get_run(stored.run_id).info.artifact_uri.removeprefix("file://")
    return Path(folder) / path


# A version's findings stay with it.


def test_findings_and_report_are_stored_with_the_run(register):
    version = register()
    path = locate_findings(register.registry, version)
    findings = register.registry.read_findings(NAME, version)
    assert findings.model_dump_json(indent=1) == path.read_text()
    assert findings.version == version
    assert (path.parent / "report.html").read_text() == "<p>report</p>"
    tags = register.registry.client.get_model_version(NAME, version).tags
    assert tags[FINDINGS_TAG] == digest_bytes(path.read_bytes())


def test_versions_of_one_run_have_separate_findings(register, developed, make_findings):
    registry, versions = register.registry, {}
    study = registry.client.create_run(registry.experiment).info.run_id
    with mlflow.start_run(run_id=study):
        for candidate, model in developed.items():
            versions[candidate] = registry.register(model).version
    for candidate, version in versions.items():
        findings = make_findings(card=developed[candidate].card, version=version)
        registry.log_findings(findings, "")
    for candidate, version in versions.items():
        assert registry.read_findings(NAME, version).card.candidate == candidate


def test_changed_findings_are_detected(register, ask, history):
    version = register(**OVERFITTED)
    path = locate_findings(register.registry, version)
    path.write_text(path.read_text().replace("0.4,", "1.0,"))
    for reason in ("", "I know better"):
        with pytest.raises(ArtifactError, match="damaged"):
            ask(version, reason)
    assert history.find_champion() is None


def test_missing_unreadable_or_foreign_findings_are_refused(register):
    registry, (first, second) = register.registry, (register(), register())
    path = locate_findings(registry, first)
    for content, message in (
        (locate_findings(registry, second).read_bytes(), "not about"),
        (b"{}", "format 1"),
    ):
        path.write_bytes(content)
        registry.client.set_model_version_tag(NAME, first, FINDINGS_TAG, digest_bytes(content))
        with pytest.raises(ArtifactError, match=message):
            registry.read_findings(NAME, first)
    path.unlink()
    with pytest.raises(ArtifactError, match="missing"):
        registry.read_findings(NAME, first)


# The gate decides.


def test_a_version_meeting_every_criterion_becomes_champion(register, ask, history):
    done = ask(register())
    (event,) = history.read().events
    assert (done.state, done.event) == ("promoted", event)
    assert (event.action, event.before, event.after, event.who) == (
        "promotion", None, done.version, "ada",
    )  # fmt: skip
    assert event.reason == done.card.verdict
    slope = next(criterion for criterion in event.gate if criterion["name"] == "calibration_slope")
    assert (slope["value"], slope["low"], slope["high"], slope["passed"]) == (1.0, 0.7, 1.5, True)
    assert history.find_champion() == done.version
    assert history.verify() == ()


def test_a_failing_version_is_refused_with_reasons(register, ask, history):
    first = ask(register()).version
    compared = {"version": first, "candidate": "severity_only", "difference": 0.003}
    done = ask(register(champion=compared, **OVERFITTED))
    assert done.state == "refused"
    assert done.as_dict()["failed"] == ["calibration_slope", "champion"]
    assert [criterion.name for criterion in done.criteria] == [rule.name for rule in RULES]
    assert history.find_champion() == first
    assert len(history.read().events) == 1


def test_the_gate_uses_the_studys_own_bounds(register, ask):
    bounds = {"calibration_slope": (0.3, 1.5)}
    assert ask(register(bounds=bounds, **OVERFITTED)).state == "promoted"


def test_an_override_records_who_why_and_failures(register, ask, history):
    version = register(**OVERFITTED)
    done = ask(version, "needed \n for the audit ")
    (event,) = history.read().events
    assert done.state == "overridden"
    assert (event.action, event.who, event.reason) == (
        "override", "ada", "needed for the audit",
    )  # fmt: skip
    assert [criterion["name"] for criterion in event.gate if criterion["passed"] is False] == [
        "calibration_slope"
    ]
    lines = describe_history(history.read().events, history.verify()).splitlines()
    assert lines[0].endswith(f"ada: override of version {version}. needed for the audit")
    assert "   FAILED: calibration_slope 0.4 (0.7 to 1.5)" in lines
    assert any(line.startswith("   passed: base_rate -0.02 (at most -0.01); ") for line in lines)


def test_an_unneeded_reason_makes_no_override(register, ask):
    assert ask(register(), "it is better").event.action == "promotion"


def test_a_too_long_reason_is_refused(register, ask):
    with pytest.raises(InputError, match="--override-reason"):
        ask(register(**OVERFITTED), "x" * 1001)


def test_the_champion_is_not_promoted_again(register, ask, history):
    version = register()
    ask(version)
    again = ask(version)
    assert (again.state, again.event, again.criteria) == ("champion", None, ())
    assert len(history.read().events) == 1


def test_a_comparison_with_an_earlier_champion_fails(register, ask):
    first, second = register(), register()
    ask(first)
    ask(second, "newer")
    compared = {"version": first, "candidate": "severity_only", "difference": -0.01}
    done = ask(register(champion=compared))
    (failed,) = [criterion for criterion in done.criteria if criterion.passed is False]
    assert failed.name == "champion"
    assert failed.because == (
        f"compared with version {first}, but the champion is version {second}: "
        "fit again on the current cohort"
    )


def test_beating_the_base_rate_replaces_it(register, ask):
    assert ask(register("base_rate", difference=0.0)).state == "promoted"
    assert ask(register()).state == "promoted"


def test_the_base_rate_may_always_be_champion(register, ask):
    ask(register())
    done = ask(register("base_rate", with_findings=False))
    assert (done.state, done.criteria) == ("promoted", ())


def test_a_version_without_findings_needs_an_override(register, ask):
    version = register(with_findings=False)
    assert ask(version).as_dict()["failed"] == ["findings"]
    assert ask(version, "measured elsewhere").state == "overridden"


def test_damaged_versions_are_replaced_and_never_promoted(register, ask, history):
    first = register()
    ask(first)
    client = register.registry.client
    client.set_model_version_tag(NAME, first, "digest", "0" * 64)
    with pytest.raises(ArtifactError, match="digest"):
        register.registry.load_champion(NAME)
    damaged = register("base_rate")
    client.set_model_version_tag(NAME, damaged, "digest", "0" * 64)
    with pytest.raises(ArtifactError, match="digest"):
        ask(damaged, "in a hurry")
    assert ask(register("base_rate")).state == "promoted"


# One of two promotions wins; a kill leaves one champion.


class Overtaken(Registry):
    """A registry in which another user promotes a version while findings are being read."""

    rival = ""

    def read_findings(self, name, version):
        self.open_history(name).change(self.rival, "override", "grace", "faster")
        return super().read_findings(name, version)


def test_a_promotion_overtaken_by_another_is_void(register, ask, home, history):
    slower, faster = register(), register()
    registry = Overtaken(home)
    registry.rival = faster
    with pytest.raises(UnavailableError, match="came first"):
        ask(slower, registry=registry)
    assert history.find_champion() == faster
    assert history.verify() == ()


RIVAL = """
import sys
from features.base.home import find_home
from training.promote import promote_version
from training.registry.reference import parse_reference
from training.registry.registry import Registry
home = find_home({"KETAMINE_RESPONSE_HOME": sys.argv[1]})
registry, asked = Registry(home), parse_reference(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
print(promote_version(registry, asked, "ada").state)
"""


def start(script, *words):
    return subprocess.Popen(
        [*warm_python.COMMAND, "-c", script, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        text=True,
    )


def test_of_two_simultaneous_promotions_one_wins(register, home, history):
    versions = [register(), register()]
    rivals = [start(RIVAL, str(home.folder), f"{NAME}@{version}") for version in versions]
    for rival in rivals:
        assert rival.stdout.readline() == "ready\n"
    for rival in rivals:
        rival.stdin.write("go\n")
        rival.stdin.flush()
    outputs = [rival.communicate(timeout=120) for rival in rivals]
    # The slower one is too late for the event, or finds a champion that it was not compared with.
    won = [index for index, (out, _) in enumerate(outputs) if out == "promoted\n"]
    assert len(won) == 1, outputs
    (event,) = history.read().events
    assert event.after == versions[won[0]] == history.find_champion()
    assert outputs[1 - won[0]][0] == "refused\n" or "came first" in outputs[1 - won[0]][1]
    assert history.verify() == ()


KILLED = """
import sys
from features.base.home import find_home
from training.promote import promote_version
from training.registry.reference import parse_reference
from training.registry.registry import Registry
registry = Registry(find_home({"KETAMINE_RESPONSE_HOME": sys.argv[1]}))
print("ready", flush=True)
while True:
    for reference in sys.argv[2:]:
        promote_version(registry, parse_reference(reference), "ada", "again")
"""


def test_a_killed_promotion_leaves_one_champion(register, ask, home, history):
    versions = [register(**OVERFITTED), register(**OVERFITTED)]
    ask(versions[0], "the first")
    with start(KILLED, str(home.folder), *(f"{NAME}@{version}" for version in versions)) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.7)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert history.verify() == ()
    history.resume()
    head = history.read().head
    assert history.find_champion() == head.after
    other = next(version for version in versions if version != head.after)
    assert ask(other, "after the kill").state == "overridden"
    assert history.verify() == ()


# The command.


def test_the_command_promotes_the_challenger(register, command, history):
    version = register()
    register.registry.name_version(NAME, CHALLENGER_ALIAS, version)
    done = command("promote", NAME)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("SIMULATED DATA")
    assert lines[-1] == f"Champion: {NAME} version {version} (severity_only)."
    assert history.find_champion() == version
    again = command("promote", NAME)
    assert again.exit_code == 0
    assert again.stdout.splitlines()[-1].endswith("is the champion already. Nothing was changed.")


def test_the_command_refuses_with_exit_code_1(register, command, history):
    version = register(**OVERFITTED)
    plain = command("promote", NAME, "--version", version, "--json")
    assert plain.exit_code == 1
    answer = json.loads(plain.stdout)
    assert (answer["state"], answer["failed"], answer["event"]) == (
        "refused",
        ["calibration_slope"],
        None,
    )
    assert {criterion["name"]: criterion["value"] for criterion in answer["gate"]}[
        "calibration_slope"
    ] == 0.4
    shown = command("promote", NAME, "--version", version)
    assert shown.exit_code == 1
    assert "calibration_slope | 0.7 to 1.5" in shown.stdout
    assert shown.stdout.splitlines()[-1].endswith("Not met: calibration_slope.")
    assert history.find_champion() is None


def test_the_command_overrides_with_a_reason(register, command, history):
    version = register(**OVERFITTED)
    done = command("promote", NAME, "--version", version, "--override-reason", "for the audit")
    assert done.exit_code == 0
    assert "Champion against the gate" in done.stdout
    assert history.read().head.who == "ada"
    shown = command("history", NAME)
    assert "FAILED: calibration_slope 0.4" in shown.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((NAME,), 1, f"the registry has no challenger of {NAME}"),
        ((NAME, "--version", "7"), 1, f"the registry has no version 7 of {NAME}"),
        (("gad7.acute.response",), 1, "the registry has no challenger of gad7.acute.response"),
        # A study may bring its own instrument: only the registry knows that there is no model.
        (("phq8.acute.response",), 1, "the registry has no challenger of phq8.acute.response"),
        (("response",), 2, "outcome"),
    ],
)
def test_the_command_names_what_is_missing(register, command, words, code, message):
    register()
    done = command("promote", *words)
    assert done.exit_code == code
    assert message in done.stderr
    assert "Traceback" not in done.output


def test_references_name_an_alias_or_a_version():
    assert parse_reference(NAME).alias == "champion"
    assert parse_reference(NAME, "challenger").alias == "challenger"
    assert parse_reference(f"{NAME}@challenger").alias == "challenger"
    assert parse_reference(f"{NAME}@12").version == "12"
    for wrong in ("", "latest", "0", "1.5", "-1"):
        with pytest.raises(InputError, match="number of a version"):
            parse_reference(f"{NAME}@{wrong}")
