"""Common behaviour of commands: errors for people and programs, without a traceback's values."""

import errno
import json
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from features.base.commands import AsJson, explain_errors, make_app
from features.base.errors import InputError, Problem, UnavailableError

ERRORS = [(InputError([Problem("age", "range", "0 to 120")]), 2), (UnavailableError("gone"), 1)]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=["input", "unavailable"])
def test_error_is_shown_on_stderr_with_its_code(capsys, error, code):
    with pytest.raises(typer.Exit) as ended, explain_errors():
        raise error
    assert ended.value.exit_code == code
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"{error}\n")


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=["input", "unavailable"])
def test_error_for_machines_is_json_on_stdout(capsys, error, code):
    with pytest.raises(typer.Exit) as ended, explain_errors(as_json=True):
        raise error
    assert ended.value.exit_code == code
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)["errors"]) == 1
    assert shown.err == ""


def test_tracebacks_show_no_local_values():
    assert make_app("Does something.").pretty_exceptions_enable is False


# Every command, from its first line to its last.


def make_command(body):
    app = make_app("Test.")

    @app.callback()
    def group():
        """Two commands or one: the same."""

    @app.command()
    def act(as_json: AsJson = False):
        body()

    return app


def fail_on_full_disk():
    raise OSError(errno.ENOSPC, "No space left on device", "/srv/home/scores.csv")


def test_a_foreign_error_is_one_sentence():
    done = CliRunner().invoke(make_command(fail_on_full_disk), ["act"])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("scores.csv: no space is left on the disk")
    assert done.stderr.count("\n") == 1


def test_a_foreign_error_is_json_for_machines():
    done = CliRunner().invoke(make_command(fail_on_full_disk), ["act", "--json"])
    assert done.exit_code == 1
    (error,) = json.loads(done.stdout)["errors"]
    assert error["message"].startswith("scores.csv: no space is left on the disk")


def test_a_fault_of_the_program_keeps_its_traceback():
    done = CliRunner().invoke(make_command(lambda: {}["absent"]), ["act"])
    assert isinstance(done.exception, KeyError)


TEXT = "55 % → 61 % — Köln, τ ≥ 2 ✓ 治"
ECHO = f"""
import typer
from features.base.commands import AsJson, make_app, show
app = make_app("Pages … of any terminal")
@app.callback()
def group():
    "Group."
@app.command()
def act(as_json: AsJson = False):
    "Show → text."
    show(as_json, {{"text": {TEXT!r}}}, {TEXT!r})
app()
"""
WRITTEN = {
    "utf-8": TEXT,
    "cp1252": "55 % -> 61 % — Köln, tau >= 2 yes ?",
    "latin-1": "55 % -> 61 % - Köln, tau >= 2 yes ?",
    "iso8859-7": "55 % -> 61 % - K?ln, τ >= 2 yes ?",
}


def echo(encoding, *options):
    done = subprocess.run(
        [sys.executable, "-c", ECHO, *options],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("encoding", "text"), WRITTEN.items(), ids=WRITTEN)
def test_every_terminal_gets_the_whole_text(encoding, text):
    assert echo(encoding, "act").decode(encoding).strip() == text


@pytest.mark.parametrize("encoding", WRITTEN)
def test_json_is_intact_in_every_encoding(encoding):
    assert json.loads(echo(encoding, "act", "--json").decode("utf-8")) == {"text": TEXT}


def test_help_is_written_to_every_terminal():
    assert b"Show -> text." in echo("cp1252", "act", "--help")
