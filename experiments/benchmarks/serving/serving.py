"""The benchmark of serving: every contestant in turn on the same core, over several rounds."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from experiments.benchmarks.serving.assessments import Questions, draw_assessments
from experiments.benchmarks.serving.batch_profile import Step, profile_batches
from experiments.benchmarks.serving.contestants.roster import CONTESTANTS, Contestant, Task
from experiments.benchmarks.serving.load import (
    HttpRequest,
    Load,
    Measurement,
    find_wrk,
    measure_load,
)
from experiments.benchmarks.serving.served_model import ServedHome, borrow_home, make_home
from experiments.processes import Cores, Memory, read_memory, share_cores
from experiments.server import Server, find_free_port, run_server
from features.base.commands import track
from features.base.errors import InputError, Problem, UnavailableError

_BATCHES = "batch"
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
class Round:
    """One contestant in one round."""

    seconds: float  # From its start until it was ready
    memory: Memory
    measured: dict[tuple[str, int], Measurement]  # By task and number of connections


@dataclass(frozen=True)
class ServingResults:
    """Everything that was measured."""

    request: ServingRequest
    cores: Cores
    rounds: dict[str, list[Round]] = field(default_factory=dict)  # By contestant
    # By name, contestants and tasks that were not measured, and why
    absent: dict[str, str] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)  # The served model
    # Where a batch's time goes; empty if no batches were measured
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class _Stage:
    home: ServedHome
    questions: Questions
    token: str | None


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
    chosen = {name: part for name, part in CONTESTANTS.items() if not names or name in names}
    return tuple(chosen.values())


def run_serving(request: ServingRequest) -> ServingResults:
    """Make the model, then measure every contestant in every round.

    Raises
    ------
    UnavailableError
        If the load generator is not installed, or the model cannot be made.
    """
    find_wrk()  # before minutes are spent on the model
    results = ServingResults(request, share_cores())
    with tempfile.TemporaryDirectory(prefix="benchmark-serving-") as folder:
        stage = _set_stage(request, Path(folder))
        card = stage.questions.predictor.champions[0].model.card
        results.model.update(
            name=card.name,
            candidate=card.candidate,
            redevelopments=card.interval.redevelopments,
            courses=card.population.courses,
            assessments=len(stage.questions.assessments),
            key=stage.token is not None,
        )
        # Round by round, so that a machine that slows down slows all of them.
        turns = [part for _ in range(request.rounds) for part in request.contestants]
        for contestant in track(turns, len(turns), "serving"):
            if contestant.name not in results.absent:
                _run_turn(contestant, stage, results)
        if _BATCHES in results.rounds:
            results.steps.extend(profile_batches(stage.questions, results.cores.server))
    return results


def _set_stage(request: ServingRequest, folder: Path) -> _Stage:
    if request.champion is None:
        home = make_home(folder / "home")
        home.simulate(request.patients)
        home.fit(request.redevelopments, seed=1)
    else:
        home = borrow_home(folder / "home", request.champion)
    predictor = home.pull()
    return _Stage(home, Questions(draw_assessments(), predictor), home.create_key())


def _run_turn(contestant: Contestant, stage: _Stage, results: ServingResults) -> None:
    if contestant.absent:
        results.absent[contestant.name] = f"not installed: {', '.join(contestant.absent)}"
        return
    port = find_free_port()
    command, log = contestant.command(port), stage.home.folder / f"{contestant.name}.log"
    environment, core = stage.home.environment, results.cores.server
    try:
        with run_server(command, port, contestant.ready, log, environment, core) as server:
            measured = _measure_tasks(contestant, stage, server, results)
            finished = Round(server.seconds, read_memory(server.pid), measured)
    except UnavailableError as error:
        results.absent[contestant.name] = str(error)
    else:
        results.rounds.setdefault(contestant.name, []).append(finished)


def _measure_tasks(
    contestant: Contestant, stage: _Stage, server: Server, results: ServingResults
) -> dict[tuple[str, int], Measurement]:
    measured = {}
    for task in contestant.tasks:
        requests = task.write(stage.questions, stage.token)
        if reason := _explain_refusal(requests[0], server):
            results.absent[task.name] = reason
            continue
        for connections in task.connections:
            load = _make_load(task, requests, connections, results.request.seconds)
            measured[task.name, connections] = measure_load(load, server, results.cores.client)
    return measured


def _explain_refusal(request: HttpRequest, server: Server) -> str | None:
    try:
        answer = httpx.post(
            server.address + request.path,
            content=request.body,
            headers=dict(request.headers),
            timeout=60,
        )
    except httpx.TransportError:
        return "it does not answer"
    return None if answer.status_code == 200 else f"it answers {answer.status_code}"


def _make_load(task: Task, requests: list[HttpRequest], connections: int, seconds: int) -> Load:
    checked = None if task.patients == 1 else _CHECKED_BATCHES
    return Load(requests, task.check, connections, task.patients, seconds, checked)
