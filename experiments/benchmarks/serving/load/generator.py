"""The generator: so many connections, each asking again as soon as it is answered."""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from experiments.benchmarks.serving.load.connection import Answer, Connection
from experiments.benchmarks.serving.load.processes import read_cpu

# Seconds before a lost connection is opened again, and until what is under way is unanswered.
PAUSE, PATIENCE = 0.05, 30.0


@dataclass
class Tally:
    """What was seen between the warm-up and the end.

    Parameters
    ----------
    latencies
        Of every answer, microseconds.
    sampled
        First answer to each of the first so many different requests, by the request's number.
    lost
        Requests whose connection ended before their answer, or that could not be sent.
    unanswered
        Requests that nobody had answered when patience ended.
    """

    latencies: list[int] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    sampled: dict[int, bytes] = field(default_factory=dict)
    lost: int = 0
    unanswered: int = 0
    seconds: float = 0.0
    cpu_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON; bodies as text."""
        bodies = {number: body.decode("utf-8", "replace") for number, body in self.sampled.items()}
        return vars(self) | {"sampled": bodies}


class Generator:
    """Sends requests in turn over many connections.

    Parameters
    ----------
    samples
        Of how many different requests an answer is kept.
    """

    def __init__(self, port: int, requests: list[bytes], samples: int) -> None:
        self.port, self.requests, self.samples = port, requests, samples
        self.tally = Tally()
        self.measuring = self.ended = False
        self.next = 0
        self.under_way = 0

    def take(self) -> int:
        """Take the number of the next request."""
        self.next = (self.next + 1) % len(self.requests)
        return self.next

    def note(self, number: int, seconds: float, answer: Answer) -> None:
        """Note an answer."""
        if not self.measuring:
            return
        tally = self.tally
        tally.latencies.append(int(seconds * 1e6))
        tally.statuses[answer.status] = tally.statuses.get(answer.status, 0) + 1
        if len(tally.sampled) < self.samples and number not in tally.sampled:
            tally.sampled[number] = answer.body

    async def run(self, connections: int, warm_up: float, seconds: float, pid: int | None) -> Tally:
        """Warm up, measure, and wait for what is under way."""
        clients = [asyncio.create_task(Client(self).run()) for _ in range(connections)]
        await asyncio.sleep(warm_up)
        began, before = perf_counter(), None if pid is None else read_cpu(pid)
        self.measuring = True
        await asyncio.sleep(seconds)
        self.measuring = False
        self.tally.seconds = perf_counter() - began
        if pid is not None and before is not None:
            self.tally.cpu_seconds = read_cpu(pid) - before
        self.ended = True
        _, waiting = await asyncio.wait(clients, timeout=PATIENCE)
        for task in waiting:
            task.cancel()
        self.tally.unanswered = len(waiting)
        return self.tally


class Client:
    """One connection of a generator, opened again when it is lost."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.connection: Connection | None = None
        self.number, self.sent = 0, 0.0
        self.over = asyncio.Event()

    async def run(self) -> None:
        """Ask until the end."""
        while not self.generator.ended:
            self.over.clear()
            try:
                self.connection = await Connection.open(
                    self.generator.port, self._answered, self._lost
                )
            except OSError:
                self.generator.tally.lost += self.generator.measuring
                await asyncio.sleep(PAUSE)
                continue
            self._ask()
            await self.over.wait()

    def _ask(self) -> None:
        if self.connection is not None:
            self.number = self.generator.take()
            self.sent = perf_counter()
            self.connection.send(self.generator.requests[self.number])

    def _answered(self, answer: Answer) -> None:
        self.generator.note(self.number, perf_counter() - self.sent, answer)
        if not self.generator.ended:
            self._ask()
        elif self.connection is not None:
            self.connection.close()

    def _lost(self) -> None:
        self.generator.tally.lost += self.generator.measuring
        self.over.set()
