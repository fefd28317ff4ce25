"""The benchmark of serving: every contestant in turn on the same core, over several rounds."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments.benchmarks.serving.assessments import Questions, draw_assessments
from experiments.benchmarks.serving.contestants.roster import CONTESTANTS, Contestant, Task
from experiments.benchmarks.serving.load import HttpRequest, Load, find_wrk, measure_load
from experiments.benchmarks.serving.served_model import ServedHome, borrow_home, make_home
from experiments.processes import Cores, read_memory, share_cores
from experiments.server import Server, find_free_port, run_server
from features.base.commands import track
from features.base.errors import InputError, Problem, UnavailableError

# Answers to batches are long; a few of them hold thousands of estimates to compare.
_CHECKED_BATCHES = 3


@dataclass(frozen=True)
class ServingRequest:
    """What is to be measured."""

    seconds: int = 10  # Of each measurement
    rounds: int = 3
    contestants: tuple[Contestant, ...] = tuple(CONTESTANTS.values())
    patients: int = 3000
    redevelopments: int = 200
    # A home whose champion is served; by default a model fitted for the purpose
    champion: Path | None = None


QUICK = ServingRequest(seconds=1, rounds=1, patients=800, redevelopments=20)


@dataclass(frozen=True)
class ServingResults:
    """Everything that was measured."""

    request: ServingRequest
    cores: Cores
    model: dict[str, Any]  # The served model
    # One row per round, task and number of connections: a ``Measurement`` with these
    measured: list[dict[str, Any]] = field(default_factory=list)
    # One row per round and contestant: seconds until it was ready, and ``Memory`` after the load
    starts: list[dict[str, Any]] = field(default_factory=list)
    # By name, contestants that were not measured, and why
    absent: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Stage:
    home: ServedHome
    questions: Questions
    token: str


def choose_contestants(names: Sequence[str]) -> tuple[Contestant, ...]:
    """Choose contestants by name, all by default.

    Raises
    ------
    InputError
        If a name is unknown.
    """
    if unknown := [name for name in names if name not in CONTESTANTS]:
        known = ", ".join(CONTESTANTS)
        raise InputError([Problem(name, "unknown", f"must be one of {known}") for name in unknown])
    return tuple(part for name, part in CONTESTANTS.items() if not names or name in names)


def run_serving(request: ServingRequest) -> ServingResults:
    """Make the model, then measure every contestant in every round.

    Raises
    ------
    UnavailableError
        If the load generator is not installed, or the model cannot be made.
    """
    find_wrk()  # before minutes are spent on the model
    with tempfile.TemporaryDirectory(prefix="benchmark-serving-") as folder:
        stage = _set_stage(request, Path(folder) / "home")
        results = ServingResults(request, share_cores(), _describe_model(stage.questions))
        # Round by round, so that a machine that slows down slows all of them.
        turns = [(n, part) for n in range(request.rounds) for part in request.contestants]
        for number, contestant in track(turns, len(turns), "serving"):
            if contestant.name not in results.absent:
                _run_turn(number, contestant, stage, results)
    return results


def _set_stage(request: ServingRequest, folder: Path) -> _Stage:
    if request.champion is None:
        home = make_home(folder, request.patients, request.redevelopments)
    else:
        home = borrow_home(folder, request.champion)
    return _Stage(home, Questions(draw_assessments(), home.pull()), home.create_key())


def _describe_model(questions: Questions) -> dict[str, Any]:
    card = questions.predictor.champions[0].model.card
    return {
        "name": card.name,
        "candidate": card.candidate,
        "redevelopments": card.interval.redevelopments,
        "courses": card.population.courses,
        "assessments": len(questions.assessments),
    }


def _run_turn(number: int, contestant: Contestant, stage: _Stage, results: ServingResults) -> None:
    if contestant.absent:
        results.absent[contestant.name] = f"not installed: {', '.join(contestant.absent)}"
        return
    port = find_free_port()
    command, log = contestant.command(port), stage.home.folder / f"{contestant.name}.log"
    environment, core = stage.home.environment, results.cores.server
    try:
        with run_server(command, port, contestant.ready, log, environment, core) as server:
            measured = [
                {"round": number, "task": task.name, "label": task.label, **row}
                for task in contestant.tasks
                for row in _measure_task(task, stage, server, results)
            ]
            start = {"seconds": server.seconds, **asdict(read_memory(server.pid))}
    except UnavailableError as error:
        results.absent[contestant.name] = str(error)
    else:
        results.measured.extend(measured)
        results.starts.append({"contestant": contestant.name, **start})


def _measure_task(
    task: Task, stage: _Stage, server: Server, results: ServingResults
) -> list[dict[str, Any]]:
    # Without spaces, as clients write it.
    requests = [
        HttpRequest(
            task.path, json.dumps(body, separators=(",", ":")).encode(), stage.token, answer
        )
        for body, answer in task.ask(stage.questions)
    ]
    seconds, checked = results.request.seconds, None if task.patients == 1 else _CHECKED_BATCHES
    loads = [
        Load(requests, task.check, connections, task.patients, seconds, checked)
        for connections in task.connections
    ]
    return [asdict(measure_load(load, server, results.cores.client)) for load in loads]
