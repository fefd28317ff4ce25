"""Fixtures for all tests: an assessment to vary, cohorts, and a home with a fitted champion."""

import fcntl
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import warm_python
from hypothesis import settings
from progress import Progress
from typer.testing import CliRunner, Result

from features.base.home import QUIET, find_home
from features.model.tracking import relocate_artifacts

ROOT = Path(__file__).parent.parent
TRIALS = ROOT.parent / "shared" / "data"

os.environ.update(QUIET)
# No test asserts how long an example takes: the first imports libraries, and machines are busy.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `make test` and `make endurance`."""
    parser.addoption(
        "--by-file", action="store_true", help="longest files first, and a line per file, not dots"
    )
    parser.addoption("--endurance", type=Path, help="test at length; the folder keeps what passed")
    parser.addoption("--seed", type=int, default=1, help="of kills and damage at length")


@pytest.hookimpl(trylast=True)  # after the terminal reporter exists
def pytest_configure(config: pytest.Config) -> None:
    """Report progress and start the warm Python in the main process, not in xdist's workers."""
    if hasattr(config, "workerinput"):
        return
    if config.getoption("by_file"):
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        config.pluginmanager.register(Progress(reporter))
    folder = tempfile.mkdtemp()
    os.environ[warm_python.ADDRESS_VARIABLE] = f"{folder}/socket"
    server = warm_python.start(f"{folder}/socket")
    config.add_cleanup(lambda: shutil.rmtree(folder))
    config.add_cleanup(server.wait)
    config.add_cleanup(server.kill)


# Files run in this order, so that no worker starts a long one at the end: first the longest, then
# tests that start processes or fit studies, then pages that wait for the first's demonstration.
FIRST = "test_tutorial.py"
SLOW = (("commands", "fresh_commands", "make_commands", "start_service", "home"), ("clone",))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start with the slowest files; skip what already passed in `make endurance`."""
    if config.getoption("by_file"):
        ranks: dict[Path, int] = {}
        for item in items:
            used = set(getattr(item, "fixturenames", ()))
            rank = next((n for n, names in enumerate(SLOW) if used & set(names)), len(SLOW))
            ranks[item.path] = min(rank, ranks.get(item.path, rank))
        items.sort(key=lambda item: (item.path.name != FIRST, ranks[item.path]))
    journal = find_journal(config)
    if journal is not None and journal.exists():
        passed = set(journal.read_text("utf-8").splitlines())
        items[:] = [item for item in items if item.nodeid not in passed]


def find_journal(config: pytest.Config) -> Path | None:
    """Locate the list of tests that passed in `make endurance` with this seed."""
    folder = config.getoption("endurance")
    return None if folder is None else Path(folder) / f"passed-{config.getoption('seed')}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Record what passed in `make endurance`, so that a stopped run resumes there."""
    report = yield
    journal = find_journal(item.config)
    if journal is not None and report.when == "call" and report.passed:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("a", encoding="utf-8") as file:
            file.write(f"{item.nodeid}\n")
    return report


@pytest.fixture(scope="session")
def choose_count(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """Chooses the number of repetitions: for `make test`, or for `make endurance`."""
    at_length = pytestconfig.getoption("endurance") is not None
    return lambda short, long: long if at_length else short


@pytest.fixture
def chance(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> random.Random:
    """A test's random numbers, reproducible by seed."""
    return random.Random(f"{pytestconfig.getoption('seed')} {request.node.name}")


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Restore the environment after every test: MLflow writes its store's address into it."""
    # A module's fixture may have written it before the first test's environment is saved.
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def make_assessment() -> Callable[..., dict[str, Any]]:
    """Make an assessment of depression; a change sets a field, and None removes it."""

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
    """The folder with real trials; without it the test is skipped."""
    if not TRIALS.is_dir():
        pytest.skip("REAL TRIALS ABSENT: shared/data is not beside this checkout")
    return TRIALS


# Commands write these into this process' environment; the next command's home differs.
HOME_VARIABLES = ("MLFLOW_TRACKING_URI", "BENTOML_HOME")


@dataclass(frozen=True)
class Commands:
    """Run the project's commands in one home, as a user would."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command."""
        return {**os.environ, "KETAMINE_RESPONSE_HOME": str(self.home), "COLUMNS": "200"}

    def run(
        self, package: str, *arguments: object, code: int = 0, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in its own process, forked warm, and check its exit code."""
        command = [*warm_python.COMMAND, "-m", package, *map(str, arguments)]
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
        """Run a command of training in this process, which has imported MLflow already."""
        from training.__main__ import app

        inherited = {k: v for k, v in os.environ.items() if k not in HOME_VARIABLES}
        environment = inherited | {"KETAMINE_RESPONSE_HOME": str(self.home)}
        with patch.dict(os.environ, environment, clear=True):
            done = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
        assert done.exit_code == code, f"{arguments} gave {done.exit_code}\n{done.output}"
        return done

    def start(
        self,
        package: str,
        *arguments: object,
        log: Path | None = None,
        cwd: Path = ROOT,
        warm: bool = False,
        **environment: str,
    ) -> "subprocess.Popen[str]":
        """Start a command and leave it running; with much output it needs a log file.

        Forked warm, it can be killed, but gets no other signal.
        """
        python = warm_python.COMMAND if warm else (sys.executable,)
        command = [*python, "-m", package, *map(str, arguments)]
        with log.open("ab") if log else nullcontext(subprocess.PIPE) as out:
            return subprocess.Popen(
                command,
                cwd=cwd,
                env=self.environment | environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )


def copy_home(source: Path, target: Path, written_as: Path | None = None) -> None:
    """Copy a home and update the absolute paths that MLflow keeps in it.

    Parameters
    ----------
    written_as
        Where the source was when it was made, if it has moved since.
    """
    shutil.copytree(source, target, dirs_exist_ok=True)
    old, new = str(written_as or source), str(target)
    for file in target.glob("artifacts/models/*/artifacts/MLmodel"):
        file.write_text(file.read_text("utf-8").replace(old, new))
    if (target / "mlflow.db").exists():
        artifacts = (written_as or source) / "artifacts"
        relocate_artifacts(find_home({"KETAMINE_RESPONSE_HOME": str(target)}), artifacts.as_uri())


@pytest.fixture(scope="session")
def make_once(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder once for all of xdist's workers: the first makes it, the others wait.

    Tests must not change it, but copy it.
    """
    root = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        root = root.parent  # a worker's folder is inside the run's

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, made = root / f"shared-{name}", root / f"shared-{name}.made"
        with (root / f"shared-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                made.touch()
        return folder

    return make


def write_cohort(
    path: Path, patients: int, seed: int, *, world: str = "default", intake: bool = False
) -> None:
    """Simulate patients and write them."""
    from experiments.simulator import WORLDS, simulate, write_simulation

    write_simulation(simulate(WORLDS[world], patients, seed, intake=intake).cohort, path)


@pytest.fixture(scope="session")
def cohort(make_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A simulated cohort with outcomes."""
    name = "cohort.parquet"
    return make_once("cohort", lambda folder: write_cohort(folder / name, 1200, seed=7)) / name


@pytest.fixture(scope="session")
def small_cohort(make_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A third of the cohort, for tests of a study's run and not of its results."""
    name = "cohort.parquet"
    return make_once("small", lambda folder: write_cohort(folder / name, 400, seed=7)) / name


@pytest.fixture(scope="session")
def intake(make_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A simulated intake cohort, without any follow-up."""

    def write(folder: Path) -> None:
        write_cohort(folder / "intake.parquet", 400, seed=8, intake=True)

    return make_once("intake", write) / "intake.parquet"


QUICK = (
    *("--set", "uncertainty.redevelopments=20", "--set", "validation.resamples=100"),
    *("--set", 'candidates=["base_rate", "elastic_net"]', "--jobs", "1"),
)


@pytest.fixture(scope="session")
def commands(
    make_once: Callable[[str, Callable[[Path], None]], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Commands:
    """A home with the demonstration's study fitted and its champion pulled."""

    def fit_and_pull(home: Path) -> None:
        made, folder = Commands(home), tmp_path_factory.mktemp("fitted")
        # Effects are strong, so that the champion has features whatever the folds: in the default
        # world the base rate may win, and estimates would all be the same.
        cohort = folder / "cohort.parquet"
        write_cohort(cohort, 1200, seed=7, world="strong")
        made.run("training", "fit", "experiments/studies/demo.toml", "--cohort", cohort, *QUICK)
        made.run("serving", "pull")

    fitted = make_once("home", fit_and_pull)
    own = tmp_path_factory.mktemp("home")
    copy_home(fitted, own)
    return Commands(own)


@pytest.fixture(scope="session")
def make_commands() -> Callable[[Path], Commands]:
    """Makes commands for any home."""
    return Commands


@pytest.fixture(scope="session")
def move_home() -> Callable[[Path, Path, Path | None], None]:
    """Copies a home with the absolute paths in it."""
    return copy_home


@pytest.fixture(scope="session")
def empty_store(make_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A home with an empty MLflow store, to be copied: creating its tables takes seconds."""
    from training.registry.registry import create_store

    return make_once(
        "empty", lambda home: create_store(find_home({"KETAMINE_RESPONSE_HOME": str(home)}))
    )


@pytest.fixture
def fresh_commands(tmp_path: Path) -> Commands:
    """A home that does not exist yet."""
    return Commands(tmp_path / "home")


# A start takes minutes on a busy machine, so it may last while it makes progress: the seconds
# without any, and the processor seconds that count as progress (supervisors use some, too).
STALLED_SECONDS, PROGRESS_SECONDS = 60.0, 0.5


def wait_until_ready(process: "subprocess.Popen[str]", address: str) -> None:
    """Wait for a server while it makes progress, and show its log if it stops."""
    from experiments.processes import read_cpu

    moved_at, used = time.monotonic(), 0.0
    while time.monotonic() - moved_at < STALLED_SECONDS:
        if process.poll() is not None:
            raise AssertionError(f"the server stopped: {process.communicate()[0]}")
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
        if read_cpu(process.pid) >= used + PROGRESS_SECONDS:
            moved_at, used = time.monotonic(), read_cpu(process.pid)
    raise AssertionError(f"{address} does not answer, and its server makes no progress")


@pytest.fixture(scope="session")
def wait_ready() -> Callable[["subprocess.Popen[str]", str], None]:
    """Wait until a server answers."""
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
    """A home with only a copy of the model store: no MLflow, no data."""
    copied = Commands(tmp_path / "store-only")
    shutil.copytree(commands.home / "bentoml", copied.home / "bentoml")
    return copied
