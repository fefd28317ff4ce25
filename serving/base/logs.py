"""The log: one JSON object a line on stderr. No line carries a value, a body or a query."""

import logging
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from traceback import walk_tb
from typing import Any

import orjson

from serving.base.exchange import Exchange

logger = logging.getLogger("ketamine_response")
FACTS = "facts"


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object.

    Tracebacks are left out, since the messages of exceptions may carry what was asked.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": get_event(record),
            **getattr(record, FACTS, {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line |= describe_failure(record.exc_info[1])
        return orjson.dumps(line).decode()


def get_event(record: logging.LogRecord) -> str:
    """Get what is said: of other libraries only how the first line begins, with nothing filled in.

    What they fill in, or add below, may be a value: asyncio shows whole exceptions, and callbacks
    with their arguments.
    """
    return str(record.msg).partition("\n")[0].partition("(")[0]


def start_log() -> None:
    """Send everything that is logged in this process to stderr as JSON, crashes included."""
    sys.excepthook = lambda kind, error, trace: log_crash(error)
    threading.excepthook = lambda crashed: log_crash(crashed.exc_value)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in (None, "bentoml", "uvicorn", "uvicorn.error", "circus", logger.name):
        one = logging.getLogger(name)
        one.handlers = [] if name else [handler]
        one.propagate = True
    # What cannot be written is left out; Python would show it on stderr, arguments and all.
    logging.raiseExceptions = False
    # What would be shown of requests is shown here, without their paths' queries.
    logging.getLogger("uvicorn.access").handlers = []
    logging.getLogger("uvicorn.access").propagate = False
    logger.setLevel(logging.INFO)


def log_crash(error: BaseException | None) -> None:
    """Log that a thread, or all, came to an end."""
    logger.critical("crash", extra={FACTS: describe_failure(error)})


def log_loop_failure(loop: Any, context: Mapping[str, Any]) -> None:
    """Log what went wrong on the event loop, which itself would show whole objects."""
    logger.error("loop failure", extra={FACTS: describe_failure(context.get("exception"))})


def describe_failure(error: BaseException | None) -> dict[str, Any]:
    """Say what kind of error it was and where, without its message."""
    if error is None:
        return {}
    places = [
        f"{frame.f_code.co_filename.rpartition('/')[2]}:{line} {frame.f_code.co_name}"
        for frame, line in walk_tb(error.__traceback__)
    ]
    return {"error": type(error).__name__, "places": places[-8:]}


def log_request(exchange: Exchange, status: int) -> None:
    """Log that a request was answered."""
    facts = {
        "request_id": exchange.id,
        "route": exchange.route,
        "method": exchange.method,
        "status": status,
        "milliseconds": round(1000 * exchange.seconds, 3),
        "key_id": exchange.key_id,
        "assessments": exchange.answered,
    }
    logger.info("request", extra={FACTS: facts})


def log_event(event: str, level: int = logging.INFO, **facts: Any) -> None:
    """Log something about the service itself."""
    logger.log(level, event, extra={FACTS: facts})


def log_failure(exchange: Exchange, error: BaseException) -> None:
    """Log that the service failed: the type and place of the error."""
    facts = {"request_id": exchange.id, **describe_failure(error)}
    logger.error("failure", extra={FACTS: facts})
