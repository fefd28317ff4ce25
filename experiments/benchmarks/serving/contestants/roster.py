"""Who is compared: how each is started, what it is asked, and what it must answer."""

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from experiments.benchmarks.serving.answers import (
    expect_any_probability,
    expect_batch,
    expect_brief_batch,
    expect_estimates,
    expect_probability,
    expect_same,
)
from experiments.benchmarks.serving.assessments import Assessment, Questions
from experiments.benchmarks.serving.load import render_request
from experiments.benchmarks.serving.load.connection import HOST
from experiments.benchmarks.serving.load.measurement import ROOT, CheckAnswer
from experiments.benchmarks.serving.served_model import OUTCOME
from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Kind
from training.registry.signature import list_inputs

PACKAGE = "experiments.benchmarks.serving.contestants"
SINGLE, ALONE = (1, 16), (1,)
# Different requests with a batch; each has other assessments in it.
BATCHES = 9
TEXTS = (Kind.CATEGORY, Kind.TEXT, Kind.DATE)

WriteRequests = Callable[[Questions, str | None], list[bytes]]


@dataclass(frozen=True)
class Task:
    """What a contestant is asked.

    Parameters
    ----------
    patients
        In each request.
    connections
        Numbers of them at which it is measured. A second batch beside the first would only wait
        for the same core.
    """

    name: str
    label: str
    write: WriteRequests
    check: Callable[[Questions], CheckAnswer]
    patients: int = 1
    connections: tuple[int, ...] = SINGLE


@dataclass(frozen=True)
class Contestant:
    """A service.

    Parameters
    ----------
    modules
        What must be installed.
    command
        What starts it at a port.
    ready
        Path that answers 200 once it is ready.
    learns
        Whether it fits a model of its own when it starts.
    """

    name: str
    modules: tuple[str, ...]
    command: Callable[[int], list[str]]
    ready: str
    tasks: tuple[Task, ...]
    learns: bool = False

    @property
    def absent(self) -> tuple[str, ...]:
        """Modules that it needs and that are not installed."""
        return tuple(name for name in self.modules if importlib.util.find_spec(name) is None)


def start_ours(port: int) -> list[str]:
    """Start our service."""
    return [sys.executable, "-m", "serving", "serve", "--port", str(port)]


def start_echo(port: int) -> list[str]:
    """Start the echo under BentoML."""
    place = ("--working-dir", str(ROOT), "--host", HOST, "--port", str(port))
    return [sys.executable, "-m", "bentoml", "serve", f"{PACKAGE}.echo:Echo", *place]


def start_fastapi(module: str) -> Callable[[int], list[str]]:
    """Start an application under uvicorn, with the faster loop and parser."""
    fast = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")

    def start(port: int) -> list[str]:
        built = ("--factory", f"{PACKAGE}.{module}:build_app")
        return [sys.executable, "-m", "uvicorn", *built, "--host", HOST, "--port", str(port), *fast]

    return start


def start_mlflow(port: int) -> list[str]:
    """Start MLflow's own scoring server with the registered champion."""
    place = ("--env-manager", "local", "--host", HOST, "--port", str(port), "--workers", "1")
    model = ("-m", f"models:/{OUTCOME}@champion")
    return [sys.executable, "-m", "mlflow", "models", "serve", *model, *place]


def dump(plain: Any) -> bytes:
    """Write JSON without spaces, as clients do."""
    return json.dumps(plain, separators=(",", ":")).encode()


def write_assessments(questions: Questions, token: str | None) -> list[bytes]:
    """Write one request for each assessment."""
    return [render_request("/predict", dump(one), token) for one in questions.assessments]


def write_batches(patients: int, detail: str | None = None) -> WriteRequests:
    """Write requests with so many assessments in each."""

    def write(questions: Questions, token: str | None) -> list[bytes]:
        bodies = []
        for number in range(BATCHES):
            asked = [
                questions.assessments[at] for at in questions.take(number * patients, patients)
            ]
            bodies.append({"assessments": asked} | ({"detail": detail} if detail else {}))
        return [render_request("/predict_batch", dump(body), token) for body in bodies]

    return write


def write_records(questions: Questions, token: str | None) -> list[bytes]:
    """Write requests as MLflow wants them: a data frame of what the signature has."""
    names = [field.name for field in list_inputs(questions.predictor.champions[0].model.card)]
    bodies = [{"dataframe_records": [write_record(one, names)]} for one in questions.assessments]
    return [render_request("/invocations", dump(body), token) for body in bodies]


def write_record(assessment: Assessment, names: list[str]) -> dict[str, Any]:
    """Write an assessment with flags and integers as floating-point numbers."""
    return {
        name: value if load_dictionary().fields[name].kind in TEXTS else float(value)
        for name, value in assessment.items()
        if name in names
    }


def make_batch_task(patients: int, detail: str | None) -> Task:
    """Make the task of answering so many assessments at once."""
    expect = expect_brief_batch if detail else expect_batch
    return Task(
        f"batch_{patients}{'_brief' if detail else ''}",
        f"ours, batch of {patients:,}{', brief' if detail else ''}",
        write_batches(patients, detail),
        lambda questions: expect(questions, patients),
        patients,
        ALONE,
    )


FASTAPI = ("fastapi", "uvicorn", "uvloop", "httptools", "orjson")
CONTESTANTS: Mapping[str, Contestant] = MappingProxyType(
    {
        one.name: one
        for one in (
            Contestant(
                "echo", ("bentoml",), start_echo, "/readyz",
                (Task("echo", "BentoML, echo", write_assessments, expect_same),),
            ),
            Contestant(
                "ours", ("bentoml",), start_ours, "/readyz",
                (Task("ours", "ours", write_assessments, expect_estimates),),
            ),
            Contestant(
                "batch", ("bentoml",), start_ours, "/readyz",
                tuple(
                    make_batch_task(patients, detail)
                    for detail in (None, "brief") for patients in (100, 1000)
                ),
            ),
            Contestant(
                "fastapi", FASTAPI, start_fastapi("fastapi_predictor"), "/readyz",
                (Task("fastapi", "FastAPI, our predictor", write_assessments, expect_estimates),),
            ),
            Contestant(
                "sklearn", FASTAPI, start_fastapi("fastapi_pipeline"), "/readyz",
                (Task("sklearn", "FastAPI, scikit-learn pipeline", write_assessments,
                      expect_any_probability),),
                learns=True,
            ),
            Contestant(
                "mlflow", ("mlflow", "uvicorn"), start_mlflow, "/ping",
                (Task("mlflow", "`mlflow models serve`", write_records, expect_probability),),
            ),
        )
    }
)  # fmt: skip
