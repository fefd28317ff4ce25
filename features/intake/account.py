"""The account of an intake: what was read, used and left aside, in counts that add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Indices

# The table of a mapping that declares none: a file with one row per course.
SINGLE = "cohort"
# Note on the rows below a table that a mapping cuts off.
FOOTER = "last rows of a file, cut off as declared"
_OPEN, _USED = 0, -1


@dataclass(frozen=True)
class Aside:
    """Rows, patients or courses that were left aside at one step for one reason."""

    step: str
    reason: str
    count: int
    # Of patients and courses: the table that decided; of rows it is known.
    table: str = ""

    def describe(self) -> str:
        """Return the reason as the start of a sentence; it names the table that decided."""
        return self.reason[:1].upper() + self.reason[1:]


@dataclass(frozen=True)
class Note:
    """A count that leaves nothing aside: repeats that were merged, ties, columns left out."""

    table: str
    step: str
    what: str
    count: int


@dataclass(frozen=True)
class Part:
    """How many rows of a table, patients or courses there were, and what became of them."""

    read: int
    used: int
    aside: tuple[Aside, ...] = ()

    @property
    def adds_up(self) -> bool:
        """Whether nothing is lost or counted twice."""
        return self.read == self.used + sum(entry.count for entry in self.aside)

    def as_dict(self, unit: str) -> dict[str, Any]:
        """Return the counts for JSON; `unit` names what is counted."""
        aside = [
            {"step": entry.step, "reason": entry.reason, unit: entry.count}
            | ({"table": entry.table} if entry.table else {})
            for entry in self.aside
        ]
        return {"read": self.read, "used": self.used, "aside": aside}


@dataclass(frozen=True)
class TableAccount:
    """The rows of one table, and the files that they are from."""

    table: str
    files: Mapping[str, int]
    rows: Part


@dataclass(frozen=True)
class Account:
    """What became of everything that was read.

    Of each table's rows, of patients and of courses: read = used + left aside, by reason.
    """

    tables: tuple[TableAccount, ...]
    patients: Part
    courses: Part
    notes: tuple[Note, ...] = ()
    # By field: its rule, and in how many courses it has a value and has none.
    derived: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)
    # Names of the files of a folder that no table takes.
    files_aside: tuple[str, ...] = ()

    def add_note(self, table: str, step: str, what: str, count: int) -> "Account":
        """Return the account with a further count, unless that is 0."""
        notes = (*self.notes, Note(table, step, what, count)) if count else self.notes
        return replace(self, notes=notes)

    @property
    def is_plain(self) -> bool:
        """Whether the export was one row per course already, of which none was left aside."""
        names = [entry.table for entry in self.tables]
        return names == [SINGLE] and not (self.tables[0].rows.aside or self.courses.aside)

    def check(self) -> None:
        """Raise AssertionError if any count does not add up, which is a defect here."""
        parts = {f"rows of {entry.table}": entry.rows for entry in self.tables}
        parts |= {"patients": self.patients, "courses": self.courses}
        lost = [name for name, part in parts.items() if not part.adds_up]
        if lost:
            raise AssertionError(f"the account of {', '.join(lost)} does not add up")

    def as_dict(self) -> dict[str, Any]:
        """Return the account for JSON."""
        return {
            "tables": [
                {"table": entry.table, "files": dict(entry.files), **entry.rows.as_dict("rows")}
                for entry in self.tables
            ],
            "patients": self.patients.as_dict("patients"),
            "courses": self.courses.as_dict("courses"),
            "notes": [
                {"table": note.table, "step": note.step, "what": note.what, "count": note.count}
                for note in self.notes
            ],
            "derived": {
                name: {"rule": rule, "courses": courses, "missing": missing}
                for name, (rule, courses, missing) in self.derived.items()
            },
            "files_aside": list(self.files_aside),
        }


def count_file(source: str, rows: int, patients: int) -> Account:
    """Write the account of a file that already is one row per course."""
    whole = Part(rows, rows)
    table = TableAccount(SINGLE, {source: rows}, whole)
    return Account((table,), Part(patients, patients), whole)


class RowTally:
    """What became of each row of a table; the first reason to leave it aside counts."""

    def __init__(self, size: int) -> None:
        self._states: NDArray[np.int16] = np.zeros(size, dtype=np.int16)
        self._reasons: list[tuple[str, str]] = []

    @property
    def open(self) -> Flags:
        """Rows that are not left aside, ``bool[rows]``."""
        undecided: Flags = self._states <= _OPEN
        return undecided

    def set_aside(self, rows: Flags | Indices, step: str, reason: str) -> None:
        """Leave rows aside, unless they are used or left aside already."""
        self._reasons.append((step, reason))
        self._decide(rows, len(self._reasons))

    def use(self, rows: Flags | Indices) -> None:
        """Note that rows are used, unless they are left aside already."""
        self._decide(rows, _USED)

    def _decide(self, rows: Flags | Indices, state: int) -> None:
        chosen = np.zeros(len(self._states), dtype=bool)
        chosen[rows] = True
        self._states[chosen & (self._states == _OPEN)] = state

    def close(self, step: str, reason: str) -> Part:
        """Leave aside what is still undecided, and count."""
        self.set_aside(self._states == _OPEN, step, reason)
        counts = np.bincount(self._states[self._states > 0], minlength=len(self._reasons) + 1)
        merged: dict[tuple[str, str], int] = {}
        for key, count in zip(self._reasons, counts[1:].tolist(), strict=True):
            merged[key] = merged.get(key, 0) + count
        aside = tuple(Aside(*key, count) for key, count in merged.items() if count)
        return Part(len(self._states), int((self._states == _USED).sum()), aside)
