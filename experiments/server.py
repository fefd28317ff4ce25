"""A server as a child process: started, awaited as long as it makes progress, stopped."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from experiments.processes import PROC, list_tree, read_cpu, stay_on
from features.base.errors import UnavailableError

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
# On a busy machine a start takes minutes, so the whole wait has no limit: standing still has.
STALLED_SECONDS = 60.0
# A start that gets less of a processor than this in that time is stuck: supervisors wake up, too.
MIN_CPU_SECONDS = 0.5
_PAUSE_SECONDS, _STOP_SECONDS = 0.05, 30
_SHOWN_LOG = 300


@dataclass(frozen=True)
class Server:
    """A server that is ready."""

    port: int
    pid: int  # The process that all its others descend from
    seconds: float  # From its start until it was ready

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"


def find_free_port() -> int:
    """Find a port on which nothing listens."""
    with closing(socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def run_server(
    command: Sequence[str],
    port: int,
    ready: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
    core: int | None = None,
) -> Iterator[Server]:
    """Run a server within the block.

    Parameters
    ----------
    ready
        Path that answers 200 once it is ready.
    log
        File for all that it prints; a pipe that nothing reads would fill and stop it.
    environment
        By default this process's own.
    core
        The core to keep it on; any by default.

    Raises
    ------
    UnavailableError
        If it ends, or stops making progress, before it is ready.
    """
    start = time.perf_counter()
    with log.open("wb") as file, stay_on(core):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            # A server that asks something would wait for ever.
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_ready(process, f"http://{HOST}:{port}{ready}", log)
        yield Server(port, process.pid, time.perf_counter() - start)
    finally:
        _stop(process)


def _wait_ready(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    moved_at, size, cpu = time.monotonic(), -1, 0.0
    while (status := _ask_status(address)) != 200:
        if process.poll() is not None:
            raise UnavailableError(f"the server stopped before it was ready: {_read_end(log)}")
        # A server that answers, if only with an error, has started: answering us is not progress.
        new_size, new_cpu = log.stat().st_size, cpu if status else _read_progress(process.pid)
        if new_size != size or new_cpu >= cpu + MIN_CPU_SECONDS:
            moved_at, size, cpu = time.monotonic(), new_size, new_cpu
        elif time.monotonic() - moved_at > STALLED_SECONDS:
            stalled = f"the server made no progress for {STALLED_SECONDS:g} s and is not ready"
            raise UnavailableError(f"{stalled}: {_read_end(log)}")
        time.sleep(_PAUSE_SECONDS)


def _ask_status(address: str) -> int | None:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:  # refused, reset or timed out
        return None


def _read_progress(pid: int) -> float:
    return read_cpu(pid) if PROC.is_dir() else 0.0


def _read_end(log: Path) -> str:
    return " ".join(log.read_text("utf-8", "replace")[-_SHOWN_LOG:].split())


def _stop(process: "subprocess.Popen[bytes]") -> None:
    descendants = list_tree(process.pid)[1:] if PROC.is_dir() else []
    process.terminate()
    try:
        process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in descendants:  # a killed supervisor leaves its workers behind
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
