"""The registry: training's only contact with MLflow.

A study is one parent run with a child run for each candidate, and the chosen one has a child run
for each trial of its settings; what it chose is a version of the registered model named after the
outcome. A validation on another cohort is a run of its own. Nothing that identifies a patient, and
no patient's value, is ever logged.
"""

import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from pydantic import ValidationError

from features.base.errors import ArtifactError, UnavailableError
from features.base.files import digest_bytes, write_bytes_new
from features.base.home import Home
from features.base.processes import is_alive
from features.model.card import Measure, ModelCard
from features.model.response_model import (
    ARTIFACT_FOLDER,
    DIGEST_TAG,
    ResponseModel,
)
from training.candidates.tuning import TuningTrial
from training.findings.findings import Findings
from training.findings.rule import Standing
from training.registry.history import Event, History, find_previous
from training.registry.reference import Reference
from training.registry.signature import (
    LOADER_MODULE,
    find_code,
    list_requirements,
    make_example,
    make_signature,
)
from training.study.study import Study

EXPERIMENT = "ketamine-response"
PROCESS_TAG = "process"
CANDIDATE_TAG = "candidate"
FINDINGS_TAG = "findings_digest"
FINDINGS_FILE, REPORT_FILE = "findings.json", "report.html"
VALIDATION_FOLDER = "validation"
LONGEST_PARAMETER = 500


@dataclass(frozen=True)
class RegisteredModel:
    """One version in the registry."""

    version: str
    model: ResponseModel


class Registry:
    """MLflow's tracking store and model registry, for one home.

    Parameters
    ----------
    home
        Where they live. A database in the home is created on first use.
    """

    def __init__(self, home: Home) -> None:
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        create_store(home)
        mlflow.set_tracking_uri(home.tracking_uri)
        self.client = mlflow.MlflowClient()
        self.experiment = self._find_experiment(home)

    def _find_experiment(self, home: Home) -> str:
        try:
            found = self.client.get_experiment_by_name(EXPERIMENT)
            if found is not None:
                return str(found.experiment_id)
            location = home.artifacts.as_uri() if home.database else None
            return str(self.client.create_experiment(EXPERIMENT, artifact_location=location))
        except MlflowException as error:
            raise UnavailableError(f"MLflow's store cannot be used: {error.error_code}") from None

    @contextmanager
    def open_study(self, study: Study) -> Iterator[str]:
        """Open the parent run of a study, and close those that a killed process left open."""
        self._close_abandoned()
        tags = {"outcome": study.outcome, **tag_process()}
        with mlflow.start_run(experiment_id=self.experiment, run_name=study.name, tags=tags) as run:
            mlflow.log_params(dict(flatten(study.model_dump(mode="json"))))
            yield run.info.run_id

    def _close_abandoned(self) -> None:
        running = self.client.search_runs([self.experiment], "attributes.status = 'RUNNING'")
        for run in running:
            host, _, process = run.data.tags.get(PROCESS_TAG, "").partition(":")
            if host == socket.gethostname() and not is_alive(int(process)):
                self.client.set_terminated(run.info.run_id, "KILLED")

    @contextmanager
    def open_validation(self, findings: Findings, digest: str) -> Iterator[str]:
        """Open the run of a validation on another cohort.

        Parameters
        ----------
        digest
            SHA-256 of the cohort's canonical content.
        """
        self._close_abandoned()
        tags = {
            "purpose": "validation",
            "outcome": findings.card.name,
            "validated_version": str(findings.version),
            "data": "simulated" if findings.simulated else "real",
            "data_digest": digest,
            "verdict": findings.verdict,
            **tag_process(),
        }
        name = f"{findings.card.name} version {findings.version}"
        with mlflow.start_run(experiment_id=self.experiment, run_name=name, tags=tags) as run:
            yield run.info.run_id

    def log_validation(self, findings: Findings, html: str) -> None:
        """Log what a validation found to its open run."""
        for performance in findings.performance:
            mlflow.log_metrics(dict(list_metrics(performance.measures)))
        mlflow.log_text(findings.model_dump_json(indent=1), f"{VALIDATION_FOLDER}/{FINDINGS_FILE}")
        mlflow.log_text(html, f"{VALIDATION_FOLDER}/{REPORT_FILE}")

    def log_candidate(self, name: str, measures: Mapping[str, Measure]) -> str:
        """Log what a candidate reached as a child run of the open study; return the run's id."""
        with mlflow.start_run(
            experiment_id=self.experiment, run_name=name, nested=True, tags=tag_process()
        ) as run:
            mlflow.log_param("candidate", name)
            mlflow.log_metrics(dict(list_metrics(measures)))
            return str(run.info.run_id)

    def log_trials(self, candidate: str, trials: Sequence[TuningTrial]) -> None:
        """Log the settings that a candidate's final fit tried, each as a child run of its own.

        Parameters
        ----------
        candidate
            The candidate's run.
        """
        for number, trial in enumerate(trials):
            state = "pruned" if trial.pruned else "complete"
            tags = {MLFLOW_PARENT_RUN_ID: candidate, "state": state, **tag_process()}
            run = self.client.create_run(
                self.experiment, tags=tags, run_name=f"trial-{number:03d}"
            ).info.run_id
            params = [Param(name, str(value)) for name, value in trial.settings.items()]
            moment = int(time.time() * 1000)
            metrics = [
                Metric("inner_log_loss", loss, moment, fold)
                for fold, loss in enumerate(trial.losses, start=1)
            ]
            self.client.log_batch(run, metrics, params)
            self.client.set_terminated(run)

    def log_facts(self, card: ModelCard, settings: Mapping[str, float], report: str) -> None:
        """Log what the study found, and what it rests on, to the open study."""
        tags = {
            "data": card.data,
            "data_digest": card.data_digest,
            "verdict": card.verdict,
            "chosen": card.candidate,
            **{f"version.{name}": found for name, found in card.versions.items()},
        }
        mlflow.set_tags(tags)
        mlflow.log_params({f"chosen.{name}": value for name, value in settings.items()})
        mlflow.log_metrics(dict(list_metrics(card.performance[card.candidate])))
        mlflow.log_text(report, "report.md")

    def log_folder(self, folder: Path) -> None:
        """Log a folder's files to the open study."""
        mlflow.log_artifacts(str(folder), "figures")

    def register(self, model: ResponseModel) -> RegisteredModel:
        """Log a model to the open study and make it a version in the registry."""
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / Path(ARTIFACT_FOLDER).name
            digest = model.save(folder)
            logged = mlflow.pyfunc.log_model(
                name=model.card.candidate.replace("_", "-"),
                loader_module=LOADER_MODULE,
                data_path=str(folder),
                code_paths=[str(find_code())],
                signature=make_signature(model.card),
                input_example=make_example(model.card),
                pip_requirements=list_requirements(),
                metadata={DIGEST_TAG: digest},
            )
        tags = {DIGEST_TAG: digest, CANDIDATE_TAG: model.card.candidate, "data": model.card.data}
        created = self._create_version(model.card, logged, tags)
        return RegisteredModel(created, ResponseModel(model.card, model.equation, digest))

    def _create_version(self, card: ModelCard, logged: Any, tags: dict[str, str]) -> str:
        try:
            self.client.create_registered_model(card.name, description=card.outcome.definition)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        version = self.client.create_model_version(
            card.name,
            logged.model_uri,
            run_id=logged.run_id,
            tags=tags,
            model_id=logged.model_id,
            description=card.verdict,
        )
        return str(version.version)

    def name_version(self, name: str, alias: str, version: str) -> None:
        """Give an alias to a version; atomic, the version that had it loses it."""
        self.client.set_registered_model_alias(name, alias, version)

    def open_history(self, name: str) -> History:
        """Open the history of an outcome's champions."""
        return History(self.client, name)

    def find_champion(self, name: str) -> RegisteredModel | None:
        """Load the present champion, checked against the digest that the registry holds.

        Raises
        ------
        ArtifactError
            If it is damaged.
        """
        version = self.open_history(name).find_champion()
        return None if version is None else self.load_version(name, version)

    def roll_back(self, name: str, who: str, reason: str) -> Event:
        """Make the champion before the present one champion again, if it is still whole.

        Raises
        ------
        UnavailableError
            If there is none.
        ArtifactError
            If it is damaged.
        """
        history = self.open_history(name)
        history.resume()
        previous = find_previous(history.read().events)
        if previous is None:
            raise UnavailableError(f"{name} has no champion before the present one")
        self.load_version(name, previous)
        return history.change(previous, "rollback", who, reason)

    def find_version(self, reference: Reference) -> str:
        """Find the version that a reference means.

        Raises
        ------
        UnavailableError
            If there is none.
        """
        name, version = reference.name, reference.version
        try:
            if version is not None:
                return str(self.client.get_model_version(name, version).version)
            return str(self.client.get_model_version_by_alias(name, reference.alias).version)
        except MlflowException:
            missing = f"version {version}" if version is not None else reference.alias
            hint = "`python -m training fit` registers one"
            raise UnavailableError(f"the registry has no {missing} of {name}; {hint}") from None

    def list_aliases(self, name: str, version: str) -> tuple[str, ...]:
        """List the aliases that a version has now."""
        return tuple(sorted(self.client.get_model_version(name, version).aliases))

    def find_standing(self, name: str) -> Standing | None:
        """Find which version is champion, and what kind; it need not be whole to be replaced."""
        version = self.open_history(name).find_champion()
        if version is None:
            return None
        found = self.client.get_model_version(name, version)
        return Standing(version, found.tags.get(CANDIDATE_TAG, ""))

    def log_findings(self, findings: Findings, html: str) -> None:
        """Keep what validation found with the run of the version that it is about.

        The version's tag holds the digest, so that a number changed afterwards is found out.
        """
        found = self.client.get_model_version(findings.card.name, findings.version)
        content = findings.model_dump_json(indent=1).encode()
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / FINDINGS_FILE).write_bytes(content)
            (folder / REPORT_FILE).write_bytes(html.encode())
            path = name_report(findings.card.candidate)
            self.client.log_artifacts(found.run_id, scratch, path)
        digest = digest_bytes(content)
        self.client.set_model_version_tag(found.name, found.version, FINDINGS_TAG, digest)

    def read_findings(self, name: str, version: str) -> Findings | None:
        """Read what validation found of a version; None if it was registered without.

        Raises
        ------
        ArtifactError
            If it is missing, damaged, or of another version.
        """
        found = self.client.get_model_version(name, version)
        digest = found.tags.get(FINDINGS_TAG)
        if digest is None:
            return None
        path = f"{name_report(found.tags.get(CANDIDATE_TAG, ''))}/{FINDINGS_FILE}"
        findings = parse_findings(self._download(found.run_id, path), digest)
        if (findings.card.name, findings.version) != (name, str(version)):
            raise ArtifactError(f"{FINDINGS_FILE} is not about {name} version {version}")
        return findings

    def _download(self, run_id: str, path: str) -> bytes:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                return Path(self.client.download_artifacts(run_id, path, scratch)).read_bytes()
            except (MlflowException, OSError):
                raise ArtifactError(f"{path} is missing or unreadable") from None

    def load_version(self, name: str, version: str) -> RegisteredModel:
        """Load one version, checked likewise.

        Raises
        ------
        ArtifactError
            If it is damaged, or was not registered by training.
        """
        found = self.client.get_model_version(name, version)
        if DIGEST_TAG not in found.tags:
            raise ArtifactError(f"{name} version {version} was not registered by training")
        folder = Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{version}"))
        stored = folder / ARTIFACT_FOLDER
        return RegisteredModel(str(version), ResponseModel.load(stored, found.tags[DIGEST_TAG]))


def name_report(candidate: str) -> str:
    """Name the folder of a run in which a candidate's report lies."""
    return f"report/{candidate}"


def parse_findings(content: bytes, digest: str) -> Findings:
    """Read findings, if they are the ones promised.

    Raises
    ------
    ArtifactError
        If they are not, or are no findings.
    """
    if digest_bytes(content) != digest:
        raise ArtifactError(f"{FINDINGS_FILE} is damaged: its digest differs from the registry's")
    try:
        return Findings.model_validate_json(content)
    except ValidationError:
        raise ArtifactError(f"{FINDINGS_FILE} holds no findings of format 1") from None


def create_store(home: Home) -> None:
    """Create MLflow's database, whole or not at all.

    MLflow makes one table after the other; killed in between, it would never open the file again.
    """
    path = home.database
    if path is None or path.exists():
        return
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / "mlflow.db"
        mlflow.MlflowClient(f"sqlite:///{draft}").search_experiments()
        write_bytes_new(path, draft.read_bytes())


def list_metrics(measures: Mapping[str, Measure]) -> Iterator[tuple[str, float]]:
    """List measures and the ends of their intervals as MLflow metrics."""
    for name, found in measures.items():
        ends = {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        yield from ((key, value) for key, value in ends.items() if value is not None)


def flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """List a study's settings under dotted names.

    Examples
    --------
    >>> dict(flatten({"seed": 1, "validation": {"folds": 5}}))
    {'seed': '1', 'validation.folds': '5'}
    """
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", str(value)[:LONGEST_PARAMETER]


def tag_process() -> dict[str, str]:
    """Say which process has a run open, so that the next one can close it."""
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}
