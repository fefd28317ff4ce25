"""The soak: our service under mixed load, while champions change and workers are killed."""

import asyncio
import os
import random
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx
import uvloop

from experiments.benchmarks.serving.assessments import Questions, draw_assessments
from experiments.benchmarks.serving.contestants.roster import start_ours
from experiments.benchmarks.serving.load import send_request
from experiments.benchmarks.serving.served_model import OUTCOME, ServedHome, make_home
from experiments.benchmarks.serving.soak_questions import SoakQuestion, draw_questions
from experiments.benchmarks.serving.soak_watch import Watch
from experiments.processes import PROC, list_tree, read_memory
from experiments.server import Server, find_free_port, run_server
from features.base.commands import say
from serving.estimates.predictor import Predictor

_SEED = 5
_WORKERS = ("--workers", "2")
# In the command line of BentoML's worker processes.
_WORKER_MARK = b"worker"
_PATIENCE_SECONDS = 30.0
_REASON = "soak: champions take turns"


@dataclass(frozen=True)
class SoakPlan:
    """Duration, rate and intervals."""

    minutes: float = 30.0
    rate: float = 200.0  # Requests per second, over all callers together
    callers: int = 16
    patients: int = 3000
    redevelopments: int = 200

    @property
    def seconds(self) -> float:
        """Duration."""
        return 60 * self.minutes

    @property
    def change_every(self) -> float:
        """Seconds between changes of champion."""
        return min(60.0, self.seconds / 3)

    @property
    def kill_every(self) -> float:
        """Seconds between killed workers."""
        return min(120.0, self.seconds / 2.5)

    @property
    def sample_every(self) -> float:
        """Seconds between readings of memory."""
        return min(10.0, self.seconds / 12)


@dataclass(frozen=True)
class SoakAudit:
    """What the audit log shows in the end."""

    # Whether `audit verify` found it intact; None if the service has no audit log
    whole: bool | None
    rows: int = 0
    missing: int = 0  # Answered requests that are not in it


@dataclass(frozen=True)
class SoakResult:
    """How it went."""

    plan: SoakPlan
    watch: Watch
    audit: SoakAudit
    workers: int
    workers_left: int


@dataclass
class _Rivals:
    """Two registered versions, of which one is champion."""

    home: ServedHome
    champions: dict[str, Predictor]
    current: str

    def change(self) -> str:
        """Make the other version champion and pull it; return its digest."""
        other = next(version for version in self.champions if version != self.current)
        _promote(self.home, other)
        self.home.run("serving", "pull", "--json")
        self.current = other
        return self.champions[other].champions[0].model.digest


def _promote(home: ServedHome, version: str) -> None:
    options = (OUTCOME, "--version", version, "--override-reason", _REASON, "--json")
    home.run("training", "promote", *options)


def _register_rivals(home: ServedHome, plan: SoakPlan) -> _Rivals:
    home.simulate(plan.patients)
    versions = [home.fit(plan.redevelopments, seed) for seed in (1, 2)]
    champions = {}
    for version in versions:  # the one that is pulled last is champion
        _promote(home, version)
        champions[version] = home.pull()
    return _Rivals(home, champions, versions[-1])


def run_soak(plan: SoakPlan) -> SoakResult:
    """Fit two models, serve, and put the service through it."""
    with tempfile.TemporaryDirectory(prefix="benchmark-soak-") as folder:
        home = make_home(Path(folder))
        rivals = _register_rivals(home, plan)
        token = home.create_key()
        assessments = draw_assessments()
        watch = Watch(
            {
                predictor.champions[0].model.digest: Questions(assessments, predictor).answers
                for predictor in rivals.champions.values()
            }
        )
        questions = draw_questions(assessments, token, _SEED)
        port, log = find_free_port(), home.folder / "service.log"
        command = start_ours(port)
        if "--workers" in home.read_help("serving", "serve"):
            command += _WORKERS
        else:
            say("the service has no --workers: one worker")
        with run_server(command, port, "/readyz", log, home.environment) as server:
            workers = len(_list_workers(server.pid))
            uvloop.run(_Soak(plan, rivals, server, questions, watch).run())
            left = len(_list_workers(server.pid))
        audit = _check_audit(home, watch.request_ids)
    return SoakResult(plan, watch, audit, workers, left)


class _Soak:
    def __init__(
        self,
        plan: SoakPlan,
        rivals: _Rivals,
        server: Server,
        questions: Iterator[SoakQuestion],
        watch: Watch,
    ) -> None:
        self.plan, self.rivals, self.server = plan, rivals, server
        self.questions, self.watch = questions, watch
        self.start = monotonic()

    async def run(self) -> None:
        """Run to the end."""
        self.start = monotonic()
        async with httpx.AsyncClient(
            base_url=self.server.address,
            limits=httpx.Limits(max_connections=self.plan.callers),
            timeout=_PATIENCE_SECONDS,
        ) as client:
            callers = (self._ask(client, number) for number in range(self.plan.callers))
            await asyncio.gather(*callers, self._change(), self._kill(), self._sample())

    def _is_over(self) -> bool:
        self.watch.now = monotonic() - self.start
        return self.watch.now >= self.plan.seconds

    async def _ask(self, client: httpx.AsyncClient, number: int) -> None:
        # Callers take turns, so that requests arrive evenly.
        pause = self.plan.callers / self.plan.rate
        await asyncio.sleep(pause * number / self.plan.callers)
        while not self._is_over():
            # From the start of the request: a slow answer does not lower the rate.
            next_at = monotonic() + pause
            question = next(self.questions)
            try:
                answer = await send_request(client, question.request)
            except httpx.TransportError:
                self._is_over()
                self.watch.note_lost(question)
            else:
                self._is_over()
                self.watch.note_answer(question, answer)
            await asyncio.sleep(max(0.0, next_at - monotonic()))

    async def _change(self) -> None:
        while self.watch.now + self.plan.change_every < self.plan.seconds:
            await asyncio.sleep(self.plan.change_every)
            start = self.watch.now
            digest = await asyncio.to_thread(self.rivals.change)
            self.watch.changes.append((start, monotonic() - self.start, digest))

    async def _kill(self) -> None:
        generator = random.Random(_SEED)
        while self.watch.now + self.plan.kill_every < self.plan.seconds:
            await asyncio.sleep(self.plan.kill_every)
            if workers := _list_workers(self.server.pid):
                self.watch.kills.append(monotonic() - self.start)
                os.kill(generator.choice(workers), signal.SIGKILL)

    async def _sample(self) -> None:
        while not self._is_over():
            resident = read_memory(self.server.pid).resident
            self.watch.memory.append((self.watch.now, resident))
            await asyncio.sleep(self.plan.sample_every)


def _list_workers(root: int) -> list[int]:
    return [pid for pid in list_tree(root)[1:] if _WORKER_MARK in _read_command(pid)]


def _read_command(pid: int) -> bytes:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""  # it has ended since it was listed


def _check_audit(home: ServedHome, answered: set[str]) -> SoakAudit:
    if not home.read_help("serving", "audit", "verify"):
        return SoakAudit(None)
    done = home.try_to("serving", "audit", "verify", "--json")
    path = home.folder / "service.db"
    # Read directly: `audit show` would be a part of what is tested.
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        logged = {row[0] for row in database.execute("select request_id from audit")}
    return SoakAudit(not done.returncode, len(logged), len(answered - logged))
