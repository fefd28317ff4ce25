"""Where a batch's time goes: the steps of its answer, one after another in this process."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from timeit import repeat
from typing import Any

import orjson

from experiments.benchmarks.assessments import Questions
from experiments.load import stay_on
from features.assessment import parse_rows
from serving.answers import STRETCH
from serving.bodies import parse_json
from serving.predictor import Detail

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
    """Time every step; the last is what no service in JSON could do without."""
    rows = [questions.assessments[number] for number in questions.take(0, PATIENTS)]
    body = json.dumps({"assessments": rows}).encode()
    parts = [rows[start : start + STRETCH] for start in range(0, PATIENTS, STRETCH)]
    columns = [parse_rows(part)[0] for part in parts]
    results = [one for part in columns for one in questions.predictor.estimate(part, detail)]
    answer = {"request_id": "0" * 32, "results": results}
    yield "read JSON, strictly", time_step(lambda: parse_json(body))
    yield "assessments to columns, every rule", time_step(lambda: [*map(parse_rows, parts)])
    yield "estimates", time_step(lambda: [questions.predictor.estimate(c, detail) for c in columns])
    yield "write JSON", time_step(lambda: orjson.dumps(answer))
    bound = time_step(lambda: (orjson.loads(body), orjson.dumps(answer)))
    yield "for comparison: orjson alone, in and out", bound


def time_step(step: Callable[[], Any]) -> float:
    """Time a step: median of several, in microseconds a patient, garbage left lying."""
    return median(repeat(step, number=1, repeat=REPEATS)) / PATIENTS * MICROSECONDS
