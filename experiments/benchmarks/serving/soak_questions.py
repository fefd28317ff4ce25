"""The soak's requests: mostly valid ones, and every kind of invalid one."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from experiments.benchmarks.serving.assessments import Assessment
from experiments.benchmarks.serving.load import HttpRequest, dump_json

PREDICT, BATCH = "predict", "batch"
_SHARES = {PREDICT: 0.90, BATCH: 0.05}  # the rest is invalid
_BATCH_PATIENTS = 20
_TOO_MANY_BYTES = 1 << 21


@dataclass(frozen=True)
class SoakQuestion:
    """One request, and what may come back."""

    kind: str
    request: HttpRequest
    allowed: int  # The expected status; 503 with ``Retry-After`` is allowed as well
    numbers: tuple[int | None, ...] = ()  # Of its assessments; None is one that breaks a rule


# An invalid request: status and body, made from a valid assessment.
INVALID: dict[str, tuple[int, Callable[[Assessment], bytes]]] = {
    "broken JSON": (400, lambda valid: dump_json(valid)[:-7]),
    "no JSON object": (400, lambda valid: dump_json([valid])),
    "wrong type": (400, lambda valid: dump_json({**valid, "age": "44"})),
    "out of range": (400, lambda valid: dump_json({**valid, "age": 444})),
    "NaN": (400, lambda valid: dump_json({**valid, "age": float("nan")})),
    "unknown name": (400, lambda valid: dump_json({**valid, "shoe_size": 44})),
    "a name twice": (400, lambda valid: dump_json(valid)[:-1] + b',"condition":"depression"}'),
    "wrong content type": (415, dump_json),
    "too large": (413, lambda valid: dump_json({**valid, "note": "x" * _TOO_MANY_BYTES})),
    "wrong path": (404, dump_json),
}
_PATHS, _TYPES = {"wrong path": "/predictions"}, {"wrong content type": "text/plain"}


def draw_questions(
    assessments: Sequence[Assessment], token: str | None, seed: int
) -> Iterator[SoakQuestion]:
    """Draw questions without end."""
    generator = random.Random(seed)
    while True:
        position = generator.random()
        if position < _SHARES[PREDICT]:
            number = generator.randrange(len(assessments))
            request = HttpRequest("/predict", dump_json(assessments[number]), token)
            yield SoakQuestion(PREDICT, request, 200, (number,))
        elif position < _SHARES[PREDICT] + _SHARES[BATCH]:
            numbers = generator.choices(range(len(assessments)), k=_BATCH_PATIENTS)
            yield _make_batch(numbers, assessments, token)
        else:
            kind = generator.choice(list(INVALID))
            yield _make_invalid(kind, generator.choice(assessments), token)


def _make_invalid(kind: str, valid: Assessment, token: str | None) -> SoakQuestion:
    status, write = INVALID[kind]
    content_type = _TYPES.get(kind, "application/json")
    request = HttpRequest(_PATHS.get(kind, "/predict"), write(valid), token, content_type)
    return SoakQuestion(kind, request, status)


def _make_batch(
    numbers: Sequence[int], assessments: Sequence[Assessment], token: str | None
) -> SoakQuestion:
    # One row breaks a rule, and must not harm its neighbours.
    broken = {**assessments[numbers[0]], "age": 444}
    rows = [broken, *(assessments[number] for number in numbers)]
    request = HttpRequest("/predict_batch", dump_json({"assessments": rows}), token)
    return SoakQuestion(BATCH, request, 200, (None, *numbers))
