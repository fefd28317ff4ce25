"""What it costs to note every answer: rows appended, and requests that wait for theirs."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import uvloop

from features.base.commands import track
from features.base.errors import UnavailableError
from serving.store.audit import Answered, AuditLog
from serving.store.database import prepare_store
from serving.store.writer import AuditWriter

KEY = b"of a benchmark, whose chain is thrown away"
GROUPS = (1, 16)
# Rows that nobody measures: files grow, caches fill.
WARMING = 50


class PatientLog(AuditLog):
    """A log of which every row is written by the writer's thread."""

    def make_unwaiting(self) -> AuditLog | None:
        """Leave nothing to the event loop."""
        return None


@dataclass(frozen=True)
class Timing:
    """How long something took, in microseconds.

    Parameters
    ----------
    store
        ``sqlite normal``, ``sqlite full`` or ``postgresql``.
    how
        ``append``, or whose thread wrote while requests waited: ``loop`` or ``thread``.
    together
        Rows in one transaction, or requests at a time.
    per_second
        Rows.
    """

    store: str
    how: str
    together: int
    median: float
    percentile99: float
    per_second: float


def measure(folder: Path, rows: int, server: str | None = None) -> list[Timing]:
    """Measure each store on the disk of a folder; a PostgreSQL only where one is named."""
    with tempfile.TemporaryDirectory(prefix=".store-", dir=folder) as place:
        stores = {
            "sqlite normal": f"sqlite:///{place}/normal.db",
            "sqlite full": f"sqlite:///{place}/full.db?synchronous=full",
        }
        stores |= {"postgresql": server} if server else {}
        steps = list(list_steps(stores, rows))
        return [step() for step in track(steps, len(steps), "appending")]


def list_steps(stores: dict[str, str], rows: int) -> Iterator[Callable[[], Timing]]:
    """List what is to be measured."""
    for store, url in stores.items():
        ways = {"thread": PatientLog} | ({"loop": AuditLog} if store == "sqlite normal" else {})
        for together in GROUPS:
            yield partial(time_appends, store, url, together, rows)
            for how, kind in ways.items():
                yield partial(time_requests, store, url, together, rows, how, kind)


def time_appends(store: str, url: str, together: int, rows: int) -> Timing:
    """Time transactions of the log, one after another."""
    log = open_log(url, AuditLog)
    taken = []
    for _ in range(WARMING + rows // together):
        group = [make_answered() for _ in range(together)]
        began = time.perf_counter()
        log.append(group)
        taken.append(time.perf_counter() - began)
    log.close()
    return summarise(store, "append", together, taken[WARMING:], sum(taken[WARMING:]), together)


def time_requests(
    store: str, url: str, together: int, rows: int, how: str, kind: type[AuditLog]
) -> Timing:
    """Time requests that do nothing but wait for their row, so many at a time."""
    taken: list[float] = []

    async def ask(writer: AuditWriter, times: int) -> None:
        for _ in range(times):
            answered = make_answered()
            began = time.perf_counter()
            await writer.write(answered)
            taken.append(time.perf_counter() - began)

    async def ask_all() -> float:
        writer = AuditWriter(open_log(url, kind))
        await ask(writer, WARMING)
        taken.clear()
        began = time.perf_counter()
        await asyncio.gather(*(ask(writer, rows // together) for _ in range(together)))
        seconds = time.perf_counter() - began
        await writer.close()
        return seconds

    return summarise(store, how, together, taken, uvloop.run(ask_all()), 1)


def open_log(url: str, kind: type[AuditLog]) -> AuditLog:
    """Open a log to measure.

    Raises
    ------
    UnavailableError
        If the store holds somebody's chain, or does not answer.
    """
    log = kind(prepare_store(url), KEY)
    if log.verify().breach is not None:
        raise UnavailableError("the store holds a chain that is not this benchmark's")
    return log


def make_answered() -> Answered:
    """Make a row as long as a real one."""
    return Answered(
        request_id=secrets.token_hex(16),
        time=datetime.now(UTC).isoformat(),
        route="/predict",
        key_id="0a1b2c3d",
        models=(f"phq9.acute.response@3 {secrets.token_hex(32)}",),
        answers=[[0.6123456789]],
        inputs_digest=secrets.token_hex(32),
    )


def summarise(
    store: str, how: str, together: int, taken: list[float], seconds: float, rows: int
) -> Timing:
    """Summarise durations, each of so many rows."""
    median, percentile99 = np.percentile(taken, [50, 99]) * 1e6
    return Timing(
        store, how, together, float(median), float(percentile99), len(taken) * rows / seconds
    )


def describe(timings: list[Timing]) -> str:
    """Describe timings as a table."""
    lines = [
        "| store | way | at once | median, µs | 99th percentile, µs | rows a second |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one.store} | {one.how} | {one.together} | {one.median:,.0f} "
        f"| {one.percentile99:,.0f} | {one.per_second:,.0f} |"
        for one in timings
    ]
    return "\n".join(lines)
