"""A study fitted from within a program that has logging and MLflow of its own."""

import logging
import os
import sys
from dataclasses import dataclass
from typing import Any

import mlflow
import pytest
import threadpoolctl

import ketamine_response as kr

# As the fixture `commands` fits them: the same patients, the same settings.
STUDY = "experiments/studies/demo.toml"
SETTINGS = {
    "uncertainty": {"redevelopments": 20},
    "validation": {"resamples": 100},
    "candidates": ["base_rate", "elastic_net"],
}


def look_at_host() -> dict[str, Any]:
    """Note what a guest could change in its host."""
    active, last = mlflow.active_run(), mlflow.last_active_run()
    loggers = ("", "clinic", "mlflow", "mlflow.store.db.utils", "alembic", "optuna")
    return {
        "environment": dict(os.environ),
        "path": list(sys.path),
        "folder": os.getcwd(),  # noqa: PTH109
        "address": mlflow.get_tracking_uri(),
        "run": active and active.info.run_id,
        "last run": last and last.info.run_id,
        "levels": [logging.getLogger(name).level for name in loggers],
        "handlers": [list(logging.getLogger(name).handlers) for name in loggers],
        "threads": [pool["num_threads"] for pool in threadpoolctl.threadpool_info()],
    }


@dataclass(frozen=True)
class Visit:
    """A fit inside a host, and the host before and after it."""

    home: Any
    result: Any
    before: dict[str, Any]
    after: dict[str, Any]
    logged: dict[str, Any]


@pytest.fixture(scope="session")
def visit(make_once, empty_store, move_home, tmp_path_factory):
    """Fit the demonstration's study from a data frame while the host has a run of its own."""
    home, host = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("host")
    move_home(empty_store, home)
    move_home(empty_store, host)
    patients = kr.simulate(1200, seed=7, world="strong")
    logging.getLogger("alembic").setLevel(logging.INFO)
    mlflow.set_tracking_uri(f"sqlite:///{host}/mlflow.db")
    with mlflow.start_run() as run:
        mlflow.sklearn.autolog(silent=True)
        before = look_at_host()
        result = kr.fit_study(kr.Study(STUDY, **SETTINGS), patients, jobs=1, home=home)
        after = look_at_host()
        mlflow.sklearn.autolog(disable=True, silent=True)
    logged = mlflow.MlflowClient().get_run(run.info.run_id).data
    mlflow.set_tracking_uri(None)
    return Visit(home, result, before, after, {"params": logged.params, "metrics": logged.metrics})
