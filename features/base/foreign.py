"""Errors of libraries and of the operating system, each as one sentence with its remedy.

A library is recognised by the name of its module, so that none is imported for it. Its own text may
hold SQL, a password or a value: it only decides which sentence is shown.
"""

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import fsdecode
from pathlib import Path
from types import MappingProxyType

from features.base.errors import (
    ArtifactError,
    InputError,
    KetamineResponseError,
    Problem,
    UnavailableError,
)

NO_ANSWER = "MLflow's server does not answer; start it, or correct MLFLOW_TRACKING_URI"
_NO_SPACE = "no space is left on the disk; free some, then run the command again"
_NO_MEMORY = "the memory was not sufficient; run it with fewer --jobs, or on a larger machine"
_REFUSED_ADDRESS = "must be the address of an MLflow server, or sqlite:////path/mlflow.db"
# What MLflow, its database and its server say, the cause included; the first match decides.
_STORE_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        r"disk is full|no space left|quota exceeded": _NO_SPACE,
        r"out-of-date database schema|can't locate revision": (
            "MLflow's database has the schema of another version of MLflow; back it up and run "
            "`mlflow db upgrade` with its address, or install the version that made it"
        ),
        r"code 40[13]|PERMISSION_DENIED|UNAUTHENTICATED|authentication failed": (
            "MLflow's server refuses this user; correct MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_TOKEN, or those in MLFLOW_TRACKING_URI"
        ),
        r"readonly database|permission denied|read-only file system|operation not permitted": (
            "MLflow's store cannot be written; give this user the right to write there"
        ),
        r"unable to open database file": (
            "MLflow's database cannot be opened; it must be a file in a folder that can be written"
        ),
        r"database is locked": "MLflow's database is in use by another process; try again later",
        r"not a database|malformed": "MLflow's database is damaged; restore it from a backup",
        r"disk I/O error": "the disk of MLflow's database is full or fails; check it",
        r"max retries|refused|timed out|timeout|resolve|unreachable|aborted|closed the connection"
        r"|connection reset|code 50[234]|TEMPORARILY_UNAVAILABLE": NO_ANSWER,
        r"API request to": (
            "what answers at MLFLOW_TRACKING_URI is not an MLflow server; correct the address"
        ),
    }
)
_MISSING_ARTIFACT = re.compile(r"No such artifact|No such file|failures occurred while downl")
_WRONG_ADDRESS = re.compile(
    r"[Uu]nsupported URI|registry functionality is unavailable|Invalid database"
    r"|Could not parse|load plugin|not enough values to unpack"
)
_STORE_LIBRARIES = ("mlflow", "sqlalchemy", "sqlite3", "alembic", "requests", "urllib3")
_OUR_PACKAGES = ("features", "training", "serving", "experiments")
_NOT_PERMITTED = ("permission", "this user must be permitted to read and write it")
# The rule and what it allows. Whatever is not here is not the fault of what the user named.
_PATH_RULES: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        errno.EISDIR: ("file", "must be a file, not a folder"),
        errno.ENOTDIR: ("folder", "must lie in a folder, or where one can be made"),
        errno.EEXIST: ("folder", "must be a folder, or a place where one can be made"),
        errno.ENOENT: ("exists", "must exist, or lie where it can be made"),
        errno.ENAMETOOLONG: ("length", "must have a shorter name"),
        errno.EROFS: ("permission", "must lie on a disk that can be written"),
        errno.EACCES: _NOT_PERMITTED,
        errno.EPERM: _NOT_PERMITTED,
    }
)
# How `open_atomic` names a file that is not complete yet.
_UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")
_MAX_QUOTED = 200


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn errors of libraries and of the operating system into ours."""
    try:
        yield
    except Exception as error:
        ours = explain_foreign(error)
        if ours is None:
            raise
        raise ours from None


def explain_foreign(error: Exception) -> KetamineResponseError | None:
    """Explain a foreign error; None if it is ours already, or a fault of this program.

    Examples
    --------
    >>> str(explain_foreign(OSError(28, "No space left on device", "scores.csv")))
    'scores.csv: no space is left on the disk; free some, then run the command again'
    >>> explain_foreign(KeyError("phq9")) is None
    True
    """
    library = type(error).__module__.partition(".")[0]
    if library in _STORE_LIBRARIES:
        return _explain_store(str(error))
    if library == "pyarrow":
        message = "is damaged, or holds a kind of column that cannot be read"
        return InputError([Problem("file", "arrow", message)])
    if library == "bentoml":
        return UnavailableError(f"BentoML: {_quote_line(str(error))}")
    if isinstance(error, MemoryError) or type(error).__name__ == "TerminatedWorkerError":
        return UnavailableError(_NO_MEMORY)
    if isinstance(error, UnicodeError):
        return InputError([Problem("file", "encoding", "must be text in UTF-8")])
    if isinstance(error, ModuleNotFoundError):
        return _explain_missing(error)
    return _explain_system(error) if isinstance(error, OSError) else None


def _explain_store(text: str) -> KetamineResponseError:
    if _WRONG_ADDRESS.search(text):
        problem = Problem("MLFLOW_TRACKING_URI", "url", _REFUSED_ADDRESS)
        return InputError([problem], source="environment")
    if _MISSING_ARTIFACT.search(text):
        message = "a file of the registered version is missing; restore the artifacts, or fit again"
        return ArtifactError(message)
    for pattern, sentence in _STORE_SENTENCES.items():
        if re.search(pattern, text, re.IGNORECASE):
            return UnavailableError(sentence)
    return UnavailableError(f"MLflow's store cannot be used: {_quote_line(text)}")


def _quote_line(text: str) -> str:
    # SQL and its parameters follow the first line.
    line = text.strip().partition("\n")[0]
    return re.sub(r"//[^/@\s]*@", "//", line)[:_MAX_QUOTED]


def _explain_missing(error: ModuleNotFoundError) -> KetamineResponseError | None:
    package = (error.name or "").partition(".")[0]
    if not package or package in _OUR_PACKAGES:
        return None
    return UnavailableError(f"this needs the package {package}; install it")


def _explain_system(error: OSError) -> KetamineResponseError | None:
    # Of a pipe whose reader has gone, the library of the commands takes care.
    if isinstance(error, BrokenPipeError):
        return None
    name, number = _name_file(error), _find_number(error)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UnavailableError(f"{name}: {_NO_SPACE}" if name else _NO_SPACE)
    if number in _PATH_RULES:
        return InputError([Problem(name or "file", *_PATH_RULES[number])])
    reason = error.strerror or type(error).__name__
    return UnavailableError(f"{name}: {reason}" if name else f"the system refuses: {reason}")


def _find_number(error: OSError) -> int:
    # A copied folder's error holds those of its files, as text.
    inner = re.search(r"\[Errno (\d+)\]", str(error))
    return error.errno or (int(inner[1]) if inner else 0)


def _name_file(error: OSError) -> str:
    # Of a rename, the second is the one that the user named.
    path = error.filename2 or error.filename
    if not isinstance(path, str | bytes):
        return ""
    name = Path(fsdecode(path)).name
    while match := _UNFINISHED.fullmatch(name):
        name = match[1]
    return name
