"""Calls leave the program that makes them as it was."""

import os
import subprocess
import sys

import pytest

import ketamine_response as kr


@pytest.mark.parametrize(
    "what",
    [
        "environment",
        "path",
        "folder",
        "address",
        "run",
        "last run",
        "levels",
        "handlers",
        "threads",
    ],
)
def test_host_is_as_before(visit, what):
    assert visit.after[what] == visit.before[what]


def test_nothing_of_ours_is_in_the_hosts_run(visit):
    """Though its autologging is on, and the fit uses scikit-learn."""
    assert visit.logged == {"params": {}, "metrics": {}}


def test_nothing_is_printed(visit, capfd):
    kr.history("phq9.acute.response", home=visit.home)
    kr.load_model("phq9.acute.response", home=visit.home)
    assert capfd.readouterr() == ("", "")


def test_progress_is_shown_if_wanted(visit, intake, capfd):
    kr.score(intake, home=visit.home, progress=True)
    assert capfd.readouterr() == ("", "scoring: done\n")


def test_environment_is_restored_after_an_error(visit, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(kr.UnavailableError):
        kr.load_model("phq9.acute.response")
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:1"
    assert "KETAMINE_RESPONSE_HOME" not in os.environ


def test_import_is_lazy():
    """Neither MLflow nor pandas is imported before a name is used."""
    script = (
        "import sys, ketamine_response as kr; "
        "assert not {'mlflow', 'pandas', 'sklearn', 'bentoml'} & set(sys.modules); "
        "assert {'fit_study', 'Study'} <= set(dir(kr)); "
        "from ketamine_response import Report"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fit_studdy'"):
        kr.fit_studdy  # noqa: B018
