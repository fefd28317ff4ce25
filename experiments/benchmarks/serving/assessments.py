"""The questions of the serving benchmark: simulated assessments, some with few fields."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from experiments.simulator import find_world, simulate
from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Kind
from features.records.assessment import read_assessments
from serving.estimates.predictor import Predictor

Assessment = dict[str, Any]
_SEED = 11
_PATIENTS = 700  # about 450 of them have depression
# Every fourth has what is required and a little more.
_SPARSE_EVERY, _SPARSE_FIELDS = 4, 8
_SCORES = ("phq9", "gad7", "pcl5", "madrs")


@dataclass(frozen=True)
class Questions:
    """Assessments as JSON objects, with what the library answers to each."""

    assessments: tuple[Assessment, ...]
    predictor: Predictor

    def answer(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Answer some assessments in one batch by the library, as JSON gives it back.

        The last digit may depend on the batch, as its size decides the order of summation.
        """
        columns = read_assessments([self.assessments[number] for number in numbers])
        answers: list[dict[str, Any]] = json.loads(json.dumps(self.predictor.estimate(columns)))
        return answers

    @cached_property
    def answers(self) -> list[dict[str, Any]]:
        """The library's answer to each."""
        return self.answer(range(len(self.assessments)))

    def take(self, start: int, count: int) -> list[int]:
        """List consecutive numbers of assessments, from the first again after the last."""
        return [(start + offset) % len(self.assessments) for offset in range(count)]


def draw_assessments(patients: int = _PATIENTS, seed: int = _SEED) -> tuple[Assessment, ...]:
    """Draw simulated patients with depression at intake."""
    table = simulate(find_world("default"), patients, seed, intake=True).cohort
    generator = np.random.default_rng(seed)
    rows = [
        {name: _convert_to_json(name, value) for name, value in row.items() if value is not None}
        for row in table.to_pylist()
        if row["condition"] == "depression"
    ]
    return tuple(
        row if number % _SPARSE_EVERY else _thin_out(row, generator)
        for number, row in enumerate(rows)
    )


def _convert_to_json(name: str, value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return int(value) if load_dictionary().fields[name].kind is Kind.INTEGER else value


def _thin_out(row: Assessment, generator: np.random.Generator) -> Assessment:
    scores = [name for name in row if name.partition("_")[0] in _SCORES]
    kept = {"patient_id", "condition", "simulated", "agent", "route", *scores}
    others = [name for name in row if name not in kept]
    kept |= set(generator.permutation(others)[:_SPARSE_FIELDS].tolist())
    return {name: value for name, value in row.items() if name in kept}
