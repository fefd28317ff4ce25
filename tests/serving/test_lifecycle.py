"""A service's life: champions change, workers die, stores fail, and clients notice nothing."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import warm_python
from waiting import wait_for

PERSON = {"patient_id": "a17", "condition": "depression", "phq9": 17}
NAME = "phq9.acute.response"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def service(start_service, store_champion, tmp_path_factory):
    """A service of two workers that looks for new champions twice per second."""
    home = tmp_path_factory.mktemp("home")
    store_champion(home)
    (home / "mlflow.db").write_bytes(b"anything")
    watch = {"KETAMINE_RESPONSE_WATCH_SECONDS": "0.5"}
    started = start_service("--workers", 2, home=home, **watch)
    wait_for(lambda: len(list_workers(started)) == 2)
    wait_for(lambda: started.read_log().count('"event":"champions"') == 2)
    return started


def list_workers(service):
    """List the process ids of the service's workers."""
    workers = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
            parent = int((path.parent / "stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue
        if b"_bentoml_impl.worker.service" in command and parent == service.process.pid:
            workers.append(int(path.parent.name))
    return workers


class Client(threading.Thread):
    """A client that requests continuously, each time on a new connection."""

    def __init__(self, service):
        super().__init__(daemon=True)
        self.service = service
        self.answers, self.failures = [], []
        self.going = True

    def run(self):
        while self.going:
            try:
                status, answer = self.service.predict()
            except OSError as error:
                self.failures.append(type(error).__name__)
                continue
            if status == 200:
                self.answers.append(answer)
            else:
                self.failures.append(status)


@contextmanager
def asking(service):
    client = Client(service)
    client.start()
    try:
        yield client
    finally:
        client.going = False
        client.join(30)


@pytest.fixture(scope="module")
def answered():
    """The ids of all answered requests."""
    return []


def list_versions(answers):
    return [answer["estimates"][0]["model"]["version"] for answer in answers]


def read_readiness(service):
    status, _, content = service.ask("/readyz")
    return status, json.loads(content)


def test_every_process_loads_new_champion_under_load(service, store_champion, answered):
    with asking(service) as client:
        wait_for(lambda: len(client.answers) > 20)
        tag = store_champion(service.home, "2")
        wait_for(lambda: service.read_log().count(f'"serving":["{tag}"]') == 2)
        known = len(client.answers)
        wait_for(lambda: len(client.answers) > known + 20)
    assert client.failures == []
    versions = list_versions(client.answers)
    assert versions[0] == "1"
    assert set(versions[known + 1 :]) == {"2"}
    answered += [answer["request_id"] for answer in client.answers]


def test_damaged_champion_leaves_previous_one_and_a_reason(service, store_champion, answered):
    with asking(service) as client:
        damaged = store_damaged(service, store_champion)
        wait_for(lambda: service.read_log().count(f"{damaged}: ") >= 2)
        status, ready = read_readiness(service)
        assert status == 200
        assert ready["status"] == "degraded"
        assert damaged in ready["reasons"][0]
        wait_for(lambda: len(client.answers) > 20)
        mended = store_champion(service.home, "4")
        wait_for(lambda: service.read_log().count(f'"serving":["{mended}"]') == 2)
        wait_for(lambda: read_readiness(service)[1] == {"status": "ready", "reasons": []})
    assert client.failures == []
    assert set(list_versions(client.answers)) <= {"2", "4"}
    answered += [answer["request_id"] for answer in client.answers]


def store_damaged(service, store_champion):
    """Store a champion with one changed byte."""
    elsewhere = service.home / "elsewhere"
    tag = store_champion(elsewhere, "3")
    folder, target = (
        home / "bentoml" / "models" / tag.replace(":", "/") for home in (elsewhere, service.home)
    )
    terms = folder / "terms.npz"
    content = bytearray(terms.read_bytes())
    content[len(content) // 2] ^= 1
    terms.write_bytes(bytes(content))
    shutil.copytree(folder, target)
    (target.parent / "latest").write_text(target.name)
    return tag


def test_champion_stored_by_another_process_is_loaded(service, make_champion, tmp_path):
    digest = make_champion().model.save(tmp_path / "model")
    script = (
        "import sys; from pathlib import Path; from serving.models.models import store_model; "
        "print(store_model(Path(sys.argv[1]), sys.argv[2], '5', sys.argv[3]))"
    )
    environment = {**os.environ, "BENTOML_HOME": str(service.home / "bentoml")}
    command = [*warm_python.COMMAND, "-c", script, tmp_path / "model", NAME, digest]
    stored = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    tag = stored.stdout.split()[-1]
    wait_for(lambda: service.read_log().count(f'"serving":["{tag}"]') == 2)
    assert list_versions([service.predict()[1]]) == ["5"]


def test_killed_process_is_replaced_while_others_serve(service, answered):
    killed, other = list_workers(service)
    started = service.read_log().count('"event":"champions"')
    with asking(service) as client:
        wait_for(lambda: len(client.answers) > 10)
        os.kill(killed, signal.SIGKILL)
        known = len(client.answers)
        wait_for(lambda: len(client.answers) > known + 20)
        wait_for(lambda: len(list_workers(service)) == 2)
        wait_for(lambda: service.read_log().count('"event":"champions"') > started)
        after = len(client.answers)
        wait_for(lambda: len(client.answers) > after + 20)
    assert other in list_workers(service)
    assert killed not in list_workers(service)
    # Requests in the killed process are lost visibly, by a broken connection.
    assert len(client.failures) <= 3
    assert not any(isinstance(failure, int) for failure in client.failures)
    answered += [answer["request_id"] for answer in client.answers]


def test_without_mlflows_store_nothing_changes(service, answered):
    (service.home / "mlflow.db").unlink()
    status, answer = service.predict()
    assert status == 200
    assert read_readiness(service)[1]["status"] == "ready"
    answered.append(answer["request_id"])


def test_unauditable_request_is_not_answered(service, answered):
    """Requests are answered again once the store can be written again."""
    assert service.predict()[0] == 200
    with closing(sqlite3.connect(service.home / "service.db", isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        status, headers, content = service.ask("/predict", PERSON)
        assert (status, headers["retry-after"]) == (503, "1")
        assert "estimates" not in json.loads(content)
        assert json.loads(content)["errors"][0]["rule"] == "unavailable"
        # The process that could not write is unready; the other may not have tried yet.
        status, ready = wait_for(lambda: find_unready(service))
        assert (status, ready["status"]) == (503, "unready")
        assert ready["reasons"]
        assert service.ask("/livez")[0] == 200
        blocker.execute("ROLLBACK")
    wait_for(lambda: all(read_readiness(service)[0] == 200 for _ in range(20)))
    status, answer = wait_for(lambda: (reply := service.predict())[0] == 200 and reply)
    answered.append(answer["request_id"])


def find_unready(service):
    service.ask("/predict", PERSON)
    status, ready = read_readiness(service)
    return (status, ready) if status == 503 else None


def test_service_stops_in_seconds_with_all_answers_audited(service, answered, make_commands):
    with asking(service) as client:
        wait_for(lambda: len(client.answers) > 20)
        service.process.terminate()
        assert service.process.wait(timeout=20) == 0
    answered += [answer["request_id"] for answer in client.answers]
    commands = make_commands(service.home)
    shown = commands.run("serving", "audit", "show", "--last", 1_000_000, "--json").stdout
    audited = {row["request_id"] for row in json.loads(shown)["answers"]}
    assert len(answered) > 100
    assert set(answered) <= audited
    verified = json.loads(commands.run("serving", "audit", "verify", "--json").stdout)
    assert verified["whole"] is True
    assert verified["answers"] == len(audited)


def test_best_effort_answers_and_counts_unaudited_requests(start_service):
    service = start_service(KETAMINE_RESPONSE_AUDIT="best_effort")
    with closing(sqlite3.connect(service.home / "service.db", isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        status, answer = service.predict()
        assert status == 200
        assert answer["estimates"][0]["probability"] > 0
        status, ready = wait_for(lambda: (r := read_readiness(service))[1]["reasons"] and r)
        assert (status, ready["status"]) == (200, "degraded")
        blocker.execute("ROLLBACK")
    assert b"ketamine_response_unaudited_total 1.0" in service.ask("/metrics")[2]
    assert answer["request_id"] in service.read_log()
