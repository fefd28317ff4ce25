"""Frames: the tables of a mapping in memory, each column only if something reads it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.base.errors import InputError, Problem
from features.intake.account import FOOTER, RowTally
from features.intake.cells import read_cells
from features.intake.frame import Frame, Origin, Roles
from features.intake.plan import Plan
from features.sources.raw_table import RawTable
from features.sources.source_form import SourceForm
from features.sources.tables import open_table

Assign = Callable[[tuple[str, ...]], tuple[Roles, list[Problem]]]


def read_frame(
    name: str, paths: Sequence[Path], plan: Plan, assign: Assign
) -> tuple[Frame | None, list[Problem]]:
    """Read one table from its files.

    Parameters
    ----------
    assign
        Assigns the columns of a header their roles.

    Returns
    -------
    Frame or None
        None if the problems, in any of its files, leave nothing to read.
    """
    form = plan.get_form(name)
    opened: list[RawTable] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            opened.append(open_table(path, form))
        except InputError as error:
            problems += _name_table(name, path, error)
    if problems or not opened:
        return None, problems
    roles, problems = assign(opened[0].names)
    for table in opened[1:]:
        problems += _compare_headers(name, opened[0], table)
    for table in opened:
        problems += [
            Problem(f"{name}.{column}", "type", f"the column's type is {table.unreadable[column]}")
            for column in roles.loaded
            if column in table.unreadable
        ]
    if problems:
        return None, problems
    return _fill_frame(name, opened, roles, plan, form)


def _name_table(name: str, path: Path, error: InputError) -> Iterator[Problem]:
    for problem in error.problems:
        message = f"{path.name}: {problem.message}"
        yield replace(problem, field=f"{name}.{problem.field}", message=message)


def _compare_headers(name: str, first: RawTable, other: RawTable) -> list[Problem]:
    return [
        Problem(
            f"{name}.{column}",
            "missing_column",
            f"is not in both {first.source}, {other.source}",
        )
        for column in sorted({*first.names} ^ {*other.names})
    ]


def _fill_frame(
    name: str, opened: list[RawTable], roles: Roles, plan: Plan, form: SourceForm
) -> tuple[Frame | None, list[Problem]]:
    parts: dict[str, list[Any]] = {column: [] for column in roles.loaded}
    numbers: list[NDArray[np.int64]] = []
    problems: list[Problem] = []
    files: dict[str, int] = {}
    for table in opened:
        count = 0
        try:
            for batch in table.batches:
                count += batch.num_rows
                for column, arrays in parts.items():
                    arrays.append(batch.column(column))
        except InputError as error:
            problems += _name_table(name, Path(table.source), error)
        problems += [
            replace(ragged, field=f"{name}.{ragged.field}") for ragged in table.list_ragged()
        ]
        positions = np.arange(1, count + 1, dtype=np.int64)
        numbers.append(
            np.array(table.number_rows(positions), dtype=np.int64) if table.ragged else positions
        )
        files[table.source] = count
    if problems:
        return None, problems
    file_of = np.repeat(np.arange(len(files), dtype=np.int16), [*files.values()])
    origin = Origin(name, files, np.concatenate(numbers), file_of)
    section = plan.list_tables()[name]
    columns = {column: read_cells(arrays) for column, arrays in parts.items()}
    if plan.missing:
        columns |= {column: columns[column].without(plan.missing) for column in roles.fields}
    frame = Frame(section, origin, roles, columns, RowTally(len(file_of)))
    frame.note("columns", "left out", roles.left_out)
    # Counted, since the last row of a later file may be a patient instead of a note.
    frame.note("rows", FOOTER, form.footer_rows * len(files))
    return frame, []
