"""The model card of a registered version: its required contents."""

import json

import pytest
from typer.testing import CliRunner

from features.base.errors import ArtifactError, UnavailableError
from features.model.artifact import CHAMPION_ALIAS
from training.__main__ import app
from training.card import read_registered_card, write_model_card
from training.findings.findings import Performance
from training.findings.gate import judge
from training.registry.reference import parse_reference
from training.study.parts import GatePart

NAME = "phq9.acute.response"
SECTIONS = (
    "What it is",
    "Intended use",
    "Population and studied ranges",
    "Performance",
    "Subgroups",
    "Limitations",
    "Gate",
    "Versions",
)


@pytest.fixture
def read(register):
    return lambda text: read_registered_card(register.registry, parse_reference(text))


@pytest.fixture
def validated(register, make_findings):
    """A champion with findings judged by the gate."""
    undone = Performance(
        way="temporal", method="", courses=0, events=0, measures={}, because="no dates"
    )
    draft = make_findings(ways={"corrected": {"slope": 0.4}})
    version = register(
        gate=judge(draft, GatePart()),
        performance=(*draft.performance, undone),
        limitations=("Two clinics of one town.",),
        alarms=("Look at this.",),
    )
    register.registry.name_version(NAME, CHAMPION_ALIAS, version)
    return version


def test_card_has_every_section_simulated_note_first(validated, read):
    text = write_model_card(read(NAME))
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(SECTIONS)
    lines = [line for line in text.splitlines() if line]
    assert lines[0] == f"# {NAME}, version {validated}"
    assert "SIMULATED DATA" in lines[1]
    assert lines[2] == "**Look at this.**"


def test_card_has_findings_and_what_was_not_done(validated, read):
    validated_version = read(f"{NAME}@{validated}")
    text = write_model_card(validated_version)
    people = validated_version.card.population
    for text_part in (
        "now champion",
        f"{people.courses} courses of {people.patients} patients",
        "Age (`age`):",
        "(`agent`): ketamine, esketamine",
        "| AUC ",
        "- Later courses: not done (no dates)",
        "differ from the model's by 4.0 percentage points",
        "| Sex: female | 80      | 36     |",
        "| 1.02 (0.80 to 1.30)",
        "- Two clinics of one town.",
        "calibration_slope: estimates are too extreme (overfitting)",
        validated_version.digest,
        validated_version.card.data_digest,
        "not treatment benefit",
        "Care of any patient: the model was trained on simulated patients.",
    ):
        assert text_part in text, text_part


def test_card_says_that_there_are_no_findings(register, read):
    text = write_model_card(read(f"{NAME}@{register(with_findings=False)}"))
    assert "registered without validation findings" in text
    assert "| Log loss" in text
    assert "## Gate" not in text


def test_card_of_a_damaged_version_is_refused(register, read):
    version = register()
    register.registry.client.set_model_version_tag(NAME, version, "findings_digest", "0" * 64)
    with pytest.raises(ArtifactError, match="damaged"):
        read(f"{NAME}@{version}")
    with pytest.raises(UnavailableError, match="no champion"):
        read(NAME)


def test_command_shows_writes_and_prints_json(validated, home, monkeypatch, tmp_path):
    monkeypatch.setenv("KETAMINE_RESPONSE_HOME", str(home.folder))
    run = CliRunner().invoke
    shown = run(app, ["card", NAME])
    assert shown.exit_code == 0
    written = run(app, ["card", f"{NAME}@{validated}", "--out", str(tmp_path / "card.md")])
    assert (written.exit_code, written.stdout) == (0, "")
    assert (tmp_path / "card.md").read_text() == shown.stdout
    (tmp_path / "link.md").symlink_to(tmp_path / "card.md")
    assert run(app, ["card", NAME, "--out", str(tmp_path / "link.md")]).exit_code == 2
    assert (tmp_path / "link.md").is_symlink()
    plain = json.loads(run(app, ["card", f"{NAME}@champion", "--json"]).stdout)
    assert plain["aliases"] == ["champion"]
    assert plain["data"] == "simulated"
    assert plain["card"]["name"] == NAME
    assert plain["findings"]["version"] == validated
    assert run(app, ["card", f"{NAME}@latest"]).exit_code == 2
    assert run(app, ["card", f"{NAME}@99"]).exit_code == 1
