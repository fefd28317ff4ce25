"""Settings: read once, typed, refused by name."""

import pytest

from features.base.errors import InputError
from features.base.home import find_home
from serving.base.settings import ServingSettings, read_settings


def test_an_empty_environment_gives_the_defaults():
    assert read_settings({}) == ServingSettings()
    assert read_settings({}).most_body_bytes == 1 << 20


def test_settings_come_from_the_environment():
    assert read_settings({"KETAMINE_RESPONSE_LEAST_SAMPLE_SIZE": "25"}).least_sample_size == 25


@pytest.mark.parametrize("value", ["many", "0", "-5"])
def test_a_senseless_setting_is_refused_by_name(value):
    with pytest.raises(InputError, match="KETAMINE_RESPONSE_MOST_ASSESSMENTS"):
        read_settings({"KETAMINE_RESPONSE_MOST_ASSESSMENTS": value})


def test_a_teams_servers_are_taken_from_the_environment(tmp_path):
    home = find_home(
        {
            "KETAMINE_RESPONSE_HOME": str(tmp_path),
            "MLFLOW_TRACKING_URI": "http://mlflow.example",
            "BENTOML_HOME": "/srv/bentoml",
        }
    )
    assert home.tracking_uri == "http://mlflow.example"
    assert str(home.bento_folder) == "/srv/bentoml"
    assert find_home({"KETAMINE_RESPONSE_HOME": str(tmp_path)}).bento_folder == tmp_path / "bentoml"
