"""Calls in a host's process leave its environment, loggers and threads as they were."""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock

from features.base.commands import show_progress
from features.base.foreign import translate_errors
from features.base.home import Home, visit_home
from training.registry.host import keep_mlflow

# The environment, MLflow's address and the loggers are the process's: one call at a time.
_turn = RLock()


@contextmanager
def visit(home: str | Path | None, progress: bool = False) -> Iterator[Home]:
    """Do what a command does, in its home, and leave the host's process as it was.

    Environment, ``sys.path``, loggers, MLflow's address and active run are restored. Errors of
    libraries become ours. Nothing is printed, save progress on stderr if that is wanted.
    """
    with ExitStack() as stack:
        stack.enter_context(_turn)
        stack.enter_context(translate_errors())
        stack.enter_context(show_progress(progress))
        entered = stack.enter_context(visit_home(home))
        stack.enter_context(_keep_path())
        stack.enter_context(_keep_loggers())
        stack.enter_context(keep_mlflow())
        yield entered


@contextmanager
def _keep_path() -> Iterator[None]:
    # MLflow adds the code of a model that it logs.
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before


# Loggers whose levels our commands set, known or not before the call.
_QUIETED = ("mlflow", "mlflow.store.db.utils", "alembic", "optuna")


@contextmanager
def _keep_loggers() -> Iterator[None]:
    named = [name for name, it in logging.root.manager.loggerDict.items() if _is_logger(it)]
    loggers = [logging.getLogger(name) for name in (None, *{*named, *_QUIETED})]
    before = [(it, it.level, list(it.handlers), it.propagate, it.disabled) for it in loggers]
    try:
        yield
    finally:
        for logger, level, handlers, propagate, disabled in before:
            # By the method, which forgets what loggers below remember of the level.
            logger.setLevel(level)
            logger.handlers[:] = handlers
            logger.propagate, logger.disabled = propagate, disabled


def _is_logger(entry: object) -> bool:
    return isinstance(entry, logging.Logger)
