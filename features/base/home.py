"""Where data and runs are stored: one folder, unless a team's servers are named."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

HOME_VARIABLE = "KETAMINE_RESPONSE_HOME"
DATABASE_VARIABLE = "KETAMINE_RESPONSE_DATABASE_URL"
DEFAULT_HOME = ".ketamine-response"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of all data, an absolute path, and the paths in it."""

    folder: Path
    # MLflow's store: a database in the folder, or a team's server.
    tracking_uri: str
    bento_folder: Path
    # For the history of champions.
    user: str = "unknown"
    # A team's server for keys and audit, its password included; None if a file in the folder.
    database_url: str | None = field(default=None, repr=False)

    @property
    def database(self) -> Path | None:
        """MLflow's database in the folder; None if a team's server is named."""
        path = self.folder / "mlflow.db"
        return path if self.tracking_uri == name_mlflow_store(path) else None

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow's artifacts."""
        return self.folder / "artifacts"

    @property
    def store_url(self) -> str:
        """Address of the service store: keys and audit."""
        return self.database_url or f"sqlite:///{_quote_path(self.folder / 'service.db')}"

    @property
    def models_folder(self) -> Path:
        """Folder of the models in BentoML's store."""
        return self.bento_folder / "models"

    @property
    def service_key(self) -> Path:
        """File of the service's secret key, unless the environment names one."""
        return self.folder / "service.key"

    @property
    def validation(self) -> Path:
        """Folder where unfinished runs keep the predictions of bootstrap refits."""
        return self.folder / "validation"

    @property
    def tuning(self) -> Path:
        """Folder where unfinished runs keep their tuning trials."""
        return self.folder / "tuning"


def name_mlflow_store(path: Path) -> str:
    """Write the address of an MLflow database, whatever characters its path has.

    Examples
    --------
    >>> name_mlflow_store(Path("/srv/clinic/mlflow.db"))
    'sqlite:////srv/clinic/mlflow.db'
    >>> name_mlflow_store(Path("/srv/50% off?/mlflow.db"))
    'sqlite+pysqlite:////srv/50%25 off%3F/mlflow.db'
    """
    quoted = _quote_path(path)
    # Named with its driver, since MLflow makes the folder of a plain address without unquoting it.
    driver = "" if quoted == str(path) else "+pysqlite"
    return f"sqlite{driver}:///{quoted}"


def _quote_path(path: Path) -> str:
    # Only what would end the path, or be taken for a quotation itself: old addresses stay the same.
    return str(path).replace("%", "%25").replace("?", "%3F").replace("#", "%23")


def find_home(environment: Mapping[str, str]) -> Home:
    """Read from the environment where data and runs live; an empty variable is as good as none."""
    folder = _expand_path(environment.get(HOME_VARIABLE) or DEFAULT_HOME)
    tracking_uri = environment.get("MLFLOW_TRACKING_URI") or name_mlflow_store(folder / "mlflow.db")
    bento_folder = _expand_path(environment.get("BENTOML_HOME") or folder / "bentoml")
    user = environment.get("LOGNAME") or environment.get("USER") or "unknown"
    database_url = environment.get(DATABASE_VARIABLE) or None
    return Home(folder, tracking_uri, bento_folder, user, database_url)


def _expand_path(path: str | Path) -> Path:
    # A shell leaves a `~` in quotes as it is. Unlike Path, this leaves that of an unknown user.
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111


# Set before the libraries are imported: no telemetry, no job runners, no progress bars but ours, no
# addresses amid our output, and half a minute of patience with a server that restarts.
QUIET = MappingProxyType(
    {
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "OTEL_SDK_DISABLED": "true",
    }
)


def read_environment() -> Mapping[str, str]:
    """Return a copy of the environment, for the settings of a process; called at its edge."""
    return dict(os.environ)


def enter_home() -> Home:
    """Find the home and set the libraries' environment; called once, at the start of a command."""
    home = find_home(os.environ)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        # Empty, it would be an address to MLflow.
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ["BENTOML_HOME"] = str(home.bento_folder)
    os.environ[HOME_VARIABLE] = str(home.folder)
    return home


# Settings of a host program that would send our runs to its stores, or resume one of its runs.
_HOSTS_STORES = ("MLFLOW_TRACKING_URI", "BENTOML_HOME", DATABASE_VARIABLE)
_HOSTS_RUNS = ("MLFLOW_RUN_ID", "MLFLOW_ACTIVE_MODEL_ID", "_MLFLOW_ACTIVE_MODEL_ID")


@contextmanager
def visit_home(folder: str | Path | None = None) -> Iterator[Home]:
    """Enter a home inside a host program, and restore its environment afterwards.

    Parameters
    ----------
    folder
        Of everything, even if the environment names other stores; by default, the home that
        :func:`enter_home` would enter.
    """
    before = dict(os.environ)
    for name in _HOSTS_RUNS if folder is None else (*_HOSTS_RUNS, *_HOSTS_STORES):
        os.environ.pop(name, None)
    if folder is not None:
        os.environ[HOME_VARIABLE] = str(folder)
    try:
        yield enter_home()
    finally:
        # Name by name: other threads of the host never see an empty environment.
        for name in {*os.environ, *before}:
            if name not in before:
                del os.environ[name]
            elif os.environ.get(name) != before[name]:
                os.environ[name] = before[name]
