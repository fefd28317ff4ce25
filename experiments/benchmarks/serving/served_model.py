"""A home made for one benchmark: with a model fitted on simulated patients."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from experiments.server import ROOT
from features.base.errors import UnavailableError
from features.base.home import QUIET, find_home, read_environment
from features.model.response_model import ResponseModel
from serving.base.settings import ServingSettings
from serving.estimates.predictor import Predictor
from serving.models.champion import Champion

OUTCOME = "phq9.acute.response"
_STUDY = "experiments/studies/demo.toml"
_SETTINGS = ("validation.resamples=100", 'candidates=["evidence_prior","base_rate"]', "seed=1")
# A benchmark asks more than any client may, so its key has no limit.
_KEY = ("--name", "benchmark", "--scope", "predict", "--scope", "batch", "--per-minute", "0")


@dataclass(frozen=True)
class ServedHome:
    """A home of its own, with the commands that work in it."""

    folder: Path
    tracking_uri: str  # MLflow's store with the registered champion

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process, without the user's own homes and settings."""
        ours = ("KETAMINE_RESPONSE_", "MLFLOW_", "BENTOML_")
        kept = {k: v for k, v in read_environment().items() if not k.startswith(ours)}
        return {
            **kept,
            **QUIET,
            # MLflow looks for uvicorn among the commands.
            "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '')}",
            "OMP_NUM_THREADS": "1",
            "KETAMINE_RESPONSE_HOME": str(self.folder),
            "MLFLOW_TRACKING_URI": self.tracking_uri,
        }

    def run(self, package: str, *arguments: str) -> str:
        """Run one of the project's commands; return its output.

        Raises
        ------
        UnavailableError
            If it fails.
        """
        command = [sys.executable, "-m", package, *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            shown = " ".join((package, *arguments[:2]))
            raise UnavailableError(f"python -m {shown} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def pull(self) -> Predictor:
        """Pull the champions; return a predictor with the same champions."""
        models = self.folder / "bentoml" / "models"
        pulled = json.loads(self.run("serving", "pull", "--json"))["champions"]
        champions = [
            Champion(tag, entry["version"], ResponseModel.load(models / tag.replace(":", "/")))
            for entry in pulled
            for tag in [entry["tag"]]
        ]
        return Predictor(champions, ServingSettings().least_sample_size)

    def create_key(self) -> str:
        """Create a key without a limit."""
        return str(json.loads(self.run("serving", "keys", "create", *_KEY, "--json"))["token"])


def make_home(folder: Path, patients: int, redevelopments: int) -> ServedHome:
    """Make a home with the demonstration's study, fitted on simulated patients and registered."""
    folder.mkdir(parents=True, exist_ok=True)
    home, cohort = (
        ServedHome(folder, f"sqlite:///{folder / 'mlflow.db'}"),
        folder / "cohort.parquet",
    )
    size = ("--patients", str(patients), "--seed", "1")
    home.run("experiments", "simulate", *size, "--out", str(cohort))
    settings = [*_SETTINGS, f"uncertainty.redevelopments={redevelopments}"]
    changes = [part for setting in settings for part in ("--set", setting)]
    home.run("training", "fit", _STUDY, *changes, "--cohort", str(cohort), "--jobs", "1")
    return home


def borrow_home(folder: Path, source: Path) -> ServedHome:
    """Make a home that serves another one's champions; nothing is written to that one."""
    home = find_home({"KETAMINE_RESPONSE_HOME": str(source)})
    if not home.bento_folder.is_dir():
        raise UnavailableError(f"{source} has no model store; run `python -m serving pull`")
    shutil.copytree(home.bento_folder, folder / "bentoml")
    return ServedHome(folder, home.tracking_uri)
