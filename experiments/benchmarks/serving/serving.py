"""The benchmark of serving: every contestant in turn on the same core, several rounds of it."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.benchmarks.serving.assessments import Questions, draw_assessments
from experiments.benchmarks.serving.batch_profile import Step, profile_batches
from experiments.benchmarks.serving.contestants.roster import CONTESTANTS, Contestant, Task
from experiments.benchmarks.serving.load import (
    Answer,
    Caller,
    Cores,
    Load,
    Measurement,
    Memory,
    measure,
    read_memory,
    share_cores,
)
from experiments.benchmarks.serving.served_model import ServedHome, borrow_home, make_home
from experiments.benchmarks.serving.server import Server, serve
from experiments.demo import find_free_port
from features.base.commands import track
from features.base.errors import InputError, Problem, UnavailableError

BATCHES = "batch"
# Answers to batches are long; a few of them hold thousands of estimates to check.
BATCHES_CHECKED = 3


@dataclass(frozen=True)
class Request:
    """What is asked of the benchmark.

    Parameters
    ----------
    seconds, warm_up
        Of each measurement.
    champion
        A home whose champion is served; None for a model fitted for the purpose.
    """

    seconds: float = 10.0
    warm_up: float = 2.0
    rounds: int = 3
    contestants: tuple[Contestant, ...] = tuple(CONTESTANTS.values())
    patients: int = 3000
    redevelopments: int = 200
    champion: Path | None = None


QUICK = Request(seconds=1.0, warm_up=0.5, rounds=1, patients=800, redevelopments=20)


@dataclass(frozen=True)
class Round:
    """One contestant in one round.

    Parameters
    ----------
    seconds
        From its start until it was ready.
    measured
        By task and number of connections.
    """

    seconds: float
    memory: Memory
    measured: dict[tuple[str, int], Measurement]


@dataclass(frozen=True)
class Results:
    """Everything that was measured.

    Parameters
    ----------
    rounds
        By contestant.
    absent
        By name, contestants and tasks that were not measured, and why.
    model
        What was served.
    steps
        Where a batch's time goes; empty where no batches were measured.
    """

    request: Request
    cores: Cores
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    """What all contestants share: the home with the champion, what is asked, a key."""

    home: ServedHome
    questions: Questions
    token: str | None


def choose_contestants(names: Sequence[str]) -> tuple[Contestant, ...]:
    """Choose contestants by name, all by default.

    Raises
    ------
    InputError
        If there is none of a name.
    """
    if unknown := [name for name in names if name not in CONTESTANTS]:
        known = ", ".join(CONTESTANTS)
        raise InputError([Problem(name, "unknown", f"must be one of {known}") for name in unknown])
    return tuple(one for name, one in CONTESTANTS.items() if not names or name in names)


def run_benchmark(request: Request) -> Results:
    """Make the model, then measure every contestant in every round."""
    results = Results(request, share_cores())
    with tempfile.TemporaryDirectory(prefix="benchmark-serving-") as folder:
        stage = set_stage(request, Path(folder))
        card = stage.questions.predictor.champions[0].model.card
        results.model.update(
            name=card.name,
            candidate=card.candidate,
            redevelopments=card.interval.redevelopments,
            courses=card.population.courses,
            assessments=len(stage.questions.assessments),
            key=stage.token is not None,
        )
        turns = [one for _ in range(request.rounds) for one in request.contestants]
        for contestant in track(turns, len(turns), "serving"):
            if contestant.name not in results.absent:
                take_turn(contestant, stage, results)
        if BATCHES in results.rounds:
            results.steps.extend(profile_batches(stage.questions, results.cores.server))
    return results


def set_stage(request: Request, folder: Path) -> Stage:
    """Simulate, fit, promote and pull; or take the champion of another home."""
    if request.champion is None:
        home = make_home(folder / "home")
        home.simulate(request.patients)
        home.fit(request.redevelopments, seed=1)
    else:
        home = borrow_home(folder / "home", request.champion)
        if any(contestant.learns for contestant in request.contestants):
            home.simulate(request.patients)
    predictor = home.pull()
    return Stage(home, Questions(draw_assessments(), predictor), home.create_key())


def take_turn(contestant: Contestant, stage: Stage, results: Results) -> None:
    """Measure a contestant once; one that cannot run is named as absent."""
    if contestant.absent:
        results.absent[contestant.name] = f"not installed: {', '.join(contestant.absent)}"
        return
    port = find_free_port()
    log = stage.home.folder / f"{contestant.name}.log"
    environment, core = stage.home.environment, results.cores.server
    try:
        with serve(
            contestant.command(port), port, contestant.ready, environment, log, core
        ) as server:
            found = measure_tasks(contestant, stage, server, results)
    except UnavailableError as error:
        results.absent[contestant.name] = str(error)
    else:
        results.rounds.setdefault(contestant.name, []).append(found)


def measure_tasks(contestant: Contestant, stage: Stage, server: Server, results: Results) -> Round:
    """Measure all tasks of a contestant that is ready."""
    measured = {}
    for task in contestant.tasks:
        requests = task.write(stage.questions, stage.token)
        if reason := refuses(task, requests[0], server.port):
            results.absent[task.name] = reason
            continue
        for connections in task.connections:
            measured[task.name, connections] = measure_task(
                task, requests, connections, stage, server, results
            )
    return Round(server.seconds, read_memory(server.pid), measured)


def refuses(task: Task, request: bytes, port: int) -> str | None:
    """Ask once, and say why a service does not do a task; None if it does."""

    async def ask() -> Answer:
        caller = Caller(port)
        try:
            return await caller.ask(request)
        finally:
            caller.close()

    try:
        status = asyncio.run(ask()).status
    except (OSError, TimeoutError):
        return "it does not answer"
    return None if status == 200 else f"it answers {status}"


def measure_task(
    task: Task,
    requests: list[bytes],
    connections: int,
    stage: Stage,
    server: Server,
    results: Results,
) -> Measurement:
    """Measure one task at one number of connections."""
    load = Load(
        server.port,
        requests,
        connections,
        task.patients,
        results.request.warm_up,
        results.request.seconds,
        samples=len(requests) if task.patients == 1 else BATCHES_CHECKED,
        pid=server.pid,
    )
    return measure(load, task.check(stage.questions), results.cores.client)
