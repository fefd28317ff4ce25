"""The log: one JSON object per line, holding only what was deliberately logged."""

import json
import logging
import subprocess
import sys

import pytest

from serving.base.logs import JsonFormatter, describe_failure, log_event


@pytest.fixture
def write():
    """Log an event and return its line."""

    def write(message, *filled, error=None, **extra):
        info = (type(error), error, error.__traceback__) if error else None
        record = logging.LogRecord("lib", logging.ERROR, "/x.py", 1, message, filled, info)
        record.__dict__.update(extra)
        return json.loads(JsonFormatter().format(record))

    return write


def fail(value):
    raise ValueError(f"cannot read {value}")


def catch(function, *arguments):
    try:
        function(*arguments)
    except ValueError as error:
        return error
    return None


def test_line_has_time_level_logger_and_event(write):
    line = write("something", facts={"request_id": "ab"})
    assert set(line) == {"time", "level", "logger", "event", "request_id"}
    assert (line["level"], line["logger"], line["event"]) == ("error", "lib", "something")
    assert line["time"].endswith("+00:00")


def test_nothing_is_filled_into_what_other_libraries_say(write):
    line = write("got %s\nwith %s", "CANARY", "CANARY")
    assert line["event"] == "got %s"


def test_failure_shows_type_and_place_without_message(write):
    error = catch(fail, "CANARY")
    line = write("failed", error=error)
    assert describe_failure(error)["error"] == "ValueError"
    assert "CANARY" not in json.dumps(line)
    assert line["error"] == "ValueError"
    assert "fail" in line["places"][-1]


def test_an_event_has_its_facts(caplog):
    with caplog.at_level(logging.INFO, "ketamine_response"):
        log_event("champions", serving=["a"])
    assert caplog.records[0].facts == {"serving": ["a"]}


CRASH = """
import threading
from serving.base.logs import start_log

start_log()
def end(): raise RuntimeError("CANARY")
thread = threading.Thread(target=end)
thread.start()
thread.join()
end()
"""


def test_crash_is_one_line_without_its_message():
    done = subprocess.run(
        [sys.executable, "-c", CRASH], capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [line["event"] for line in lines] == ["crash", "crash"]
    assert "CANARY" not in done.stderr
