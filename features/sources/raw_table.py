"""A file that is open for reading, whatever its format: raw columns in batches."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from features.base.errors import CohortError, Problem


@dataclass(frozen=True)
class RawTable:
    """A cohort file that is open for reading; its record batches are consumed once.

    Raises
    ------
    CohortError
        If a column is named twice.
    """

    source: str
    names: tuple[str, ...]
    batches: Iterator[Any]
    # Numbers of the rows skipped so far because they have too few or too many values.
    ragged: list[int] = field(default_factory=list)
    # Those of them that have one value more than there are columns.
    surplus: list[int] = field(default_factory=list)
    # Columns whose Arrow type has no values for a field, with its name; they are not in `batches`.
    unreadable: Mapping[str, str] = field(default_factory=dict)
    # What the file or its dictionary says of columns: a description, and a label for each code.
    descriptions: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Several may be unnamed: a mapping can leave those out.
        counts = Counter(filter(None, self.names))
        if twice := sorted(name for name, count in counts.items() if count > 1):
            message = "the header names this column more than once"
            problems = [Problem(name, "duplicate_column", message) for name in twice]
            raise CohortError(problems, source=self.source)

    def number_rows(self, rows: Iterable[int]) -> tuple[int, ...]:
        """Turn positions among the rows read (from 1) into row numbers of the file.

        Examples
        --------
        >>> table = RawTable("x.csv", (), iter(()), ragged=[2, 3])
        >>> table.number_rows([1, 2, 3])
        (1, 4, 5)
        """
        positions = np.fromiter(rows, dtype=np.int64)
        gaps = np.sort(self.ragged) - np.arange(1, len(self.ragged) + 1)
        return tuple((positions + np.searchsorted(gaps, positions)).tolist())

    def locate_problem(self, problem: Problem) -> list[Problem]:
        """Give a problem the file's own row numbers; it has positions among the rows read."""
        return [replace(problem, rows=self.number_rows(problem.rows))]

    def list_ragged(self) -> list[Problem]:
        """Describe the skipped rows."""
        message = "must have as many values as the header has columns"
        rows = tuple(sorted(self.ragged))
        if self.ragged and len(self.surplus) == len(self.ragged):
            message += "; each has one more, as if row names had no column (R: row.names = FALSE)"
        return [Problem("row", "columns", message, rows)] if rows else []
