"""Common behaviour of commands: errors for people and programs, without a traceback's values."""

import json

import pytest
import typer

from features.base.commands import explain_errors, make_app
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
