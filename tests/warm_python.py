"""A Python with the libraries imported already: each command is a process forked from it.

``python -m training`` and ``python -m serving`` spend most of their time importing MLflow, BentoML
and pandas. Tests of what a command does, not of how it starts, run it here: with its own arguments,
environment, folder, streams and exit code, and with the project's modules imported anew.

Run as a program, this file is the client: ``warm_python.py -m training --help``.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType

ADDRESS_VARIABLE = "WARM_PYTHON_ADDRESS"
COMMAND = (sys.executable, "-I", "-S", __file__)
PARENT_SECONDS = 5
LIBRARIES = (
    *("mlflow", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store"),
    *("mlflow.store.model_registry.sqlalchemy_store", "mlflow.store.artifact.local_artifact_repo"),
    *("bentoml", "pandas", "pyarrow.parquet", "scipy.optimize", "scipy.stats", "sklearn.base"),
    *("sklearn.linear_model", "xgboost", "cryptography.fernet", "jinja2", "rich.progress", "typer"),
)


def start(address: str) -> "subprocess.Popen[bytes]":
    """Start the server at a socket's path; it imports the libraries when first asked."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        return subprocess.Popen(
            [sys.executable, __file__, "--serve", str(listening.fileno())],
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
        )


def serve(listening: socket.socket) -> None:
    """Fork a process for each command; returns in the command's process alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who report exit codes
    parent = os.getppid()
    while os.getppid() == parent:  # a killed run of tests leaves no server
        if not select.select([listening], [], [], PARENT_SECONDS)[0]:
            continue
        connection = listening.accept()[0]
        for name in LIBRARIES:
            import_module(name)
        gc.freeze()  # else every process copies the libraries' memory when it collects garbage
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            request, streams = receive_request(connection)
            os.setsid()
            command = os.fork()
            # By both, as either may be the first: a group that can be killed without its parent.
            with suppress(OSError):
                os.setpgid(command, command)
            if command == 0:
                connection.close()
                become(request, streams)
                return
            report_exit(command, connection)
            os._exit(0)
        connection.close()
    os._exit(0)


def report_exit(command: int, connection: socket.socket) -> None:
    """Send a command's exit code to its client; if that is killed, kill the command's group."""
    ended = os.pidfd_open(command)
    if ended not in select.select([connection, ended], [], [])[0]:
        os.killpg(command, signal.SIGKILL)
    # At once: a killed command that nobody has waited for still counts as alive.
    status = os.waitpid(command, 0)[1]
    with suppress(OSError):
        connection.sendall(b"%d" % os.waitstatus_to_exitcode(status))


def receive_request(connection: socket.socket) -> tuple[dict, list[int]]:
    """Receive the streams of a command, then what to run and where."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    return json.loads(connection.makefile("rb").readline()), streams


def become(request: dict, streams: list[int]) -> None:
    """Take over the folder, environment, arguments and streams of a command."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # The server's stream objects remember whether its own files could be wound back.
    encoding = sys.stdout.encoding
    sys.stdin = os.fdopen(0, encoding=encoding, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding=encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding=encoding, errors="backslashreplace", closefd=False)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    sys.path[0:1] = [
        request["folder"],
        *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)),
    ]


def ask() -> int:
    """Let the server run this process' command; returns its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[ADDRESS_VARIABLE])
        request = {
            "arguments": sys.argv[1:],
            "folder": str(Path.cwd()),
            "environment": dict(os.environ),
        }
        socket.send_fds(connection, [b"+"], [0, 1, 2])
        connection.sendall(json.dumps(request).encode() + b"\n")
        return int(connection.recv(16))


def run_command() -> int:
    """Run the module or script in the arguments, as Python does; returns its exit code."""
    option, named = sys.argv[0], sys.argv.pop(1)
    try:
        if option == "-m":
            runpy.run_module(named, run_name="__main__", alter_sys=True)
        else:
            sys.modules["__main__"] = ModuleType("__main__")
            exec(named, vars(sys.modules["__main__"]))
    except SystemExit as ended:
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
            return 1
        return ended.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def end(code: int) -> None:
    """End as an interpreter does, but leave the libraries' memory to the system: it takes long."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(socket.socket(fileno=int(sys.argv[2])))
        end(run_command())
    elif sys.argv[1] in ("-m", "-c"):
        code = ask()
        os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
    else:
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
