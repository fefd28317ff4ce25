"""Grouping: assessments that come at the same time are answered in one go.

What a model does costs nearly as much for one assessment as for a dozen. Nobody waits for others:
whoever finds nobody else is answered at once, and those who come while an answer is worked out are
the next group.
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

# Together in one go; more would make those who come next wait too long.
MOST_TOGETHER = 32
Problems = list[Problem]
Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a predictor says of one assessment: a result, or what is wrong with it."""

    predictor: Predictor
    result: Result | Problems


@dataclass(repr=False)  # what waits is not to be shown, whoever asks
class Grouping:
    """Answers assessments in groups as they come."""

    roster: Roster
    _waiting: list[tuple[Any, "asyncio.Future[Reply]"]] = field(default_factory=list)

    async def ask(self, assessment: Mapping[str, Any]) -> Reply:
        """Answer one assessment.

        Raises
        ------
        UnavailableError
            If there is no champion.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        self._waiting.append((assessment, future))
        if len(self._waiting) == 1:
            # After whatever else has come in meanwhile.
            loop.call_soon(self._answer)
        return await future

    def _answer(self) -> None:
        group, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._answer)
        group = [one for one in group if not one[1].done()]
        try:
            replies = self._reply([assessment for assessment, _ in group])
            told = list(zip(group, replies, strict=True))
        except Exception as error:
            self._answer_apart(group, error)
            return
        for (_, future), reply in told:
            future.set_result(reply)

    def _reply(self, rows: Sequence[Any]) -> list[Reply]:
        predictor = self.roster.require()
        return [Reply(predictor, result) for result in answer_rows(predictor, rows)]

    def _answer_apart(self, group: Sequence[tuple[Any, Any]], error: Exception) -> None:
        """Let no assessment that nothing can be done with take others down with it."""
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
    """Answer the valid rows, and list what is wrong with the others."""
    objects = [row if isinstance(row, dict) else {} for row in rows]
    columns, problems = parse_rows(objects, dictionary=predictor.dictionary)
    errors = sort_by_row(problems)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            errors[number] = [Problem("assessment", "type", "must be an object")]
    if not errors:
        return [*predictor.estimate(columns, detail)]
    numbers = range(1, len(rows) + 1)
    valid = np.array([number not in errors for number in numbers], dtype=bool)
    answers = iter(predictor.estimate(columns.select(valid), detail))
    return [errors[number] if number in errors else next(answers) for number in numbers]


def sort_by_row(problems: Sequence[Problem]) -> dict[int, Problems]:
    """Give each row its own problems."""
    found: dict[int, Problems] = {}
    for problem in problems:
        for row in problem.rows:
            found.setdefault(row, []).append(replace(problem, rows=()))
    return found
