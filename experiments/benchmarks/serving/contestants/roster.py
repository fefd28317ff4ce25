"""The contestants: how each is started, what it is asked, and how its answers are checked."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from experiments.benchmarks.installed import list_absent
from experiments.benchmarks.serving import answers
from experiments.benchmarks.serving.assessments import Assessment, Questions
from experiments.benchmarks.serving.load import CheckAnswer, HttpRequest, dump_json
from experiments.benchmarks.serving.served_model import OUTCOME
from experiments.server import HOST, ROOT
from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Kind
from training.registry.signature import list_inputs

_PACKAGE = "experiments.benchmarks.serving.contestants"
# Requests with batches; each has other assessments in it.
_BATCHES = 9
_TEXTS = (Kind.CATEGORY, Kind.TEXT, Kind.DATE)

WriteRequests = Callable[[Questions, str | None], list[HttpRequest]]


@dataclass(frozen=True)
class Task:
    """What a contestant is asked."""

    name: str
    label: str
    write: WriteRequests
    check: CheckAnswer
    patients: int = 1  # In each request
    # Numbers of them at which it is measured. A second batch at a time would only wait for the same
    # core
    connections: tuple[int, ...] = (1, 16)


@dataclass(frozen=True)
class Contestant:
    """A service."""

    name: str
    modules: tuple[str, ...]  # That it needs
    command: Callable[[int], list[str]]  # Makes the command that starts it at a port
    ready: str  # Path that answers 200 once it is ready
    tasks: tuple[Task, ...]

    @property
    def absent(self) -> tuple[str, ...]:
        """Modules that it needs and that are not installed."""
        return list_absent(self.modules)


def start_ours(port: int) -> list[str]:
    """Make the command that starts our service."""
    return [sys.executable, "-m", "serving", "serve", "--port", str(port)]


def _start_echo(port: int) -> list[str]:
    options = ("--working-dir", str(ROOT), "--host", HOST, "--port", str(port))
    return [sys.executable, "-m", "bentoml", "serve", f"{_PACKAGE}.echo:Echo", *options]


def _start_fastapi(factory: str, port: int) -> list[str]:
    # With the faster loop and parser, as ours.
    fast = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
    options = ("--factory", f"{_PACKAGE}.{factory}", "--host", HOST, "--port", str(port))
    return [sys.executable, "-m", "uvicorn", *options, *fast]


def _start_mlflow(port: int) -> list[str]:
    options = ("--env-manager", "local", "--host", HOST, "--port", str(port), "--workers", "1")
    model = ("-m", f"models:/{OUTCOME}@champion")
    return [sys.executable, "-m", "mlflow", "models", "serve", *model, *options]


def _write_echoed(questions: Questions, token: str | None) -> list[HttpRequest]:
    return [
        HttpRequest("/predict", dump_json(assessment), token, expected=assessment)
        for assessment in questions.assessments
    ]


def _write_assessments(questions: Questions, token: str | None) -> list[HttpRequest]:
    return [
        HttpRequest("/predict", dump_json(assessment), token, expected=answer)
        for assessment, answer in zip(questions.assessments, questions.answers, strict=True)
    ]


def _write_batches(
    patients: int, extra: Mapping[str, str], questions: Questions, token: str | None
) -> list[HttpRequest]:
    requests = []
    for batch in range(_BATCHES):
        numbers = questions.take(batch * patients, patients)
        body = {"assessments": [questions.assessments[number] for number in numbers], **extra}
        expected = [questions.answers[number] for number in numbers]
        requests.append(HttpRequest("/predict_batch", dump_json(body), token, expected=expected))
    return requests


def _write_records(questions: Questions, token: str | None) -> list[HttpRequest]:
    # MLflow wants a data frame of what the signature has.
    names = [field.name for field in list_inputs(questions.predictor.champions[0].model.card)]
    rows = [_convert_record(assessment, names) for assessment in questions.assessments]
    bodies = [dump_json({"dataframe_records": [row]}) for row in rows]
    return [
        HttpRequest("/invocations", body, token, expected=probability)
        for body, probability in zip(bodies, questions.probabilities, strict=True)
    ]


def _convert_record(assessment: Assessment, names: list[str]) -> dict[str, Any]:
    # Flags and integers become floating-point numbers: the signature has no other numbers.
    return {
        name: value if load_dictionary().fields[name].kind in _TEXTS else float(value)
        for name, value in assessment.items()
        if name in names
    }


def _make_batch_task(patients: int, brief: bool) -> Task:
    check = answers.check_brief_batch if brief else answers.check_batch
    return Task(
        f"batch_{patients}{'_brief' if brief else ''}",
        f"ours, batch of {patients:,}{', brief' if brief else ''}",
        partial(_write_batches, patients, {"detail": "brief"} if brief else {}),
        check,
        patients,
        (1,),
    )


_BENTOML = ("bentoml",)
_FASTAPI = ("fastapi", "uvicorn", "uvloop", "httptools", "orjson")
_ECHO = Task("echo", "BentoML, echo", _write_echoed, answers.check_echo)
_OURS = Task("ours", "ours", _write_assessments, answers.check_estimates)
_OUR_BATCHES = tuple(_make_batch_task(n, brief) for brief in (False, True) for n in (100, 1000))
_PREDICTOR = Task("fastapi", "FastAPI, our predictor", _write_assessments, answers.check_estimates)
_MLFLOW = Task("mlflow", "`mlflow models serve`", _write_records, answers.check_mlflow)

_START_PREDICTOR = partial(_start_fastapi, "fastapi_predictor:build_predictor_app")
CONTESTANTS: Mapping[str, Contestant] = MappingProxyType(
    {
        contestant.name: contestant
        for contestant in (
            Contestant("echo", _BENTOML, _start_echo, "/readyz", (_ECHO,)),
            Contestant("ours", _BENTOML, start_ours, "/readyz", (_OURS,)),
            Contestant("batch", _BENTOML, start_ours, "/readyz", _OUR_BATCHES),
            Contestant("fastapi", _FASTAPI, _START_PREDICTOR, "/readyz", (_PREDICTOR,)),
            Contestant("mlflow", ("mlflow", "uvicorn"), _start_mlflow, "/ping", (_MLFLOW,)),
        )
    }
)
