"""A copy of the repository, in which the docs' commands are run."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import warm_python
from pages import ROOT, find_unprinted, list_commands

PROJECT, HOME = "ketamine-response", ".ketamine-response"
LEFT_OUT = (".venv", ".git", HOME, "__pycache__", ".*_cache", ".hypothesis")
END = "--end-of-command--"
# Servers that a page starts, and the address that answers once they are ready.
SERVERS = {
    r"make serve": "http://127.0.0.1:3000/readyz",
    r"make ui": "http://127.0.0.1:5000/health",
    r"python -m serving serve --port 3000": "http://127.0.0.1:3000/readyz",
}
# These would run this test again, so only their recipe is checked.
OURSELVES = ("make test", "make check")


@dataclass
class Clone:
    """A copy of the repository, with this one's environment."""

    folder: Path
    wait_ready: Callable[["subprocess.Popen[str]", str], None]
    shell: "subprocess.Popen[str] | None" = None
    server: "subprocess.Popen[str] | None" = None
    printed: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a reader's shell."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("KETAMINE_RESPONSE_")}
        kept.pop("BENTOML_HOME", None)
        return kept | {"PATH": f"{self.folder}/.venv/bin{os.pathsep}{os.environ['PATH']}"}

    def run(self, command: str) -> str:
        """Run a command of a page; returns its output."""
        if command in OURSELVES:
            command = command.replace("make", "make --dry-run")
        if command in SERVERS:
            return self.serve(command)
        if command != "make demo" or command not in self.printed:
            self.printed[command] = self.type_in(command)
        return self.printed[command]

    def type_in(self, command: str) -> str:
        """Type a command into the page's shell."""
        assert self.shell is not None
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(f"{command}\necho '{END}'\n")
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            if line.rstrip("\n").endswith(END):
                lines.append(line.replace(END, ""))
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"the shell ended: {''.join(lines)}")

    def check(self, page: Path) -> None:
        """Run a page's commands and compare what they print with what it shows."""
        self.open_page()
        try:
            for command, expected in list_commands(page):
                printed = self.run(command)
                missing = find_unprinted(expected, printed)
                assert missing is None, f"$ {command}\nnever printed: {missing}\n{printed[-3000:]}"
                assert "Traceback" not in printed, printed
        finally:
            self.close_page()

    def open_page(self) -> None:
        """Start a new shell, as for each page."""
        self.shell = subprocess.Popen(
            ["bash"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        # A function comes before any program of the PATH, whatever a page does to it.
        self.type_in(f'python() {{ {shlex.join(warm_python.COMMAND)} "$@"; }}')

    def close_page(self) -> None:
        """Stop what the page has started."""
        self.stop_server()
        if self.shell is not None:
            self.shell.communicate("exit\n", timeout=30)

    def serve(self, command: str) -> str:
        """Start a server and wait for it; the previous one is stopped, as by Ctrl-C."""
        self.stop_server()
        self.server = subprocess.Popen(
            command.split(),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.wait_ready(self.server, SERVERS[command])
        return ""

    def stop_server(self) -> None:
        """Stop the server, if one runs."""
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGTERM)
            self.server.communicate(timeout=60)
            self.server = None


@pytest.fixture(scope="session")
def demonstrated(make_once, wait_ready):
    """A copy of the repository in which the demonstration has been run, and what it printed."""
    if shutil.which("curl") is None:
        pytest.skip("NO CURL: the commands of the docs were not run")

    def demonstrate(made):
        folder = made / PROJECT
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
        (folder / ".venv").symlink_to(ROOT / ".venv")
        trials = ROOT.parent / "shared" / "data"
        if trials.is_dir():
            (folder / "ds005917").symlink_to(trials / "openneuro-ds005917")
            (folder / "dia_antidepressant.csv").symlink_to(trials / "dia_antidepressant.csv")
        copied = Clone(folder, wait_ready)
        copied.open_page()
        (made / "printed.txt").write_text(copied.run("make demo"), "utf-8")
        copied.close_page()

    return make_once("demonstrated", demonstrate)


@pytest.fixture(scope="module")
def clone(demonstrated, wait_ready, move_home, tmp_path_factory):
    """This module's own copy of what was demonstrated."""
    source, folder = demonstrated / PROJECT, tmp_path_factory.mktemp("clone") / PROJECT
    shutil.copytree(source, folder, symlinks=True, ignore=shutil.ignore_patterns(HOME))
    move_home(source / HOME, folder / HOME)
    printed = (demonstrated / "printed.txt").read_text("utf-8")
    return Clone(folder, wait_ready, printed={"make demo": printed})
