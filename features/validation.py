"""From parsed fields to validated columns: the one place where every rule is applied."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.consistency import check_consistency, derive_totals, find_rows
from features.errors import Problem
from features.field import Group
from features.fields import COHORT_FIELDS, FIELDS
from features.instruments import INSTRUMENTS
from features.parsing import Parsed


def validate(
    size: int, parsed: Mapping[str, Parsed], first_row: int = 1
) -> tuple[Columns, list[Problem]]:
    """Build columns from parsed fields and find every problem in them.

    Parameters
    ----------
    size
        Number of rows.
    parsed
        Fields by name, known ones only.
    first_row
        Number of the first row, for the problems.

    Returns
    -------
    Columns
        Totals derived from items where they were missing.
    list of Problem
        Empty where every row is valid.
    """
    columns = derive_totals(Columns(size, {name: field.values for name, field in parsed.items()}))
    problems = [
        *list_broken(parsed, first_row),
        *check_required(columns, parsed, first_row),
        *check_scores(columns, parsed, first_row),
        *check_consistency(columns, first_row),
    ]
    return columns, problems


def list_broken(parsed: Mapping[str, Parsed], first_row: int) -> Iterator[Problem]:
    """Describe every rule that one field alone breaks."""
    for name, field in parsed.items():
        for rule, mask in field.broken.items():
            message = f"must be {COHORT_FIELDS[name].allowed}"
            yield Problem(name, rule, message, find_rows(mask, first_row))


def check_required(
    columns: Columns, parsed: Mapping[str, Parsed], first_row: int
) -> Iterator[Problem]:
    """Find rows that lack a required field."""
    for field in FIELDS.values():
        if field.required:
            attempted = _find_broken(columns.size, parsed, (field.name,))
            missing = columns.find_missing(field.name) & ~attempted
            if missing.any():
                message = f"is required: {field.allowed}"
                yield Problem(field.name, "required", message, find_rows(missing, first_row))


def check_scores(
    columns: Columns, parsed: Mapping[str, Parsed], first_row: int
) -> Iterator[Problem]:
    """Find rows without any baseline total, unless one was tried and is already a problem."""
    scores = [name for name, f in FIELDS.items() if f.group in (Group.SCORE, Group.ITEM)]
    missing = np.logical_and.reduce([columns.find_missing(key) for key in INSTRUMENTS])
    missing &= ~_find_broken(columns.size, parsed, scores)
    if missing.any():
        message = f"at least one baseline total (or its items): {', '.join(INSTRUMENTS)}"
        yield Problem("baseline_score", "required", message, find_rows(missing, first_row))


def _find_broken(
    size: int, parsed: Mapping[str, Parsed], names: list[str] | tuple[str, ...]
) -> NDArray[np.bool_]:
    broken = np.zeros(size, dtype=bool)
    for name in names:
        if name in parsed:
            for mask in parsed[name].broken.values():
                broken |= mask
    return broken
