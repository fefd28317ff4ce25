"""What auditing every answer costs: appending rows, and requests that wait for their row."""

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

from experiments.benchmarks.report import Report, Section, format_table
from features.base.commands import track
from features.base.errors import UnavailableError
from serving.store.audit import Answered, AuditLog
from serving.store.database import prepare_store
from serving.store.writer import AuditWriter

_KEY = b"of a benchmark, whose chain is thrown away"
_GROUPS = (1, 16)
# Rows before the measured ones, while files grow and caches fill.
_WARM_UP = 50
_HEADING = ["store", "way", "at once", "median, µs", "99th percentile, µs", "rows per second"]


class _PatientLog(AuditLog):
    """A log whose every row is written by the writer's thread."""

    def make_unwaiting(self) -> AuditLog | None:
        """Leave nothing to the event loop."""
        return None


# In microseconds.
@dataclass(frozen=True)
class _StoreTiming:
    store: str  # ``sqlite normal``, ``sqlite full`` or ``postgresql``
    how: str  # ``append``, or what wrote while requests waited: ``loop`` or ``thread``
    together: int  # Rows in one transaction, or concurrent requests
    median: float
    percentile99: float
    per_second: float  # Rows


def measure_stores(folder: Path, rows: int, server: str | None = None) -> list[_StoreTiming]:
    """Measure SQLite on the disk of a folder, and a PostgreSQL server if one is named."""
    with tempfile.TemporaryDirectory(prefix=".store-", dir=folder) as scratch:
        stores = {
            "sqlite normal": f"sqlite:///{scratch}/normal.db",
            "sqlite full": f"sqlite:///{scratch}/full.db?synchronous=full",
        }
        stores |= {"postgresql": server} if server else {}
        steps = list(_list_steps(stores, rows))
        return [step() for step in track(steps, len(steps), "appending")]


def report_stores(timings: list[_StoreTiming]) -> Report:
    """Report the timings."""
    rows = [
        [
            timing.store,
            timing.how,
            str(timing.together),
            *(f"{v:,.0f}" for v in (timing.median, timing.percentile99, timing.per_second)),
        ]
        for timing in timings
    ]
    section = Section("benchmark store", "explanation/audit.md", [format_table(_HEADING, rows)])
    return Report([section], {"timings": [vars(timing) for timing in timings]})


def _list_steps(stores: dict[str, str], rows: int) -> Iterator[Callable[[], _StoreTiming]]:
    for store, url in stores.items():
        # The event loop writes only if no commit waits for a disk.
        logs = {"thread": _PatientLog} | ({"loop": AuditLog} if store == "sqlite normal" else {})
        for together in _GROUPS:
            yield partial(_time_appends, store, url, together, rows)
            for how, kind in logs.items():
                yield partial(_time_requests, store, url, together, rows, how, kind)


def _time_appends(store: str, url: str, together: int, rows: int) -> _StoreTiming:
    log = _open_log(url, AuditLog)
    durations = []
    for _ in range(_WARM_UP + rows // together):
        group = [_make_answered() for _ in range(together)]
        start = time.perf_counter()
        log.append(group)
        durations.append(time.perf_counter() - start)
    log.close()
    measured = durations[_WARM_UP:]
    return _summarise(store, "append", together, measured, sum(measured), together)


def _time_requests(
    store: str, url: str, together: int, rows: int, how: str, kind: type[AuditLog]
) -> _StoreTiming:
    durations: list[float] = []

    async def write(writer: AuditWriter, times: int) -> None:
        for _ in range(times):
            answered = _make_answered()
            start = time.perf_counter()
            await writer.write(answered)
            durations.append(time.perf_counter() - start)

    async def write_all() -> float:
        writer = AuditWriter(_open_log(url, kind))
        await write(writer, _WARM_UP)
        durations.clear()
        start = time.perf_counter()
        await asyncio.gather(*(write(writer, rows // together) for _ in range(together)))
        seconds = time.perf_counter() - start
        await writer.close()
        return seconds

    return _summarise(store, how, together, durations, uvloop.run(write_all()), 1)


def _open_log(url: str, kind: type[AuditLog]) -> AuditLog:
    log = kind(prepare_store(url), _KEY)
    if log.verify().breach is not None:
        raise UnavailableError("the store holds a chain that is not this benchmark's")
    return log


# As long as a real one.
def _make_answered() -> Answered:
    return Answered(
        request_id=secrets.token_hex(16),
        time=datetime.now(UTC).isoformat(),
        route="/predict",
        key_id="0a1b2c3d",
        models=(f"phq9.acute.response@3 {secrets.token_hex(32)}",),
        answers=[[0.6123456789]],
        inputs_digest=secrets.token_hex(32),
    )


def _summarise(
    store: str, how: str, together: int, durations: list[float], seconds: float, rows: int
) -> _StoreTiming:
    median, percentile99 = np.percentile(durations, [50, 99]) * 1e6
    per_second = len(durations) * rows / seconds
    return _StoreTiming(store, how, together, float(median), float(percentile99), per_second)
