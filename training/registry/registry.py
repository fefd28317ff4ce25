"""The registry: training's only contact with MLflow.

A study is a run with a child run for each candidate; the chosen candidate has a child run for each
trial of its settings. The chosen model is a version of the registered model named after the
outcome. A validation on another cohort is a run of its own. No patient's identifier or value is
ever logged.
"""

import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as mlflow_database
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from pydantic import ValidationError

from features.base.errors import ArtifactError, UnavailableError
from features.base.files import digest_bytes, write_bytes_new
from features.base.foreign import translate_errors
from features.base.home import Home, name_mlflow_store
from features.base.processes import is_alive
from features.model.artifact import ARTIFACT_FOLDER, DIGEST_TAG
from features.model.card import Measure, ModelCard
from features.model.response_model import ResponseModel
from features.model.tracking import (
    CANDIDATE_TAG,
    DATA_TAG,
    EXPERIMENT,
    MAX_ATTEMPTS,
    OUTCOME_TAG,
    PROJECT,
    PROJECT_TAG,
    check_store,
    find_experiment,
    is_ours,
    quiet_mlflow,
    read_pages,
    relocate_artifacts,
)
from training.candidates.tuning import TuningTrial
from training.findings.findings import Findings
from training.findings.rule import Standing
from training.registry.history import Event, History, find_previous_champion, is_absent
from training.registry.reference import Reference
from training.registry.signature import (
    LOADER_MODULE,
    find_code,
    list_requirements,
    make_input_example,
    make_signature,
)
from training.study.study import Study

FINDINGS_TAG = "findings_digest"
FINDINGS_FILE, REPORT_FILE = "findings.json", "report.html"
_PROCESS_TAG = "process"
# Space that a run holds on the disk and frees when it ends: enough to note, on a full disk, that it
# failed.
_RESERVED = 256 << 10
# MLflow refuses longer parameters.
_MAX_PARAMETER = 500


@dataclass(frozen=True)
class RegisteredModel:
    """One version in the registry."""

    version: str
    model: ResponseModel


class Registry:
    """MLflow's tracking store and model registry, for one home; a database is made on first use."""

    def __init__(self, home: Home) -> None:
        quiet_mlflow()
        mlflow_database.MAX_RETRY_COUNT = MAX_ATTEMPTS
        with translate_errors():
            create_store(home)
            check_store(home)
            mlflow.set_tracking_uri(home.tracking_uri)
            self.client = mlflow.MlflowClient()
            self.experiment = self._open_experiment(home)
        self._reserve_folder = home.folder if home.database else None

    def _open_experiment(self, home: Home) -> str:
        experiment = find_experiment(self.client)
        if experiment is None:
            return self._create_experiment(home)
        if PROJECT_TAG not in experiment.tags:
            self.client.set_experiment_tag(experiment.experiment_id, PROJECT_TAG, PROJECT)
        relocate_artifacts(home, experiment.artifact_location)
        return str(experiment.experiment_id)

    def _create_experiment(self, home: Home) -> str:
        # Later it is found by its tag, so any name will do if ours is another team's.
        taken = self.client.get_experiment_by_name(EXPERIMENT) is not None
        name = f"{EXPERIMENT}-{secrets.token_hex(4)}" if taken else EXPERIMENT
        location = home.artifacts.as_uri() if home.database else None
        return str(self.client.create_experiment(name, location, {PROJECT_TAG: PROJECT}))

    # A study's run.

    @contextmanager
    def open_study(self, study: Study) -> Iterator[str]:
        """Open the run of a study and log its settings; yields the run's id."""
        with self._open_run(study.name, {OUTCOME_TAG: study.outcome}) as run_id:
            mlflow.log_params(dict(_flatten_settings(study.model_dump(mode="json"))))
            yield run_id

    @contextmanager
    def _open_run(self, name: str, tags: Mapping[str, str]) -> Iterator[str]:
        self._close_abandoned()
        tags, reserve = {**tags, **_tag_process()}, self._reserve_space()
        settings = {"experiment_id": self.experiment, "run_name": name, "tags": tags}
        try:
            # The reserve is freed before the run is ended.
            with mlflow.start_run(**settings) as run, reserve:
                yield run.info.run_id
        except BaseException:
            self._close_failed()
            raise

    def _reserve_space(self) -> AbstractContextManager[Any]:
        if self._reserve_folder is None:
            return nullcontext()
        reserve = tempfile.TemporaryFile(dir=self._reserve_folder)  # noqa: SIM115 (entered later)
        reserve.write(bytes(_RESERVED))
        reserve.flush()
        return reserve

    def _close_failed(self) -> None:
        # MLflow ends a run on its own; on a full disk that fails for those inside it.
        ours = _tag_process()[_PROCESS_TAG]
        with suppress(MlflowException):
            for run in self._list_running():
                if run.data.tags.get(_PROCESS_TAG) == ours:
                    self.client.set_terminated(run.info.run_id, "FAILED")

    def _close_abandoned(self) -> None:
        # A killed process leaves its run open for ever. Those of other hosts may still be alive.
        for run in self._list_running():
            host, _, process = run.data.tags.get(_PROCESS_TAG, "").partition(":")
            is_here = host == socket.gethostname() and process.isdecimal()
            if is_here and not is_alive(int(process)):
                self.client.set_terminated(run.info.run_id, "KILLED")

    def _list_running(self) -> list[Any]:
        running = "attributes.status = 'RUNNING'"
        return list(read_pages(self.client.search_runs, [self.experiment], running))

    def log_candidates(self, measures: Mapping[str, Mapping[str, Measure]]) -> dict[str, str]:
        """Log each candidate's performance as a child run of the open study; returns the ids."""
        runs = {}
        for name, performance in measures.items():
            with mlflow.start_run(
                experiment_id=self.experiment, run_name=name, nested=True, tags=_tag_process()
            ) as run:
                mlflow.log_param("candidate", name)
                mlflow.log_metrics(dict(_list_metrics(performance)))
                runs[name] = str(run.info.run_id)
        return runs

    def log_trials(self, parent: str, trials: Sequence[TuningTrial]) -> None:
        """Log the settings that a candidate's final fit tried, each as a child of its run."""
        for number, trial in enumerate(trials):
            state = "pruned" if trial.pruned else "complete"
            tags = {MLFLOW_PARENT_RUN_ID: parent, "state": state, **_tag_process()}
            run = self.client.create_run(
                self.experiment, tags=tags, run_name=f"trial-{number:03d}"
            ).info.run_id
            params = [Param(name, str(value)) for name, value in trial.settings.items()]
            # A step per inner fold: MLflow then draws how far a pruned trial went.
            now = int(time.time() * 1000)
            metrics = [
                Metric("inner_log_loss", loss, now, fold)
                for fold, loss in enumerate(trial.losses, start=1)
            ]
            self.client.log_batch(run, metrics, params)
            self.client.set_terminated(run)

    def log_facts(self, card: ModelCard, settings: Mapping[str, float], report: str) -> None:
        """Log the chosen model's facts, settings and report to the open study."""
        mlflow.set_tags(
            {
                "data": card.data,
                "data_digest": card.data_digest,
                "verdict": card.verdict,
                "chosen": card.candidate,
                **{f"version.{name}": version for name, version in card.versions.items()},
            }
        )
        mlflow.log_params({f"chosen.{name}": value for name, value in settings.items()})
        mlflow.log_metrics(dict(_list_metrics(card.performance[card.candidate])))
        mlflow.log_text(report, "report.md")

    @contextmanager
    def open_figures(self) -> Iterator[Path]:
        """Open an empty folder whose files are logged to the open study afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
            mlflow.log_artifacts(folder, "figures")

    # Versions of a registered model.

    def register(self, model: ResponseModel) -> RegisteredModel:
        """Log a model to the open run and make it a version in the registry."""
        card = model.card
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / Path(ARTIFACT_FOLDER).name
            digest = model.save(folder)
            logged = mlflow.pyfunc.log_model(
                name=card.candidate.replace("_", "-"),
                loader_module=LOADER_MODULE,
                data_path=str(folder),
                code_paths=[str(find_code())],
                signature=make_signature(card),
                input_example=make_input_example(card),
                pip_requirements=list_requirements(model.equation),
                metadata={DIGEST_TAG: digest},
            )
        tags = {DIGEST_TAG: digest, CANDIDATE_TAG: card.candidate, DATA_TAG: card.data}
        return RegisteredModel(
            self._create_version(card, logged, tags), replace(model, digest=digest)
        )

    def _create_version(self, card: ModelCard, logged: Any, tags: dict[str, str]) -> str:
        self._claim_name(card.name, card.outcome.definition)
        version = self.client.create_model_version(
            card.name,
            logged.model_uri,
            run_id=logged.run_id,
            tags=tags,
            model_id=logged.model_id,
            description=card.verdict,
        )
        return str(version.version)

    def _claim_name(self, name: str, definition: str) -> None:
        try:
            self.client.create_registered_model(name, {PROJECT_TAG: PROJECT}, definition)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            self._refuse_foreign(name)
            # One registered before there was a tag gets it now.
            self.client.set_registered_model_tag(name, PROJECT_TAG, PROJECT)

    def _refuse_foreign(self, name: str) -> None:
        try:
            model = self.client.get_registered_model(name)
        except MlflowException as error:
            if is_absent(error):
                return
            raise
        versions = list(read_pages(self.client.search_model_versions, f"name='{name}'"))
        # One without versions is what a killed run leaves.
        if versions and not is_ours(model, versions):
            remedy = "rename it there, or name another store by MLFLOW_TRACKING_URI"
            raise UnavailableError(f"the registry has another team's model {name}; {remedy}")

    def load_version(self, name: str, version: str) -> RegisteredModel:
        """Load one version, checked against the digest in the registry.

        Raises
        ------
        ArtifactError
            If it is damaged, or was not registered by training.
        """
        entry = self.client.get_model_version(name, version)
        if DIGEST_TAG not in entry.tags:
            raise ArtifactError(f"{name} version {version} was not registered by training")
        with translate_errors():
            folder = Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{version}"))
        model = ResponseModel.load(folder / ARTIFACT_FOLDER, entry.tags[DIGEST_TAG])
        return RegisteredModel(str(version), model)

    def load_reference(self, reference: Reference) -> RegisteredModel:
        """Load the version that a reference means, checked as :meth:`load_version` does.

        Raises
        ------
        UnavailableError
            If there is none.
        """
        name, version = reference.name, reference.version
        try:
            if version is None:
                version = self.client.get_model_version_by_alias(name, reference.alias).version
            entry = self.client.get_model_version(name, version)
        except MlflowException as error:
            if not is_absent(error):
                raise
            missing = reference.alias if version is None else f"version {version}"
            hint = "`python -m training fit` registers one"
            raise UnavailableError(f"the registry has no {missing} of {name}; {hint}") from None
        return self.load_version(name, str(entry.version))

    def name_version(self, name: str, alias: str, version: str) -> None:
        """Give an alias to a version; atomic, the version that had it loses it."""
        self.client.set_registered_model_alias(name, alias, version)

    def list_aliases(self, name: str, version: str) -> tuple[str, ...]:
        """List the aliases that a version has now."""
        return tuple(sorted(self.client.get_model_version(name, version).aliases))

    # The champion.

    def open_history(self, name: str) -> History:
        """Open the history of an outcome's champions.

        Raises
        ------
        UnavailableError
            If the registry's model of this name is not ours.
        """
        self._refuse_foreign(name)
        return History(self.client, name)

    def load_champion(self, name: str) -> RegisteredModel | None:
        """Load the present champion; None if there is none, ArtifactError if it is damaged."""
        version = self.open_history(name).find_champion()
        return None if version is None else self.load_version(name, version)

    def find_standing(self, name: str) -> Standing | None:
        """Return version and candidate of the champion, which may be damaged."""
        version = self.open_history(name).find_champion()
        if version is None:
            return None
        entry = self.client.get_model_version(name, version)
        return Standing(version, entry.tags.get(CANDIDATE_TAG, ""))

    def roll_back(self, name: str, who: str, reason: str) -> Event:
        """Make the previous champion champion again; UnavailableError if there is none."""
        history = self.open_history(name)
        history.resume()
        previous = find_previous_champion(history.read().events)
        if previous is None:
            raise UnavailableError(f"{name} has no champion before the present one")
        self.load_version(name, previous)
        return history.change(previous, "rollback", who, reason)

    # Findings.

    def log_findings(self, findings: Findings, html: str) -> None:
        """Store findings and report with the run of the version that they are about."""
        entry = self.client.get_model_version(findings.card.name, findings.version)
        content = self._log_report(
            entry.run_id, name_report(findings.card.candidate), findings, html
        )
        # The digest reveals a number that was changed afterwards.
        digest = digest_bytes(content.encode())
        self.client.set_model_version_tag(entry.name, entry.version, FINDINGS_TAG, digest)

    def _log_report(self, run_id: str, folder: str, findings: Findings, html: str) -> str:
        content = findings.model_dump_json(indent=1)
        self.client.log_text(run_id, content, f"{folder}/{FINDINGS_FILE}")
        self.client.log_text(run_id, html, f"{folder}/{REPORT_FILE}")
        return content

    def read_findings(self, name: str, version: str) -> Findings | None:
        """Read the findings of a version; None if it was registered without.

        Raises
        ------
        ArtifactError
            If they are missing, damaged, or of another version.
        """
        entry = self.client.get_model_version(name, version)
        digest = entry.tags.get(FINDINGS_TAG)
        if digest is None:
            return None
        path = f"{name_report(entry.tags.get(CANDIDATE_TAG, ''))}/{FINDINGS_FILE}"
        findings = _parse_findings(self._download(entry.run_id, path), digest)
        if (findings.card.name, findings.version) != (name, str(version)):
            raise ArtifactError(f"{FINDINGS_FILE} is not about {name} version {version}")
        return findings

    def _download(self, run_id: str, path: str) -> bytes:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                return Path(self.client.download_artifacts(run_id, path, scratch)).read_bytes()
            except (MlflowException, OSError):
                raise ArtifactError(f"{path} is missing or unreadable") from None

    # A validation's run.

    @contextmanager
    def open_validation(self, findings: Findings, digest: str) -> Iterator[str]:
        """Open the run of a validation on a cohort of this digest; yields the run's id."""
        tags = {
            "purpose": "validation",
            "outcome": findings.card.name,
            "validated_version": str(findings.version),
            "data": "simulated" if findings.simulated else "real",
            "data_digest": digest,
            "verdict": findings.verdict,
        }
        with self._open_run(f"{findings.card.name} version {findings.version}", tags) as run_id:
            yield run_id

    def log_validation(self, run_id: str, findings: Findings, html: str) -> None:
        """Log the findings of a validation and its report to its run, which is open."""
        for performance in findings.performance:
            mlflow.log_metrics(dict(_list_metrics(performance.measures)))
        self._log_report(run_id, "validation", findings, html)


def create_store(home: Home) -> None:
    """Create MLflow's database completely or not at all."""
    path = home.database
    if path is None or path.exists():
        return
    # MLflow makes one table after the other: killed in between, it could never open the file again.
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / "mlflow.db"
        mlflow.MlflowClient(name_mlflow_store(draft)).search_experiments()
        write_bytes_new(path, draft.read_bytes())


def name_report(candidate: str) -> str:
    """Name the folder of a run that holds a candidate's report."""
    return f"report/{candidate}"


def _parse_findings(content: bytes, digest: str) -> Findings:
    if digest_bytes(content) != digest:
        raise ArtifactError(f"{FINDINGS_FILE} is damaged: its digest differs from the registry's")
    try:
        return Findings.model_validate_json(content)
    except ValidationError:
        raise ArtifactError(f"{FINDINGS_FILE} holds no findings of format 1") from None


def _list_metrics(measures: Mapping[str, Measure]) -> Iterator[tuple[str, float]]:
    for name, measure in measures.items():
        ends = {name: measure.value, f"{name}_low": measure.low, f"{name}_high": measure.high}
        yield from ((key, value) for key, value in ends.items() if value is not None)


def _flatten_settings(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    # By dotted names, such as ``validation.folds``.
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten_settings(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", str(value)[:_MAX_PARAMETER]


def _tag_process() -> dict[str, str]:
    return {_PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}
