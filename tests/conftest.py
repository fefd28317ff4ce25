"""What the tests share: a person to vary, a cohort, and one home where everything has been done."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from typer.testing import CliRunner, Result

from features.base.home import QUIET, find_home

ROOT = Path(__file__).parent.parent
TRIALS = ROOT.parent / "shared" / "data"

os.environ.update(QUIET)

# What takes long to set up; files that use it come first, so that none is left alone with it.
SLOW = ("clone", "commands")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; `--no-loadscope-reorder` keeps that order."""
    last = len(SLOW)
    places: dict[Path, int] = {}
    for item in items:
        used = getattr(item, "fixturenames", ())
        found = min((place for place, name in enumerate(SLOW) if name in used), default=last)
        places[item.path] = min(found, places.get(item.path, last))
    items.sort(key=lambda item: places[item.path])


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Give every test the same environment: MLflow writes its store's address into it.

    Fixtures of a whole module do so before any test's environment is noted.
    """
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def make_assessment() -> Callable[..., dict[str, Any]]:
    """One person with depression; every field can be changed, and None takes it away."""

    def make(**changes: Any) -> dict[str, Any]:
        person = {
            "patient_id": "a17",
            "condition": "depression",
            "age": 44,
            "sex": "female",
            "phq9": 17,
            "agent": "ketamine",
            "route": "iv",
        }
        return {name: value for name, value in (person | changes).items() if value is not None}

    return make


@pytest.fixture(scope="session")
def trials() -> Path:
    """The folder with real trials; where it is absent the test is skipped."""
    if not TRIALS.is_dir():
        pytest.skip("REAL TRIALS ABSENT: shared/data is not beside this checkout")
    return TRIALS


# Written into the environment by commands, for a home that need not be the next one's.
OF_A_HOME = ("MLFLOW_TRACKING_URI", "BENTOML_HOME")


@dataclass(frozen=True)
class Commands:
    """Runs the project's commands as a user would, each in its own process."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command."""
        return {**os.environ, "KETAMINE_RESPONSE_HOME": str(self.home), "COLUMNS": "200"}

    def run(
        self, package: str, *arguments: object, code: int = 0, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run one and check its exit code."""
        command = [sys.executable, "-m", package, *map(str, arguments)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, (
            f"{command} gave {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def call(self, *arguments: object, code: int = 0) -> Result:
        """Run a command of training in this process, where MLflow and its like are imported."""
        from training.__main__ import app

        inherited = {k: v for k, v in os.environ.items() if k not in OF_A_HOME}
        environment = inherited | {"KETAMINE_RESPONSE_HOME": str(self.home)}
        with patch.dict(os.environ, environment, clear=True):
            done = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
        assert done.exit_code == code, f"{arguments} gave {done.exit_code}\n{done.output}"
        return done

    def start(
        self, package: str, *arguments: object, log: Path | None = None, **environment: str
    ) -> "subprocess.Popen[str]":
        """Start one and leave it running; one that says much needs a file for its log."""
        command = [sys.executable, "-m", package, *map(str, arguments)]
        with log.open("ab") if log else nullcontext(subprocess.PIPE) as out:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment | environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated cohort with outcomes."""
    from experiments.simulator import WORLDS, simulate, write_simulation

    path = tmp_path_factory.mktemp("cohort") / "cohort.parquet"
    write_simulation(simulate(WORLDS["default"], 1200, seed=7).cohort, path)
    return path


@pytest.fixture(scope="session")
def intake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated intake cohort: nothing is known of anybody's outcome."""
    from experiments.simulator import WORLDS, simulate, write_simulation

    path = tmp_path_factory.mktemp("intake") / "intake.parquet"
    write_simulation(simulate(WORLDS["default"], 400, seed=8, intake=True).cohort, path)
    return path


QUICK = (
    *("--set", "uncertainty.redevelopments=20", "--set", "validation.resamples=100"),
    *("--set", 'candidates=["base_rate", "elastic_net"]', "--jobs", "1"),
)


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Commands:
    """A home in which the demonstration's study was fitted and its champion pulled."""
    found = Commands(tmp_path_factory.mktemp("home"))
    found.run("training", "fit", "experiments/studies/demo.toml", "--cohort", cohort, *QUICK)
    found.run("serving", "pull")
    return found


@pytest.fixture(scope="session")
def make_commands() -> Callable[[Path], Commands]:
    """Commands for a home of one's own."""
    return Commands


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an empty MLflow store, to be copied: making its tables takes a while."""
    from training.registry.registry import create_store

    folder = tmp_path_factory.mktemp("empty")
    create_store(find_home({"KETAMINE_RESPONSE_HOME": str(folder)}))
    return folder


@pytest.fixture
def fresh_commands(tmp_path: Path) -> Commands:
    """A home in which nothing has been done yet."""
    return Commands(tmp_path / "home")


def wait_until_ready(process: "subprocess.Popen[str]", address: str) -> None:
    """Wait for a server, and show its log if it does not come."""
    for _ in range(300):
        if process.poll() is not None:
            raise AssertionError(f"the server stopped: {process.communicate()[0]}")
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"{address} never answered")


@pytest.fixture(scope="session")
def wait_ready() -> Callable[["subprocess.Popen[str]", str], None]:
    """Wait for a server."""
    return wait_until_ready


@pytest.fixture(scope="session")
def service(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real service process with the champion."""
    from experiments.demo import find_free_port

    port = find_free_port()
    log = tmp_path_factory.mktemp("service") / "log"
    process = commands.start("serving", "serve", "--port", port, log=log)
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def store_only(commands: Commands, tmp_path: Path) -> Commands:
    """A home with nothing but a copy of the model store: no MLflow, no data."""
    found = Commands(tmp_path / "store-only")
    shutil.copytree(commands.home / "bentoml", found.home / "bentoml")
    return found
