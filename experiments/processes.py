"""Processor time and memory of a process with all that it has started, from Linux's ``/proc``."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from features.base.errors import UnavailableError

PROC = Path("/proc")
MEBIBYTE = 1024  # in the kilobytes of /proc
# Positions after the command's name in /proc/<pid>/stat, which may itself hold spaces.
_PARENT, _USER_TICKS, _SYSTEM_TICKS = 1, 11, 12


@dataclass(frozen=True)
class Cores:
    """The server's core and the client's; None if they share all cores."""

    server: int | None = None
    client: int | None = None


@dataclass(frozen=True)
class Memory:
    """Memory of a process tree, in MiB."""

    resident: float  # Sum over processes; shared pages count in each
    # Shared pages are divided between processes; None if the kernel does not report it
    proportional: float | None
    peak: float  # Sum of each process's own maximum


def share_cores() -> Cores:
    """Give the server one core and the client another, if there are two."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores()
    cores = sorted(os.sched_getaffinity(0))
    return Cores(cores[0], cores[-1]) if len(cores) > 1 else Cores()


@contextmanager
def stay_on(core: int | None) -> Iterator[None]:
    """Stay on one core within the block; processes started there stay on it for good."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def list_tree(root: int) -> list[int]:
    """List a process and all its running descendants."""
    parents = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (stat := _read_stat(int(entry.name))):
            parents[int(entry.name)] = int(stat[_PARENT])
    tree = [root]
    for pid in tree:  # grows while it is walked: children are appended behind their parent
        tree += [child for child, parent in parents.items() if parent == pid]
    return tree


def read_cpu(root: int) -> float:
    """Read the seconds of processor time that a process tree has used so far.

    Raises
    ------
    UnavailableError
        If there is no ``/proc``.
    """
    if not PROC.is_dir():
        raise UnavailableError("a server's processor time is read from /proc, which only Linux has")
    stats = [stat for pid in list_tree(root) if (stat := _read_stat(pid))]
    ticks = sum(int(stat[_USER_TICKS]) + int(stat[_SYSTEM_TICKS]) for stat in stats)
    return ticks / os.sysconf("SC_CLK_TCK")


def read_memory(root: int) -> Memory:
    """Read what a process tree holds in memory."""
    sizes = [(_read_kilobytes(pid, "status"), _read_kilobytes(pid, "smaps_rollup"))
             for pid in list_tree(root)]  # fmt: skip
    resident, peak = (
        sum(status.get(name, 0) for status, _ in sizes) / MEBIBYTE for name in ("VmRSS", "VmHWM")
    )
    parts = [rollup["Pss"] for _, rollup in sizes if "Pss" in rollup]
    return Memory(resident, sum(parts) / MEBIBYTE if parts else None, peak)


def _read_stat(pid: int) -> list[str]:
    try:
        text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return []  # it has ended since it was listed
    return text.rpartition(")")[2].split()


def _read_kilobytes(pid: int, name: str) -> dict[str, int]:
    try:
        text = (PROC / str(pid) / name).read_text("utf-8", "replace")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return {}
    lines = [line.split() for line in text.splitlines() if line.endswith(" kB")]
    return {words[0].rstrip(":"): int(words[1]) for words in lines}
