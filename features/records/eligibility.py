"""Eligibility rules: who should not be treated, or not without a second look.

They stand apart from the probability, in ``eligibility.toml``, and never change it; a rule that
refuses stops the estimate. They read built-in fields only, whatever a study adds. Most are about
ketamine: an agent that a study adds has only the rules for every treatment, and those whose fields
its definition names.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from features.base.arrays import Flags, describe_equal_rows
from features.dictionary.additions import Agent
from features.dictionary.dictionary import load_dictionary
from features.records.columns import Columns
from features.records.comparisons import make_comparisons, make_interval

Action = Literal["refuse", "warn", "urgent", "not_screened"]


class Notice(TypedDict):
    """A rule that applies to an assessment, or could not be checked."""

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
    """One rule of the table."""

    name: str
    action: Action
    tests: tuple[Check, ...]
    # Otherwise one test that is met is enough.
    needs_all: bool
    text: str
    source: str
    # Whether it applies to every treatment, not to ketamine alone.
    every_agent: bool = False

    def describe(self, action: Action) -> Notice:
        """Return the rule's notice, or that it could not be checked."""
        field = self.tests[0].field
        text = self.text
        if action == "not_screened":
            text = f"Not screened: {load_dictionary().fields[field].label}"
        return Notice(rule=self.name, action=action, field=field, text=text, source=self.source)

    def list_by_state(self) -> tuple[Notice | None, Notice | None, Notice | None]:
        """Return the rule's notice in each of its states, in their order."""
        # Only these are worth screening for; a rule of several fields is rarely known in full.
        screened = self.action in ("refuse", "urgent") and not self.needs_all
        unknown = self.describe("not_screened") if screened else None
        return None, unknown, self.describe(self.action)


def _read_rules() -> tuple[Rule, ...]:
    table = tomllib.loads(Path(__file__).with_name("eligibility.toml").read_text("utf-8"))
    return tuple(map(_make_rule, table["rules"]))


def _make_rule(entry: Mapping[str, Any]) -> Rule:
    needs_all = "all" in entry
    tests = tuple(_make_check(test) for test in entry["all" if needs_all else "any"])
    action: Action = entry["action"]
    texts, every_agent = (entry["text"], entry["source"]), entry.get("every_agent", False)
    return Rule(entry["rule"], action, tests, needs_all, *texts, every_agent)


def _make_check(entry: Mapping[str, Any]) -> Check:
    # Columns hold categories as their positions.
    field = load_dictionary().fields[entry["field"]]
    comparison, value = next((name, value) for name, value in entry.items() if name != "field")
    number = field.categories.index(value) if isinstance(value, str) else value
    return Check(field.name, comparison, float(number))


# States of a rule: the highest of its tests' states, or the lowest if all tests must be met.
NOT_MET, UNKNOWN, APPLIES = range(3)
RULES = _read_rules()
NOTICES = tuple(rule.list_by_state() for rule in RULES)
REFUSING = tuple(index for index, rule in enumerate(RULES) if rule.action == "refuse")
COMPARISONS = make_comparisons(
    (test.field, make_interval(test.comparison, test.value))
    for rule in RULES
    for test in rule.tests
)
FIRST_TESTS = np.cumsum([0, *(len(rule.tests) for rule in RULES)])[:-1]
# A minimum over tests is computed as a maximum of states counted down from `APPLIES`.
RULE_ENDS = np.array([[APPLIES if rule.needs_all else 0] for rule in RULES], dtype=np.int8)
TEST_ENDS = RULE_ENDS.repeat([len(rule.tests) for rule in RULES], axis=0)


@dataclass(frozen=True)
class Eligibility:
    """The state of every rule for many assessments."""

    # `int8[rules, rows]`: `NOT_MET`, `UNKNOWN` for want of a field, or `APPLIES`.
    states: NDArray[np.int8]

    def select(self, rows: Flags) -> "Eligibility":
        """Keep some rows, named by a mask."""
        return self if rows.all() else Eligibility(self.states[:, rows])

    def find_refusing(self) -> Flags:
        """Return which refusing rules apply, ``bool[refusing rules, rows]``."""
        applies: Flags = self.states.take(REFUSING, axis=0) == APPLIES
        return applies

    def find_refused(self) -> Flags:
        """Return which rows any rule refuses, ``bool[rows]``."""
        return np.asarray(self.find_refusing().any(axis=0))

    def list_notices(self) -> list[list[Notice]]:
        """List what applies to each row, and what it was not screened for; equal rows share it."""
        return describe_equal_rows(self.states, _list_notices)


def list_refusing_fields(marks: Sequence[int]) -> list[str]:
    """List the fields for which a row is refused; see :meth:`Eligibility.find_refusing`."""
    applying = (RULES[index] for index, mark in zip(REFUSING, marks, strict=True) if mark)
    return list(dict.fromkeys(rule.tests[0].field for rule in applying))


def _list_notices(states: bytes) -> list[Notice]:
    notices = (by_state[state] for by_state, state in zip(NOTICES, states, strict=True))
    return [notice for notice in notices if notice is not None]


def check_eligibility(columns: Columns) -> Eligibility:
    """Apply every rule to every row."""
    values = columns.stack(COMPARISONS.fields)
    states = COMPARISONS.compare(values).view(np.int8) * np.int8(APPLIES)
    states += np.isnan(values)
    highest = np.maximum.reduceat(np.abs(TEST_ENDS - states), FIRST_TESTS, axis=0)
    states = np.abs(RULE_ENDS - highest)
    for position, agent in columns.dictionary.agent_positions.items():
        treated = columns.get_numbers("agent") == position
        if np.count_nonzero(treated):
            states[np.ix_(_list_inapplicable(agent), treated)] = NOT_MET
    return Eligibility(states)


@lru_cache(maxsize=256)
def _list_inapplicable(agent: Agent) -> list[int]:
    """List the indices of the rules that do not apply to an added agent."""
    if agent.screening == "all":
        return []
    named = {*agent.screening}
    return [
        index
        for index, rule in enumerate(RULES)
        if not rule.every_agent and named.isdisjoint(test.field for test in rule.tests)
    ]
