"""Canaries: values planted in every field appear in the answer, and nowhere else."""

import asyncio
import io
import json
import logging
import os
import signal
import sqlite3
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography.fernet import Fernet
from waiting import wait_for

from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Kind
from serving.base.logs import JsonFormatter, start_log

BUILT_IN = load_dictionary()

# Planted texts contain this word; planted numbers have digits that occur nowhere else.
WORD = "CANARYBIRD"
DIGITS = "73918246"
DATE = "2031-07-19"
LOUD = {
    "BENTOML_DEBUG": "True",
    "BENTOML_VERBOSE": "True",
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONDEVMODE": "1",
    "LOG_LEVEL": "DEBUG",
    "OTEL_LOG_LEVEL": "debug",
    "KETAMINE_RESPONSE_WATCH_SECONDS": "0.5",
    "KETAMINE_RESPONSE_BODY_SECONDS": "2",
}
FORM = "application/x-www-form-urlencoded"


def plant(field, good):
    """Choose a value with a canary for a field, within its rules or not."""
    match field.kind:
        case Kind.TEXT:
            return f"{WORD}-{field.name[:20]}" if good else f"{WORD} {field.name} @"
        case Kind.NUMBER:
            share = float(f"0.{DIGITS}")
            return round(field.low + share * (field.high - field.low), 8) if good else int(DIGITS)
        case Kind.INTEGER:
            return None if good else int(DIGITS)
        case Kind.DATE:
            return DATE if good else f"{DATE}T{WORD}"
        case _:
            return None if good else WORD


def plant_all(good):
    planted = {name: plant(field, good) for name, field in BUILT_IN.fields.items()}
    planted = {name: value for name, value in planted.items() if value is not None}
    if good:
        # An integer, one of two exclusive fields, and a studied number that holds a canary.
        planted |= {"condition": "depression", "phq9": 17, "bmi": float(f"27.{DIGITS}")}
        del planted["dose_mg"]
    return planted


GOOD, BAD = plant_all(True), plant_all(False)
STUDIED = {name: GOOD[name] for name in ("patient_id", "site", "condition", "phq9", "bmi")}


def list_canaries(*planted):
    """List texts and numbers that only these requests contain."""
    numbers = {v for fields in planted for v in fields.values() if isinstance(v, float)}
    return {WORD, DIGITS, DATE, *(str(number) for number in numbers)}


CANARIES = {canary.encode() for canary in list_canaries(GOOD, BAD)}


def find_canaries(content):
    return sorted(canary for canary in CANARIES if canary in content)


def search_home(home, *left_out):
    """Find canaries in every file of a home, byte by byte."""
    by_file = {}
    for path in home.rglob("*"):
        if path.is_file() and path.name not in left_out:
            with suppress(FileNotFoundError):
                if canaries := find_canaries(path.read_bytes() + path.name.encode()):
                    by_file[str(path.relative_to(home))] = canaries
    return by_file


def attack(service):
    """Send the canaries in every kind of request; returns the answers by kind."""
    answers = {"good": service.ask("/predict", GOOD), "bad": service.ask("/predict", BAD)}
    answers["studied"] = service.ask("/predict", STUDIED)
    rows = {"assessments": [GOOD, BAD, GOOD, {**GOOD, f"{WORD.lower()}_x": WORD}, WORD]}
    answers["batch"] = service.ask("/predict_batch", rows)
    typed = {name: str(value) for name, value in GOOD.items() if name != "patient_id"}
    answers["form"] = service.ask("/", urlencode(typed).encode(), content_type=FORM)
    wrong = urlencode({"age": WORD, "access_key": f"kr_{WORD}_{WORD}"}).encode()
    answers["bad form"] = service.ask("/", wrong, content_type=FORM)
    body = json.dumps(GOOD).encode()
    for name, content, headers in (
        ("cut", body[:-9], {}),
        ("type", body, {"content_type": f"text/{WORD}"}),
        ("coding", body, {"content_encoding": WORD}),
        ("key", body, {"authorization": f"Bearer kr_{WORD}_{WORD}", "cookie": f"a={WORD}"}),
        ("large", body + b" " * 2_000_000, {}),
        ("host", body, {"host": f"{WORD}.example"}),
        ("proxy", body, {"x_forwarded_for": WORD, "x_request_id": WORD}),
        ("deep", b"[" * 3000 + body, {}),
    ):
        with suppress(ConnectionError):  # too large a body may be refused before it was sent
            answers[name] = service.ask(f"/predict?q={WORD}&age={DIGITS}", content, **headers)
    for path in (f"/{WORD}", f"/predict/{DIGITS}?{WORD}", f"/model?{WORD}#{WORD}", f"/%00{WORD}"):
        answers[path] = service.ask(path, method="GET")
    half = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    for data in (
        half + b"Content-Length: 5000\r\n\r\n" + body,
        half[:-9] + WORD.encode(),
        f"{WORD} /{WORD} HTTP/1.1\r\n{WORD}: {WORD}\r\n\r\n".encode(),
        half + b"Transfer-Encoding: chunked\r\n\r\n" + WORD.encode() + b"\r\n",
        f"GET /{WORD}\xff HTTP/1.1\r\nCookie: {WORD}\r\nUpgrade: {WORD}\r\n\r\n".encode("latin-1"),
    ):
        service.connect(data).close()
        with service.connect(data) as waiting:
            waiting.settimeout(0.3)
            with suppress(TimeoutError, ConnectionError):
                answers[repr(data)] = (0, {}, waiting.recv(10_000))
    return answers


def kill_worker(service):
    """Kill the worker in the middle of a body; it is restarted."""
    started = service.read_log().count('"event":"champions"')
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    service.connect(head + b"Content-Length: 5000\r\n\r\n" + json.dumps(GOOD).encode()).close()
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    for child in children.read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"_bentoml_impl.worker.service" in command:
            os.kill(int(child), signal.SIGKILL)
    wait_for(lambda: service.read_log().count('"event":"champions"') > started)


@pytest.fixture(scope="module")
def attacked(start_service):
    """A service with the most detailed log, after all attacks; and its answers."""
    service = start_service(**LOUD)
    answers = attack(service)
    with closing(sqlite3.connect(service.home / "service.db", isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        answers["unaudited"] = service.ask("/predict", GOOD)
        blocker.execute("ROLLBACK")
    kill_worker(service)
    answers["after"] = service.ask("/predict", GOOD)
    answers["metrics"] = service.ask("/metrics")
    return service, answers


def test_the_canaries_were_really_processed(attacked):
    _, answers = attacked
    statuses = {name: answer[0] for name, answer in answers.items() if answer[0]}
    expected = {"good": 200, "bad": 400, "batch": 200, "form": 200, "bad form": 200, "cut": 400}
    expected |= {"type": 415, "coding": 415, "key": 200, "large": 413, "host": 403, "proxy": 403}
    expected |= {"deep": 400, "unaudited": 503, "after": 200, "metrics": 200}
    assert {name: statuses.get(name, expected[name]) for name in expected} == expected
    # The canary was read: this is its contribution in the model.
    factors = json.loads(answers["studied"][2])["estimates"][0]["factors"]
    (weight,) = (factor["log_odds"] for factor in factors if factor["field"] == "bmi")
    assert weight == pytest.approx(0.02 * (STUDIED["bmi"] - 28), rel=1e-4)
    fields = {error["field"] for error in json.loads(answers["bad"][2])["errors"]}
    assert len(fields & set(BAD)) > len(BAD) - 5
    # The page shows the user's own input again.
    assert DATE.encode() in answers["form"][2] or str(GOOD["bmi"]).encode() in answers["form"][2]


def test_no_answer_of_a_program_has_a_canary(attacked):
    _, answers = attacked
    by_answer = {name: find_canaries(answer[2]) for name, answer in answers.items()}
    assert {name: canaries for name, canaries in by_answer.items() if canaries} == {
        "form": by_answer["form"],
        "bad form": [WORD.encode()],
    }


def test_page_errors_show_no_key_and_no_value(attacked):
    _, answers = attacked
    page = answers["bad form"][2].decode()
    assert f"kr_{WORD}" not in page
    assert WORD not in page.split('<form method="post"')[0]


def test_logs_metrics_and_files_have_no_canary(attacked):
    service, answers = attacked
    assert '"event":"request"' in service.read_log()
    assert len(service.read_log()) > 5000
    assert search_home(service.home) == {}
    assert (service.home / "service.db").stat().st_size > 0
    assert b"ketamine_response_requests_total" in answers["metrics"][2]
    assert find_canaries(answers["metrics"][2]) == []


def test_a_search_would_find_them(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log").write_bytes(b"x" * 9 + json.dumps(GOOD).encode())
    assert len(search_home(tmp_path)["a/log"]) > 10


def test_pull_puts_no_canary_into_mlflow(store_only, commands, start_service):
    service = start_service(home=store_only.home)
    assert service.ask("/predict", GOOD)[0] == 200
    (store_only.home / "mlflow.db").write_bytes((commands.home / "mlflow.db").read_bytes())
    store_only.run("serving", "pull")
    assert search_home(store_only.home) == {}


def test_inputs_are_kept_encrypted_and_decrypted_by_key(start_service, make_commands):
    sealing = {
        "KETAMINE_RESPONSE_STORE_INPUTS": "true",
        "KETAMINE_RESPONSE_INPUTS_KEYS": Fernet.generate_key().decode(),
    }
    service = start_service(**sealing)
    status, _, content = service.ask("/predict", GOOD)
    assert status == 200
    assert search_home(service.home) == {}
    commands = make_commands(service.home)
    request_id = json.loads(content)["request_id"]
    opened = commands.run("serving", "audit", "inputs", request_id, **sealing)
    assert json.loads(opened.stdout) == GOOD
    commands.run("serving", "audit", "inputs", request_id, code=2)


def test_key_from_page_is_not_kept_with_inputs(open_client, make_key, store):
    from serving.store.secrets import InputsSeal

    token, seal = make_key("predict"), InputsSeal([Fernet.generate_key().decode()])
    client = open_client(seal=seal, store_inputs=True)
    form = {"condition": "depression", "phq9": "17", "access_key": token}
    answer = client.post("/", data=form)
    assert answer.status_code == 200
    log = client.service.parts.recorder.writer._log
    kept = seal.unseal(log.read_inputs(answer.headers["x-request-id"])).decode()
    assert kept == "condition=depression&phq9=17"
    assert token not in kept


@pytest.fixture
def read_logged(monkeypatch):
    """Reads the log, set up as in a real process; restored afterwards."""
    names = (None, "bentoml", "uvicorn", "uvicorn.error", "uvicorn.access", "circus")
    loggers = [logging.getLogger(name) for name in (*names, "ketamine_response")]
    for logger in loggers:
        for fact in ("handlers", "propagate", "level"):
            monkeypatch.setattr(logger, fact, getattr(logger, fact))
    for module, name in (
        (sys, "excepthook"),
        (threading, "excepthook"),
        (logging, "raiseExceptions"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    start_log()
    yield stream.getvalue
    monkeypatch.undo()
    logging.getLogger().manager._clear_cache()


class Breaking:
    """A predictor that raises an error with the assessment in its message."""

    champions = ()
    dictionary = load_dictionary()

    def estimate(self, columns, detail="full"):
        try:
            raise ValueError(f"cannot: {columns.get_texts('patient_id')}")
        except ValueError as error:
            raise RuntimeError(str(GOOD)) from error


def test_internal_failure_logs_place_without_values(open_client, read_logged):
    client = open_client(champions=Breaking())
    for path, body in (("/predict", GOOD), ("/predict_batch", {"assessments": [GOOD]})):
        response = client.post(path, json=body)
        assert response.status_code == 500
        assert find_canaries(response.content) == []
    logged = read_logged()
    assert logged.count('"event":"failure"') == 2
    assert '"error":"RuntimeError"' in logged
    assert "test_canary.py" in logged
    assert find_canaries(logged.encode()) == []


def test_library_messages_of_a_crash_have_no_canary(read_logged):
    def crash(*arguments):
        raise ValueError(*arguments)

    async def lose():
        loop = asyncio.get_running_loop()
        loop.call_soon(crash, WORD)
        task = loop.create_task(asyncio.sleep(0, WORD))
        await task
        lost = loop.create_future()
        lost.set_exception(ValueError(WORD))
        del lost

    asyncio.run(lose())
    logging.getLogger("uvicorn.error").error("Exception in ASGI application\n%s", WORD)
    logging.getLogger("other").warning("%s of %s", WORD, DIGITS, exc_info=ValueError(WORD))
    logged = read_logged()
    assert "Exception in callback" in logged
    assert "Future exception was never retrieved" in logged
    assert find_canaries(logged.encode()) == []


def test_unwritable_log_line_shows_no_canary(read_logged, monkeypatch):
    # Python itself reports such a line here.
    complaints = io.StringIO()
    monkeypatch.setattr(sys, "stderr", complaints)
    record = logging.LogRecord("a", 40, WORD, 1, "odd %s", (WORD,), None)
    record.facts = {"a": object()}
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler.formatter, JsonFormatter)
    handler.handle(record)
    logging.getLogger("other").error("the next one")
    assert "the next one" in read_logged()
    assert find_canaries((read_logged() + complaints.getvalue()).encode()) == []
