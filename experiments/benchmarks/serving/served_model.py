"""A home made for one benchmark: a simulated cohort, models fitted on it, champions pulled."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.benchmarks.serving.load.measurement import ROOT
from features.base.errors import UnavailableError
from features.base.home import QUIET, find_home, read_environment
from features.model.response_model import ResponseModel
from serving.base.settings import ServingSettings
from serving.estimates.predictor import Predictor
from serving.models.models import Champion

OUTCOME = "phq9.acute.response"
STUDY, COHORT = "experiments/studies/demo.toml", "cohort.parquet"
CANDIDATES = 'candidates=["evidence_prior","base_rate"]'
KEY = ("keys", "create", "--name", "benchmark", "--scope", "predict", "--scope", "batch")


@dataclass(frozen=True)
class ServedHome:
    """A home of its own, with the commands that work in it.

    Parameters
    ----------
    tracking_uri
        MLflow's store with the registered champion.
    """

    folder: Path
    tracking_uri: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process: nothing of the user's own homes and settings."""
        ours = ("KETAMINE_RESPONSE_", "MLFLOW_", "BENTOML_")
        kept = {k: v for k, v in read_environment().items() if not k.startswith(ours)}
        # MLflow looks for uvicorn among the commands.
        path = f"{Path(sys.executable).parent}:{kept.get('PATH', '')}"
        return {
            **kept,
            **QUIET,
            "PATH": path,
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
        done = self.try_to(package, *arguments)
        if done.returncode:
            asked = " ".join((package, *arguments[:2]))
            raise UnavailableError(f"python -m {asked} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def find_help(self, package: str, *arguments: str) -> str:
        """Find what a command says of itself; empty where there is no such command."""
        done = self.try_to(package, *arguments, "--help")
        return "" if done.returncode else done.stdout

    def try_to(self, package: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command that may fail."""
        command = [sys.executable, "-m", package, *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )

    def fit(self, redevelopments: int, seed: int) -> str:
        """Fit the demonstration's study by the evidence, and register it; return its version."""
        settings = (
            *("--set", CANDIDATES, "--set", "validation.resamples=100", "--set", f"seed={seed}"),
            *("--set", f"uncertainty.redevelopments={redevelopments}"),
        )
        cohort = ("--cohort", str(self.folder / COHORT), "--jobs", "1", "--json")
        found = json.loads(self.run("training", "fit", STUDY, *settings, *cohort))
        return str(found["model"]["version"])

    def simulate(self, patients: int) -> None:
        """Simulate the cohort to learn from."""
        size = ("--patients", str(patients), "--seed", "1")
        self.run("experiments", "simulate", *size, "--out", str(self.folder / COHORT))

    def pull(self) -> Predictor:
        """Pull the champions; return the predictor that has them too."""
        pulled = json.loads(self.run("serving", "pull", "--json"))["champions"]
        champions = [self.load(one["tag"], one["version"]) for one in pulled]
        return Predictor(champions, ServingSettings().least_sample_size)

    def load(self, tag: str, version: str) -> Champion:
        """Load a champion from this home's model store."""
        folder = self.folder / "bentoml" / "models" / tag.replace(":", "/")
        facts = (folder / "model.yaml").read_text("utf-8")
        model = ResponseModel.load(folder)
        if model.digest not in facts:
            raise UnavailableError(f"{tag} is not what its store says")
        return Champion(tag, version, model)

    def create_key(self) -> str | None:
        """Create a key without a limit; None where the service knows no keys."""
        if not self.find_help("serving", "keys", "create"):
            return None
        told: Mapping[str, Any] = json.loads(
            self.run("serving", *KEY, "--per-minute", "0", "--json")
        )
        return str(told["token"])


def make_home(folder: Path) -> ServedHome:
    """Make an empty home."""
    folder.mkdir(parents=True, exist_ok=True)
    return ServedHome(folder, f"sqlite:///{folder / 'mlflow.db'}")


def borrow_home(folder: Path, source: Path) -> ServedHome:
    """Make a home that serves what another one's registry has; nothing is written there."""
    home = find_home({"KETAMINE_RESPONSE_HOME": str(source)})
    if not home.bento_folder.is_dir():
        raise UnavailableError(f"{source} has no model store; `python -m serving pull` makes it")
    shutil.copytree(home.bento_folder, folder / "bentoml")
    return ServedHome(folder, home.tracking_uri)
