"""A trial's one table in CSV, for readers that must look at it row by row."""

import csv
from pathlib import Path

from features.base.errors import CohortError, Problem

Row = dict[str, str | None]


def read_rows(path: Path | None, needed: tuple[str, ...]) -> list[Row]:
    """Read a table as rows of texts, an empty one missing.

    Raises
    ------
    CohortError
        If no path is given, if it is not such a table, or if it lacks columns.
    """
    if path is None:
        raise CohortError([Problem("cohort", "required", "name the table with --cohort")])
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            rows = [{name: text or None for name, text in row.items()} for row in table]
            absent = [name for name in needed if name not in (table.fieldnames or ())]
    except (OSError, UnicodeDecodeError, csv.Error):
        problem = Problem("file", "exists", "must be the trial's table in CSV")
        raise CohortError([problem], source=path.name) from None
    if absent:
        problems = [Problem(name, "missing_column", "the trial's table has it") for name in absent]
        raise CohortError(problems, source=path.name)
    return rows
