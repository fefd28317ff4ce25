"""Half an hour of trouble: mixed load while champions change and workers are killed."""

import asyncio
import itertools
import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import pytest
from waiting import wait_for

from experiments.benchmarks.serving.answers import compare_answers
from experiments.benchmarks.serving.assessments import Questions, draw_assessments
from experiments.processes import list_tree, read_memory
from features.model.response_model import ResponseModel
from serving.base.settings import ServingSettings
from serving.estimates.predictor import Predictor
from serving.models.champion import Champion

SECONDS = (12, 1800)  # in `make test`, in `make endurance`
MIN_COMPARED = (100, 200_000)
RATE, CALLERS, BATCH_PATIENTS = 200, 16, 20
# Seconds in which a new champion must answer, and in which a kill excuses lost connections.
TAKE_UP, EXCUSE = 30, 15
# Of latency, ms; in `make test` other tests have the cores.
MAX_P99 = (8000, 1000)
# Of the oldest worker's memory in the last third, times that in the second, while caches fill.
MAX_GROWTH = (1.5, 1.1)
TYPE, TOO_LARGE = "application/json", "too large"
# Invalid requests: the status, and the body made from a valid assessment.
INVALID = {
    "broken JSON": (400, lambda valid: json.dumps(valid)[:-7]),
    "no JSON object": (400, lambda valid: json.dumps([valid])),
    "wrong type": (400, lambda valid: json.dumps({**valid, "age": "44"})),
    "out of range": (400, lambda valid: json.dumps({**valid, "age": 444})),
    "NaN": (400, lambda valid: json.dumps({**valid, "age": float("nan")})),
    "unknown name": (400, lambda valid: json.dumps({**valid, "shoe_size": 44})),
    "a name twice": (400, lambda valid: json.dumps(valid)[:-1] + ',"condition":"depression"}'),
    "wrong content type": (415, json.dumps),
    TOO_LARGE: (413, lambda valid: json.dumps({**valid, "note": "x" * (1 << 21)})),
    "wrong path": (404, json.dumps),
}
PATHS = {"batch": "/predict_batch", "wrong path": "/predictions"}


def list_workers(service):
    workers = []
    for pid in list_tree(service.process.pid)[1:]:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # it has ended since it was listed
        if b"_bentoml_impl.worker.service" in command:
            workers.append(pid)
    return workers


class Soak:
    """The load, what happens to the service meanwhile, and what was seen; times in seconds."""

    def __init__(self, service, token, seconds, seed, store_champion, make_champion):
        self.service, self.token, self.seconds = service, token, seconds
        self.store_champion, self.make_champion = store_champion, make_champion
        self.chance, self.invalid = random.Random(seed), itertools.cycle(INVALID)
        self.assessments = draw_assessments(patients=120)
        # It is never killed, so that its memory is that of the whole time.
        self.oldest = list_workers(service)[0]
        self.expected = {}  # the library's answers, by version of the champion
        self.stored = {"1": 0.0}  # when each version was in the model store
        self.answered = defaultdict(list)  # when each version answered
        self.statuses = defaultdict(Counter)  # by kind of request
        self.latencies, self.memory, self.kills, self.lost = [], [], [], []
        self.request_ids, self.complaints, self.changing = set(), [], True
        self.expect("1")

    @property
    def now(self):
        return time.monotonic() - self.start

    async def run(self):
        self.start = time.monotonic()
        async with httpx.AsyncClient(
            base_url=self.service.address,
            headers={"authorization": f"Bearer {self.token}"},
            limits=httpx.Limits(max_connections=CALLERS),
            timeout=30,
        ) as client:
            callers = [self.ask_repeatedly(client, number) for number in range(CALLERS)]
            others = (self.change_champions(), self.kill_workers(), self.watch_memory())
            await asyncio.gather(*callers, *others)

    async def ask_repeatedly(self, client, number):
        # Callers take turns, so that requests arrive evenly.
        pause = CALLERS / RATE
        await asyncio.sleep(pause * number / CALLERS)
        while self.now < self.seconds or self.changing:
            sent = self.now
            await self.ask(client, *self.draw_question())
            # From the start of the request: a slow answer does not lower the rate.
            await asyncio.sleep(max(0.0, sent + pause - self.now))

    def draw_question(self):
        """Draw a request: its kind, allowed status, body and numbers of its assessments."""
        position, count = self.chance.random(), len(self.assessments)
        if position < 0.9:
            number = self.chance.randrange(count)
            return "predict", 200, json.dumps(self.assessments[number]), [number]
        if position < 0.95:
            numbers = self.chance.choices(range(count), k=BATCH_PATIENTS)
            rows = [self.assessments[number] for number in numbers]
            # One row breaks a rule, and must not harm its neighbours.
            body = json.dumps({"assessments": [{**rows[0], "age": 444}, *rows]})
            return "batch", 200, body, numbers
        kind = next(self.invalid)
        allowed, write = INVALID[kind]
        return kind, allowed, write(self.chance.choice(self.assessments)), []

    async def ask(self, client, kind, allowed, body, numbers):
        content_type = "text/plain" if kind == "wrong content type" else TYPE
        sent, path = self.now, PATHS.get(kind, "/predict")
        try:
            answer = await client.post(path, content=body, headers={"content-type": content_type})
        except httpx.TransportError as error:
            self.lost.append((self.now, kind, type(error).__name__))
            return
        self.latencies.append(1000 * (self.now - sent))
        self.statuses[kind][answer.status_code] += 1
        may_retry = answer.status_code == 503 and "retry-after" in answer.headers
        if answer.status_code != allowed and not may_retry:
            self.complaints.append(f"{kind}: answered {answer.status_code}")
        elif answer.status_code == 200:
            self.compare(kind, numbers, answer.json())

    def compare(self, kind, numbers, answer):
        self.request_ids.add(answer["request_id"])
        results = [answer] if kind == "predict" else answer["results"]
        if kind == "batch" and set(results.pop(0)) != {"errors"}:
            self.complaints.append("batch: a row that breaks a rule was answered")
        for number, result in zip(numbers, results, strict=True):
            (version,) = {estimate["model"]["version"] for estimate in result["estimates"]}
            self.answered[version].append(self.now)
            if part := compare_answers(result, self.expected[version][number]):
                self.complaints.append(f"{kind}: not the library's {part}")

    def expect(self, version):
        """Have the library answer as this version of the champion."""
        folder = self.service.home / "expected" / version
        self.make_champion(spread=int(version) / 10).model.save(folder)
        champion = Champion("by hand", version, ResponseModel.load(folder))
        predictor = Predictor([champion], ServingSettings().least_sample_size)
        self.expected[version] = Questions(self.assessments, predictor).answers

    async def change_champions(self):
        every = min(60, self.seconds / 3)
        for moment in np.arange(every, self.seconds, every):
            await asyncio.sleep(moment - self.now)
            version = str(len(self.stored) + 1)
            await asyncio.to_thread(self.expect, version)
            store, spread = self.store_champion, int(version) / 10
            await asyncio.to_thread(store, self.service.home, version, spread=spread)
            self.stored[version] = self.now
        # On a busy machine the last one may need more time than is left.
        while version not in self.answered and self.now < self.stored[version] + TAKE_UP:
            await asyncio.sleep(0.1)
        self.changing = False

    async def kill_workers(self):
        every = min(120, self.seconds / 2.5)
        for moment in np.arange(every, self.seconds, every):
            await asyncio.sleep(moment - self.now)
            if others := [pid for pid in list_workers(self.service) if pid != self.oldest]:
                self.kills.append(self.now)
                os.kill(self.chance.choice(others), signal.SIGKILL)

    async def watch_memory(self):
        while self.now < self.seconds:
            self.memory.append(read_memory(self.oldest).resident)
            await asyncio.sleep(self.seconds / 180)


@pytest.fixture(scope="module")
def soak(
    pytestconfig,
    choose_count,
    start_service,
    store_champion,
    make_champion,
    make_commands,
    tmp_path_factory,
):
    home = tmp_path_factory.mktemp("home")
    store_champion(home)
    key = ("keys", "create", "--name", "soak", "--scope", "predict", "--scope", "batch")
    created = make_commands(home).run("serving", *key, "--per-minute", "0", "--json")
    service = start_service("--workers", 2, home=home, KETAMINE_RESPONSE_WATCH_SECONDS="1")
    wait_for(lambda: service.read_log().count('"event":"champions"') == 2)
    token, seconds = json.loads(created.stdout)["token"], choose_count(*SECONDS)
    seed = pytestconfig.getoption("seed")
    soak = Soak(service, token, seconds, seed, store_champion, make_champion)
    asyncio.run(soak.run())
    return soak


def test_every_answer_is_the_librarys_for_its_champion(soak, choose_count):
    """Every status is the stated one, too, or 503 with Retry-After."""
    assert soak.complaints == []
    assert sum(map(len, soak.answered.values())) >= choose_count(*MIN_COMPARED)
    assert set(soak.statuses) == {"predict", "batch", *INVALID}


def test_too_large_bodies_get_their_answer(soak):
    assert set(soak.statuses[TOO_LARGE]) == {413}


def test_connections_are_lost_only_around_a_kill(soak):
    unexcused = [
        (moment, kind, error)
        for moment, kind, error in soak.lost
        if not any(-1 <= moment - kill <= EXCUSE for kill in soak.kills)
    ]
    assert unexcused == []
    assert soak.kills


def test_new_champions_replace_old_ones_within_seconds(soak):
    assert set(soak.answered) == set(soak.stored)
    for version, replaced in zip(soak.stored, list(soak.stored.values())[1:], strict=False):
        assert max(soak.answered[version]) <= replaced + TAKE_UP


def test_killed_workers_come_back(soak):
    wait_for(lambda: len(list_workers(soak.service)) == 2)
    assert soak.oldest in list_workers(soak.service)


def test_every_answer_is_in_the_audit_log(soak, make_commands):
    verified = make_commands(soak.service.home).run("serving", "audit", "verify", "--json")
    assert json.loads(verified.stdout)["whole"] is True
    # Read directly: `audit show` is a part of what is tested.
    with closing(sqlite3.connect(soak.service.home / "service.db")) as database:
        logged = {row[0] for row in database.execute("select request_id from audit")}
    assert soak.request_ids <= logged


def test_slowest_answers_take_a_bounded_time(soak, choose_count):
    assert np.percentile(soak.latencies, 99) <= choose_count(*MAX_P99)


def test_memory_stays_bounded(soak, choose_count):
    _, second, last = np.array_split(soak.memory, 3)
    assert np.median(last) <= choose_count(*MAX_GROWTH) * np.median(second)
