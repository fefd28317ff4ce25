"""Locations in a home, and small tools of commands and processes."""

import os
import subprocess
import sys

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


def test_tracked_items_all_come_in_order(capsys):
    assert list(track(iter("abc"), 3, "letters")) == ["a", "b", "c"]
    assert capsys.readouterr().err == "letters: done\n"


def test_process_is_alive_until_it_has_ended():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_alive(process.pid)
    assert is_alive(os.getpid())
    process.communicate(b"\n")
    assert not is_alive(process.pid)
