"""What a contestant's answer must be, compared with the library."""

import json
import math
from typing import Any

from experiments.benchmarks.serving.assessments import Questions
from experiments.benchmarks.serving.load.measurement import CheckAnswer

# Ours are the library's own numbers; MLflow's went through a data frame.
TOLERANCE = 1e-9
PARTS = ("estimates", "eligibility")


def expect_same(questions: Questions) -> CheckAnswer:
    """Expect what was sent."""

    def check(number: int, body: str) -> str | None:
        same = json.loads(body) == dict(questions.assessments[number])
        return None if same else "not what was sent"

    return check


def expect_estimates(questions: Questions) -> CheckAnswer:
    """Expect what the library says of one assessment, but for rounding."""
    return lambda number, body: compare(json.loads(body), questions.answer([number])[0])


def compare(answered: dict[str, Any], expected: dict[str, Any]) -> str | None:
    """Name the first part of an answer that is not as expected."""
    # Who came at the same time decides in which order numbers are added up.
    return next((p for p in PARTS if not is_close(answered.get(p), expected[p])), None)


def expect_batch(questions: Questions, patients: int) -> CheckAnswer:
    """Expect what the library says of each of a request's assessments, but for rounding."""

    def check(number: int, body: str) -> str | None:
        results = json.loads(body)["results"]
        expected = questions.answer(questions.take(number * patients, patients))
        if len(results) != len(expected):
            return "number of results"
        compared = map(compare, results, expected)
        return next((part for part in compared if part is not None), None)

    return check


def expect_brief_batch(questions: Questions, patients: int) -> CheckAnswer:
    """Expect what the full answer says, as far as a brief one says anything."""

    def check(number: int, body: str) -> str | None:
        results = json.loads(body)["results"]
        whole = questions.answer(questions.take(number * patients, patients))
        same = len(results) == len(whole) and all(map(shortens, results, whole))
        return None if same else "not the full answer, shortened"

    return check


def shortens(brief: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Tell whether a brief answer has the full one's probabilities, and nothing of its own."""
    return len(brief["estimates"]) == len(whole["estimates"]) and all(
        is_close({n: v for n, v in short.items() if v not in (None, [])}, long, part=True)
        and is_close(short["probability"], long["probability"])
        for short, long in zip(brief["estimates"], whole["estimates"], strict=True)
    )


def is_close(one: Any, other: Any, part: bool = False) -> bool:
    """Tell whether two JSON values are the same, but for rounding.

    Parameters
    ----------
    part
        Whether objects may lack names that the other has.

    Examples
    --------
    >>> is_close({"p": [0.1 + 0.2, None]}, {"p": [0.3, None], "q": 1}, part=True)
    True
    >>> is_close(0.3, 0.3001), is_close([1], [1, 2])
    (False, False)
    """
    if isinstance(one, dict) and isinstance(other, dict):
        known = one.keys() <= other.keys() if part else one.keys() == other.keys()
        return known and all(is_close(one[name], other[name], part) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            is_close(*two, part) for two in zip(one, other, strict=True)
        )
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


def expect_probability(questions: Questions) -> CheckAnswer:
    """Expect MLflow's answer: a table with the library's probability."""

    def check(number: int, body: str) -> str | None:
        (row,) = json.loads(body)["predictions"]
        expected = questions.probabilities[number]
        same = math.isclose(row["probability"], expected, rel_tol=0, abs_tol=TOLERANCE)
        return None if same else "probability"

    return check


def expect_any_probability(questions: Questions) -> CheckAnswer:
    """Expect a probability of another model's, whatever it is."""

    def check(number: int, body: str) -> str | None:
        return None if 0 < json.loads(body)["probability"] < 1 else "no probability"

    return check
