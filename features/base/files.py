"""Atomic writing of files, digests of content, and TOML that users write."""

import contextlib
import hashlib
import json
import os
import secrets
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from features.base.errors import InputError, Problem


def digest_bytes(content: bytes) -> str:
    """Compute the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


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
def open_atomic(path: Path, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears at `path` only once it is complete and on disk.

    If writing fails, what was at `path` stays. A killed process leaves a hidden ``.part`` file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # Only a rename in the same folder is atomic.
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # The rename itself is on disk only once the folder is; not every platform can open one.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Write a small file completely or not at all."""
    with open_atomic(path) as file:
        file.write(content)


def write_bytes_new(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a small file completely, unless there is one at `path` already."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    with open_atomic(temporary, mode) as file:
        file.write(content)
    try:
        # Unlike a rename, a link never replaces a file.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def read_toml(path: Path, kind: str, error: type[InputError]) -> dict[str, Any]:
    """Read a user's TOML file; raise `error` if it is not one of that kind, e.g. "a study file"."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError:
        problem = Problem("file", "exists", f"must be {kind} in TOML")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        problem = Problem("file", "toml", str(broken))
    raise error([problem], path.name)
