"""The soak: our service under mixed load, while champions change and workers are killed."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import uvloop

from experiments.benchmarks.serving.assessments import Assessment, Questions, draw_assessments
from experiments.benchmarks.serving.contestants.roster import start_ours
from experiments.benchmarks.serving.load import Caller, read_memory
from experiments.benchmarks.serving.load.processes import PROC, list_tree
from experiments.benchmarks.serving.served_model import OUTCOME, ServedHome, make_home
from experiments.benchmarks.serving.server import Server, serve
from experiments.benchmarks.serving.soak_questions import Question, draw_questions
from experiments.benchmarks.serving.soak_watch import Results, Watch
from experiments.demo import find_free_port
from features.base.commands import say
from serving.estimates.predictor import Predictor

SEED = 5
WORKERS = ("--workers", "2")
# What BentoML's worker processes have in their command line.
WORKER_MARK = b"worker"
PATIENCE = 30.0
REASON = "soak: champions take turns"


@dataclass(frozen=True)
class Plan:
    """How long, and how often what happens.

    Parameters
    ----------
    rate
        Requests a second, over all callers together.
    """

    minutes: float = 30.0
    rate: float = 200.0
    callers: int = 16
    patients: int = 3000
    redevelopments: int = 200

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return 60 * self.minutes

    @property
    def change_every(self) -> float:
        """Seconds from one change of champion to the next."""
        return min(60.0, self.seconds / 3)

    @property
    def kill_every(self) -> float:
        """Seconds from one killed worker to the next."""
        return min(120.0, self.seconds / 2.5)

    @property
    def sample_every(self) -> float:
        """Seconds from one look at the memory to the next."""
        return min(10.0, self.seconds / 12)


@dataclass(frozen=True)
class Audit:
    """What the audit log says in the end.

    Parameters
    ----------
    whole
        Whether `audit verify` found it whole; None where the service keeps none.
    missing
        Answered requests that are not in it.
    """

    whole: bool | None
    rows: int = 0
    missing: int = 0


@dataclass(frozen=True)
class Soaked:
    """How it went."""

    plan: Plan
    watch: Watch
    audit: Audit
    workers: int
    workers_left: int


@dataclass
class Stage:
    """The home with two registered versions, and who is champion."""

    home: ServedHome
    champions: dict[str, Predictor]
    current: str

    def change(self) -> str:
        """Make the other version champion and put it into the model store; return its digest."""
        other = next(version for version in self.champions if version != self.current)
        asked = (OUTCOME, "--version", other, "--override-reason", REASON, "--json")
        self.home.run("training", "promote", *asked)
        self.home.run("serving", "pull", "--json")
        self.current = other
        return self.champions[other].champions[0].model.digest


def run_soak(plan: Plan) -> Soaked:
    """Fit two models, serve, and put the service through it."""
    with tempfile.TemporaryDirectory(prefix="benchmark-soak-") as folder:
        home = make_home(Path(folder))
        stage = set_stage(home, plan)
        token = home.create_key()
        assessments = draw_assessments()
        watch = Watch(
            {
                one.champions[0].model.digest: answer_all(assessments, one)
                for one in stage.champions.values()
            }
        )
        questions = draw_questions(assessments, token, SEED)
        port, log = find_free_port(), home.folder / "service.log"
        command = start_ours(port)
        if "--workers" in home.find_help("serving", "serve"):
            command += WORKERS
        else:
            say("the service has no --workers: one worker")
        with serve(command, port, "/readyz", home.environment, log) as server:
            workers = len(list_workers(server.pid))
            uvloop.run(Soak(plan, stage, server, questions, watch).run())
            left = len(list_workers(server.pid))
        audit = check_audit(home, watch.request_ids)
    return Soaked(plan, watch, audit, workers, left)


def answer_all(assessments: Sequence[Assessment], predictor: Predictor) -> Results:
    """Answer every assessment by the library."""
    return Questions(tuple(assessments), predictor).answer(range(len(assessments)))


def set_stage(home: ServedHome, plan: Plan) -> Stage:
    """Register two models; the one that is pulled last is champion."""
    home.simulate(plan.patients)
    versions = [home.fit(plan.redevelopments, seed) for seed in (1, 2)]
    champions = {}
    for version in versions:
        asked = (OUTCOME, "--version", version, "--override-reason", REASON, "--json")
        home.run("training", "promote", *asked)
        champions[version] = home.pull()
    return Stage(home, champions, versions[-1])


class Soak:
    """Asks, changes champions, kills and looks at the memory, all at once, until time is over."""

    def __init__(
        self, plan: Plan, stage: Stage, server: Server, questions: Iterator[Question], watch: Watch
    ) -> None:
        self.plan, self.stage, self.server = plan, stage, server
        self.questions, self.watch = questions, watch
        self.began = monotonic()

    async def run(self) -> None:
        """Run to the end."""
        self.began = monotonic()
        callers = map(self._ask, range(self.plan.callers))
        await asyncio.gather(*callers, self._change(), self._kill(), self._look())

    def _is_over(self) -> bool:
        self.watch.now = monotonic() - self.began
        return self.watch.now >= self.plan.seconds

    async def _ask(self, number: int) -> None:
        caller, pause = Caller(self.server.port), self.plan.callers / self.plan.rate
        await asyncio.sleep(pause * number / self.plan.callers)
        while not self._is_over():
            next_at = monotonic() + pause
            await self._ask_once(caller, next(self.questions))
            await asyncio.sleep(max(0.0, next_at - monotonic()))
        caller.close()

    async def _ask_once(self, caller: Caller, question: Question) -> None:
        answer = None
        with contextlib.suppress(OSError, TimeoutError):
            answer = await caller.ask(question.request, PATIENCE)
        self._is_over()
        if answer is None:
            self.watch.note_lost(question)
        else:
            self.watch.note(question, answer)

    async def _change(self) -> None:
        while self.watch.now + self.plan.change_every < self.plan.seconds:
            await asyncio.sleep(self.plan.change_every)
            start = self.watch.now
            digest = await asyncio.to_thread(self.stage.change)
            self.watch.changes.append((start, monotonic() - self.began, digest))

    async def _kill(self) -> None:
        generator = random.Random(SEED)
        while self.watch.now + self.plan.kill_every < self.plan.seconds:
            await asyncio.sleep(self.plan.kill_every)
            if workers := list_workers(self.server.pid):
                self.watch.kills.append(monotonic() - self.began)
                os.kill(generator.choice(workers), signal.SIGKILL)

    async def _look(self) -> None:
        while not self._is_over():
            resident = read_memory(self.server.pid).resident
            self.watch.memory.append((self.watch.now, resident))
            await asyncio.sleep(self.plan.sample_every)


def list_workers(root: int) -> list[int]:
    """List a service's worker processes."""
    return [pid for pid in list_tree(root)[1:] if WORKER_MARK in read_command(pid)]


def read_command(pid: int) -> bytes:
    """Read a process's command line; empty if it is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def check_audit(home: ServedHome, answered: set[str]) -> Audit:
    """Verify the audit log, and look in it for every answered request."""
    if not home.find_help("serving", "audit", "verify"):
        return Audit(None)
    done = home.try_to("serving", "audit", "verify", "--json")
    path = home.folder / "service.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        logged = {row[0] for row in database.execute("select request_id from audit")}
    return Audit(not done.returncode, len(logged), len(answered - logged))
