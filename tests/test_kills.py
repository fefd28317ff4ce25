"""A process killed at any moment leaves nothing half-written; existing files stay readable."""

import contextlib
import os
import signal
import sqlite3
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from features.base.home import find_home
from features.model.artifact import ARTIFACT_FOLDER, DIGEST_TAG
from features.model.response_model import ResponseModel
from training.registry.history import EVENT_TAG, History
from training.registry.registry import Registry

SCORE_KILLS = (4, 100)  # in `make test`, in `make endurance`
FIT_KILLS = (3, 40)
STUDY = (
    *("experiments/studies/demo.toml", "--json", "--jobs", "1"),
    *("--set", 'candidates=["base_rate", "severity_only"]'),
    *("--set", "validation.resamples=100", "--set", "uncertainty.redevelopments=20"),
)


def kill_after(process, seconds):
    """Kill a process after some time; return whether it was still running."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    running = process.poll() is None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return running


def time_whole_run(start):
    began = time.monotonic()
    process = start()
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return time.monotonic() - began


@pytest.fixture(scope="module")
def large_intake(intake, tmp_path_factory):
    """An intake cohort that takes seconds to score."""
    frame = pd.read_parquet(intake)
    many = pd.concat([frame.assign(course=number) for number in range(1, 101)])
    path = tmp_path_factory.mktemp("large") / "intake.parquet"
    many.to_parquet(path, index=False)
    return path


def test_killed_score_leaves_all_output_or_none(
    commands, large_intake, tmp_path, choose_count, chance
):
    def start():
        out = ("--out", tmp_path / "scores.parquet", "--rejects", tmp_path / "rejects.csv")
        return commands.start("serving", "score", large_intake, *out, warm=True)

    whole = time_whole_run(start)
    expected = pd.read_parquet(tmp_path / "scores.parquet")
    assert len(expected) == 40_000
    kills, killed = choose_count(*SCORE_KILLS), 0
    for _ in range(kills):
        for name in os.listdir(tmp_path):
            (tmp_path / name).unlink()
        killed += kill_after(start(), chance.uniform(0.2, 1.0) * whole)
        # What was being written lies hidden until it is complete.
        written = {name for name in os.listdir(tmp_path) if not name.endswith(".part")}
        assert written <= {"scores.parquet", "rejects.csv"}
        if "scores.parquet" in written:
            assert pd.read_parquet(tmp_path / "scores.parquet").equals(expected)
    assert killed > kills / 4  # on a busy machine some runs end before they are killed


def check_store(home):
    """Read all that the registry names, and check it against its digests."""
    if home.database is None or not home.database.exists():
        return 0
    with sqlite3.connect(home.database) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    client = Registry(home).client
    versions = [
        version for version in client.search_model_versions() if EVENT_TAG not in version.tags
    ]
    for model in {version.name for version in versions}:
        assert History(client, model).verify() == ()
    for version in versions:
        folder = mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}")
        ResponseModel.load(Path(folder) / ARTIFACT_FOLDER, version.tags[DIGEST_TAG])
    named = {str(v) for m in client.search_registered_models() for v in m.aliases.values()}
    assert named <= {str(version.version) for version in versions}
    return len(versions)


def test_killed_fit_leaves_a_readable_store(fresh_commands, small_cohort, choose_count, chance):
    def start():
        return fresh_commands.start("training", "fit", *STUDY, "--cohort", small_cohort, warm=True)

    home = find_home({"KETAMINE_RESPONSE_HOME": str(fresh_commands.home)})
    kills, killed = choose_count(*FIT_KILLS), 0
    whole = 6.0  # seconds; measured once there is something to read
    for number in range(kills):
        killed += kill_after(start(), chance.uniform(0.1, 0.9) * whole)
        check_store(home)
        hidden = [path for path in home.folder.glob(".*") if path.suffix == ".part"]
        assert hidden == []
        if number == 0:
            whole = time_whole_run(start)
    assert killed > kills / 4
    assert check_store(home) >= 1
    runs = Registry(home).client.search_runs([Registry(home).experiment])
    open_runs = [run for run in runs if run.info.status == "RUNNING"]
    fresh_commands.call("fit", *STUDY, "--cohort", small_cohort)
    again = Registry(home).client.search_runs([Registry(home).experiment])
    assert not [run for run in again if run.info.status == "RUNNING"], open_runs
