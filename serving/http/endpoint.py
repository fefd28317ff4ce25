"""The endpoint: the web application that BentoML mounts, as ASGI.

Every request passes the same gates in the same order: is there room, is there such a route, may
this one ask; and every answer leaves by the same door, with its headers, its count and its line in
the log. Nothing that goes wrong reaches the server around it, whose log would show too much.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from starlette.types import Receive, Scope, Send

from features.base.errors import KetamineResponseError, Problem, UnavailableError
from serving.base.exchange import (
    CLOSE,
    RETRY_AFTER,
    SECURITY_HEADERS,
    Answer,
    Disconnected,
    Request,
    RequestError,
    answer_problems,
    refuse,
)
from serving.base.logs import log_failure, log_request
from serving.base.metrics import NO_ROUTE, Metrics
from serving.base.settings import ServingSettings
from serving.estimates.grouping import Grouping
from serving.estimates.roster import Roster
from serving.http.access import Access, read_token
from serving.http.recording import Recorder, Summary
from serving.page.page import PageFacts, read_cookie

# Asked every few seconds by machines; in the metrics, but not in the log.
PROBES = ("/livez", "/healthz", "/readyz", "/metrics")
Handler = Callable[["Endpoint", Request], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """One route.

    Parameters
    ----------
    scope
        What a key must be good for; None for a probe, which anybody may make.
    summary, takes, gives
        For the OpenAPI document: what it does, the schema or media type of the body that it takes,
        and of what it gives.
    limited
        Whether it counts among the requests for which there must be room; probes do not.
    """

    method: str
    path: str
    handler: Handler
    scope: str | None
    summary: str
    takes: str = ""
    gives: str = ""
    limited: bool = True


@dataclass(frozen=True)
class Parts:
    """What a service works with once it has started."""

    settings: ServingSettings
    roster: Roster
    access: Access
    recorder: Recorder
    metrics: Metrics
    grouping: Grouping


@dataclass
class Endpoint:
    """The application.

    Parameters
    ----------
    routes
        By path, then by method.
    parts
        None until the service has started.
    turn
        Held by the batch that is being answered.
    """

    routes: Mapping[str, Mapping[str, Route]]
    parts: Parts | None = None
    in_flight: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await turn_away(scope, send)
            return
        request = Request(scope, receive)
        found = self.routes.get(request.path, {})
        name = request.path if found else NO_ROUTE
        self.in_flight += 1
        try:
            answer = await self.answer(request, found)
        except Disconnected:
            self.note_gone()
            return
        finally:
            self.in_flight -= 1
        await send_answer(request, answer, send)
        if self.parts is not None:
            self.parts.metrics.note_request(request, name, answer.status, self.in_flight)
            if self.parts.settings.log_requests and name not in PROBES:
                log_request(request, name, answer.status)

    async def answer(self, request: Request, found: Mapping[str, Route]) -> Answer:
        """Answer a request, whatever happens."""
        try:
            route = choose_route(request, found)
            self.check_room(route)
            if route.scope is not None:
                self.access.admit(request, route.scope, find_token(request))
            return await route.handler(self, request)
        except RequestError as error:
            self._note_errors(error.problems)
            return answer_problems(error.status, error.problems, error.headers)
        except UnavailableError as error:
            return self.answer_unavailable(error)
        except Disconnected:
            raise
        except Exception as error:
            log_failure(request, error)
            message = "the service failed; the request was not answered"
            return answer_problems(500, [Problem("service", "internal", message)])

    def note_gone(self) -> None:
        """Count one less who asks: one who has gone."""
        if self.parts is not None:
            self.parts.metrics.in_flight.set(self.in_flight - 1)

    def answer_unavailable(self, error: KetamineResponseError) -> Answer:
        """Ask somebody to come again."""
        problem = Problem("service", "unavailable", str(error))
        self._note_errors([problem])
        return answer_problems(503, [problem], RETRY_AFTER)

    def check_room(self, route: Route) -> None:
        """Turn a request away while there are too many."""
        if route.limited and self.in_flight > self.settings.most_in_flight:
            headers = RETRY_AFTER + CLOSE
            refuse(503, "service", "busy", "too many requests at a time; come again", headers)

    def check_deadline(self, request: Request) -> None:
        """Turn a request away that has waited so long that its asker will have given up."""
        if request.seconds > self.settings.deadline_seconds:
            refuse_late()

    @asynccontextmanager
    async def take_turn(self, request: Request) -> AsyncIterator[None]:
        """Let one batch be answered at a time; whoever waits too long is asked to come again."""
        try:
            async with asyncio.timeout(self.settings.deadline_seconds - request.seconds):
                await self.turn.acquire()
        except TimeoutError:
            refuse_late()
        try:
            yield
        finally:
            self.turn.release()

    async def record(self, request: Request, body: bytes, summary: Summary) -> None:
        """Write what was answered into the audit, and count it."""
        request.answered = len(summary.probabilities)
        await self._require().recorder.record(request, body, summary)
        self.metrics.note_estimates(summary.became)

    def judge_readiness(self) -> tuple[str, list[str]]:
        """Judge whether the service is ready, degraded or unready, and why."""
        if self.parts is None:
            return "unready", ["starting"]
        problem = self.parts.recorder.problem
        reasons = [*self.parts.roster.reasons, *([problem] if problem else [])]
        unready = self.parts.roster.predictor is None or (problem and self.parts.recorder.required)
        return ("unready" if unready else "degraded" if reasons else "ready"), reasons

    def describe_page(self, request: Request) -> PageFacts:
        """Say what the page must ask and tell."""
        parts = self._require()
        asks_key = not parts.access.open_to_this_machine and request.key_id is None
        return PageFacts(asks_key=asks_key, stores_inputs=parts.settings.store_inputs)

    @property
    def settings(self) -> ServingSettings:
        """The service's settings."""
        return self._require().settings

    @property
    def roster(self) -> Roster:
        """The champions."""
        return self._require().roster

    @property
    def grouping(self) -> Grouping:
        """Where single assessments are answered."""
        return self._require().grouping

    @property
    def access(self) -> Access:
        """Who may ask."""
        return self._require().access

    @property
    def metrics(self) -> Metrics:
        """The counts."""
        return self._require().metrics

    def _require(self) -> Parts:
        if self.parts is None:
            raise UnavailableError("the service is starting")
        return self.parts

    def _note_errors(self, problems: Sequence[Problem]) -> None:
        if self.parts is not None:
            self.parts.metrics.note_errors(problem.rule for problem in problems)


def choose_route(request: Request, found: Mapping[str, Route]) -> Route:
    """Choose the route by the method."""
    if not found:
        refuse(404, "path", "404", "Not Found")
    method = "GET" if request.method == "HEAD" else request.method
    if method not in found:
        allowed = ", ".join(found).encode()
        refuse(405, "path", "405", "Method Not Allowed", ((b"allow", allowed),))
    return found[method]


def refuse_late() -> NoReturn:
    """Turn a request away that comes too late."""
    refuse(503, "service", "deadline", "took too long; come again", RETRY_AFTER)


def find_token(request: Request) -> str:
    """Find the key: in the header, or where the page kept it for looking at things."""
    token = read_token(request)
    if not token and request.method == "GET":
        token = read_cookie(request) or ""
    return token


async def turn_away(scope: Scope, send: Send) -> None:
    """Turn a web socket away: left alone, it would hold its connection for ever."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})


async def send_answer(request: Request, answer: Answer, send: Send) -> None:
    """Send an answer with its headers."""
    length = (b"content-length", str(len(answer.content)).encode())
    identity = (b"x-request-id", request.id.encode())
    headers = [*answer.headers, length, identity, *SECURITY_HEADERS]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if request.method == "HEAD" else answer.content
    await send({"type": "http.response.body", "body": body})
