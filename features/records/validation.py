"""From parsed fields to validated columns: the one place where every rule is applied."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from features.base.arrays import Flags
from features.base.errors import Problem
from features.dictionary.dictionary import Dictionary
from features.records.columns import Columns
from features.records.parsing import Parsed
from features.records.rules import check_consistency, derive_totals, find_rows, list_scored


def validate(
    size: int, parsed: Mapping[str, Parsed], dictionary: Dictionary, first_row: int = 1
) -> tuple[Columns, list[Problem]]:
    """Build columns from parsed fields and find every problem in them.

    Parameters
    ----------
    size
        Number of rows.
    parsed
        Fields by name, only those of the dictionary.
    first_row
        Number of the first row, for the problems.

    Returns
    -------
    Columns
        Totals derived from items where they were missing.
    list of Problem
        Empty if every row is valid.
    """
    values = {name: field.values for name, field in parsed.items()}
    columns = Columns(size, values, dictionary=dictionary)
    return check_columns(columns, parsed, first_row)


def check_columns(
    columns: Columns, parsed: Mapping[str, Parsed], first_row: int = 1
) -> tuple[Columns, list[Problem]]:
    """Derive totals and apply every rule.

    Parameters
    ----------
    parsed
        At least the fields in which some value broke a rule of its own.
    """
    scored = list_scored(columns)
    columns = derive_totals(columns, scored)
    problems = [
        *list_broken(columns, parsed, first_row),
        *check_required(columns, parsed, first_row),
        *check_scores(columns, parsed, first_row),
        *check_consistency(columns, scored, first_row),
    ]
    return columns, problems


def list_broken(
    columns: Columns, parsed: Mapping[str, Parsed], first_row: int
) -> Iterator[Problem]:
    """Describe every rule that one field alone breaks."""
    for name, field in parsed.items():
        for rule, mask in field.broken.items():
            message = f"must be {columns.dictionary.cohort_fields[name].allowed}"
            yield Problem(name, rule, message, find_rows(mask, first_row))


def check_required(
    columns: Columns, parsed: Mapping[str, Parsed], first_row: int
) -> Iterator[Problem]:
    """Find rows that lack a required field."""
    for name in columns.dictionary.required:
        missing = columns.find_missing(name)
        if np.count_nonzero(missing):
            missing &= ~_find_broken(columns.size, parsed, (name,))
        if np.count_nonzero(missing):
            message = f"is required: {columns.dictionary.fields[name].allowed}"
            yield Problem(name, "required", message, find_rows(missing, first_row))


def check_scores(
    columns: Columns, parsed: Mapping[str, Parsed], first_row: int
) -> Iterator[Problem]:
    """Find rows without any baseline total, unless one was tried and is already a problem."""
    missing = np.ones(columns.size, dtype=bool)
    known = columns.dictionary.instruments
    for key in known:
        if key in columns.values:
            missing &= np.isnan(columns.values[key])
            if not np.count_nonzero(missing):
                return
    missing &= ~_find_broken(columns.size, parsed, columns.dictionary.score_names)
    if missing.any():
        message = f"at least one baseline total (or its items): {', '.join(known)}"
        yield Problem("baseline_score", "required", message, find_rows(missing, first_row))


def _find_broken(size: int, parsed: Mapping[str, Parsed], names: Sequence[str]) -> Flags:
    broken = np.zeros(size, dtype=bool)
    for name in names:
        if name in parsed:
            for mask in parsed[name].broken.values():
                broken |= mask
    return broken
