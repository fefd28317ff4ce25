"""The mutation run: a seeded sample, each mutant tested by its room, resumed from its journal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CODE = '''"""Doses."""


def is_high(dose):
    return dose > 2


def double(dose):
    return dose * 2
'''
TESTS = """from doses.room.dose import is_high


def test_high_begins_above_two():
    assert is_high(3)
    assert not is_high(2)
    assert not is_high(1)
"""


@pytest.fixture
def project(tmp_path):
    """A small project: one function is tested in its room, the other nowhere."""
    for name, text in (
        ("doses/__init__.py", ""),
        ("doses/room/__init__.py", ""),
        ("doses/room/dose.py", CODE),
        ("tests/doses/room/test_dose.py", TESTS),
    ):
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


def run_mutants(out, *arguments, code):
    """Run the command; return the lines that it printed before the summary, and the summary."""
    command = [sys.executable, "tests/endurance/mutants.py", "--jobs", "1", "--out", out]
    done = subprocess.run(
        [*map(str, command), *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert code in (None, done.returncode), done.stdout + done.stderr
    return done.stdout, json.loads((out / "mutants-1.json").read_text("utf-8"))


def test_mutants_of_untested_code_survive(project, tmp_path):
    sample = ("--root", project, "--paths", "doses", "--count")
    _, few = run_mutants(tmp_path / "out", *sample, 2, code=1)
    printed, summary = run_mutants(tmp_path / "out", *sample, 40, code=1)
    assert printed.startswith("2 of ")
    assert summary["mutants"] > few["mutants"] == 2
    assert summary["killed"] >= 2
    assert summary["survivors"]
    assert all("dose * 2" in survivor["change"][0] for survivor in summary["survivors"])
    assert (project / "doses/room/dose.py").read_text() == CODE, "a copy is changed, not the code"


def test_a_handful_of_our_mutants_is_killed(tmp_path):
    paths = ("--paths", "features/dictionary/outcome.py", "--count", 2)
    _, summary = run_mutants(tmp_path / "out", *paths, code=None)
    # Which two depends on the code of today, and one of them may change nothing.
    assert summary["mutants"] == 2
    assert summary["killed"] >= 1
