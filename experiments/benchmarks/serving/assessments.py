"""What is asked in the benchmark of serving: simulated assessments, some with few fields."""

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
SEED = 11
PATIENTS = 700  # of whom about 450 have depression
# Of every four, one has what is required and a little more.
SPARSE_EVERY, SPARSE_FIELDS = 4, 8
SCORES = ("phq9", "gad7", "pcl5", "madrs")


@dataclass(frozen=True)
class Questions:
    """Assessments, and what the library says of each.

    Parameters
    ----------
    assessments
        As JSON objects.
    """

    assessments: tuple[Assessment, ...]
    predictor: Predictor

    def answer(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Answer some assessments at once by the library, as JSON gives it back.

        The last digit may depend on how many are answered together.
        """
        columns = read_assessments([self.assessments[number] for number in numbers])
        answers: list[dict[str, Any]] = json.loads(json.dumps(self.predictor.estimate(columns)))
        return answers

    @cached_property
    def probabilities(self) -> list[float]:
        """Probability of each by the first champion, whether or not it would abstain."""
        columns = read_assessments(self.assessments)
        found: list[float] = self.predictor.champions[0].model.predict(columns).probability.tolist()
        return found

    def take(self, start: int, count: int) -> list[int]:
        """Take the numbers of some assessments in a row, from the first again after the last."""
        return [(start + place) % len(self.assessments) for place in range(count)]


def draw_assessments(patients: int = PATIENTS, seed: int = SEED) -> tuple[Assessment, ...]:
    """Draw simulated patients with depression who have only just come."""
    table = simulate(find_world("default"), patients, seed, intake=True).cohort
    rows = [row for row in table.to_pylist() if row["condition"] == "depression"]
    generator = np.random.default_rng(seed)
    full = [
        {name: write_value(name, value) for name, value in row.items() if value is not None}
        for row in rows
    ]
    return tuple(
        row if number % SPARSE_EVERY else thin_out(row, generator)
        for number, row in enumerate(full)
    )


def write_value(name: str, value: Any) -> Any:
    """Write a value as JSON has it."""
    if isinstance(value, date):
        return value.isoformat()
    return int(value) if load_dictionary().fields[name].kind is Kind.INTEGER else value


def thin_out(row: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    """Keep what is required, and few of the other fields: of the scores, none or all."""
    scores = [name for name in row if name.partition("_")[0] in SCORES]
    kept = {"patient_id", "condition", "simulated", "agent", "route", *scores}
    others = [name for name in row if name not in kept]
    kept |= set(generator.permutation(others)[:SPARSE_FIELDS].tolist())
    return {name: value for name, value in row.items() if name in kept}
