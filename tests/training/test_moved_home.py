"""A home that was moved, copied, restored elsewhere, or has an odd name, works as before."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

NAME = "phq9.acute.response"
MADE_BEFORE = Path(__file__).parents[1] / "fixtures" / "made_before" / "home.tar.xz"
QUICK = ("--set", 'candidates=["base_rate"]', "--jobs", "1")
ODD_NAMES = ("50% off?", "ward #3 & more", "%41 ~x")


@pytest.fixture
def fitted(tmp_path):
    """A home by an earlier version, which has been moved since it was made."""
    with tarfile.open(MADE_BEFORE) as archive:
        archive.extractall(tmp_path / "first", filter="data")
    return tmp_path / "first"


def list_files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def use_home(commands, small_cohort, out):
    """Run every command that reads or writes an artifact, each in a process of its own."""
    shutil.rmtree(commands.home / "bentoml")
    pulled = json.loads(commands.run("serving", "pull", "--json").stdout)
    assert [champion["new"] for champion in pulled["champions"]] == [True, True]
    commands.run("serving", "score", small_cohort, "--out", out / "scores.csv")
    card = json.loads(commands.run("training", "card", NAME, "--json").stdout)
    assert card["findings"]["version"] == "1"
    commands.run("training", "validate", NAME, small_cohort, "--out", out)
    promoted = commands.run("training", "promote", f"{NAME}@1")
    assert "champion already" in promoted.stdout
    history = commands.run("training", "history", NAME, "--verify")
    assert "1 event" in history.stdout
    study = "experiments/studies/demo.toml"
    commands.run("training", "fit", study, "--cohort", small_cohort, *QUICK)
    commands.run("training", "card", f"{NAME}@2")


def test_a_moved_home_works(fitted, make_commands, small_cohort, tmp_path):
    home = fitted.rename(tmp_path / "second")
    use_home(make_commands(home), small_cohort, tmp_path / "out")
    assert not fitted.exists()


def test_a_copy_leaves_its_original_alone(fitted, make_commands, small_cohort, tmp_path):
    # The database names the original's folder now.
    make_commands(fitted).run("training", "card", NAME)
    copy = tmp_path / "copy"
    shutil.copytree(fitted, copy)
    before = list_files(fitted)
    shutil.rmtree(copy / "artifacts" / "models")
    commands = make_commands(copy)
    assert "is missing" in commands.run("training", "card", NAME, code=1).stderr
    shutil.copytree(fitted / "artifacts" / "models", copy / "artifacts" / "models")
    use_home(commands, small_cohort, tmp_path / "out")
    assert list_files(fitted) == before


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_home_may_have_any_name(fitted, make_commands, small_cohort, tmp_path, name):
    home = fitted.rename(tmp_path / name)
    use_home(make_commands(home), small_cohort, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {name, "out"}
    make_commands(home).run("serving", "keys", "list")
    assert (home / "service.db").is_file()


def test_a_link_to_a_home_changes_nothing_in_it(fitted, make_commands, tmp_path):
    make_commands(fitted).run("training", "card", NAME)
    before = list_files(fitted)
    (tmp_path / "link").symlink_to(fitted)
    make_commands(tmp_path / "link").run("training", "card", NAME)
    assert list_files(fitted) == before
