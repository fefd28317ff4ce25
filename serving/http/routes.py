"""The routes: what each answers, and all that the middleware and the OpenAPI document need of it.

A new route is a function and a row of ``ROUTES``, and its test.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from serving.base.bodies import FORM_TYPE, HTML_TYPE, JSON_TYPE, TEXT_TYPE
from serving.base.exchange import RETRY_AFTER, Exchange, RequestError
from serving.base.metrics import METRICS_TYPE
from serving.estimates.predictor import Predictor
from serving.http.access import ANY_SCOPE, OPEN
from serving.http.contract import (
    Answer,
    AssessmentBody,
    Batch,
    BatchAnswer,
    Cards,
    Document,
    Readiness,
)
from serving.http.openapi import describe_api
from serving.http.parts import Parts, State
from serving.http.recording import Summary
from serving.page.page import (
    PAGE_FILES,
    Entered,
    keep_key,
    load_page_file,
    parse_form,
    read_cookie,
    render_page,
)

Endpoint = Callable[[Request, Exchange, State], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """One route."""

    method: str
    path: str
    scope: str | None  # What a key must be valid for; None if it needs no key, as probes
    summary: str
    takes: Any = None  # Its body: a type, or a media type
    gives: Any = TEXT_TYPE  # The response's
    endpoint: Endpoint | None = None  # What answers it; None if BentoML does
    limited: bool = True  # Whether it counts against the capacity; probes do not

    @property
    def content_type(self) -> str:
        """Media type of the body that it takes."""
        return self.takes if isinstance(self.takes, str) else JSON_TYPE


def _answer_json(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type=JSON_TYPE)


async def _show_models(request: Request, exchange: Exchange, state: State) -> Response:
    cards = [
        {
            "version": champion.version,
            "digest": champion.model.digest,
            **champion.model.card.model_dump(mode="json"),
        }
        for champion in state.require_parts().roster.require().champions
    ]
    return _answer_json({"models": cards})


async def _show_api(request: Request, exchange: Exchange, state: State) -> Response:
    return _answer_json(describe_api(ROUTES, state.require_parts().roster.dictionary))


async def _show_schema(request: Request, exchange: Exchange, state: State) -> Response:
    return _answer_json(state.describe(state.require_parts().roster.dictionary))


async def _show_metrics(request: Request, exchange: Exchange, state: State) -> Response:
    content = state.require_parts().metrics.render()
    return Response(content, headers={"content-type": METRICS_TYPE})


async def _show_readiness(request: Request, exchange: Exchange, state: State) -> Response:
    status, reasons = state.parts.judge_readiness() if state.parts else ("unready", ["starting"])
    content = {"status": status, "reasons": reasons}
    return _answer_json(content, 503, RETRY_AFTER) if status == "unready" else _answer_json(content)


async def _show_page(request: Request, exchange: Exchange, state: State) -> Response:
    parts = state.require_parts()
    with suppress(RequestError):
        parts.access.admit(request, exchange, "predict", read_cookie(request))
    return HTMLResponse(_render(parts, exchange, parts.roster.require()))


async def _answer_page(request: Request, exchange: Exchange, state: State) -> Response:
    parts = state.require_parts()
    predictor = parts.roster.require()
    entered = parse_form(exchange.body, predictor.dictionary)
    token = entered.key or read_cookie(request)
    try:
        parts.access.admit(request, exchange, "predict", token)
    except RequestError as error:
        entered = replace(entered, problems=list(error.problems))
        page = _render(parts, exchange, predictor, entered)
        return HTMLResponse(page, error.status, error.headers)
    results = [] if entered.problems else predictor.estimate(entered.columns)
    if results:
        # What is recorded, and may be kept, holds no key.
        exchange.body = urlencode(entered.values).encode()
        summary = Summary(predictor)
        summary.add(results)
        await parts.recorder.record(exchange, summary)
    answer = HTMLResponse(_render(parts, exchange, predictor, entered, results))
    if entered.key and exchange.key_id:
        keep_key(answer, entered.key, secure=request.url.scheme == "https")
    return answer


def _render(
    parts: Parts,
    exchange: Exchange,
    predictor: Predictor,
    entered: Entered | None = None,
    results: Sequence[Mapping[str, Any]] = (),
) -> str:
    asks_key = not parts.access.ring.empty and exchange.key_id is None
    stores_inputs = parts.settings.store_inputs
    return render_page(predictor, entered, results, asks_key=asks_key, stores_inputs=stores_inputs)


async def _show_file(request: Request, exchange: Exchange, state: State) -> Response:
    name = exchange.route.rpartition("/")[2]
    return Response(load_page_file(name), headers={"content-type": PAGE_FILES[name]})


ROUTES = (
    Route("GET", "/", OPEN, "The clinician's page", None, HTML_TYPE, _show_page),
    # The key may be in the form, so the endpoint checks it.
    Route("POST", "/", OPEN, "The page with an estimate", FORM_TYPE, HTML_TYPE, _answer_page),
    Route("POST", "/predict", "predict", "Estimate one assessment", AssessmentBody, Answer),
    Route("POST", "/predict_batch", "batch", "Estimate many assessments", Batch, BatchAnswer),
    Route("GET", "/model", ANY_SCOPE, "Cards of all champions", None, Cards, _show_models),
    Route("GET", "/docs.json", OPEN, "This document", None, Document, _show_api),
    Route("GET", "/schema.json", OPEN, "For BentoML's clients", None, Document, _show_schema),
    Route(
        *("GET", "/metrics", "admin", "Metrics for Prometheus", None, TEXT_TYPE, _show_metrics),
        limited=False,
    ),
    Route(
        *("GET", "/readyz", None, "Whether the service can answer", None, Readiness),
        *(_show_readiness, False),
    ),
    *(
        Route("GET", path, None, "Whether the process is alive", limited=False)
        for path in ("/livez", "/healthz")
    ),
    *(
        Route("GET", f"/page/{name}", OPEN, "A file of the page", None, kind, _show_file)
        for name, kind in PAGE_FILES.items()
    ),
)
