"""The parts of a running service, and what they decide together about one request."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import orjson
from starlette.responses import Response

from features.base.errors import Problem, UnavailableError
from features.dictionary.dictionary import Dictionary
from serving.base.bodies import JSON_TYPE
from serving.base.exchange import RETRY_AFTER, Exchange, RequestError, refuse
from serving.base.logs import describe_failure, log_event
from serving.base.metrics import Metrics
from serving.base.settings import ServingSettings
from serving.estimates.grouping import Grouping
from serving.estimates.roster import Roster
from serving.http.access import Access
from serving.http.recording import Recorder

INTERNAL = Problem("service", "internal", "the service failed; the request was not answered")


@dataclass(frozen=True)
class Parts:
    """What a service works with once it has started."""

    settings: ServingSettings
    roster: Roster
    access: Access
    recorder: Recorder
    metrics: Metrics
    grouping: Grouping
    batch_slot: asyncio.Lock = field(default_factory=asyncio.Lock)  # One batch at a time

    def check_deadline(self, exchange: Exchange) -> None:
        """Reject a request that is past its deadline."""
        if exchange.seconds > self.settings.deadline_seconds:
            _refuse_late()

    @asynccontextmanager
    async def acquire_batch_slot(self, exchange: Exchange) -> AsyncIterator[None]:
        """Wait until no other batch is being answered, but not past the deadline."""
        try:
            # Not around the block: a batch checks the deadline itself between its parts.
            async with asyncio.timeout(self.settings.deadline_seconds - exchange.seconds):
                await self.batch_slot.acquire()
        except TimeoutError:
            _refuse_late()
        try:
            yield
        finally:
            self.batch_slot.release()

    def judge_readiness(self) -> tuple[str, list[str]]:
        """Return ready, degraded or unready, and the reasons."""
        problem = self.recorder.writer.problem
        reasons = [*self.roster.reasons, *([problem] if problem else [])]
        unready = self.roster.predictor is None or (problem and self.recorder.required)
        return ("unready" if unready else "degraded" if reasons else "ready"), reasons


@dataclass
class State:
    """What the requests of one process share."""

    # Describes the typed endpoints for BentoML's clients, with the fields of a dictionary.
    describe: Callable[[Dictionary], dict[str, Any]]
    parts: Parts | None = None  # None until the service has started
    in_flight: int = 0  # Requests that are being read or answered

    def require_parts(self) -> Parts:
        """Return the parts; raise UnavailableError if the service has not started."""
        if self.parts is None:
            raise UnavailableError("the service is starting")
        return self.parts


def _refuse_late() -> NoReturn:
    refuse(503, "service", "deadline", "took too long; retry", RETRY_AFTER)


def answer_failure(error: Exception, exchange: Exchange, metrics: Metrics | None) -> Response:
    """Answer a request that was rejected or failed, and count the broken rules if it can."""
    headers: Mapping[str, str] = {}
    match error:
        case RequestError():
            status, problems, headers = error.status, error.problems, error.headers
        case UnavailableError():
            problems = (Problem("service", "unavailable", str(error)),)
            status, headers = 503, RETRY_AFTER
        case _:
            # Its message may hold values of the request: the log has only its type and place.
            facts = describe_failure(error)
            log_event("failure", logging.ERROR, request_id=exchange.id, **facts)
            status, problems, metrics = 500, (INTERNAL,), None
    if metrics is not None:
        metrics.note_errors(problem.rule for problem in problems)
    content = orjson.dumps({"errors": [problem.as_dict() for problem in problems]})
    return Response(content, status, headers, media_type=JSON_TYPE)
