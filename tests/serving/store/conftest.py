"""Fixtures of the store's tests: the same store in SQLite and in a real PostgreSQL."""

import itertools
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from serving.store.audit import Answered, AuditLog
from serving.store.database import open_store, prepare_store

CHAIN_KEY = b"k" * 32
# PostgreSQL refuses to run as root; its packages create this user.
USER = "postgres"
# Debian's packages keep these programs here and not on the path.
BINARIES = Path("/usr/lib/postgresql")
OPTIONS = "-c listen_addresses='' -c fsync=off -c max_connections=40"


class PostgresqlServer:
    """A temporary cluster that listens only on a socket in its own folder."""

    def __init__(self, binaries, folder):
        self.binaries, self.folder = binaries, folder
        self._numbers = itertools.count(1)
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        self._run("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "kr", "--no-sync")
        self.start()

    def _run(self, program, *arguments):
        command = [str(self.binaries / program), *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self):
        options = f"{OPTIONS} -k {self.folder}"
        log = f"{self.folder}/log"
        # If the server inherited our pipes, it would keep them open.
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-o", options, "-l", log, "-w", "start")

    def stop(self):
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", "fast", "-w", "stop")

    def make_url(self, name):
        return f"postgresql://kr@/{name}?host={self.folder}"

    def create_database(self, options=""):
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} {options}")
        return self.make_url(name)

    def execute(self, statement):
        engine = open_store(self.make_url("postgres"))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def end_connections(self, url):
        name = make_url(url).database
        self.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )


def find_binaries():
    """Locate PostgreSQL's programs; None if they are missing or may not be run."""
    initdb = shutil.which("initdb")
    folders = [Path(initdb).resolve().parent] if initdb else sorted(BINARIES.glob("*/bin"))
    folders = [folder for folder in folders if (folder / "initdb").exists()]
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return None
    return folders[-1] if folders else None


@pytest.fixture(scope="session")
def postgresql():
    """A real PostgreSQL; without one the test is skipped."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("NO POSTGRESQL: the service store was tested on SQLite alone")
    with tempfile.TemporaryDirectory(prefix="kr-pg-", dir="/tmp") as folder:
        server = PostgresqlServer(binaries, Path(folder))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The address of a store that does not exist yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'service.db'}"
    return request.getfixturevalue("postgresql").create_database()


@pytest.fixture
def engine(url):
    """A store."""
    prepared = prepare_store(url)
    yield prepared
    prepared.dispose()


@pytest.fixture
def log(engine):
    """Its audit log."""
    audit = AuditLog(engine, CHAIN_KEY)
    yield audit
    audit.close()


@pytest.fixture
def make_answered():
    """Makes an answered request by number; every fact can be changed."""

    def make(number=1, **changes):
        facts = {
            "request_id": f"{number:032x}",
            "time": "2026-11-23T17:36:46.123456+00:00",
            "route": "/predict",
            "key_id": "0a1b2c3d",
            "models": (f"phq9.acute.response@3 {'a' * 64}",),
            "answers": [[0.625]],
            "inputs_digest": "b" * 64,
        }
        return Answered(**facts | changes)

    return make


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of a few megabytes; without the right to mount one the test is skipped."""

    @contextmanager
    def mount(megabytes):
        folder = tmp_path / "tiny"
        folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(folder)]
        done = subprocess.run(["mount", *options], capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip("NO RIGHT TO MOUNT: a full disk was not tested")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)

    return mount
