"""The parts of a running service, and what they decide together about one request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from starlette.requests import Request

from features.base.errors import UnavailableError
from features.dictionary.dictionary import Dictionary
from serving.base.exchange import RETRY_AFTER, Exchange, refuse
from serving.base.metrics import Metrics
from serving.base.settings import ServingSettings
from serving.estimates.grouping import Grouping
from serving.estimates.roster import Roster
from serving.http.access import Access
from serving.http.recording import Recorder, Summary


@dataclass(frozen=True)
class Parts:
    """What a service works with once it has started.

    Parameters
    ----------
    batch_slot
        Held by the batch that is being answered: one at a time.
    """

    settings: ServingSettings
    roster: Roster
    access: Access
    recorder: Recorder
    metrics: Metrics
    grouping: Grouping
    batch_slot: asyncio.Lock = field(default_factory=asyncio.Lock)

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

    async def record(self, exchange: Exchange, summary: Summary) -> None:
        """Write an answer to the audit log, then count it."""
        exchange.answered = len(summary.probabilities)
        # First the log: an answer that is not in it is neither counted nor given.
        await self.recorder.record(exchange, summary)
        self.metrics.note_estimates(summary.results)

    def judge_readiness(self) -> tuple[str, list[str]]:
        """Return ready, degraded or unready, and the reasons."""
        problem = self.recorder.problem
        reasons = [*self.roster.reasons, *([problem] if problem else [])]
        unready = self.roster.predictor is None or (problem and self.recorder.required)
        return ("unready" if unready else "degraded" if reasons else "ready"), reasons


@dataclass
class State:
    """What the requests of one process share.

    Parameters
    ----------
    describe
        Describes the typed endpoints for BentoML's clients, with the fields of a dictionary.
    parts
        None until the service has started.
    in_flight
        Requests that are being read or answered.
    """

    describe: Callable[[Dictionary], dict[str, Any]]
    parts: Parts | None = None
    in_flight: int = 0

    def require_parts(self) -> Parts:
        """Return the parts; raise UnavailableError if the service has not started."""
        if self.parts is None:
            raise UnavailableError("the service is starting")
        return self.parts


def get_state(request: Request) -> State:
    """Get the state from a request that has passed the middleware."""
    state: State = request.state.service
    return state


def get_parts(request: Request) -> Parts:
    """Get the parts from a request that has passed the middleware."""
    return get_state(request).require_parts()


def get_exchange(request: Request) -> Exchange:
    """Get the exchange from a request that has passed the middleware."""
    exchange: Exchange = request.state.exchange
    return exchange


def _refuse_late() -> NoReturn:
    refuse(503, "service", "deadline", "took too long; retry", RETRY_AFTER)
