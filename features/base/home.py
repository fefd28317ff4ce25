"""Where data and runs are stored: one folder, unless a team's servers are named."""

import os
from collections.abc import Mapping
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
        return path if self.tracking_uri == f"sqlite:///{path}" else None

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow's artifacts."""
        return self.folder / "artifacts"

    @property
    def store_url(self) -> str:
        """Address of the service store: keys and audit."""
        return self.database_url or f"sqlite:///{self.folder / 'service.db'}"

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


def find_home(environment: Mapping[str, str]) -> Home:
    """Read from the environment where data and runs live."""
    folder = Path(environment.get(HOME_VARIABLE, DEFAULT_HOME)).absolute()
    tracking_uri = environment.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    bento_folder = Path(environment.get("BENTOML_HOME", folder / "bentoml")).absolute()
    user = environment.get("LOGNAME") or environment.get("USER") or "unknown"
    database_url = environment.get(DATABASE_VARIABLE) or None
    return Home(folder, tracking_uri, bento_folder, user, database_url)


# Set before the libraries are imported: no telemetry, no job runners, no progress bars but ours.
QUIET = MappingProxyType(
    {
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
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
    os.environ["BENTOML_HOME"] = str(home.bento_folder)
    os.environ[HOME_VARIABLE] = str(home.folder)
    return home
