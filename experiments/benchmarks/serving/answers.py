"""What a contestant must answer, compared with the library."""

import json
import math
from collections.abc import Callable
from typing import Any

# Ours are the library's own numbers; MLflow's went through a data frame.
_TOLERANCE = 1e-9
_PARTS = ("estimates", "eligibility")


# Compares the body of an answer with what is expected; returns what is wrong, or None.
CheckAnswer = Callable[[Any, str], str | None]


def check_echo(expected: Any, body: str) -> str | None:
    """Compare with what was sent."""
    return None if json.loads(body) == expected else "not what was sent"


def check_estimates(expected: Any, body: str) -> str | None:
    """Compare with the library's answer to one assessment, up to rounding."""
    return compare_answers(json.loads(body), expected)


def check_batch(expected: Any, body: str) -> str | None:
    """Compare with the library's answer to each assessment of a request, up to rounding."""
    results = json.loads(body)["results"]
    if len(results) != len(expected):
        return "number of results"
    compared = map(compare_answers, results, expected)
    return next((part for part in compared if part is not None), None)


def check_brief_batch(expected: Any, body: str) -> str | None:
    """Compare with the full answers, as far as brief ones have the same parts."""
    results = json.loads(body)["results"]
    same = len(results) == len(expected) and all(map(is_shortened, results, expected))
    return None if same else "not the full answer, shortened"


def check_mlflow(expected: Any, body: str) -> str | None:
    """Compare MLflow's table with the library's probability, or with none."""
    (row,) = json.loads(body)["predictions"]
    probability = row["probability"]
    # It has not a number, or null, where the library gives no probability.
    absent = probability is None or math.isnan(probability)
    if absent or expected is None:
        return None if absent and expected is None else "probability"
    same = math.isclose(probability, expected, rel_tol=0, abs_tol=_TOLERANCE)
    return None if same else "probability"


def compare_answers(answer: dict[str, Any], expected: dict[str, Any]) -> str | None:
    """Name the first part of an answer that differs from the library's; None if none does."""
    return next((p for p in _PARTS if not _is_close(answer.get(p), expected[p])), None)


def is_shortened(brief: dict[str, Any], full: dict[str, Any]) -> bool:
    """Return whether a brief answer has the full one's probabilities, and nothing of its own."""
    return len(brief["estimates"]) == len(full["estimates"]) and all(
        _is_close({n: v for n, v in short.items() if v not in (None, [])}, long, part=True)
        and _is_close(short["probability"], long["probability"])
        for short, long in zip(brief["estimates"], full["estimates"], strict=True)
    )


def _is_close(first: Any, second: Any, part: bool = False) -> bool:
    """Return whether two JSON values are equal up to rounding; with `part`, names may be missing.

    Examples
    --------
    >>> _is_close({"p": [0.1 + 0.2, None]}, {"p": [0.3, None], "q": 1}, part=True)
    True
    >>> _is_close(0.3, 0.3001), _is_close([1], [1, 2])
    (False, False)
    """
    if isinstance(first, dict) and isinstance(second, dict):
        known = first.keys() <= second.keys() if part else first.keys() == second.keys()
        return known and all(_is_close(first[name], second[name], part) for name in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(
            _is_close(*pair, part) for pair in zip(first, second, strict=True)
        )
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(first == second)
