"""Load from wrk, and a checker that compares answers with the library's.

wrk (https://github.com/wg/wrk) keeps connections busy from one core, but cannot tell which answer
belongs to which request. So, before each measurement, a checker sends every request over as many
connections and compares each answer with the library's; under load, statuses are counted.
"""

import asyncio
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from experiments.processes import read_cpu, stay_on
from experiments.server import HOST, Server
from features.base.errors import UnavailableError

SCRIPT = Path(__file__).with_name("wrk.lua")
JSON_TYPE = "application/json"
_PATIENCE_SECONDS = 30
# Returns what is wrong with the answer to a request, by its number; None if nothing is.
CheckAnswer = Callable[[int, str], str | None]


@dataclass(frozen=True)
class HttpRequest:
    """One POST, ready to be sent again and again."""

    path: str
    body: bytes
    token: str | None = None
    content_type: str = JSON_TYPE

    @property
    def headers(self) -> Mapping[str, str]:
        """Its own headers; the length and the host are added."""
        key = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return {"Content-Type": self.content_type, **key}

    def render(self) -> bytes:
        """Write it as HTTP/1.1."""
        headers = {"Host": HOST, "Content-Length": str(len(self.body)), **self.headers}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{n}: {value}" for n, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Load:
    """What to put on a server.

    Parameters
    ----------
    requests
        Sent in turn.
    patients
        In each of them.
    checked
        How many of the requests the checker sends first; None for all.
    """

    requests: Sequence[HttpRequest]
    connections: int = 1
    patients: int = 1
    seconds: int = 5
    checked: int | None = None


@dataclass(frozen=True)
class Measurement:
    """What one load showed.

    Parameters
    ----------
    answers
        To wrk.
    p50, p99
        Latency, ms.
    rate, patients_rate
        Answers below status 400 per second, and patients in them.
    cpu
        Processor time of the server, ms per request.
    patients_cpu
        Patients per second of processor time.
    failed
        Refused, lost and unanswered requests, of wrk and of the checker.
    checked, wrong
        Answers compared with the library's, and those that differ.
    complaint
        What was wrong, in words.
    """

    connections: int
    answers: int
    p50: float
    p99: float
    slowest: float
    rate: float
    patients_rate: float
    cpu: float | None
    patients_cpu: float | None
    failed: int
    checked: int
    wrong: int
    complaint: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether every request was answered, and every checked one correctly."""
        return self.answers > 0 and not self.failed and not self.wrong


@dataclass
class _Checked:
    compared: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


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


def measure_load(
    load: Load, server: Server, check: CheckAnswer, core: int | None = None
) -> Measurement:
    """Check a server's answers, then put a load on it.

    Parameters
    ----------
    core
        The core to keep checker and generator on; None for any.

    Raises
    ------
    UnavailableError
        If wrk is not installed, or fails.
    """
    with stay_on(core):
        checked = asyncio.run(_check_all(load, server, check))
        before = read_cpu(server.pid)
        counts = _run_wrk(load, server)
        cpu = read_cpu(server.pid) - before
    return _summarise(load, counts, cpu, checked)


async def _check_all(load: Load, server: Server, check: CheckAnswer) -> _Checked:
    checked = _Checked()
    limits = httpx.Limits(max_connections=load.connections)
    async with httpx.AsyncClient(
        base_url=server.address, limits=limits, timeout=_PATIENCE_SECONDS
    ) as client:

        async def ask(number: int, request: HttpRequest) -> None:
            try:
                answer = await send_request(client, request)
            except httpx.TransportError as error:
                checked.failed.append(type(error).__name__)
                return
            if answer.status_code != 200:
                checked.failed.append(f"answered {answer.status_code}")
                return
            checked.compared += 1
            if complaint := check(number, answer.text):
                checked.wrong.append(complaint)

        requests = load.requests[: load.checked]
        # The pool's timeout is for a connection: only as many may wait as there are connections.
        for start in range(0, len(requests), load.connections):
            numbers = range(start, min(start + load.connections, len(requests)))
            await asyncio.gather(*(ask(number, requests[number]) for number in numbers))
    return checked


async def send_request(client: httpx.AsyncClient, request: HttpRequest) -> httpx.Response:
    """Send a request, and return its answer.

    Raises
    ------
    httpx.TransportError
        If there is no answer.
    """
    return await client.post(request.path, content=request.body, headers=dict(request.headers))


def _run_wrk(load: Load, server: Server) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("wb") as file:
        for request in (request.render() for request in load.requests):
            file.write(b"%d\n%b" % (len(request), request))
        file.flush()
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


def _summarise(load: Load, counts: Mapping[str, Any], cpu: float, checked: _Checked) -> Measurement:
    answers = counts["answers"]
    accepted = answers - counts["refused"]
    errors = {name: counts[name] for name in ("refused", "lost", "unanswered")}
    complaints = [f"{count} {name}" for name, count in errors.items() if count]
    complaints += [f"checker: {text}" for text in checked.failed[:1]]
    complaints += [f"wrong: {text}" for text in checked.wrong[:1]]
    return Measurement(
        load.connections,
        answers,
        counts["p50"],
        counts["p99"],
        counts["slowest"],
        accepted / counts["seconds"],
        accepted * load.patients / counts["seconds"],
        1000 * cpu / answers if cpu and answers else None,
        accepted * load.patients / cpu if cpu else None,
        sum(errors.values()) + len(checked.failed),
        checked.compared,
        len(checked.wrong),
        "; ".join(complaints),
    )
