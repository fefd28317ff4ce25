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
# Innermost frames of a failure that its line has.
MAX_FRAMES = 8


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object, without tracebacks: they may hold values."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _get_event(record),
            **getattr(record, FACTS, {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line |= describe_failure(record.exc_info[1])
        return orjson.dumps(line).decode()


# What a library fills in, or adds below the first line, may be a value: asyncio shows exceptions,
# and callbacks with their arguments.
def _get_event(record: logging.LogRecord) -> str:
    return str(record.msg).partition("\n")[0].partition("(")[0]


def start_log() -> None:
    """Log everything in this process to stderr as JSON, including crashes."""
    sys.excepthook = lambda kind, error, trace: _log_crash(error)
    threading.excepthook = lambda crashed: _log_crash(crashed.exc_value)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in (None, "bentoml", "uvicorn", "uvicorn.error", "circus", logger.name):
        library = logging.getLogger(name)
        library.handlers = [] if name else [handler]
        library.propagate = True
    # Python would print a record that cannot be written to stderr, with its arguments.
    logging.raiseExceptions = False
    # No line has them, and finding them would take half of the time of a line.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # Our own line per request replaces uvicorn's, which has the query.
    logging.getLogger("uvicorn.access").handlers = []
    logging.getLogger("uvicorn.access").propagate = False
    logger.setLevel(logging.INFO)


def _log_crash(error: BaseException | None) -> None:
    log_event("crash", logging.CRITICAL, **describe_failure(error))


def log_loop_failure(loop: Any, context: Mapping[str, Any]) -> None:
    """Log a failure on the event loop, which by itself would show objects."""
    log_event("loop failure", logging.ERROR, **describe_failure(context.get("exception")))


def describe_failure(error: BaseException | None) -> dict[str, Any]:
    """Describe the type of an error and where it occurred, without its message."""
    if error is None:
        return {}
    frames = [
        f"{frame.f_code.co_filename.rpartition('/')[2]}:{line} {frame.f_code.co_name}"
        for frame, line in walk_tb(error.__traceback__)
    ]
    return {"error": type(error).__name__, "places": frames[-MAX_FRAMES:]}


def log_request(exchange: Exchange) -> None:
    """Log that a request was answered."""
    log_event(
        "request",
        request_id=exchange.id,
        route=exchange.route,
        method=exchange.method,
        status=exchange.status,
        milliseconds=round(1000 * exchange.seconds, 3),
        key_id=exchange.key_id,
        assessments=exchange.answered,
    )


def log_event(event: str, level: int = logging.INFO, **facts: Any) -> None:
    """Log an event of the service itself."""
    logger.log(level, event, extra={FACTS: facts})
