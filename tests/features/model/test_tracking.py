"""MLflow's store, as far as it is ours: addresses of artifacts in a home that was moved."""

import sqlite3
from contextlib import closing

import pytest

from features.base.home import find_home
from features.model.tracking import relocate_artifacts

COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


@pytest.fixture
def home(tmp_path):
    """A home whose database has addresses in another folder."""
    home = find_home({"KETAMINE_RESPONSE_HOME": str(tmp_path)})
    addresses = ["file:///old/artifacts", "file:///old/artifacts/1/a b", "file:///old/artifacts2/1"]
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        for table, column in COLUMNS.items():
            database.execute(f"create table {table} ({column} text)")
            rows = [(address,) for address in addresses]
            database.executemany(f"insert into {table} values (?)", rows)
    return home


def list_addresses(home, table, column):
    with closing(sqlite3.connect(home.database)) as database:
        return [address for (address,) in database.execute(f"select {column} from {table}")]


@pytest.mark.parametrize(("table", "column"), COLUMNS.items())
def test_addresses_in_the_old_folder_follow_the_move(home, table, column):
    """One in a folder whose name only begins alike stays as it is."""
    relocate_artifacts(home, "file:///old/artifacts")
    here = home.artifacts.as_uri()
    expected = [here, f"{here}/1/a b", "file:///old/artifacts2/1"]
    assert list_addresses(home, table, column) == expected


@pytest.mark.parametrize("location", ["s3://bucket/artifacts", "mlflow-artifacts:/1"])
def test_addresses_elsewhere_are_left_alone(home, location):
    relocate_artifacts(home, location)
    assert list_addresses(home, "runs", "artifact_uri")[0] == "file:///old/artifacts"
