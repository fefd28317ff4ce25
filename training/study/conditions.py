"""Conditions: which courses a study asks for, by category, site, flag, number or date.

``[cohort] where`` has one line for each field::

    condition = ["depression", "ptsd"]   # one of these categories, or sites
    bipolar = false                      # a flag
    phq9 = ">= 10"                       # a number or date: >= > <= < =
    age = "18..65"                       # from and to, both included
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from features.base.arrays import Flags
from features.base.errors import Problem, StudyError
from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Field, Group, Kind
from features.records.columns import Columns
from features.records.comparisons import Interval, make_interval
from features.records.parsing import TEXT_READERS, parse_values

Wanted = bool | float | str | tuple[str, ...]

_FORM = re.compile(r"(?P<sign>>=|<=|>|<|=)\s*(?P<end>\S+)|(?P<low>\S+?)\s*\.\.\s*(?P<high>\S+)")
# Of each comparison: its name in :func:`make_interval`, and the values that do not meet it.
_SIGNS = {
    ">=": ("from", "below {}"),
    ">": ("above", "{} or below"),
    "<=": ("to", "above {}"),
    "<": ("below", "{} or above"),
    "=": ("is", "other than {}"),
}
_NUMBERS = 'must be a comparison, such as ">= 10", or a range, such as "18..65"'
_DATES = 'must be a comparison, such as ">= 2020-01-01", or a range of dates, low..high'


# Why courses are excluded, in the service's own order; `{}` is the instrument.
REASONS = {
    "condition": "of a condition that was not studied",
    "eligibility": "that an eligibility rule refuses",
    "baseline": "without a baseline {}",
    "early_score": "without any early score",
    "value": "without a value that the equation needs",
    "outside": "outside the studied ranges",
    "no_change": "whose baseline {} leaves nothing to improve",
    "awaiting": "without a known outcome",
}
# Of the keys of exclusions by conditions.
CONDITION_KEY = "where"


@dataclass(frozen=True)
class Exclusion:
    """Courses left aside for one reason; each counts for the first reason that applies."""

    # For machines, such as ``where.age`` and ``where.age.missing``.
    key: str
    # In words.
    reason: str
    courses: int


@dataclass(frozen=True)
class Condition:
    """What a study requires of one field; a course without the field does not meet it."""

    field: Field
    # The values that do not meet it, in words: ``below 10``.
    otherwise: str
    # Both ends included; numbers, flags, categories by position, dates by day.
    intervals: tuple[Interval, ...] = ()
    codes: tuple[str, ...] = ()

    def find_met(self, columns: Columns) -> Flags:
        """Return which courses meet it, ``bool[courses]``."""
        if self.field.kind is Kind.TEXT:
            return np.isin(columns.get_texts(self.field.name).astype(str), self.codes)
        values = columns.get_numbers(self.field.name)
        met: Flags = np.any([(low <= values) & (values <= high) for low, high in self.intervals], 0)
        return met


def parse_conditions(
    where: Mapping[str, Wanted], dictionary: Dictionary
) -> tuple[list[Condition], list[Problem]]:
    """Read every line of ``where``, and list the problems of the lines that are invalid."""
    conditions: list[Condition] = []
    problems: list[Problem] = []
    for name, wanted in where.items():
        try:
            conditions.append(_parse_condition(name, wanted, dictionary))
        except StudyError as error:
            problems += error.problems
    return conditions, problems


def _parse_condition(name: str, wanted: Wanted, dictionary: Dictionary) -> Condition:
    field = dictionary.fields.get(name)
    if field is None or (field.kind is Kind.TEXT and name != "site"):
        _refuse_condition(name, "unknown", "must be a field of an assessment, or site")
    if field.group is Group.FOLLOWUP:
        _refuse_condition(
            name, "leakage", "is known only after the first dose: it would select by outcome"
        )
    if field.kind is Kind.FLAG:
        return _parse_flag(field, wanted)
    if field.kind in (Kind.CATEGORY, Kind.TEXT):
        return _parse_names(field, wanted)
    return _parse_comparison(field, wanted)


def _refuse_condition(name: str, rule: str, message: str) -> NoReturn:
    raise StudyError([Problem(f"where: {name}", rule, message)])


def _parse_flag(field: Field, wanted: Wanted) -> Condition:
    if not isinstance(wanted, bool):
        _refuse_condition(field.name, "type", "must be true or false, without quotation marks")
    interval = make_interval("is", float(wanted))
    return Condition(field, "no" if wanted else "yes", (interval,))


def _parse_names(field: Field, wanted: Wanted) -> Condition:
    names = (wanted,) if isinstance(wanted, str) else wanted
    if not isinstance(names, tuple):
        _refuse_condition(field.name, "type", "must be a list of categories or sites")
    otherwise = f"other than {' or '.join(names)}"
    if field.kind is Kind.TEXT:
        return Condition(field, otherwise, codes=names)
    if not names or not set(names) <= set(field.categories):
        _refuse_condition(field.name, "category", f"must be {field.allowed}")
    positions = (float(field.categories.index(name)) for name in names)
    return Condition(field, otherwise, tuple(make_interval("is", at) for at in positions))


def _parse_comparison(field: Field, wanted: Wanted) -> Condition:
    message = _DATES if field.kind is Kind.DATE else _NUMBERS
    if isinstance(wanted, tuple):
        _refuse_condition(field.name, "unknown", f"has no categories; {message}")
    text = wanted if isinstance(wanted, str) else f"= {wanted:g}"
    form = _FORM.fullmatch(text.strip())
    if form is None or isinstance(wanted, bool):
        _refuse_condition(field.name, "comparison", message)
    if form["sign"]:
        comparison, otherwise = _SIGNS[form["sign"]]
        interval = make_interval(comparison, _parse_end(field, form["end"], message))
        return Condition(field, otherwise.format(form["end"]), (interval,))
    low, high = (_parse_end(field, form[end], message) for end in ("low", "high"))
    if low > high:
        _refuse_condition(
            field.name, "order", "the first end of a range must not be above the second"
        )
    return Condition(field, f"outside {form['low']} to {form['high']}", ((low, high),))


def _parse_end(field: Field, text: str, message: str) -> float:
    parsed = parse_values(field, [text], TEXT_READERS)
    if {*parsed.broken} - {"range"}:
        _refuse_condition(field.name, "comparison", message)
    end = float(parsed.values[0])
    # An end that no course can have is a typing error, or in another unit.
    if parsed.broken or (field.numeric and not field.low <= end <= field.high):
        _refuse_condition(field.name, "range", f"each end must be {field.allowed}")
    return end


def list_exclusions(conditions: Iterable[Condition], columns: Columns) -> Iterator[Exclusion]:
    """Count the courses that each condition excludes, those without a value separately."""
    left = np.ones(columns.size, dtype=bool)
    for condition in conditions:
        key, label = f"{CONDITION_KEY}.{condition.field.name}", condition.field.label
        missing = columns.find_missing(condition.field.name)
        unmet = ~missing & ~condition.find_met(columns)
        absent = f"{label}: not recorded"
        yield Exclusion(f"{key}.missing", absent, int((left & missing).sum()))
        reason = f"{label}: {condition.otherwise}"
        yield Exclusion(key, reason, int((left & unmet).sum()))
        left &= ~missing & ~unmet
