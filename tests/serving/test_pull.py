"""From MLflow's registry into BentoML's model store, checked at both ends."""

import json
import shutil
from contextlib import contextmanager

import pytest

# The error for a changed byte of each file: the card's digest is registered, the card has the rest.
DAMAGES = {
    "card.json": "does not match its registered digest",
    "terms.npz": "its digest differs from the card's",
}


def list_champions(commands):
    return json.loads(commands.run("serving", "pull", "--json").stdout)["champions"]


@contextmanager
def damaged(path):
    """Change one byte of a file for a while."""
    whole = path.read_bytes()
    content = bytearray(whole)
    content[len(content) // 2] ^= 1
    try:
        path.write_bytes(bytes(content))
        yield
    finally:
        path.write_bytes(whole)


def find_one(folder, name):
    paths = sorted(folder.rglob(name))
    assert paths
    return paths[0]


def test_pulling_again_brings_nothing_new(commands):
    (champion,) = list_champions(commands)
    assert champion["name"] == "phq9.acute.response"
    assert champion["version"] == "1"
    assert champion["new"] is False


def test_without_a_registry_there_is_nothing_to_pull(fresh_commands):
    done = fresh_commands.run("serving", "pull", code=1)
    assert "no champion" in done.stderr


@pytest.mark.parametrize(("name", "message"), DAMAGES.items())
def test_champion_damaged_in_registry_is_rejected(commands, fresh_commands, name, message):
    """A second service with an empty store pulls from the same registry."""
    other = {"BENTOML_HOME": str(fresh_commands.home / "bentoml")}
    path = find_one(commands.home / "artifacts" / "models", f"data/model/{name}")
    with damaged(path):
        done = commands.run("serving", "pull", code=1, **other)
    assert message in done.stderr
    assert not sorted((fresh_commands.home / "bentoml").rglob("card.json"))
    commands.run("serving", "pull", **other)
    assert sorted((fresh_commands.home / "bentoml").rglob("card.json"))


@pytest.mark.parametrize(("name", "message"), DAMAGES.items())
def test_damaged_model_is_neither_served_nor_scored(store_only, intake, tmp_path, name, message):
    with damaged(find_one(store_only.home / "bentoml" / "models", name)):
        served = store_only.run("serving", "serve", code=1)
        scored = store_only.run("serving", "score", intake, "--out", tmp_path / "s.csv", code=1)
    assert message in served.stderr
    assert message in scored.stderr
    assert not (tmp_path / "s.csv").exists()


def test_pulling_mends_what_a_killed_pull_left(commands, fresh_commands):
    other = {"BENTOML_HOME": str(fresh_commands.home / "bentoml")}
    commands.run("serving", "pull", **other)
    stored = find_one(fresh_commands.home / "bentoml" / "models", "model.yaml").parent
    half = stored.parent / "unfinishedversion"
    shutil.copytree(stored, half)
    (half / "model.yaml").unlink()
    (stored / "terms.npz").unlink()
    pulled = commands.run("serving", "pull", "--json", **other)
    assert json.loads(pulled.stdout)["champions"][0]["new"] is True
    assert not half.exists()
    done = commands.run("serving", "bundle", "--json", code=0, **other)
    assert json.loads(done.stdout)["bento"].startswith("ketamine_response:")


def test_without_a_champion_nothing_is_served(fresh_commands):
    done = fresh_commands.run("serving", "serve", code=1)
    assert "python -m serving pull" in done.stderr


def test_without_keys_only_this_machine_is_served(commands):
    done = commands.run("serving", "serve", "--host", "0.0.0.0", code=2)
    assert "without keys only this machine may connect" in done.stderr
