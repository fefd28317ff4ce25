"""Eligibility rules: who should not be treated, or not without a second look.

They stand apart from the probability, in ``eligibility.toml``, and never change it; a rule that
refuses stops the estimate.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from features.columns import Columns
from features.fields import FIELDS

Action = Literal["refuse", "warn", "urgent", "not_screened"]
Numbers = NDArray[np.float64]


class Notice(TypedDict):
    """What a rule says of one assessment."""

    rule: str
    action: str
    field: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of one field: ``is``, ``from``, ``above`` or ``below`` a value."""

    field: str
    comparison: str
    value: float

    def apply(self, columns: Columns) -> Numbers:
        """Tell whether it is met: 1, 0, or NaN where the field is missing; ``[rows]``."""
        values = columns.get_numbers(self.field)
        with np.errstate(invalid="ignore"):
            met = {
                "is": values == self.value,
                "from": values >= self.value,
                "above": values > self.value,
                "below": values < self.value,
            }[self.comparison]
        return np.where(np.isnan(values), np.nan, met)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the table.

    Parameters
    ----------
    needs_all
        Whether all tests must be met, or any.
    """

    name: str
    action: Action
    tests: tuple[Check, ...]
    needs_all: bool
    text: str
    source: str

    def apply(self, columns: Columns) -> Numbers:
        """Tell whether the rule applies: 1, 0, or NaN where what is known does not decide."""
        met = np.array([test.apply(columns) for test in self.tests])
        decisive = 0.0 if self.needs_all else 1.0
        decided = (met == decisive).any(axis=0)
        unknown = np.isnan(met).any(axis=0)
        return np.where(decided, decisive, np.where(unknown, np.nan, 1.0 - decisive))

    def describe(self, action: Action) -> Notice:
        """Return what the rule says, or that it could not be asked."""
        field = self.tests[0].field
        text = self.text if action != "not_screened" else f"Not screened: {FIELDS[field].label}"
        return Notice(rule=self.name, action=action, field=field, text=text, source=self.source)


def read_rules() -> tuple[Rule, ...]:
    """Read the table."""
    table = tomllib.loads(files("features").joinpath("eligibility.toml").read_text("utf-8"))
    return tuple(map(make_rule, table["rules"]))


def make_rule(entry: Mapping[str, Any]) -> Rule:
    """Build a rule from its entry."""
    needs_all = "all" in entry
    tests = tuple(make_test(test) for test in entry["all" if needs_all else "any"])
    action: Action = entry["action"]
    return Rule(entry["rule"], action, tests, needs_all, entry["text"], entry["source"])


def make_test(entry: Mapping[str, Any]) -> Check:
    """Build a test from its entry; categories become their position."""
    field = FIELDS[entry["field"]]
    comparison, value = next((name, value) for name, value in entry.items() if name != "field")
    number = field.categories.index(value) if isinstance(value, str) else value
    return Check(field.name, comparison, float(number))


RULES = read_rules()


@dataclass(frozen=True)
class Eligibility:
    """What the rules say of many assessments.

    Parameters
    ----------
    states
        ``[rules, rows]``: 1 where a rule applies, 0 where not, NaN where it could not be asked.
    """

    states: Numbers

    def find_refused(self) -> NDArray[np.bool_]:
        """Tell which rows a rule refuses; ``[rows]``."""
        refusing = [place for place, rule in enumerate(RULES) if rule.action == "refuse"]
        return np.asarray((self.states[refusing] == 1).any(axis=0))

    def list_refusing_fields(self, row: int) -> list[str]:
        """List the fields for which a row is refused."""
        fields = [
            rule.tests[0].field
            for place, rule in enumerate(RULES)
            if rule.action == "refuse" and self.states[place, row] == 1
        ]
        return list(dict.fromkeys(fields))

    def list_notices(self, row: int) -> list[Notice]:
        """List what applies to a row, and what it was not screened for."""
        notices = []
        for place, rule in enumerate(RULES):
            state = self.states[place, row]
            if state == 1:
                notices.append(rule.describe(rule.action))
            elif np.isnan(state) and rule.action in ("refuse", "urgent") and not rule.needs_all:
                notices.append(rule.describe("not_screened"))
        return notices


def check_eligibility(columns: Columns) -> Eligibility:
    """Apply every rule to every row."""
    return Eligibility(np.array([rule.apply(columns) for rule in RULES]))
