"""What the soak has seen so far: every answer checked the moment that it comes."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.benchmarks.serving.answers import is_close
from experiments.benchmarks.serving.load import Answer
from experiments.benchmarks.serving.soak_questions import PREDICT, Question

UNAVAILABLE, LOST = 503, "lost"
MOST_COMPLAINTS = 20
Results = Sequence[Mapping[str, Any]]


@dataclass
class Watch:
    """Counts, complaints, and when what happened.

    Parameters
    ----------
    expected
        What the library says of every assessment, by the digest of the champion.
    now
        Seconds since the soak began.
    statuses
        Numbers of answers by kind of question and status.
    champions
        Numbers of estimates by the second and the champion's digest.
    changes
        When a change of champion began, when it was in the store, and its digest.
    lost
        When connections were lost.
    """

    expected: Mapping[str, Results]
    now: float = 0.0
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    champions: Counter[tuple[int, str]] = field(default_factory=Counter)
    changes: list[tuple[float, float, str]] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    request_ids: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)
    compared: int = 0

    def note_lost(self, question: Question) -> None:
        """Note a question that was not answered."""
        self.statuses[question.kind, LOST] += 1
        self.lost.append(self.now)

    def note(self, question: Question, answer: Answer) -> None:
        """Note an answer, and check it."""
        self.statuses[question.kind, str(answer.status)] += 1
        retry = answer.status == UNAVAILABLE and answer.get_header("retry-after") is not None
        if answer.status != question.allowed and not retry:
            self._complain(self.forbidden, f"{question.kind}: {answer.status}")
        elif answer.status == 200:
            self._check(question, answer)

    def _check(self, question: Question, answer: Answer) -> None:
        body = json.loads(answer.body)
        self.request_ids.add(body["request_id"])
        results = [body] if question.kind == PREDICT else body["results"]
        if len(results) != len(question.asked):
            self._complain(self.wrong, f"{question.kind}: number of results")
            return
        for number, result in zip(question.asked, results, strict=True):
            self.compared += 1
            if complaint := self._compare(number, result):
                self._complain(self.wrong, f"{question.kind}: {complaint}")

    def _compare(self, number: int | None, result: Mapping[str, Any]) -> str | None:
        if number is None:
            return None if set(result) == {"errors"} else "a row that breaks a rule was answered"
        digests = {estimate["model"]["digest"] for estimate in result.get("estimates", ())}
        if len(digests) != 1 or not digests <= self.expected.keys():
            return "no estimate of one of the champions"
        (digest,) = digests
        self.champions[int(self.now), digest] += 1
        whole = self.expected[digest][number]
        parts = ("estimates", "eligibility")
        return next(
            (f"other {part}" for part in parts if not is_close(result[part], whole[part])), None
        )

    def _complain(self, complaints: list[str], text: str) -> None:
        if len(complaints) < MOST_COMPLAINTS:
            complaints.append(f"{text} after {self.now:.0f} s")
