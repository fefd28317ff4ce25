"""Where a batch's time goes: the steps of its answer, one after another in this process."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import orjson

from experiments.benchmarks.serving.assessments import Questions
from experiments.benchmarks.serving.load import stay_on
from features.records.assessment import parse_rows
from features.records.columns import Columns
from serving.base.bodies import parse_json
from serving.estimates.predictor import Detail
from serving.http.endpoints import ANSWERED_TOGETHER

PATIENTS = 1000
REPEATS = 9
MICROSECONDS = 1e6


@dataclass(frozen=True)
class Step:
    """One step of an answer, in microseconds a patient."""

    name: str
    full: float
    brief: float


def profile_batches(questions: Questions, core: int | None) -> list[Step]:
    """Time the steps of a batch of 1,000 on the core that servers have."""
    with stay_on(core):
        full = dict(time_steps(questions, "full"))
        brief = dict(time_steps(questions, "brief"))
    return [Step(name, full[name], brief[name]) for name in full]


def time_steps(questions: Questions, detail: Detail) -> Iterator[tuple[str, float]]:
    """Time every step on what it has never met; the last no service in JSON could do without."""
    rows = [questions.assessments[number] for number in questions.take(0, PATIENTS)]
    body, predictor = json.dumps({"assessments": rows}).encode(), questions.predictor

    def part() -> list[list[Any]]:
        fresh = parse_json(body)["assessments"]
        return [
            fresh[start : start + ANSWERED_TOGETHER]
            for start in range(0, PATIENTS, ANSWERED_TOGETHER)
        ]

    def read() -> list[Columns]:
        return [parse_rows(rows)[0] for rows in part()]

    def estimate() -> list[Any]:
        return [predictor.estimate(columns, detail) for columns in read()]

    yield "read JSON, strictly", time_step(lambda: body, parse_json)
    yield "assessments to columns, every rule", time_step(part, lambda p: [*map(parse_rows, p)])
    yield "estimates", time_step(read, lambda parts: [predictor.estimate(c, detail) for c in parts])
    yield "write JSON", time_step(estimate, lambda parts: [*map(orjson.dumps, parts)])
    answer = b"[%b]" % b",".join(map(orjson.dumps, estimate()))
    bound = time_step(lambda: orjson.loads(answer), lambda a: (orjson.loads(body), orjson.dumps(a)))
    yield "for comparison: orjson alone, in and out", bound


def time_step(prepare: Callable[[], Any], step: Callable[[Any], Any]) -> float:
    """Time a step: median of several, in microseconds a patient."""
    seconds = []
    for _ in range(REPEATS):
        given = prepare()
        start = perf_counter()
        step(given)
        seconds.append(perf_counter() - start)
    return median(seconds) / PATIENTS * MICROSECONDS
