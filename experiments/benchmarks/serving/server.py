"""A server for as long as it is measured."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.benchmarks.serving.load import stay_on
from experiments.benchmarks.serving.load.connection import HOST
from experiments.benchmarks.serving.load.measurement import ROOT
from experiments.benchmarks.serving.load.processes import list_tree
from features.base.errors import UnavailableError

PATIENCE_SECONDS, PAUSE = 120, 0.05
SHOWN_LOG = 300


@dataclass(frozen=True)
class Server:
    """A server that is ready.

    Parameters
    ----------
    pid
        The process that all others of it come from.
    seconds
        From its start until it was ready.
    """

    port: int
    pid: int
    seconds: float


@contextmanager
def serve(
    command: Sequence[str],
    port: int,
    ready: str,
    environment: Mapping[str, str],
    log: Path,
    core: int | None = None,
) -> Iterator[Server]:
    """Run a server within the block, on one core if one is named.

    Raises
    ------
    UnavailableError
        If it stops before it is ready, or never is.
    """
    began = time.perf_counter()
    with log.open("wb") as file, stay_on(core):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_ready(process, f"http://{HOST}:{port}{ready}", log)
        yield Server(port, process.pid, time.perf_counter() - began)
    finally:
        stop(process)


def wait_ready(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            told = log.read_text("utf-8", "replace")[-SHOWN_LOG:]
            raise UnavailableError(f"it stopped before it was ready: {' '.join(told.split())}")
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(PAUSE)
        else:
            return
    raise UnavailableError(f"it was not ready after {PATIENCE_SECONDS} s")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a server and whatever it has started."""
    tree = list_tree(process.pid)
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in tree[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
