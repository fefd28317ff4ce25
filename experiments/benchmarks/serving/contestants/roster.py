"""The contestants: how each is started, what it is asked, and how its answers are checked."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from experiments.benchmarks.installed import list_absent
from experiments.benchmarks.serving import answers
from experiments.benchmarks.serving.assessments import Questions
from experiments.benchmarks.serving.served_model import OUTCOME
from experiments.server import HOST, ROOT
from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Kind
from training.registry.signature import list_inputs

_PACKAGE = "experiments.benchmarks.serving.contestants"
# Requests with batches; each has other assessments in it.
_BATCHES = 9
_TEXTS = (Kind.CATEGORY, Kind.TEXT, Kind.DATE)


@dataclass(frozen=True)
class Task:
    """What a contestant is asked."""

    name: str
    label: str
    path: str
    ask: Callable[[Questions], Iterable[tuple[Any, Any]]]  # Bodies, and what must be answered
    check: answers.CheckAnswer
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
    tasks: tuple[Task, ...]
    ready: str = "/readyz"  # Path that answers 200 once it is ready

    @property
    def absent(self) -> tuple[str, ...]:
        """Modules that it needs and that are not installed."""
        return list_absent(self.modules)


def _start_ours(port: int) -> list[str]:
    return [sys.executable, "-m", "serving", "serve", "--port", str(port)]


def _start_echo(port: int) -> list[str]:
    options = ("--working-dir", str(ROOT), "--host", HOST, "--port", str(port))
    return [sys.executable, "-m", "bentoml", "serve", f"{_PACKAGE}.echo:Echo", *options]


def _start_fastapi(port: int) -> list[str]:
    # With the faster loop and parser, as ours.
    fast = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
    app = ("--factory", f"{_PACKAGE}.fastapi_predictor:build_predictor_app")
    return [sys.executable, "-m", "uvicorn", *app, "--host", HOST, "--port", str(port), *fast]


def _start_mlflow(port: int) -> list[str]:
    options = ("--env-manager", "local", "--host", HOST, "--port", str(port), "--workers", "1")
    model = ("-m", f"models:/{OUTCOME}@champion")
    return [sys.executable, "-m", "mlflow", "models", "serve", *model, *options]


def _ask_echo(questions: Questions) -> Iterable[tuple[Any, Any]]:
    return zip(questions.assessments, questions.assessments, strict=True)


def _ask_estimates(questions: Questions) -> Iterable[tuple[Any, Any]]:
    return zip(questions.assessments, questions.answers, strict=True)


def _ask_batches(
    patients: int, extra: Mapping[str, str], questions: Questions
) -> Iterator[tuple[Any, Any]]:
    for batch in range(_BATCHES):
        numbers = questions.take(batch * patients, patients)
        body = {"assessments": [questions.assessments[number] for number in numbers], **extra}
        yield body, [questions.answers[number] for number in numbers]


# MLflow wants a data frame of what the signature has, and its signature has no integers or flags.
def _ask_records(questions: Questions) -> Iterator[tuple[Any, Any]]:
    names = {field.name for field in list_inputs(questions.predictor.champions[0].model.card)}
    texts = {name for name in names if load_dictionary().fields[name].kind in _TEXTS}
    for assessment, answer in zip(questions.assessments, questions.answers, strict=True):
        row = {
            name: value if name in texts else float(value)
            for name, value in assessment.items()
            if name in names
        }
        yield {"dataframe_records": [row]}, answer["estimates"][0]["probability"]


def _make_batch_task(patients: int, brief: bool) -> Task:
    return Task(
        f"batch_{patients}{'_brief' if brief else ''}",
        f"ours, batch of {patients:,}{', brief' if brief else ''}",
        "/predict_batch",
        partial(_ask_batches, patients, {"detail": "brief"} if brief else {}),
        answers.check_brief_batch if brief else answers.check_batch,
        patients,
        (1,),
    )


_BENTOML = ("bentoml",)
_FASTAPI = ("fastapi", "uvicorn", "uvloop", "httptools", "orjson")
_ECHO = Task("echo", "BentoML, echo", "/predict", _ask_echo, answers.check_echo)
_OURS = Task("ours", "ours", "/predict", _ask_estimates, answers.check_estimates)
_BATCH = tuple(
    _make_batch_task(patients, brief) for brief in (False, True) for patients in (100, 1000)
)
_PREDICTOR = replace(_OURS, name="fastapi", label="FastAPI, our predictor")
_MLFLOW = Task(
    "mlflow", "`mlflow models serve`", "/invocations", _ask_records, answers.check_mlflow
)
CONTESTANTS: Mapping[str, Contestant] = MappingProxyType(
    {
        contestant.name: contestant
        for contestant in (
            Contestant("echo", _BENTOML, _start_echo, (_ECHO,)),
            Contestant("ours", _BENTOML, _start_ours, (_OURS,)),
            Contestant("batch", _BENTOML, _start_ours, _BATCH),
            Contestant("fastapi", _FASTAPI, _start_fastapi, (_PREDICTOR,)),
            Contestant("mlflow", ("mlflow", "uvicorn"), _start_mlflow, (_MLFLOW,), "/ping"),
        )
    }
)
