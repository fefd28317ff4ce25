"""MLflow inside a program that uses it for itself, such as a notebook with a run of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow.store.db import utils as mlflow_database
from mlflow.tracking import fluent
from mlflow.tracking._tracking_service import utils as tracking
from mlflow.utils.autologging_utils import disable_autologging


@contextmanager
def keep_mlflow() -> Iterator[None]:
    """Hide the host's MLflow in the block and give it back unchanged.

    What is logged in the block is ours alone: the host's active run is out of sight, and its
    autologging, which would log our fits and their data, is off.
    """
    # MLflow has no public door to them: ending a run and resuming it would change its times.
    states = (fluent._active_run_stack, fluent._last_active_run_id, fluent._last_logged_model_id)
    before = [state.get() for state in states]
    address, attempts = tracking._tracking_uri, mlflow_database.MAX_RETRY_COUNT
    fluent._active_run_stack.set([])
    try:
        with disable_autologging():
            yield
    finally:
        for state, value in zip(states, before, strict=True):
            state.set(value)
        mlflow_database.MAX_RETRY_COUNT = attempts
        mlflow.set_tracking_uri(address)
