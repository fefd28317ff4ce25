"""Where a batch's time goes: the steps of its answer, one after another in this process."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import orjson

from experiments.benchmarks.serving.assessments import Questions
from experiments.processes import stay_on
from features.records.assessment import parse_rows
from features.records.columns import Columns
from serving.base.bodies import parse_json
from serving.estimates.predictor import Detail
from serving.http.endpoints import ANSWERED_TOGETHER

# An odd number of repeats, so that the median is one of them.
_PATIENTS, _REPEATS = 1000, 9


@dataclass(frozen=True)
class Step:
    """One step of an answer, in microseconds per patient."""

    name: str
    full: float
    brief: float


def profile_batches(questions: Questions, core: int | None) -> list[Step]:
    """Time the steps of a batch of 1,000 on the servers' core."""
    with stay_on(core):
        full = dict(_time_steps(questions, "full"))
        brief = dict(_time_steps(questions, "brief"))
    return [Step(name, full[name], brief[name]) for name in full]


def _time_steps(questions: Questions, detail: Detail) -> Iterator[tuple[str, float]]:
    # Every step gets objects of its own: a second parse of the same strings would be faster.
    # The last is the lower bound of any service that speaks JSON.
    rows = [questions.assessments[number] for number in questions.take(0, _PATIENTS)]
    body, predictor = json.dumps({"assessments": rows}).encode(), questions.predictor

    def part() -> list[list[Any]]:
        fresh = parse_json(body)["assessments"]
        return [
            fresh[start : start + ANSWERED_TOGETHER]
            for start in range(0, _PATIENTS, ANSWERED_TOGETHER)
        ]

    def read() -> list[Columns]:
        return [parse_rows(rows)[0] for rows in part()]

    def estimate() -> list[Any]:
        return [predictor.estimate(columns, detail) for columns in read()]

    yield "read JSON, strictly", _time_step(lambda: body, parse_json)
    yield "assessments to columns, every rule", _time_step(part, lambda p: [*map(parse_rows, p)])
    yield (
        "estimates",
        _time_step(read, lambda parts: [predictor.estimate(c, detail) for c in parts]),
    )
    yield "write JSON", _time_step(estimate, lambda parts: [*map(orjson.dumps, parts)])
    answer = b"[%b]" % b",".join(map(orjson.dumps, estimate()))
    bound = _time_step(
        lambda: orjson.loads(answer), lambda a: (orjson.loads(body), orjson.dumps(a))
    )
    yield "for comparison: orjson alone, in and out", bound


# The median over repeats; preparing is not timed.
def _time_step(prepare: Callable[[], Any], step: Callable[[Any], Any]) -> float:
    seconds = []
    for _ in range(_REPEATS):
        prepared = prepare()
        start = perf_counter()
        step(prepared)
        seconds.append(perf_counter() - start)
    return median(seconds) / _PATIENTS * 1e6
