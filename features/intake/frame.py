"""Frames: the tables of a mapping in memory, and what later steps make of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Indices, Numbers
from features.base.errors import Problem
from features.intake.account import Note, RowTally
from features.intake.cells import Cells
from features.intake.plan import BASELINE, TableSection

MAX_COURSE = 999


@dataclass(frozen=True)
class Roles:
    """The columns of one table, by the file's own names."""

    patient: str | None
    # Columns that are read, and the name of ours under which each becomes a course's cell.
    loaded: tuple[str, ...]
    fields: Mapping[str, str]
    left_out: int = 0


@dataclass(frozen=True)
class Origin:
    """Where cells are from: files, and in them the numbers of the rows."""

    table: str
    files: Mapping[str, int]
    # `int64[rows]`: number in its file, from 1; and which of the files.
    numbers: NDArray[np.int64]
    file_of: NDArray[np.int16]


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
        """List the problem that some rows have with a column of the file, once per file.

        Parameters
        ----------
        column
            By the file's own name; None if the problem is the row's.
        """
        origin, label = self.origin, f"{self.name}.{column or 'row'}"
        problems = []
        for index, file in enumerate(origin.files):
            chosen = origin.numbers[rows][origin.file_of[rows] == index]
            if len(chosen):
                whole = f"{message} (in {file})" if len(origin.files) > 1 else message
                problems.append(Problem(label, rule, whole, tuple(np.unique(chosen).tolist())))
        return problems


@dataclass
class Linked:
    """A frame whose rows are linked to patients, and then to courses."""

    frame: Frame
    # `intp[rows]`, -1 if the row has none.
    patient: Indices
    # The course number of its own column, NaN without.
    number: Numbers
    # Of its date, since 1970-01-01; NaN without.
    date: Numbers
    # `intp[rows]`: position among the courses, -1 if of none or, for a patient's row, of all.
    course: Indices


@dataclass(frozen=True)
class Courses:
    """The courses of a cohort, ordered by patient."""

    names: Sequence[str]
    # `intp[courses]` and `float64[courses]`.
    patient: Indices
    number: Numbers
    # Days since 1970-01-01, NaN if unknown.
    first_dose: Numbers
    # Whether the tables say which course is which.
    numbered: bool

    @property
    def size(self) -> int:
        """Number of courses."""
        return len(self.patient)

    def count_by_patient(self) -> Indices:
        """Count each patient's courses."""
        return np.bincount(self.patient, minlength=len(self.names))

    def find_first(self) -> Indices:
        """Return the position of each patient's first course."""
        return np.searchsorted(self.patient, np.arange(len(self.names)))

    def find_courses(self, patient: Indices, number: Numbers) -> Indices:
        """Return the position of patients' courses by number; -1 if there is none."""
        if not self.size:
            return np.full(len(patient), -1)
        keys = self.patient * (MAX_COURSE + 1.0) + self.number
        wanted = patient * (MAX_COURSE + 1.0) + number
        at = np.minimum(np.searchsorted(keys, wanted), self.size - 1)
        return np.where(keys[at] == wanted, at, -1)

    def keep_courses(self, kept: Flags) -> "Courses":
        """Keep some courses; positions of patients stay."""
        return replace(
            self,
            patient=self.patient[kept],
            number=self.number[kept],
            first_dose=self.first_dose[kept],
        )


@dataclass(frozen=True)
class GridColumn:
    """A column of a grid, the file's name for it, and the frame's row behind each cell."""

    cells: Cells
    label: str
    # `intp[rows]`, -1 if blank.
    rows: Indices


@dataclass(frozen=True)
class Grid:
    """A table's values, by our names."""

    link: Linked
    # `intp[rows]`: of each row the first of the frame's rows that it is made of.
    rows: Indices
    columns: Mapping[str, GridColumn] = field(default_factory=dict)


@dataclass(frozen=True)
class Contribution:
    """One table's values for one column of the cohort."""

    # Name of ours, and of the column in its file.
    target: str
    label: str
    link: Linked
    # `[courses]`, and of each the frame's row that it is from, -1 if blank.
    cells: Cells
    rows: Indices
    slot: str = BASELINE


def find_runs(keys: Indices) -> tuple[Flags, Indices]:
    """Find runs of equal keys in sorted ones, none below 0.

    Returns
    -------
    Flags
        Which entries are the first of their run.
    Indices
        For each entry, the position of the first of its run.
    """
    starts = np.diff(keys, prepend=-1) != 0
    return starts, np.maximum.accumulate(np.where(starts, np.arange(len(keys)), 0))


def explain_duplicates(message: str) -> str:
    """Add to a message how a mapping settles duplicates."""
    return f'{message}; `duplicates = "first"` or `"last"` of the table reads one of them'
