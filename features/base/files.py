"""Writing files whole or not at all, and naming content by its digest."""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import IO

OPEN_FILES = Path("/proc/self/fd")


def digest_bytes(content: bytes) -> str:
    """Compute the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def digest_file(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_sources(package: ModuleType, patterns: Iterable[str]) -> list[Path]:
    """List source files of a package."""
    folder = Path(str(package.__file__)).parent
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def digest_sources(paths: Iterable[Path], versions: Mapping[str, str]) -> str:
    """Compute the digest of source files and of what they were run with."""
    digest = hashlib.sha256(json.dumps(dict(versions), sort_keys=True).encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def write_whole(path: Path, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Open a file that appears at `path` only once it is complete and on disk.

    Until then it has no name where the file system allows it (Linux's ``O_TMPFILE``), so that a
    process killed half-way leaves nothing behind; elsewhere it has a temporary one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    passing = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    nameless = _open_nameless(path.parent, mode)
    handle = os.open(passing, os.O_RDWR | os.O_CREAT, mode) if nameless is None else nameless
    file = os.fdopen(handle, "w+b")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            placed = nameless is not None and _name(nameless, path, passing)
        if not placed:
            passing.replace(path)
    finally:
        passing.unlink(missing_ok=True)
    sync_folder(path.parent)


def _name(nameless: int, path: Path, passing: Path) -> bool:
    """Name it, in passing where it replaces a file, which only a rename can; tell if it is done."""
    handles = os.open(OPEN_FILES, os.O_RDONLY)
    try:
        for name in (path, passing):
            with contextlib.suppress(FileExistsError):
                # With the folder as a handle Python calls linkat, which follows the entry's link.
                os.link(str(nameless), name, src_dir_fd=handles, follow_symlinks=True)
                break
    finally:
        os.close(handles)
    return name == path


def _open_nameless(folder: Path, mode: int) -> int | None:
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None or not OPEN_FILES.is_dir():
        return None
    try:
        return os.open(folder, flag | os.O_RDWR, mode)
    except OSError:
        return None


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk, where the platform can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes_whole(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all."""
    with write_whole(path) as file:
        file.write(content)


def write_bytes_new(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a small file whole, unless there is one by that name already."""
    passing = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    with write_whole(passing, mode) as file:
        file.write(content)
    try:
        os.link(passing, path)
    except FileExistsError:
        pass
    finally:
        passing.unlink()
