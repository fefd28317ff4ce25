"""What became of the exports of an intake: counts that add up, by table and by field."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from features.base.arrays import Flags
from features.dictionary.field import Field, Kind
from features.intake.account import Account, Aside, Part
from features.model.card import Facts
from features.records.cohort import digest_cohort
from features.records.columns import Columns
from training.study.design import is_simulated

# A smaller count could identify patients, as in the histograms of a validation.
MIN_SHOWN = 5
# A share this large at an end of the allowed range suggests another scale, unit or code.
_MUCH_AT_END = 0.25
_MISSING = "missing"


class FieldCount(Facts):
    """How often a field is recorded, in courses; a count is None if it is hidden as small."""

    field: str
    label: str
    filled: int | None
    missing: int | None
    # Of numbers, rounded outward to the field's step.
    low: float | None = None
    high: float | None = None
    # Of categories and flags, by word.
    words: Mapping[str, int | None] = {}
    # What an analyst should look at.
    flags: tuple[str, ...] = ()


class IntakeFacts(Facts):
    """The report of one intake."""

    format: Literal[1] = 1
    created: str
    # Names of the files, without their folders.
    exports: tuple[str, ...]
    mapping: str | None
    out: str
    simulated: bool
    courses: int
    patients: int
    # None if no site is recorded.
    sites: int | None
    # SHA-256 of the cohort's content, the same as that of models fitted on it.
    digest: str
    # By instrument, courses whose baseline total is pro-rated.
    prorated: Mapping[str, int]
    fields: tuple[FieldCount, ...]
    # Rows, patients and courses, by table, step and reason: features.intake.account.Account.
    account: Mapping[str, Any]

    @property
    def set_aside(self) -> int:
        """Patients and courses that are in the exports and not in the cohort."""
        parts = [(self.account[unit], unit) for unit in ("patients", "courses")]
        counts: list[int] = [entry[unit] for part, unit in parts for entry in part["aside"]]
        return sum(counts)


def describe_intake(
    columns: Columns,
    account: Mapping[str, Any],
    exports: tuple[str, ...],
    mapping: str | None,
    out: str,
) -> IntakeFacts:
    """Describe a cohort and how it was made.

    Parameters
    ----------
    columns
        As written.
    """
    return IntakeFacts(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        exports=exports,
        mapping=mapping,
        out=out,
        simulated=is_simulated(columns),
        courses=columns.size,
        patients=columns.count_texts("patient_id"),
        sites=columns.count_texts("site") or None,
        digest=digest_cohort(columns),
        prorated={key: int(rows.sum()) for key, rows in columns.prorated.items()},
        fields=tuple(_count_fields(columns)),
        account=account,
    )


def leave_incomplete(columns: Columns, account: Account) -> tuple[Columns, Account]:
    """Leave aside the courses without a baseline total of any instrument, and count them."""
    lacking: Flags = np.logical_and.reduce(
        [columns.find_missing(key) for key in columns.dictionary.instruments]
    )
    count, courses = int(lacking.sum()), account.courses
    if not count:
        return columns, account
    aside = (*courses.aside, Aside("baseline", "no baseline total", count))
    part = Part(courses.read, courses.used - count, aside)
    return columns.select(~lacking), replace(account, courses=part)


def _count_fields(columns: Columns) -> Iterator[FieldCount]:
    fields = columns.dictionary.cohort_fields
    for name in columns.list_recorded():
        yield _count_field(columns, fields[name])


def _count_field(columns: Columns, ours: Field) -> FieldCount:
    absent = columns.find_missing(ours.name)
    missing = int(absent.sum())
    words: dict[str, int] = {}
    if ours.kind in (Kind.CATEGORY, Kind.FLAG):
        names = ours.categories or ("false", "true")
        values = columns.get_numbers(ours.name)[~absent].astype(int)
        counts = np.bincount(values, minlength=len(names)).tolist()
        words = dict(zip(names, counts, strict=True))
    parts = words or {"filled": columns.size - missing}
    shown = hide_few({**parts, _MISSING: missing})
    is_hidden = shown.pop(_MISSING) is None
    low, high = _round_range(columns, ours) if ours.numeric else (None, None)
    return FieldCount(
        field=ours.name,
        label=ours.label,
        filled=None if is_hidden else columns.size - missing,
        missing=None if is_hidden else missing,
        low=low,
        high=high,
        words=shown if words else {},
        flags=tuple(_list_flags(columns, ours, absent)),
    )


def hide_few(counts: Mapping[str, int]) -> dict[str, int | None]:
    """Hide counts below `MIN_SHOWN`, and the next smallest until their sum is not below it.

    Examples
    --------
    >>> hide_few({"female": 40, "male": 20, "other": 2, "missing": 0})
    {'female': 40, 'male': None, 'other': None, 'missing': 0}
    """
    hidden = {name for name, count in counts.items() if 0 < count < MIN_SHOWN}
    # Totals are known: what is hidden follows from them.
    for name in sorted(filter(counts.get, counts), key=lambda name: counts[name]):
        if not hidden or sum(counts[name] for name in hidden) >= MIN_SHOWN:
            break
        hidden.add(name)
    return {name: None if name in hidden else count for name, count in counts.items()}


def _round_range(columns: Columns, ours: Field) -> tuple[float | None, float | None]:
    values = columns.get_numbers(ours.name)
    if (~np.isnan(values)).sum() < MIN_SHOWN:
        return None, None
    return ours.round_outward(float(np.nanmin(values)), float(np.nanmax(values)))


def _list_flags(columns: Columns, ours: Field, absent: Flags) -> Iterator[str]:
    if ours.kind is Kind.TEXT or (~absent).sum() < MIN_SHOWN:
        return
    values = columns.get_numbers(ours.name)[~absent]
    if np.ptp(values) == 0:
        yield "the same in every course"
        return
    for end, word in ((ours.low, "lowest"), (ours.high, "highest")):
        if ours.numeric and np.mean(values == end) >= _MUCH_AT_END:
            yield f"a quarter or more have the {word} value allowed"
