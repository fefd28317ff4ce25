"""A home made for one benchmark: a simulated cohort, models fitted on it, champions pulled."""

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
from serving.models.models import Champion

OUTCOME = "phq9.acute.response"
_STUDY, _COHORT = "experiments/studies/demo.toml", "cohort.parquet"
_CANDIDATES = 'candidates=["evidence_prior","base_rate"]'
# A benchmark asks more than any client may, so its key has no limit.
_KEY = ("keys", "create", "--name", "benchmark", "--scope", "predict", "--scope", "batch")
_NO_LIMIT = ("--per-minute", "0", "--json")


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
        done = self.try_to(package, *arguments)
        if done.returncode:
            shown = " ".join((package, *arguments[:2]))
            raise UnavailableError(f"python -m {shown} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def read_help(self, package: str, *arguments: str) -> str:
        """Read a command's help; empty if there is no such command."""
        done = self.try_to(package, *arguments, "--help")
        return "" if done.returncode else done.stdout

    def try_to(self, package: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command that may fail."""
        command = [sys.executable, "-m", package, *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )

    def simulate(self, patients: int) -> None:
        """Simulate the training cohort."""
        size = ("--patients", str(patients), "--seed", "1")
        self.run("experiments", "simulate", *size, "--out", str(self.folder / _COHORT))

    def fit(self, redevelopments: int, seed: int) -> str:
        """Fit the demonstration's study by the evidence, and register it; return its version."""
        settings = (
            *("--set", _CANDIDATES, "--set", "validation.resamples=100", "--set", f"seed={seed}"),
            *("--set", f"uncertainty.redevelopments={redevelopments}"),
        )
        cohort = ("--cohort", str(self.folder / _COHORT), "--jobs", "1", "--json")
        registered = json.loads(self.run("training", "fit", _STUDY, *settings, *cohort))
        return str(registered["model"]["version"])

    def pull(self) -> Predictor:
        """Pull the champions; return a predictor with the same champions."""
        pulled = json.loads(self.run("serving", "pull", "--json"))["champions"]
        champions = [self._load(entry["tag"], entry["version"]) for entry in pulled]
        return Predictor(champions, ServingSettings().least_sample_size)

    def _load(self, tag: str, version: str) -> Champion:
        folder = self.folder / "bentoml" / "models" / tag.replace(":", "/")
        facts = (folder / "model.yaml").read_text("utf-8")
        model = ResponseModel.load(folder)
        if model.digest not in facts:
            raise UnavailableError(f"{tag} does not match the digest in its store")
        return Champion(tag, version, model)

    def create_key(self) -> str | None:
        """Create a key without a limit; None if the service has no keys."""
        if not self.read_help("serving", "keys", "create"):
            return None
        return str(json.loads(self.run("serving", *_KEY, *_NO_LIMIT))["token"])


def make_home(folder: Path) -> ServedHome:
    """Make an empty home."""
    folder.mkdir(parents=True, exist_ok=True)
    return ServedHome(folder, f"sqlite:///{folder / 'mlflow.db'}")


def borrow_home(folder: Path, source: Path) -> ServedHome:
    """Make a home that serves another one's champions; nothing is written to that one."""
    home = find_home({"KETAMINE_RESPONSE_HOME": str(source)})
    if not home.bento_folder.is_dir():
        raise UnavailableError(f"{source} has no model store; run `python -m serving pull`")
    shutil.copytree(home.bento_folder, folder / "bentoml")
    return ServedHome(folder, home.tracking_uri)
