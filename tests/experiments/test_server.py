"""Servers as child processes: waited for while they make progress, measured, stopped."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments import server as server_module
from experiments.processes import read_cpu, read_memory, stay_on
from experiments.server import find_free_port, run_server
from features.base.errors import UnavailableError

ANSWER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status})
        self.end_headers()
    def log_message(self, *parts):
        pass
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
BUSY = """
import time
from pathlib import Path
end = time.monotonic() + 2.5
while time.monotonic() < end:
    pass
"""


def start(tmp_path, script):
    port = find_free_port()
    command = [sys.executable, "-c", script, str(port)]
    return run_server(command, port, "/", tmp_path / "server.log")


def test_busy_start_may_take_longer_than_a_stall(tmp_path, monkeypatch):
    """A stall is one second here; the start computes for more than two."""
    monkeypatch.setattr(server_module, "STALLED_SECONDS", 1.0)
    monkeypatch.setattr(server_module, "MIN_CPU_SECONDS", 0.02)
    with start(tmp_path, BUSY + ANSWER.format(status=200)) as server:
        assert server.seconds > 2
        pid = server.pid
    assert not Path(f"/proc/{pid}").exists()


def test_start_without_progress_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "STALLED_SECONDS", 1.0)
    script = "import time; print('waiting', flush=True); time.sleep(60)"
    with pytest.raises(UnavailableError, match=r"no progress for 1 s.*waiting"):
        start(tmp_path, script).__enter__()


def test_server_that_answers_errors_is_given_up(tmp_path, monkeypatch):
    """Work for our own requests does not count as progress."""
    monkeypatch.setattr(server_module, "STALLED_SECONDS", 1.0)
    monkeypatch.setattr(server_module, "MIN_CPU_SECONDS", 0.02)
    with pytest.raises(UnavailableError, match="no progress"):
        start(tmp_path, ANSWER.format(status=503)).__enter__()


def test_server_that_ends_is_reported_with_its_log(tmp_path):
    with pytest.raises(UnavailableError, match=r"stopped before it was ready.*no champion"):
        start(tmp_path, "raise SystemExit('no champion')").__enter__()


def test_processor_time_is_that_of_the_whole_tree():
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    try:
        before = read_cpu(parent.pid)
        for _ in range(200):
            time.sleep(0.05)
            if read_cpu(parent.pid) > before + 0.1:
                break
        assert read_cpu(parent.pid) > before + 0.1
        memory = read_memory(parent.pid)
        alone = read_memory(child)
        assert 0 < alone.resident < memory.resident <= memory.peak
    finally:
        os.kill(child, 9)
        parent.kill()
        parent.communicate()


def test_process_started_on_a_core_stays_there():
    before = os.sched_getaffinity(0)
    core = max(before)
    script = "import os; print(sorted(os.sched_getaffinity(0)))"
    with stay_on(core):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().strip() == f"[{core}]"
    assert os.sched_getaffinity(0) == before
