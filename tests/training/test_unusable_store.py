"""Stores that cannot be used: one sentence with its remedy within seconds, or JSON."""

import http.server
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest
from mlflow.entities import RunStatus

from features.base.home import find_home
from training.registry.registry import Registry
from training.study.study import Study

NAME = "phq9.acute.response"
# Seconds for four commands, their starts included, on a busy machine; MLflow alone waits for
# minutes.
PATIENCE = 90


@pytest.fixture
def stored(empty_store, make_commands, tmp_path):
    """Commands in a home with an empty store."""
    shutil.copytree(empty_store, tmp_path / "home")
    return make_commands(tmp_path / "home")


def check_failure(commands, sentence, code=1, **environment):
    """Check what `pull` and `card` say about a store, as text and as JSON, and how soon."""
    started = time.monotonic()
    for command in (("serving", "pull"), ("training", "card", NAME)):
        done = commands.run(*command, code=code, **environment)
        as_json = commands.run(*command, "--json", code=code, **environment)
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
        assert "secret" not in done.stderr
        assert len(done.stderr.splitlines()) <= 2
        assert done.stdout == ""
        (error,) = json.loads(as_json.stdout)["errors"]
        assert sentence in error["message"]
    assert time.monotonic() - started < PATIENCE


def test_an_older_schema_names_the_upgrade(stored):
    with closing(sqlite3.connect(stored.home / "mlflow.db")) as database, database:
        database.execute("update alembic_version set version_num = 'cc1f77228345'")
    check_failure(stored, "mlflow db upgrade")


def test_a_damaged_database_is_named(stored):
    (stored.home / "mlflow.db").write_bytes(b"not a database, whatever it is\n" * 400)
    check_failure(stored, "damaged")


def test_a_folder_in_place_of_the_database_is_named(stored):
    (stored.home / "mlflow.db").unlink()
    (stored.home / "mlflow.db").mkdir()
    check_failure(stored, "cannot be opened")


def test_a_home_inside_a_file_is_refused(make_commands, tmp_path):
    (tmp_path / "file").touch()
    done = make_commands(tmp_path / "file" / "home").run("training", "history", NAME, code=2)
    assert "must lie in a folder" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def find_closed_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "postgresql", "mysql+pymysql"])
def test_an_absent_server_is_named_in_seconds(stored, scheme):
    address = f"{scheme}://me:secret@127.0.0.1:{find_closed_port()}"
    check_failure(stored, "does not answer", MLFLOW_TRACKING_URI=address)


def test_a_server_that_never_answers_is_named(stored):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        check_failure(stored, "does not answer", MLFLOW_TRACKING_URI=address)


@contextmanager
def answering(status):
    """A web server that is not MLflow's."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>")

        do_POST = do_GET  # noqa: N815 (the library's name)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


REFUSALS = {
    503: "does not answer",
    404: "not an MLflow server",
    200: "not an MLflow server",
    401: "refuses this user",
}


@pytest.mark.parametrize(("status", "sentence"), REFUSALS.items(), ids=map(str, REFUSALS))
def test_another_server_is_named(stored, status, sentence):
    with answering(status) as address:
        check_failure(stored, sentence, MLFLOW_TRACKING_URI=address)


@pytest.mark.parametrize("address", ["localhost:5000", "http://127.0.0.1:port", "odd://host/db"])
def test_a_wrong_address_is_refused(stored, address):
    check_failure(stored, "must be", code=2, MLFLOW_TRACKING_URI=address)


def test_an_empty_address_is_none(stored):
    done = stored.run("training", "history", NAME, MLFLOW_TRACKING_URI="")
    assert "0 events" in done.stdout
    done = stored.run("serving", "pull", code=1, MLFLOW_TRACKING_URI="")
    assert "no champion" in done.stderr


# Runs that fail.


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_a_run_that_fails_is_not_left_running(home, error):
    registry = Registry(home)
    with pytest.raises(error), open_trial(registry):
        raise error
    runs = registry.client.search_runs([registry.experiment])
    assert len(runs) == 2
    assert {run.info.status for run in runs} == {RunStatus.to_string(RunStatus.FAILED)}


@contextmanager
def open_trial(registry):
    """Open a study with a run inside it that nobody ends."""
    study = Study(name="by-hand", question="?", outcome=NAME, seed=1)
    with registry.open_study(study) as run:
        tags = {"mlflow.parentRunId": run, **registry.client.get_run(run).data.tags}
        registry.client.create_run(registry.experiment, tags=tags)
        yield


UNSHARE = ("unshare", "-rm")
# In a home of its own, on a disk of a given size; its database is copied out before it vanishes.
SMALL_DISK = """
mount -t tmpfs -o size=$1 none "$KETAMINE_RESPONSE_HOME" || exit 99
shift
"$@"; code=$?
cp "$KETAMINE_RESPONSE_HOME/mlflow.db" "$COPY"
exit $code
"""


@pytest.fixture
def may_mount():
    """Skips where no small disk can be mounted."""
    if not shutil.which("unshare") or subprocess.run([*UNSHARE, "true"], check=False).returncode:
        pytest.skip("NO DISK: this user may not mount one")


@pytest.mark.usefixtures("may_mount")
@pytest.mark.parametrize("size", ["1100k", "1400k", "1600k"])
def test_a_full_disk_is_one_sentence(stored, small_cohort, tmp_path, size):
    (tmp_path / "kept").mkdir()
    copy = tmp_path / "kept" / "mlflow.db"
    command = ("training", "fit", "experiments/studies/demo.toml", "--cohort", small_cohort)
    quick = ("--set", 'candidates=["base_rate", "severity_only"]', "--jobs", "1")
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", SMALL_DISK, "sh", size, sys.executable, "-m", *command, *quick],
        env={**stored.environment, "COPY": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "no space is left" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) < 15
    if not copy.exists():
        return  # not even the database had room
    registry = Registry(find_home({"KETAMINE_RESPONSE_HOME": str(copy.parent)}))
    runs = registry.client.search_runs([registry.experiment])
    assert "RUNNING" not in {run.info.status for run in runs}
