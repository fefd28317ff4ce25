"""Eligibility rules: who should not be treated, or not without a second look.

They stand apart from the probability, in ``eligibility.toml``, and never change it; a rule that
refuses stops the estimate. They read built-in fields only, whatever instruments a study adds.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from features.base.arrays import Flags, describe_equal_rows
from features.dictionary.dictionary import load_dictionary
from features.records.columns import Columns
from features.records.comparisons import make_comparisons, make_interval

Action = Literal["refuse", "warn", "urgent", "not_screened"]


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

    def describe(self, action: Action) -> Notice:
        """Return what the rule says, or that it could not be asked."""
        field = self.tests[0].field
        text = self.text
        if action == "not_screened":
            text = f"Not screened: {load_dictionary().fields[field].label}"
        return Notice(rule=self.name, action=action, field=field, text=text, source=self.source)

    def list_notices(self) -> tuple[Notice | None, Notice | None, Notice | None]:
        """Return what the rule says in each of its states, in their order."""
        asked = self.action in ("refuse", "urgent") and not self.needs_all
        return None, self.describe("not_screened") if asked else None, self.describe(self.action)


def read_rules() -> tuple[Rule, ...]:
    """Read the table."""
    table = tomllib.loads(files("features.records").joinpath("eligibility.toml").read_text("utf-8"))
    return tuple(map(make_rule, table["rules"]))


def make_rule(entry: Mapping[str, Any]) -> Rule:
    """Build a rule from its entry."""
    needs_all = "all" in entry
    tests = tuple(make_test(test) for test in entry["all" if needs_all else "any"])
    action: Action = entry["action"]
    return Rule(entry["rule"], action, tests, needs_all, entry["text"], entry["source"])


def make_test(entry: Mapping[str, Any]) -> Check:
    """Build a test from its entry; categories become their position."""
    field = load_dictionary().fields[entry["field"]]
    comparison, value = next((name, value) for name, value in entry.items() if name != "field")
    number = field.categories.index(value) if isinstance(value, str) else value
    return Check(field.name, comparison, float(number))


# What a rule can be; of its tests the highest state counts, where all must be met the lowest.
NOT_MET, UNKNOWN, APPLIES = range(3)
RULES = read_rules()
NOTICES = tuple(rule.list_notices() for rule in RULES)
REFUSING = tuple(place for place, rule in enumerate(RULES) if rule.action == "refuse")
COMPARISONS = make_comparisons(
    (test.field, make_interval(test.comparison, test.value))
    for rule in RULES
    for test in rule.tests
)
FIRST_TESTS = np.cumsum([0, *(len(rule.tests) for rule in RULES)])[:-1]
# The lowest state is found as the highest of the states counted from the other end.
RULE_ENDS = np.array([[APPLIES if rule.needs_all else 0] for rule in RULES], dtype=np.int8)
TEST_ENDS = RULE_ENDS.repeat([len(rule.tests) for rule in RULES], axis=0)


@dataclass(frozen=True)
class Eligibility:
    """What the rules say of many assessments.

    Parameters
    ----------
    states
        ``int8[rules, rows]``: `NOT_MET`, `UNKNOWN` where the rule could not be asked, `APPLIES`.
    """

    states: NDArray[np.int8]

    def select(self, rows: Flags) -> "Eligibility":
        """Keep some rows, named by a mask."""
        return self if rows.all() else Eligibility(self.states[:, rows])

    def find_refusing(self) -> Flags:
        """Tell which refusing rules apply, ``[refusing rules, rows]``."""
        applies: Flags = self.states.take(REFUSING, axis=0) == APPLIES
        return applies

    def find_refused(self) -> Flags:
        """Tell which rows a rule refuses; ``[rows]``."""
        return np.asarray(self.find_refusing().any(axis=0))

    def list_notices(self, row: int) -> list[Notice]:
        """List what applies to a row, and what it was not screened for."""
        return list_notices(self.states[:, row].tobytes())

    def list_all_notices(self) -> list[list[Notice]]:
        """List the notices of every row; rows alike share theirs."""
        return describe_equal_rows(self.states, list_notices)


def list_refusing_fields(marks: Sequence[int]) -> list[str]:
    """List the fields for which a row is refused.

    Parameters
    ----------
    marks
        For each refusing rule whether it applies, see :meth:`Eligibility.find_refusing`.
    """
    applying = (RULES[place] for place, mark in zip(REFUSING, marks, strict=True) if mark)
    return list(dict.fromkeys(rule.tests[0].field for rule in applying))


def list_notices(states: bytes) -> list[Notice]:
    """List what the rules say in these states, one a rule."""
    said = (notices[state] for notices, state in zip(NOTICES, states, strict=True))
    return [notice for notice in said if notice is not None]


def check_eligibility(columns: Columns) -> Eligibility:
    """Apply every rule to every row."""
    values = columns.stack(COMPARISONS.fields)
    states = COMPARISONS.compare(values).view(np.int8) * np.int8(APPLIES)
    states += np.isnan(values)
    highest = np.maximum.reduceat(np.abs(TEST_ENDS - states), FIRST_TESTS, axis=0)
    return Eligibility(np.abs(RULE_ENDS - highest))
