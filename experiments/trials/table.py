"""A trial's one table in CSV, for readers that must look at its values."""

from pathlib import Path
from typing import Any

import pandas as pd

from features.base.errors import CohortError, Problem


def read_texts(path: Path | None, needed: tuple[str, ...]) -> Any:
    """Read a table as a data frame of texts, an empty one missing.

    Raises
    ------
    CohortError
        If no path is given, if it is not such a table, or if it lacks columns.
    """
    if path is None:
        raise CohortError([Problem("cohort", "required", "name the table with --cohort")])
    try:
        rows = pd.read_csv(path, dtype=object, na_values=[""], keep_default_na=False)
    except (OSError, ValueError):  # pandas's errors of parsing are ValueErrors
        problem = Problem("file", "exists", "must be the trial's table in CSV")
        raise CohortError([problem], source=path.name) from None
    absent = [name for name in needed if name not in rows]
    if absent:
        problems = [Problem(name, "missing_column", "the trial's table has it") for name in absent]
        raise CohortError(problems, source=path.name)
    return rows
