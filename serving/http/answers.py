"""Answers: what each route does with a request."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import orjson

from features.base.errors import Problem
from features.dictionary.dictionary import load_dictionary
from features.records.names import check_names
from serving.base.bodies import FORM_TYPE, JSON_TYPE, parse_json, require_object
from serving.base.exchange import (
    JSON_HEADERS,
    RETRY_AFTER,
    Answer,
    Request,
    RequestError,
    answer_html,
    answer_json,
    read_body,
)
from serving.base.metrics import METRICS_TYPE
from serving.estimates.grouping import Problems, Result, answer_rows
from serving.estimates.predictor import DETAILS, Detail, Predictor
from serving.http.endpoint import Endpoint
from serving.http.openapi import describe_api
from serving.http.recording import Summary
from serving.page.page import (
    PAGE_FILES,
    keep_key,
    load_page_file,
    parse_form,
    read_cookie,
    render_page,
)

# Assessments answered at a stretch, in some 20 ms; between two stretches others are served.
STRETCH = 512
BATCH_NAMES = ("assessments", "detail")
# Names that a batch should not have, of which so many are told.
SHOWN = 16


async def predict(endpoint: Endpoint, request: Request) -> Answer:
    """Answer one assessment."""
    body = await take_body(endpoint, request)
    assessment = require_object(parse_json(body), "body")
    endpoint.check_deadline(request)
    reply = await endpoint.grouping.ask(assessment)
    if isinstance(reply.result, list):
        raise RequestError(400, reply.result)
    await record_answers(endpoint, request, body, reply.predictor, [reply.result])
    return answer_json({"request_id": request.id, **reply.result})


async def predict_batch(endpoint: Endpoint, request: Request) -> Answer:
    """Answer many assessments; a bad one has its errors in its own place."""
    body = await take_body(endpoint, request)
    rows, detail = read_batch(parse_json(body), endpoint.settings.most_assessments)
    async with endpoint.take_turn(request):
        summary, written = Summary(endpoint.roster.require()), []
        for start in range(0, len(rows), STRETCH):
            endpoint.check_deadline(request)
            stretch = rows[start : start + STRETCH]
            # Written while it is near the processor, and then given up for the next.
            written.append(write_results(summary, stretch, detail))
            await asyncio.sleep(0)
    await endpoint.record(request, body, summary)
    return Answer(200, join_results(request.id, written), JSON_HEADERS)


def write_results(summary: Summary, rows: Sequence[Any], detail: Detail) -> bytes:
    """Answer some rows of a batch: their results as a JSON list, and added to the summary."""
    results = [list_errors(one) for one in answer_rows(summary.predictor, rows, detail)]
    summary.add(results)
    return orjson.dumps(results)


def join_results(request_id: str, written: Iterable[bytes]) -> bytes:
    """Join lists of results to a whole answer; megabytes, and so copied only once.

    Examples
    --------
    >>> join_results("5f", [b"[1,2]", b"[3]"]), join_results("5f", [])
    (b'{"request_id":"5f","results":[1,2,3]}', b'{"request_id":"5f","results":[]}')
    """
    pieces: list[bytes | memoryview] = []
    for results in written:
        pieces += [b",", memoryview(results)[1:-1]]
    head = b'{"request_id":%b,"results":[' % orjson.dumps(request_id)
    return b"".join([head, *pieces[1:], b"]}"])


async def record_answers(
    endpoint: Endpoint,
    request: Request,
    body: bytes,
    predictor: Predictor,
    results: Sequence[Result],
) -> None:
    """Record answers that come all at once."""
    summary = Summary(predictor)
    summary.add(results)
    await endpoint.record(request, body, summary)


def read_batch(given: Any, most: int) -> tuple[list[Any], Detail]:
    """Read a batch: its assessments, and how much is to be said of each."""
    batch = require_object(given, "body")
    problems = [
        replace(problem, rule="unknown", message="must be assessments or detail")
        for problem in check_names(
            [name for name in batch if name not in BATCH_NAMES][:SHOWN], load_dictionary(), {}
        )
    ]
    rows: Any = batch.get("assessments")
    detail: Any = batch.get("detail", "full")
    if not isinstance(rows, list):
        problems.append(Problem("assessments", "required", "must be a list of assessments"))
    elif len(rows) > most:
        problems.append(Problem("assessments", "length", f"must be at most {most}"))
    if detail not in DETAILS:
        problems.append(Problem("detail", "category", f"must be one of: {', '.join(DETAILS)}"))
    if problems or not isinstance(rows, list):
        raise RequestError(400, problems)
    return rows, detail


def list_errors(result: Result | Problems) -> Result:
    """Give a row of a batch its result, or its errors in its place."""
    if isinstance(result, list):
        return {"errors": [problem.as_dict() for problem in result]}
    return result


async def show_models(endpoint: Endpoint, request: Request) -> Answer:
    """Return the cards of all champions."""
    cards = [
        {
            "version": champion.version,
            "digest": champion.model.digest,
            **champion.model.card.model_dump(mode="json"),
        }
        for champion in endpoint.roster.require().champions
    ]
    return answer_json({"models": cards})


async def show_api(endpoint: Endpoint, request: Request) -> Answer:
    """Return the OpenAPI document."""
    return answer_json(describe_api(endpoint.routes, endpoint.roster.dictionary))


async def show_metrics(endpoint: Endpoint, request: Request) -> Answer:
    """Return the metrics for Prometheus."""
    return Answer(200, endpoint.metrics.render(), ((b"content-type", METRICS_TYPE),))


async def show_readiness(endpoint: Endpoint, request: Request) -> Answer:
    """Say whether the service can answer, and what is wrong with it."""
    status, reasons = endpoint.judge_readiness()
    ready = {"status": status, "reasons": reasons}
    return answer_json(ready, 200) if status != "unready" else answer_json(ready, 503, RETRY_AFTER)


async def show_life(endpoint: Endpoint, request: Request) -> Answer:
    """Say that the process lives."""
    return Answer(200, b"", ((b"content-type", b"text/plain"),))


async def show_page(endpoint: Endpoint, request: Request) -> Answer:
    """Show the clinician's page, empty; without asking again for a key that is kept."""
    with suppress(RequestError):
        endpoint.access.admit(request, "predict", read_cookie(request) or "")
    return answer_html(render_page(endpoint.roster.require(), endpoint.describe_page(request)))


async def answer_page(endpoint: Endpoint, request: Request) -> Answer:
    """Show the clinician's page with an estimate, or with what must be corrected."""
    body = await take_body(endpoint, request, FORM_TYPE)
    predictor = endpoint.roster.require()
    entered = parse_form(body, predictor.dictionary)
    token = entered.key or read_cookie(request) or ""
    try:
        endpoint.access.admit(request, "predict", token)
    except RequestError as error:
        entered = replace(entered, problems=list(error.problems))
        page = render_page(predictor, endpoint.describe_page(request), entered)
        return answer_html(page, error.status, error.headers)
    results = [] if entered.problems else predictor.estimate(entered.columns)
    if results:
        # What is recorded, and may be kept, holds no key.
        typed = urlencode(entered.values).encode()
        await record_answers(endpoint, request, typed, predictor, results)
    kept = keep_key(request, entered.key) if entered.key and request.key_id else ()
    page = render_page(predictor, endpoint.describe_page(request), entered, results)
    return answer_html(page, 200, kept)


async def show_file(endpoint: Endpoint, request: Request) -> Answer:
    """Return a file of the page."""
    name = request.path.rpartition("/")[2]
    return Answer(200, load_page_file(name), ((b"content-type", PAGE_FILES[name].encode()),))


async def take_body(endpoint: Endpoint, request: Request, content_type: str = JSON_TYPE) -> bytes:
    """Read a body within the service's limits."""
    settings = endpoint.settings
    return await read_body(request, settings.most_body_bytes, settings.body_seconds, content_type)
