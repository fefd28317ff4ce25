"""Which of the exports given is which table of the mapping."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from features.base.errors import Problem
from features.intake.plan import Plan
from features.sources.file_kind import find_ending
from features.sources.tables import FORMATS

Paths = Path | Sequence[Path]


class Exports(NamedTuple):
    """The files of each table, and what no table takes."""

    tables: Mapping[str, list[Path]]
    aside: tuple[str, ...]
    problems: list[Problem]


def list_paths(paths: Paths) -> list[Path]:
    """List what was given: one path, or several; of a folder with one export, that export."""
    return [_find_single(path) for path in ([paths] if isinstance(paths, Path) else paths)]


def _find_single(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = [file for file in path.iterdir() if find_ending(file) in FORMATS]
    single = len(files) == 1 and find_ending(files[0]) != ".parquet"
    return files[0] if single else path


def find_exports(paths: Paths, plan: Plan) -> Exports:
    """Match the exports with the tables of a mapping, by the patterns of their names."""
    tables, given = plan.list_tables(), list_paths(paths)
    named = any(table.file is not None for table in tables.values())
    # Only patterns say what to look for in a folder; without them it is one table in parts.
    folders = [path for path in given if named and path.is_dir()]
    inside = [file for folder in folders for file in sorted(folder.iterdir())]
    inside = [file for file in inside if not file.name.startswith(".")]
    offered = [path for path in given if path not in folders] + inside
    problems: list[Problem] = []
    matched: dict[str, list[Path]] = {}
    for name, table in tables.items():
        if table.file is None and len(tables) > 1 and len(offered) > 1:
            message = "several exports are given: say which by `file`"
            problems.append(Problem(f"tables.{name}.file", "required", message))
        matched[name] = list(_match(table.file, offered))
        if not matched[name]:
            message = f"no export's name is like it ({_join(offered)})"
            problems.append(Problem(f"tables.{name}.file", "exists", message))
    taken = {path for files in matched.values() for path in files}
    problems += [
        Problem(path.name, "table", "is the file of no table of the mapping")
        for path in offered
        if path not in taken and path not in inside
    ]
    aside = tuple(path.name for path in inside if path not in taken)
    return Exports(matched, aside, problems)


def _match(pattern: str | None, paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if pattern is None or fnmatchcase(path.name.lower(), pattern.lower()):
            yield path


def _join(paths: Sequence[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:6])
    return f"{shown} …" if len(paths) > 6 else shown or "none was given"
