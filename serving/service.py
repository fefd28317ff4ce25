"""The BentoML service: its typed endpoints, its start and stop, and keeping it up to date."""

import asyncio
import contextlib
import gc
import logging
from pathlib import Path
from typing import Any

import bentoml

from features.base.errors import KetamineResponseError
from features.base.home import find_home, read_environment
from serving.base.logs import log_event, log_loop_failure, start_log
from serving.base.metrics import Metrics
from serving.base.settings import read_settings
from serving.estimates.grouping import Grouping
from serving.estimates.roster import Roster
from serving.http.access import Access
from serving.http.connection import limit_connections
from serving.http.contract import Answer, AssessmentBody, Batch, BatchAnswer
from serving.http.endpoints import answers_failures, estimate_batch, estimate_one
from serving.http.middleware import add_request_middleware
from serving.http.parts import Parts, State
from serving.http.recording import Recorder, choose_seal
from serving.store.audit import AuditLog
from serving.store.database import prepare_store
from serving.store.keys import KeyRing
from serving.store.secrets import read_secrets
from serving.store.writer import AuditWriter

_NAME = "ketamine_response"
ENVIRONMENT = read_environment()
SETTINGS = read_settings(ENVIRONMENT)
# Seconds that a request may take to arrive and be answered, before BentoML gives it up. It keeps a
# timer of each request for that long, so it is no longer than our own deadlines need.
TIMEOUT = SETTINGS.body_seconds + SETTINGS.deadline_seconds + 1
SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
# Traces take a tenth of the time of a request even if they are not exported.
IS_TRACED = ENVIRONMENT.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"


@bentoml.service(
    name=_NAME,
    workers=SETTINGS.workers,
    traffic={"timeout": TIMEOUT},
    logging={"access": {"enabled": False}},
    # BentoML's metrics have a series for every path that a client tries.
    metrics={"enabled": False},
    http={"cors": {"enabled": False}},
    tracing={} if IS_TRACED else {"excluded_urls": ["."]},
)
class ResponseService:
    """Estimates for one assessment or many, from the champions in BentoML's model store."""

    state: State

    def __init__(self) -> None:
        # In process, log and garbage collector are the host's.
        is_worker = bentoml.server_context.service_name == _NAME
        if is_worker:
            start_log()
        home = find_home(ENVIRONMENT)
        shared = ENVIRONMENT.get(SHARED_METRICS)
        metrics = Metrics(Path(shared) if shared else None)
        roster = Roster(home.models_folder, SETTINGS.least_sample_size, _list_own_models())
        roster.refresh()
        roster.require()
        engine = prepare_store(home.store_url)
        secrets = read_secrets(home, ENVIRONMENT)
        seal = choose_seal(SETTINGS, ENVIRONMENT)
        self.ring = KeyRing(engine)
        self.ring.refresh()
        self.writer = AuditWriter(AuditLog(engine, secrets.chain))
        recorder = Recorder(self.writer, secrets, metrics, seal, SETTINGS.audit == "required")
        access = Access(self.ring, SETTINGS.most_per_minute)
        self.parts = Parts(SETTINGS, roster, access, recorder, metrics, Grouping(roster))
        if is_worker:
            # What is loaded stays: a full garbage collection of it would delay requests by 200 ms.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 50)

    @bentoml.api  # type: ignore[untyped-decorator]
    @answers_failures
    async def predict(self, assessment: AssessmentBody, /) -> Answer:
        """Estimate the probability of response for one assessment."""
        return await estimate_one(self.parts, assessment)

    @bentoml.api  # type: ignore[untyped-decorator]
    @answers_failures
    async def predict_batch(self, batch: Batch, /) -> BatchAnswer:
        """Estimate many assessments; one that breaks a rule gets its errors instead."""
        return await estimate_batch(self.parts, batch)

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def open(self) -> None:
        """Begin to answer, and to watch for new champions and keys."""
        asyncio.get_running_loop().set_exception_handler(log_loop_failure)
        self.state.parts = self.parts
        self._note_roster()
        self.watching = asyncio.create_task(self._watch())

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close(self) -> None:
        """Stop watching, and write the rows that wait for the audit log."""
        self.watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.watching
        await self.writer.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(SETTINGS.watch_seconds)
            try:
                before = self.parts.roster.reasons
                changed = await asyncio.to_thread(self.parts.roster.refresh)
                if changed or self.parts.roster.reasons != before:
                    self._note_roster()
                await asyncio.to_thread(self.ring.refresh)
            except KetamineResponseError as error:
                log_event("watch failed", logging.WARNING, reason=str(error))
            except Exception:
                # The service continues to answer with what it has, and tries again.
                logging.getLogger("ketamine_response").exception("watch failed")

    def _note_roster(self) -> None:
        roster = self.parts.roster
        self.parts.metrics.note_champions(roster.champions, len(roster.reasons))
        tags = [champion.tag for champion in roster.champions]
        level = logging.WARNING if roster.reasons else logging.INFO
        log_event("champions", level, serving=tags, reasons=list(roster.reasons))


add_request_middleware(ResponseService)
# Uvicorn chooses its protocol before the service starts, so this cannot wait for `open`.
limit_connections()


# ``bentoml build`` makes a Bento of the code alone: it follows the store where it runs.
def _list_own_models() -> list[str] | None:
    bento: Any = getattr(ResponseService, "bento", None)
    tags = [] if bento is None else [str(model.tag) for model in bento.info.all_models]
    return tags or None
