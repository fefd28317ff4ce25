"""What happens in a soak: counts, complaints, and times of events."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from experiments.benchmarks.serving.answers import compare_answers
from experiments.benchmarks.serving.soak_questions import PREDICT, SoakQuestion

_TOO_LARGE, _UNAVAILABLE = 413, 503
_LOST, _CLOSED = "lost", "closed"
# The first of them say what is wrong; a half hour could bring a hundred thousand.
_MAX_COMPLAINTS = 20
LibraryAnswers = Sequence[Mapping[str, Any]]


@dataclass
class Watch:
    """What has happened so far."""

    # The library's answer to every assessment, by the champion's digest
    expected: Mapping[str, LibraryAnswers]
    now: float = 0.0  # Seconds since the soak began
    # Numbers of answers by kind of question and status
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Numbers of estimates by second and champion's digest
    champions: Counter[tuple[int, str]] = field(default_factory=Counter)
    # For each change of champion, when it began, when it was in the store, and its digest
    changes: list[tuple[float, float, str]] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)  # When connections were lost
    memory: list[tuple[float, float]] = field(default_factory=list)
    request_ids: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)
    compared: int = 0

    def note_lost(self, question: SoakQuestion) -> None:
        """Record a question without an answer."""
        # While a body that is too large is still being sent, the reset can overtake the 413.
        if question.allowed == _TOO_LARGE:
            self.statuses[question.kind, _CLOSED] += 1
            return
        self.statuses[question.kind, _LOST] += 1
        self.lost.append(self.now)

    def note_answer(self, question: SoakQuestion, answer: httpx.Response) -> None:
        """Record an answer, and check it."""
        status = answer.status_code
        self.statuses[question.kind, str(status)] += 1
        retry = status == _UNAVAILABLE and "retry-after" in answer.headers
        if status != question.allowed and not retry:
            self._complain(self.forbidden, f"{question.kind}: {status}")
        elif status == 200:
            self._check(question, answer.json())

    def _check(self, question: SoakQuestion, body: dict[str, Any]) -> None:
        self.request_ids.add(body["request_id"])
        results = [body] if question.kind == PREDICT else body["results"]
        if len(results) != len(question.numbers):
            self._complain(self.wrong, f"{question.kind}: number of results")
            return
        for number, result in zip(question.numbers, results, strict=True):
            self.compared += 1
            if complaint := self._compare(number, result):
                self._complain(self.wrong, f"{question.kind}: {complaint}")

    def _compare(self, number: int | None, result: dict[str, Any]) -> str | None:
        if number is None:
            return None if set(result) == {"errors"} else "a row that breaks a rule was answered"
        digests = {estimate["model"]["digest"] for estimate in result.get("estimates", ())}
        if len(digests) != 1 or not digests <= self.expected.keys():
            return "no estimate of one of the champions"
        (digest,) = digests
        self.champions[int(self.now), digest] += 1
        part = compare_answers(result, dict(self.expected[digest][number]))
        return None if part is None else f"other {part}"

    def _complain(self, complaints: list[str], text: str) -> None:
        if len(complaints) < _MAX_COMPLAINTS:
            complaints.append(f"{text} after {self.now:.0f} s")
