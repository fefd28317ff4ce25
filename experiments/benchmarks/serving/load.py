"""Load from wrk, and a checker that compares answers with the library's.

wrk (https://github.com/wg/wrk) keeps connections busy from one core, but does not match answers to
requests. So, before each measurement, a checker sends every request over as many
connections and compares each answer with the library's; under load, statuses are counted.
"""

import asyncio
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

import httpx

from experiments.benchmarks.serving.answers import CheckAnswer
from experiments.processes import read_cpu, stay_on
from experiments.server import HOST, Server
from features.base.errors import UnavailableError

SCRIPT = Path(__file__).with_name("wrk.lua")
_PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class HttpRequest:
    """One POST, ready to be sent again and again."""

    path: str
    body: bytes
    token: str | None = None
    expected: Any = None  # What a checker compares the answer with

    @property
    def headers(self) -> dict[str, str]:
        """Its own headers; the length and the host are added."""
        key = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return {"Content-Type": "application/json", **key}

    def render(self) -> bytes:
        """Write it as HTTP/1.1."""
        headers = {"Host": HOST, "Content-Length": str(len(self.body)), **self.headers}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{n}: {value}" for n, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Load:
    """What to put on a server."""

    requests: Sequence[HttpRequest]  # Sent in turn
    check: CheckAnswer
    connections: int = 1
    patients: int = 1  # In each of them
    seconds: int = 5
    checked: int | None = None  # How many of the requests the checker sends first; all by default


@dataclass(frozen=True)
class Measurement:
    """What one load showed."""

    connections: int
    answers: int  # To wrk
    # p50, p99: latency, ms
    p50: float
    p99: float
    slowest: float
    # rate, patients_rate: answers below status 400 per second, and patients in them
    rate: float
    patients_rate: float
    cpu: float  # Processor time of the server, ms per request
    patients_cpu: float  # Patients per second of processor time
    failed: int  # Refused, lost and unanswered requests, of wrk and of the checker
    # checked, wrong: answers compared with the library's, and those that differ
    checked: int
    wrong: int
    complaint: str = ""  # What was wrong, in words


def find_wrk() -> str:
    """Find the load generator.

    Raises
    ------
    UnavailableError
        If it is not installed.
    """
    path = shutil.which("wrk")
    if path is None:
        raise UnavailableError(
            "the load generator wrk is not installed: `apt-get install wrk` (Debian, Ubuntu), "
            "`brew install wrk` (macOS)"
        )
    return path


def measure_load(load: Load, server: Server, core: int | None = None) -> Measurement:
    """Check a server's answers, then put a load on it.

    Parameters
    ----------
    core
        The core to keep checker and generator on; any by default.

    Raises
    ------
    UnavailableError
        If wrk is not installed, or fails.
    """
    # Apart from the server's core, so that the generator does not slow it.
    with stay_on(core):
        checked = asyncio.run(_check_answers(load, server))
        before = read_cpu(server.pid)
        counts = _run_wrk(load, server)
        cpu = read_cpu(server.pid) - before
    answers, seconds = counts["answers"], counts["seconds"]
    accepted = answers - counts["refused"]
    errors = {name: counts[name] for name in ("refused", "lost", "unanswered")}
    complaints = [f"{count} {name}" for name, count in errors.items() if count]
    complaints += [f"{kind}: {checked[kind][0]}" for kind in ("checker", "wrong") if checked[kind]]
    return Measurement(
        connections=load.connections,
        answers=answers,
        p50=counts["p50"],
        p99=counts["p99"],
        slowest=counts["slowest"],
        rate=accepted / seconds,
        patients_rate=accepted * load.patients / seconds,
        cpu=1000 * cpu / answers if cpu and answers else nan,
        patients_cpu=accepted * load.patients / cpu if cpu else nan,
        failed=sum(errors.values()) + len(checked["checker"]),
        checked=len(checked["right"]) + len(checked["wrong"]),
        wrong=len(checked["wrong"]),
        complaint="; ".join(complaints),
    )


async def _check_answers(load: Load, server: Server) -> dict[str, list[str]]:
    checked: dict[str, list[str]] = {"right": [], "wrong": [], "checker": []}
    limits = httpx.Limits(max_connections=load.connections)
    async with httpx.AsyncClient(
        base_url=server.address, limits=limits, timeout=_PATIENCE_SECONDS
    ) as client:

        async def ask(request: HttpRequest) -> None:
            try:
                answer = await client.post(
                    request.path, content=request.body, headers=request.headers
                )
            except httpx.TransportError as error:
                checked["checker"].append(type(error).__name__)
                return
            if answer.status_code != 200:
                checked["checker"].append(f"answered {answer.status_code}")
            elif complaint := load.check(request.expected, answer.text):
                checked["wrong"].append(complaint)
            else:
                checked["right"].append("")

        requests = load.requests[: load.checked]
        # The pool's timeout is for a connection: only as many may wait as there are connections.
        for start in range(0, len(requests), load.connections):
            await asyncio.gather(*map(ask, requests[start : start + load.connections]))
    return checked


def _run_wrk(load: Load, server: Server) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("wb") as file:
        for request in (request.render() for request in load.requests):
            file.write(b"%d\n%b" % (len(request), request))
        file.flush()
        # One thread: the generator has one core.
        settings = ("-t1", f"-c{load.connections}", f"-d{load.seconds}s")
        patience = ("--timeout", f"{_PATIENCE_SECONDS}s")
        command = [find_wrk(), *settings, *patience, "-s", str(SCRIPT), server.address]
        done = subprocess.run(
            [*command, "--", file.name], capture_output=True, text=True, check=False
        )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise UnavailableError(f"wrk failed: {' '.join((done.stdout + done.stderr).split())}")
    counts: dict[str, Any] = json.loads(lines[-1])
    return counts
