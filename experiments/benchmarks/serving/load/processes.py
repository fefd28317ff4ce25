"""What processes use: processor time and memory of a server with all that it has started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from features.base.errors import UnavailableError

PROC = Path("/proc")
MEBIBYTE = 1024  # in the kilobytes of /proc
# Places after the command's name in /proc/<pid>/stat.
PARENT, USER_TICKS, SYSTEM_TICKS = 1, 11, 12


@dataclass(frozen=True)
class Cores:
    """Which core the server has, and which the client; None where they share what there is."""

    server: int | None = None
    client: int | None = None


@dataclass(frozen=True)
class Memory:
    """Memory of a process tree, in MiB.

    Parameters
    ----------
    resident
        Sum over processes; what they share counts in each.
    proportional
        What they share is divided between them; None where the kernel does not tell.
    peak
        Sum of the most that each process ever had.
    """

    resident: float
    proportional: float | None
    peak: float


def share_cores() -> Cores:
    """Give the server one core and the client another, where there are two."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores()
    cores = sorted(os.sched_getaffinity(0))
    return Cores(cores[0], cores[-1]) if len(cores) > 1 else Cores()


@contextmanager
def stay_on(core: int | None) -> Iterator[None]:
    """Stay on one core within the block; processes that are started there stay for good."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def read_stat(pid: int) -> list[str]:
    """Read a process's numbers; empty if it is gone.

    Raises
    ------
    UnavailableError
        If this is no Linux.
    """
    if not PROC.is_dir():
        raise UnavailableError("what a server uses is read from /proc, which only Linux has")
    try:
        text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def list_tree(root: int) -> list[int]:
    """List a process and all that came from it and still run."""
    parents = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (stat := read_stat(int(entry.name))):
            parents[int(entry.name)] = int(stat[PARENT])
    tree = [root]
    for pid in tree:
        tree += [child for child, parent in parents.items() if parent == pid]
    return tree


def read_cpu(root: int) -> float:
    """Read the seconds of processor time that a process tree has used so far."""
    ticks = 0
    for pid in list_tree(root):
        stat = read_stat(pid)
        ticks += sum(int(stat[place]) for place in (USER_TICKS, SYSTEM_TICKS)) if stat else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def read_memory(root: int) -> Memory:
    """Read what a process tree holds in memory."""
    found = [(read_kilobytes(pid, "status"), read_kilobytes(pid, "smaps_rollup"))
             for pid in list_tree(root)]  # fmt: skip
    resident, peak = (
        sum(status.get(name, 0) for status, _ in found) / MEBIBYTE for name in ("VmRSS", "VmHWM")
    )
    parts = [rollup["Pss"] for _, rollup in found if "Pss" in rollup]
    return Memory(resident, sum(parts) / MEBIBYTE if parts else None, peak)


def read_kilobytes(pid: int, name: str) -> dict[str, int]:
    """Read a file of sizes; empty if the process is gone or nobody may look."""
    try:
        text = (PROC / str(pid) / name).read_text("utf-8", "replace")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return {}
    lines = [line.split() for line in text.splitlines() if line.endswith(" kB")]
    return {words[0].rstrip(":"): int(words[1]) for words in lines}
