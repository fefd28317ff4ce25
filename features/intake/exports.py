"""Exports: which files belong to which table of a mapping."""

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


def list_paths(paths: Paths, plan: Plan) -> list[Path]:
    """List what was given: one path, or several; of a folder with one export, that export.

    A folder stays one if the mapping looks for files below it.
    """
    exports = [paths] if isinstance(paths, Path) else list(paths)
    is_deep = any("/" in (table.file or "") for table in plan.tables.values())
    return exports if is_deep else [_find_single(path) for path in exports]


def _find_single(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = [file for file in path.iterdir() if find_ending(file) in FORMATS]
    single = len(files) == 1 and find_ending(files[0]) != ".parquet"
    return files[0] if single else path


def find_exports(paths: Paths, plan: Plan) -> Exports:
    """Match the exports with the tables of a mapping, by the patterns of their names."""
    tables, exports = plan.list_tables(), list_paths(paths, plan)
    named = any(table.file is not None for table in tables.values())
    # Only patterns say what to look for in a folder; without them it is one table in parts.
    folders = [path for path in exports if named and path.is_dir()]
    inside = [file for folder in folders for file in sorted(folder.iterdir())]
    inside = [file for file in inside if not file.name.startswith(".")]
    offered = [path for path in exports if path not in folders] + inside
    problems: list[Problem] = []
    matched: dict[str, list[Path]] = {}
    for name, table in tables.items():
        if table.file is None and len(tables) > 1 and len(offered) > 1:
            message = "several exports are given: set `file` to the name of this table's"
            problems.append(Problem(f"tables.{name}.file", "required", message))
        matched[name] = list(_match(table.file, offered, folders))
        if not matched[name]:
            message = f"no export's name matches it ({_join(offered)})"
            problems.append(Problem(f"tables.{name}.file", "exists", message))
    taken = {path for files in matched.values() for path in files}
    problems += [
        Problem(path.name, "table", "is the file of no table of the mapping")
        for path in offered
        if path not in taken and path not in inside
    ]
    used = taken | {parent for file in taken for parent in file.parents}
    aside = tuple(path.name for path in inside if path not in used)
    return Exports(matched, aside, problems)


def _match(pattern: str | None, paths: Iterable[Path], folders: Iterable[Path]) -> Iterator[Path]:
    below, slash, name = (pattern or "*").lower().rpartition("/")
    for path in paths:
        # A file given itself may lie anywhere: the folders in a pattern are those of a data set.
        inside = path.parent in folders
        if fnmatchcase(path.name.lower(), name) and not (slash and inside):
            yield path
    for folder in folders if slash else ():
        for path in sorted(folder.glob("/".join(["*"] * (below.count("/") + 2)))):
            if fnmatchcase(path.relative_to(folder).as_posix().lower(), f"{below}/{name}"):
                yield path


def _join(paths: Sequence[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:6])
    return f"{shown} …" if len(paths) > 6 else shown or "none was given"
