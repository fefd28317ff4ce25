"""Locations in a home, and small tools of commands and processes."""

import os
import subprocess
import sys

import pytest
from sqlalchemy import make_url

from features.base.commands import track
from features.base.home import find_home
from features.base.processes import is_alive


def test_parts_of_a_home_lie_in_its_folder(tmp_path):
    home = find_home({"KETAMINE_RESPONSE_HOME": str(tmp_path)})
    assert (home.folder, home.database) == (tmp_path, tmp_path / "mlflow.db")
    assert home.artifacts == tmp_path / "artifacts"
    assert home.models_folder == tmp_path / "bentoml" / "models"
    assert home.service_key == tmp_path / "service.key"
    assert home.store_url == f"sqlite:///{tmp_path / 'service.db'}"
    assert home.validation == tmp_path / "validation"
    assert home.tuning == tmp_path / "tuning"
    assert home.user == "unknown"


def test_environment_moves_parts_elsewhere(tmp_path):
    home = find_home(
        {
            "KETAMINE_RESPONSE_HOME": str(tmp_path),
            "MLFLOW_TRACKING_URI": "https://mlflow.example",
            "BENTOML_HOME": str(tmp_path / "elsewhere"),
            "USER": "ada",
        }
    )
    assert home.database is None
    assert home.tracking_uri == "https://mlflow.example"
    assert home.models_folder == tmp_path / "elsewhere" / "models"
    assert home.user == "ada"


def test_an_empty_variable_is_as_good_as_none(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    variables = ("KETAMINE_RESPONSE_HOME", "MLFLOW_TRACKING_URI", "BENTOML_HOME")
    assert find_home(dict.fromkeys(variables, "")) == find_home({})
    assert find_home({}).folder == tmp_path / ".ketamine-response"


def test_a_tilde_is_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    home = find_home({"KETAMINE_RESPONSE_HOME": "~/clinic", "BENTOML_HOME": "~/models"})
    assert home.folder == tmp_path / "clinic"
    assert home.bento_folder == tmp_path / "models"
    assert find_home({"KETAMINE_RESPONSE_HOME": "~unknown-user"}).folder.name == "~unknown-user"


@pytest.mark.parametrize("name", ["50% off?", "ward #3", "a b+c@d:e&f=g", "Köln", "%3F", "[x]"])
def test_addresses_lead_to_a_home_of_any_name(tmp_path, name):
    home = find_home({"KETAMINE_RESPONSE_HOME": str(tmp_path / name)})
    assert make_url(home.tracking_uri).database == str(tmp_path / name / "mlflow.db")
    assert make_url(home.store_url).database == str(tmp_path / name / "service.db")
    assert home.database == tmp_path / name / "mlflow.db"


def test_tracked_items_all_come_in_order(capsys):
    assert list(track(iter("abc"), 3, "letters")) == ["a", "b", "c"]
    assert capsys.readouterr().err == "letters: done\n"


def test_process_is_alive_until_it_has_ended():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_alive(process.pid)
    assert is_alive(os.getpid())
    process.communicate(b"\n")
    assert not is_alive(process.pid)
