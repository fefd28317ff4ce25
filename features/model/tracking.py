"""MLflow's store as far as it needs no MLflow: reached in seconds, moved with its home, and shared.

A team's store holds the models and experiments of others. Ours bear a tag. Those registered before
there was one are recognised by what each of their versions, or runs, has always had.
"""

import logging
import re
import socket
import sqlite3
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from features.base.errors import InputError, Problem, UnavailableError
from features.base.foreign import NO_ANSWER
from features.base.home import Home
from features.model.artifact import CHAMPION_ALIAS, DIGEST_TAG

EXPERIMENT = "ketamine-response"
PROJECT_TAG, PROJECT = "project", "ketamine-response"
CANDIDATE_TAG, DATA_TAG, OUTCOME_TAG = "candidate", "data", "outcome"
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Seconds for a server's first answer; MLflow itself would wait for minutes, without a word.
_ANSWER_SECONDS = 5.0
_LOCK_SECONDS = 20.0
# To connect to a database; ten by default, over a minute and a half.
MAX_ATTEMPTS = 3
_PORTS: Mapping[str, int] = MappingProxyType({"postgresql": 5432, "mysql": 3306, "mssql": 1433})
# MLflow's largest page of registered models.
_PAGE = 1000
# Where MLflow's database holds the address of artifacts.
_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def quiet_mlflow() -> None:
    """Keep MLflow's log off the user's stderr, save warnings."""
    # Both report every migration and registration at INFO.
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # It logs the traceback of every error that it raises.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


# Whether there is a store.


def check_store(home: Home) -> None:
    """Check that MLflow's store can be reached, in seconds.

    Raises
    ------
    InputError
        If its address is not one.
    UnavailableError
        If no server answers there.
    OSError, sqlite3.Error
        If its database cannot be opened.
    """
    try:
        address = urlsplit(home.tracking_uri)
        scheme, port = address.scheme.partition("+")[0], address.port
    except ValueError:
        message = "must be an address, such as http://127.0.0.1:5000"
        problem = Problem("MLFLOW_TRACKING_URI", "url", message)
        raise InputError([problem], source="environment") from None
    if scheme == "sqlite":
        _open_database(unquote(home.tracking_uri.partition("///")[2].partition("?")[0]))
    elif scheme in ("http", "https"):
        _ask_server(address)
    elif address.hostname and (port or scheme in _PORTS):
        _connect(address.hostname, port or _PORTS[scheme])


def _open_database(path: str) -> None:
    if not path or path.startswith((":memory:", "file:")):
        return
    # MLflow tries a database that cannot be opened again and again, for a minute and a half.
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=_LOCK_SECONDS)) as database:
        database.execute("PRAGMA schema_version")


def _ask_server(address: SplitResult) -> None:
    # Without the password, which urllib would take for a port; every server answers this page.
    host = address.netloc.rpartition("@")[2]
    page = address._replace(netloc=host, path=f"{address.path.rstrip('/')}/health", query="")
    try:
        urllib.request.urlopen(page.geturl(), timeout=_ANSWER_SECONDS).close()
    except urllib.error.HTTPError as error:
        # Of a proxy whose server is gone. Any other answer shows that there is a server.
        if error.code in (502, 503, 504):
            raise UnavailableError(NO_ANSWER) from None
    except (OSError, HTTPException) as error:
        # Certificates are MLflow's matter: it may be told to accept this one.
        if not isinstance(getattr(error, "reason", None), ssl.SSLError):
            raise UnavailableError(NO_ANSWER) from None


def _connect(host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), _ANSWER_SECONDS).close()
    except OSError:
        raise UnavailableError(NO_ANSWER) from None


# A home that was moved.


def relocate_artifacts(home: Home, location: str) -> None:
    """Correct the addresses in the home's database if it was moved, or copied, since they were set.

    MLflow keeps absolute ones. A copy must not read, and still less write, in the original.

    Parameters
    ----------
    location
        Where the home's artifacts are by the database.
    """
    here = home.artifacts.as_uri()
    if home.database is None or not location.startswith("file:") or location == here:
        return
    if _is_same_folder(location, home.artifacts):
        return
    with closing(sqlite3.connect(home.database, timeout=_LOCK_SECONDS)) as database, database:
        for table, column in _LOCATIONS:
            database.execute(
                f"update {table} set {column} = ? || substr({column}, ?) "
                f"where {column} = ? or substr({column}, 1, ?) = ?",
                (here, len(location) + 1, location, len(location) + 1, f"{location}/"),
            )


def _is_same_folder(location: str, folder: Path) -> bool:
    # By another name, such as a link: both addresses lead there.
    recorded = Path(unquote(urlsplit(location).path))
    return recorded.exists() and folder.exists() and folder.samefile(recorded)


# What is ours.


def read_pages(search: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Any]:
    """Read every page of one of MLflow's searches."""
    token = None
    while True:
        page = search(*arguments, **options, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def is_ours(model: Any, versions: Iterable[Any]) -> bool:
    """Return whether training registered a model, by its tag or by one of its versions."""
    return model.tags.get(PROJECT_TAG) == PROJECT or any(
        _DIGEST.fullmatch(version.tags.get(DIGEST_TAG, ""))
        and CANDIDATE_TAG in version.tags
        and version.tags.get(DATA_TAG) in ("simulated", "real")
        for version in versions
    )


def list_champions(client: Any) -> list[tuple[str, str]]:
    """List name and version of every champion of ours, by an MLflow client."""
    champions = []
    for model in read_pages(client.search_registered_models, max_results=_PAGE):
        version = model.aliases.get(CHAMPION_ALIAS)
        if version is not None and is_ours(model, _read_versions(client, model.name, version)):
            champions.append((model.name, str(version)))
    return champions


def _read_versions(client: Any, name: str, version: str) -> Iterator[Any]:
    # Lazily: only if the model's own tag does not decide.
    yield client.get_model_version(name, version)


def find_experiment(client: Any) -> Any | None:
    """Return our experiment, by an MLflow client; None if there is none.

    Raises
    ------
    UnavailableError
        If it was deleted.
    """
    ours = f"tags.{PROJECT_TAG} = '{PROJECT}'"
    tagged = list(read_pages(client.search_experiments, filter_string=ours))
    if tagged:
        return min(tagged, key=lambda experiment: experiment.creation_time)
    named = client.get_experiment_by_name(EXPERIMENT)
    if named is None:
        return None
    if named.lifecycle_stage != "active":
        remedy = f"`mlflow experiments restore --experiment-id {named.experiment_id}` restores it"
        raise UnavailableError(f"MLflow's experiment {EXPERIMENT} was deleted; {remedy}")
    return named if _has_our_runs(client, named.experiment_id) else None


def _has_our_runs(client: Any, experiment: str) -> bool:
    # One without any is what a killed first run leaves.
    ours = f"tags.{OUTCOME_TAG} LIKE '%.%.%'"
    return bool(client.search_runs([experiment], ours, max_results=1)) or not client.search_runs(
        [experiment], max_results=1
    )
