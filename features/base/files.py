"""Atomic writing of files, journals that survive a kill, digests, and TOML that users write."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from features.base.errors import InputError, Problem

Entry = Mapping[str, Any]


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


def remove_digest_files(folder: Path, ending: str) -> None:
    """Remove the files that are named by a digest, and the folder if nothing else is in it.

    Whatever else lies there is a user's: a home may be the folder of a clinic's own files.
    """
    # A write that was killed leaves a hidden part.
    name = re.compile(rf"\.?[0-9a-f]{{16,}}{re.escape(ending)}(\.[0-9a-f]+\.part)?")
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if name.fullmatch(path.name):
                path.unlink()
        folder.rmdir()


def read_toml(path: Path, kind: str, error: type[InputError]) -> dict[str, Any]:
    """Read a user's TOML file; raise `error` if it is not one of that kind, e.g. "a study file"."""
    try:
        # Editors on Windows write a byte order mark first, which TOML does not know.
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError:
        problem = Problem("file", "exists", f"must be {kind} in TOML")
    except UnicodeDecodeError:
        problem = Problem("file", "toml", "must be UTF-8 (save it as UTF-8)")
    except tomllib.TOMLDecodeError as broken:
        problem = Problem("file", "toml", str(broken))
    raise error([problem], path.name)


@dataclass(frozen=True)
class Journal:
    """A file of entries in JSON, which need not exist yet; several processes may add to it.

    Each is on disk before the next is begun, so that killed work resumes.
    """

    path: Path

    def read(self) -> Iterator[Entry]:
        """Read the entries in the order in which they were added."""
        if not self.path.is_file():
            return
        for line in self.path.read_text("utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue  # cut off when a process was killed: it will be done again

    def add(self, entry: Entry) -> None:
        """Add one entry, and return when it is on disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            line = json.dumps(entry, allow_nan=False).encode() + b"\n"
            file.write(line if self._ends_whole(file) else b"\n" + line)
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _ends_whole(file: Any) -> bool:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return bool(file.read(1) == b"\n")
