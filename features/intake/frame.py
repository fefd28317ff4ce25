"""Frames: the tables of a mapping in memory, each column only if something reads it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Indices
from features.base.errors import InputError, Problem
from features.intake.account import Note, RowTally
from features.intake.cells import Cells, read_cells
from features.intake.plan import Plan, TableSection
from features.intake.roles import Roles
from features.sources.source_form import SourceForm
from features.sources.tables import RawTable, open_table

Assign = Callable[[tuple[str, ...]], tuple[Roles, list[Problem]]]


@dataclass(frozen=True)
class Origin:
    """Where cells are from: files, and in them the numbers of the rows."""

    table: str
    files: Mapping[str, int]
    # `int64[rows]`: number in its file, from 1; and which of the files.
    numbers: NDArray[np.int64]
    file_of: NDArray[np.int16]

    def explain(self, column: str, rule: str, message: str, rows: Flags | Indices) -> list[Problem]:
        """Describe a rule that some rows of a column break; none if there are none."""
        problems = []
        for index, file in enumerate(self.files):
            chosen = self.numbers[rows][self.file_of[rows] == index]
            if len(chosen):
                told = f"{message} (in {file})" if len(self.files) > 1 else message
                numbers = tuple(np.unique(chosen).tolist())
                problems.append(Problem(f"{self.table}.{column}", rule, told, numbers))
        return problems


@dataclass
class Frame:
    """One table: its section, the columns that are read, and what becomes of its rows."""

    section: TableSection
    origin: Origin
    roles: Roles
    # By the file's own names.
    columns: Mapping[str, Cells]
    tally: RowTally
    notes: list[Note] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The table's name in the mapping."""
        return self.origin.table

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.origin.numbers)

    def note(self, step: str, what: str, count: int) -> None:
        """Note a count that leaves nothing aside."""
        if count:
            self.notes.append(Note(self.name, step, what, count))

    def explain(
        self, column: str | None, rule: str, message: str, rows: Flags | Indices
    ) -> list[Problem]:
        """Describe a rule that some rows break in a column of the file's name."""
        return self.origin.explain(column or "row", rule, message, rows)


def read_frame(
    name: str, paths: Sequence[Path], plan: Plan, assign: Assign
) -> tuple[Frame | None, list[Problem]]:
    """Read one table from its files.

    Parameters
    ----------
    assign
        Says of a header's names what each column is for.

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
        yield Problem(f"{name}.{problem.field}", problem.rule, message, problem.rows)


def _compare_headers(name: str, first: RawTable, other: RawTable) -> list[Problem]:
    return [
        Problem(
            f"{name}.{column}", "missing_column", f"is in one of {first.source}, {other.source}"
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
            Problem(f"{name}.{ragged.field}", ragged.rule, ragged.message, ragged.rows)
            for ragged in table.list_ragged()
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
    for column in roles.fields:
        columns[column] = columns[column].without(plan.missing) if plan.missing else columns[column]
    frame = Frame(section, origin, roles, columns, RowTally(len(file_of)))
    frame.note("columns", "left out", roles.left_out)
    return frame, []
