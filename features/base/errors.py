"""Errors, as one tree under :class:`KetamineResponseError`.

No error carries a patient's value: a problem names the field, the rule and what is allowed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

# A cohort can have thousands of problems, of which a terminal would show the last.
SHOWN_PROBLEMS = 16
SHOWN_ROWS = 6


@dataclass(frozen=True, slots=True)
class Problem:
    """One rule broken by one field, column or setting.

    `rows` are those of the cohort, counted from 1; empty if rows do not apply.
    """

    field: str
    # Short and stable, for machines: "range", "type", "unknown" …
    rule: str
    # What is allowed, in words; never the value that broke the rule.
    message: str
    rows: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the problem for JSON; rows only if there are any."""
        plain: dict[str, Any] = {"field": self.field, "rule": self.rule, "message": self.message}
        return plain | {"rows": list(self.rows)} if self.rows else plain

    def __str__(self) -> str:
        where = f", {_describe_rows(self.rows)}" if self.rows else ""
        return f"{self.field} ({self.rule}){where}: {self.message}"


def join_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Merge problems that differ in their rows alone; rows are sorted, each once."""
    merged: dict[tuple[str, str, str], set[int]] = {}
    for problem in problems:
        key = (problem.field, problem.rule, problem.message)
        merged.setdefault(key, set()).update(problem.rows)
    return [Problem(*key, tuple(sorted(rows))) for key, rows in merged.items()]


def list_problems(error: ValidationError, prefix: str = "") -> list[Problem]:
    """Turn pydantic's errors into problems, without values."""
    return [
        Problem(
            ".".join(map(str, ([prefix] if prefix else []) + [*entry["loc"]])) or "file",
            entry["type"],
            entry["msg"],
        )
        for entry in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def join_broken(rules: Mapping[str, bool]) -> str:
    """Join the rules that do not hold to one message; empty if all hold.

    Examples
    --------
    >>> join_broken({"bands must start at 0": False, "item_names must be one per item": True})
    'bands must start at 0'
    """
    return "; ".join(rule for rule, holds in rules.items() if not holds)


def _describe_rows(rows: Sequence[int]) -> str:
    if len(rows) == 1:
        return f"row {rows[0]}"
    named = ", ".join(str(row) for row in rows[:SHOWN_ROWS])
    more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
    return f"rows {named}{more}"


class KetamineResponseError(Exception):
    """Root of every error that this project raises on purpose."""


class InputError(KetamineResponseError):
    """Input that cannot be used: exit code 2, HTTP 400. It lists every problem, not the first only.

    `source` is the name of the file, or ``request``.
    """

    def __init__(self, problems: Iterable[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__(self._describe())

    # All that fits on one screen.
    def _describe(self) -> str:
        count = len(self.problems)
        head = f"{self.source}: " if self.source else ""
        lines = [f"{head}{count} problem{'s' if count != 1 else ''}"]
        lines += [f"  {problem}" for problem in self.problems[:SHOWN_PROBLEMS]]
        if count > SHOWN_PROBLEMS:
            lines.append(f"  … and {count - SHOWN_PROBLEMS} more (--json lists all)")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return every problem for JSON."""
        return {"source": self.source, "errors": [problem.as_dict() for problem in self.problems]}


class DictionaryError(InputError):
    """A file of instruments breaks a rule, or two instruments bear one name."""


class AssessmentError(InputError):
    """An assessment breaks a rule."""


class CohortError(InputError):
    """A cohort breaks a rule."""


class MappingError(InputError):
    """A mapping file breaks a rule."""


class OutcomeError(InputError):
    """An outcome does not exist, or cannot be measured."""


class StudyError(InputError):
    """A study breaks a rule, or does not fit its cohort."""


class ArtifactError(KetamineResponseError):
    """A stored model is damaged, unreadable or not the one registered."""


class UnavailableError(KetamineResponseError):
    """Something needed is missing: no champion, no registry."""
