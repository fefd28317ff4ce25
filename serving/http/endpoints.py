"""The endpoints behind ``predict`` and ``predict_batch``: assessments in, recorded answers out."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import orjson

from features.base.errors import Problem
from features.dictionary.dictionary import load_dictionary
from features.intake.names import check_names
from serving.base.bodies import require_object
from serving.base.exchange import CURRENT, Exchange, RequestError
from serving.estimates.grouping import Problems, Result, answer_rows
from serving.estimates.predictor import DETAILS, Detail
from serving.http.contract import Answer, BatchAnswer, list_names
from serving.http.parts import Parts, answer_failure
from serving.http.recording import Summary

# Assessments answered at a time, in some 20 ms; other requests are served in between.
ANSWERED_TOGETHER = 512
BATCH_NAMES = ("assessments", "detail")
# Unknown names of a batch that its error lists.
MAX_NAMES = 16

Method = Callable[[Any, Any], Awaitable[Any]]


async def estimate_one(parts: Parts, assessment: Any) -> Answer:
    """Estimate one assessment and record the answer.

    Raises RequestError if it breaks a rule or its deadline is past, UnavailableError if there is no
    champion or the answer cannot be recorded.
    """
    row = require_object(list_names(assessment), "body")
    exchange = _get_current("/predict", row)
    parts.check_deadline(exchange)
    reply = await parts.grouping.ask(row)
    if isinstance(reply.result, list):
        raise RequestError(400, reply.result)
    summary = Summary(reply.predictor)
    summary.add([reply.result])
    await parts.recorder.record(exchange, summary)
    # model_construct, since pydantic would validate again what was made here.
    answer: Answer = Answer.model_construct(request_id=exchange.id, **reply.result)
    return answer


async def estimate_batch(parts: Parts, batch: Any) -> BatchAnswer:
    """Estimate many assessments; one that breaks a rule has its errors as its result.

    Raises RequestError if it is not a batch or past its deadline, UnavailableError if there is no
    champion or the answers cannot be recorded.
    """
    rows, detail = _read_batch(list_names(batch), parts.settings.most_assessments)
    exchange = _get_current("/predict_batch", batch)
    results: list[Result] = []
    async with parts.acquire_batch_slot(exchange):
        summary = Summary(parts.roster.require())
        for start in range(0, len(rows), ANSWERED_TOGETHER):
            parts.check_deadline(exchange)
            together = rows[start : start + ANSWERED_TOGETHER]
            answered = answer_rows(summary.predictor, together, detail)
            results += map(_list_errors, answered)
            summary.add(results[start:])
            # Lets requests run that arrived meanwhile.
            await asyncio.sleep(0)
    await parts.recorder.record(exchange, summary)
    answer: BatchAnswer = BatchAnswer.model_construct(request_id=exchange.id, results=results)
    return answer


# A call in process has no exchange yet.
def _get_current(route: str, content: Any) -> Exchange:
    exchange = CURRENT.get()
    if exchange is None:
        exchange = Exchange(route, body=orjson.dumps(list_names(content)))
    return exchange


def _read_batch(content: Any, max_assessments: int) -> tuple[list[Any], Detail]:
    batch = require_object(content, "body")
    problems = [
        replace(problem, rule="unknown", message="must be assessments or detail")
        for problem in check_names(
            [name for name in batch if name not in BATCH_NAMES][:MAX_NAMES], load_dictionary(), {}
        )
    ]
    rows: Any = batch.get("assessments")
    detail: Any = batch.get("detail", "full")
    if not isinstance(rows, list):
        problems.append(Problem("assessments", "required", "must be a list of assessments"))
    elif len(rows) > max_assessments:
        problems.append(Problem("assessments", "length", f"must be at most {max_assessments}"))
    if detail not in DETAILS:
        problems.append(Problem("detail", "category", f"must be one of: {', '.join(DETAILS)}"))
    if problems or not isinstance(rows, list):
        raise RequestError(400, problems)
    return rows, detail


def _list_errors(result: Result | Problems) -> Result:
    if isinstance(result, list):
        return {"errors": [problem.as_dict() for problem in result]}
    return result


def answers_failures(method: Method) -> Method:
    """Let a method answer its failures over HTTP in our form; in process it raises them.

    BentoML would log the exception as an error of the service, and answer in a form of its own.
    """

    @wraps(method)
    async def answer(self: Any, content: Any, /) -> Any:
        try:
            return await method(self, content)
        except Exception as error:
            if (exchange := CURRENT.get()) is None:
                raise
            return answer_failure(error, exchange, self.parts.metrics)

    # BentoML derives the endpoint's schema from it, and looks it up again for each request.
    answer.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return answer
