"""Errors of libraries and of the system, as one sentence that names the remedy and no value."""

import errno
import shutil
import sqlite3
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException

from features.base.errors import ArtifactError, InputError, UnavailableError
from features.base.foreign import explain_foreign, translate_errors

FULL = Path("/dev/full")
# What MLflow 3 says, and what the user reads instead.
MLFLOW = {
    "Detected out-of-date database schema (found version a, but expected b)": "mlflow db upgrade",
    "(sqlite3.OperationalError) database or disk is full\n[SQL: secret]": "no space is left",
    "(sqlite3.OperationalError) attempt to write a readonly database": "cannot be written",
    "(sqlite3.OperationalError) unable to open database file": "cannot be opened",
    "(sqlite3.DatabaseError) file is not a database": "restore it from a backup",
    "(sqlite3.OperationalError) database is locked": "another process",
    "API request to http://secret:secret@host/api failed with exception Max retries exceeded": (
        "does not answer"
    ),
    "API request to endpoint /api failed with error code 401 != 200. secret": "refuses this user",
    "API request to endpoint /api failed with error code 404 != 200. <html>secret": (
        "not an MLflow server"
    ),
}


@pytest.mark.parametrize(("text", "sentence"), MLFLOW.items(), ids=MLFLOW.values())
def test_mlflow_errors_name_the_remedy(text, sentence):
    ours = explain_foreign(MlflowException(text))
    assert isinstance(ours, UnavailableError)
    assert sentence in str(ours)
    assert "secret" not in str(ours)
    assert "\n" not in str(ours)


def test_an_unknown_mlflow_error_keeps_its_first_line():
    error = MlflowException("Model is odd at http://me:secret@host/\n[parameters: ('secret',)]")
    expected = "MLflow's store cannot be used: Model is odd at http://host/"
    assert str(explain_foreign(error)) == expected


def test_a_missing_artifact_is_an_artifact_error():
    assert isinstance(explain_foreign(MlflowException("No such artifact: ''")), ArtifactError)


def test_a_wrong_address_is_bad_input():
    error = MlflowException("Model registry functionality is unavailable; got unsupported URI 'x'")
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI"), translate_errors():
        raise error


def test_a_server_that_refuses_is_named():
    with pytest.raises(UnavailableError, match="does not answer"), translate_errors():
        requests.get("http://127.0.0.1:9/", timeout=5)


def test_a_damaged_database_is_named(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database, and longer than a header\n" * 9)
    with pytest.raises(UnavailableError, match="damaged"), translate_errors():
        sqlite3.connect(tmp_path / "mlflow.db").execute("PRAGMA schema_version")


def test_a_folder_named_as_file_is_refused(tmp_path):
    with pytest.raises(InputError) as refused, translate_errors():
        tmp_path.read_bytes()
    (problem,) = refused.value.problems
    assert (problem.field, problem.rule) == (tmp_path.name, "file")


def test_a_file_named_as_folder_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="folder"), translate_errors():
        (tmp_path / "notes.txt" / "scores.csv").write_text("")
    with pytest.raises(InputError, match="folder"), translate_errors():
        (tmp_path / "notes.txt").mkdir()


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
def test_a_full_disk_is_named(tmp_path):
    with pytest.raises(UnavailableError, match="no space is left"), translate_errors():
        FULL.write_text("x")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("x")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").symlink_to(FULL)
    with pytest.raises(UnavailableError, match="no space is left"), translate_errors():
        shutil.copytree(tmp_path / "a", tmp_path / "b", dirs_exist_ok=True)


def test_an_unfinished_file_has_its_own_name():
    error = OSError(
        errno.EACCES, "Permission denied", "/srv/..scores.csv.0123abcd.part.89abcdef.part"
    )
    assert "scores.csv (permission)" in str(explain_foreign(error))


def test_a_missing_package_is_named():
    with pytest.raises(UnavailableError, match="the package no_such_package"), translate_errors():
        import no_such_package  # noqa: F401


@pytest.mark.parametrize(
    "error", [KeyError("x"), ValueError("x"), BrokenPipeError(errno.EPIPE, "x")]
)
def test_a_fault_of_this_program_stays_as_it_is(error):
    with pytest.raises(type(error)) as raised, translate_errors():
        raise error
    assert raised.value is error
