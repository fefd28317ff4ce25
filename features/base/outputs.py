"""Where a command is asked to write: nothing that it reads, and no other output, is destroyed."""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path

from features.base.errors import InputError, Problem

# What the user calls it, such as ``--out``, and where it is; None if not asked for.
Named = tuple[str, Path | None]


def check_outputs(outputs: Iterable[Named], inputs: Iterable[Named] = ()) -> None:
    """Check where a command is to write, before it does any work.

    Links, hard links, relative paths and names that differ in case alone count as the same file:
    on some disks they are.

    Parameters
    ----------
    inputs
        Files, or folders in which nothing may be written.

    Raises
    ------
    InputError
        If an output is an input or another output, lies in a folder that is an input, is a symbolic
        link, or cannot be a file there; lists every problem.
    """
    written = [(name, path) for name, path in outputs if path is not None]
    read = [(name, _resolve(path)) for name, path in inputs if path is not None]
    problems = [problem for name, path in written for problem in _check_output(name, path, read)]
    for (name, path), (other_name, other) in combinations(written, 2):
        if _is_same_file(_resolve(path), _resolve(other)):
            problems.append(_refuse_same(name, other_name))
    if problems:
        # A folder's files have its problems in common.
        raise InputError(dict.fromkeys(problems), source="output")


def _resolve(path: Path) -> Path:
    # Unlike Path.resolve it takes a circle of links as it is; that is refused as a link.
    return Path(os.path.realpath(path))


def _refuse_same(name: str, other: str) -> Problem:
    return Problem(name, "same_file", f"must not be the same file as {other}")


def _check_output(name: str, path: Path, inputs: Iterable[tuple[str, Path]]) -> Iterator[Problem]:
    real = _resolve(path)
    for other_name, other in inputs:
        if _is_same_file(real, other):
            yield _refuse_same(name, other_name)
        elif any(_is_same_file(folder, other) for folder in real.parents):
            yield Problem(name, "same_file", f"must not lie inside {other_name}")
    if path.is_symlink():
        # Written atomically, an output replaces what bears its name: the link, not its target.
        message = f"{path.name} is a symbolic link; name the file that it leads to"
        yield Problem(name, "symlink", message)
    elif path.exists() and not path.is_file():
        yield Problem(name, "file", "must be a file, or not exist yet")
    elif not next(folder for folder in real.parents if folder.exists()).is_dir():
        yield Problem(name, "folder", "must lie in a folder, or where one can be made")


def _is_same_file(path: Path, other: Path) -> bool:
    # Both are real paths. Of what does not exist yet, only names can be compared.
    if path.exists() and other.exists():
        return path.samefile(other)
    if path == path.parent or _fold_name(path) != _fold_name(other):
        return path == other
    return _is_same_file(path.parent, other.parent)


def _fold_name(path: Path) -> str:
    # Disks of macOS ignore case and Unicode's two ways to write an accent, those of Windows case.
    return unicodedata.normalize("NFC", path.name).casefold()
