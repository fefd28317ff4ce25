"""Failures: the one form in which a request is rejected or fails."""

from collections.abc import Mapping, Sequence

import orjson
from starlette.responses import Response

from features.base.errors import Problem, UnavailableError
from serving.base.bodies import JSON_TYPE
from serving.base.exchange import RETRY_AFTER, Exchange, RequestError
from serving.base.logs import log_failure
from serving.base.metrics import Metrics

INTERNAL = Problem("service", "internal", "the service failed; the request was not answered")


def answer_failure(error: Exception, exchange: Exchange, metrics: Metrics | None) -> Response:
    """Answer a request that was rejected or failed.

    Parameters
    ----------
    metrics
        Counts the broken rules; None if the service has not started.
    """
    headers: Mapping[str, str] = {}
    match error:
        case RequestError():
            status, problems, headers = error.status, error.problems, error.headers
        case UnavailableError():
            problems = (Problem("service", "unavailable", str(error)),)
            status, headers = 503, RETRY_AFTER
        case _:
            # Its message may hold values of the request: the log has only its type and place.
            log_failure(exchange, error)
            return _answer_problems(500, [INTERNAL], headers)
    if metrics is not None:
        metrics.note_errors(problem.rule for problem in problems)
    return _answer_problems(status, problems, headers)


def _answer_problems(
    status: int, problems: Sequence[Problem], headers: Mapping[str, str]
) -> Response:
    content = orjson.dumps({"errors": [problem.as_dict() for problem in problems]})
    return Response(content, status, headers, media_type=JSON_TYPE)
