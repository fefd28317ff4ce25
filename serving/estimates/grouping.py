"""Grouping: concurrent requests for one estimate each are answered as a batch.

Inference costs nearly as much for one assessment as for a dozen. An idle service answers at once;
requests arriving during inference form the next batch.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from features.base.errors import Problem
from features.records.assessment import parse_rows
from serving.estimates.predictor import Detail, Predictor
from serving.estimates.roster import Roster

# Assessments in one batch: a larger one would delay the requests that arrive next.
MAX_TOGETHER = 32
Problems = list[Problem]
Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """One assessment's result, or the rules that it breaks, with the predictor that gave it."""

    predictor: Predictor
    result: Result | Problems


@dataclass(repr=False)  # a repr would show the assessments that wait
class Grouping:
    """Answers assessments in batches, as they arrive."""

    roster: Roster
    _waiting: list[tuple[Any, "asyncio.Future[Reply]"]] = field(default_factory=list)

    async def ask(self, assessment: Mapping[str, Any]) -> Reply:
        """Answer one assessment; raise UnavailableError if there is no champion."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        self._waiting.append((assessment, future))
        if len(self._waiting) == 1:
            # After the other requests that the loop has already received.
            loop.call_soon(self._answer)
        return await future

    def _answer(self) -> None:
        group, self._waiting = self._waiting[:MAX_TOGETHER], self._waiting[MAX_TOGETHER:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._answer)
        # A client that disconnected has cancelled its future.
        group = [waiting for waiting in group if not waiting[1].done()]
        try:
            replies = self._reply([assessment for assessment, _ in group])
        except Exception as error:
            self._answer_apart(group, error)
            return
        for (_, future), reply in zip(group, replies, strict=True):
            future.set_result(reply)

    def _reply(self, rows: Sequence[Any]) -> list[Reply]:
        predictor = self.roster.require()
        return [Reply(predictor, result) for result in answer_rows(predictor, rows)]

    # One that fails must not fail the others.
    def _answer_apart(self, group: Sequence[tuple[Any, Any]], error: Exception) -> None:
        if len(group) == 1:
            group[0][1].set_exception(error)
            return
        for assessment, future in group:
            try:
                future.set_result(self._reply([assessment])[0])
            except Exception as own:
                future.set_exception(own)


def answer_rows(
    predictor: Predictor, rows: Sequence[Any], detail: Detail = "full"
) -> list[Result | Problems]:
    """Answer the valid rows; list the rules that the others break."""
    objects = [row if isinstance(row, dict) else {} for row in rows]
    columns, problems = parse_rows(objects, dictionary=predictor.dictionary)
    errors = _sort_by_row(problems)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            errors[number] = [Problem("assessment", "type", "must be an object")]
    # Fast path of the lines below: usually every row is valid.
    if not errors:
        return [*predictor.estimate(columns, detail)]
    numbers = range(1, len(rows) + 1)
    valid = np.array([number not in errors for number in numbers], dtype=bool)
    answers = iter(predictor.estimate(columns.select(valid), detail))
    return [errors[number] if number in errors else next(answers) for number in numbers]


def _sort_by_row(problems: Sequence[Problem]) -> dict[int, Problems]:
    by_row: dict[int, Problems] = {}
    for problem in problems:
        for row in problem.rows:
            by_row.setdefault(row, []).append(replace(problem, rows=()))
    return by_row
