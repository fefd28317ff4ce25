"""What a contestant's answer must be, compared with the library."""

import json
import math
from typing import Any

from experiments.benchmarks.assessments import Questions
from experiments.load.measurement import CheckAnswer

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
    """Expect exactly what the library says of one assessment."""
    return lambda number, body: compare(json.loads(body), questions.expected[number])


def compare(answered: dict[str, Any], expected: dict[str, Any]) -> str | None:
    """Name the first part of an answer that is not as expected."""
    return next((part for part in PARTS if answered.get(part) != expected[part]), None)


def expect_batch(questions: Questions, patients: int) -> CheckAnswer:
    """Expect exactly what the library says of each of a request's assessments."""

    def check(number: int, body: str) -> str | None:
        results = json.loads(body)["results"]
        asked = questions.take(number * patients, patients)
        if len(results) != len(asked):
            return "number of results"
        compared = (compare(one, questions.expected[at]) for one, at in zip(results, asked))  # noqa: B905
        return next((part for part in compared if part is not None), None)

    return check


def expect_brief_batch(questions: Questions, patients: int) -> CheckAnswer:
    """Expect nothing but what the library says, and the probability of every estimate."""

    def check(number: int, body: str) -> str | None:
        results = json.loads(body)["results"]
        asked = questions.take(number * patients, patients)
        whole = [questions.expected[at] for at in asked]
        same = len(results) == len(whole) and all(map(is_part, results, whole))
        return None if same else "not a part of the full answer"

    return check


def is_part(brief: Any, whole: Any) -> bool:
    """Tell whether all that a brief answer says is also in the full one.

    Examples
    --------
    >>> is_part({"probability": 0.4}, {"probability": 0.4, "factors": []})
    True
    >>> is_part([{"probability": 0.5}], [{"probability": 0.4}])
    False
    """
    if isinstance(brief, dict) and isinstance(whole, dict):
        return all(name in whole and is_part(brief[name], whole[name]) for name in brief)
    if isinstance(brief, list) and isinstance(whole, list):
        return len(brief) == len(whole) and all(map(is_part, brief, whole))
    return bool(brief == whole)


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
