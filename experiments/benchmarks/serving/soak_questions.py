"""What the soak asks: mostly good requests, and every kind of bad one."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from experiments.benchmarks.serving.assessments import Assessment
from experiments.benchmarks.serving.contestants.roster import dump
from experiments.benchmarks.serving.load import render_request

PREDICT, BATCH = "predict", "batch"
SHARES = {PREDICT: 0.90, BATCH: 0.05}  # the rest is bad
BATCH_PATIENTS = 20
TOO_MANY_BYTES = 1 << 21


@dataclass(frozen=True)
class Question:
    """One request, and what may come back.

    Parameters
    ----------
    allowed
        Statuses beside 503.
    asked
        Numbers of its assessments; None is one that breaks a rule.
    """

    kind: str
    request: bytes
    allowed: int
    asked: tuple[int | None, ...] = ()


WriteQuestion = Callable[[Assessment, str | None], tuple[int, bytes]]


def ask_bad(body: bytes, token: str | None, **changes: str) -> bytes:
    """Write a request about one assessment that is not as it should be."""
    return render_request(changes.pop("path", "/predict"), body, token, **changes)


BAD: dict[str, WriteQuestion] = {
    "broken JSON": lambda one, token: (400, ask_bad(dump(one)[:-7], token)),
    "no JSON object": lambda one, token: (400, ask_bad(dump([one]), token)),
    "wrong type": lambda one, token: (400, ask_bad(dump({**one, "age": "44"}), token)),
    "out of range": lambda one, token: (400, ask_bad(dump({**one, "age": 444}), token)),
    "NaN": lambda one, token: (400, ask_bad(dump({**one, "age": float("nan")}), token)),
    "unknown name": lambda one, token: (400, ask_bad(dump({**one, "shoe_size": 44}), token)),
    "a name twice": lambda one, token: (
        400,
        ask_bad(dump(one)[:-1] + b',"condition":"depression"}', token),
    ),
    "wrong content type": lambda one, token: (
        415,
        ask_bad(dump(one), token, content_type="text/plain"),
    ),
    "too large": lambda one, token: (
        413,
        ask_bad(dump({**one, "note": "x" * TOO_MANY_BYTES}), token),
    ),
    "wrong path": lambda one, token: (404, ask_bad(dump(one), token, path="/predictions")),
}


def draw_questions(
    assessments: Sequence[Assessment], token: str | None, seed: int
) -> Iterator[Question]:
    """Draw questions without end."""
    generator = random.Random(seed)
    while True:
        at = generator.random()
        if at < SHARES[PREDICT]:
            yield ask_one(generator.randrange(len(assessments)), assessments, token)
        elif at < SHARES[PREDICT] + SHARES[BATCH]:
            numbers = generator.choices(range(len(assessments)), k=BATCH_PATIENTS)
            yield ask_many(numbers, assessments, token)
        else:
            kind = generator.choice(list(BAD))
            status, request = BAD[kind](generator.choice(assessments), token)
            yield Question(kind, request, status)


def ask_one(number: int, assessments: Sequence[Assessment], token: str | None) -> Question:
    """Ask for one estimate."""
    request = render_request("/predict", dump(assessments[number]), token)
    return Question(PREDICT, request, 200, (number,))


def ask_many(
    numbers: Sequence[int], assessments: Sequence[Assessment], token: str | None
) -> Question:
    """Ask for a batch, one row of which breaks a rule and must not harm its neighbours."""
    broken = {**assessments[numbers[0]], "age": 444}
    rows = [broken, *(assessments[number] for number in numbers)]
    request = render_request("/predict_batch", dump({"assessments": rows}), token)
    return Question(BATCH, request, 200, (None, *numbers))
