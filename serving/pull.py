"""Pulling champions from MLflow's registry into BentoML's model store.

The only module of serving that needs MLflow. Each champion is verified against its registered
digest; once it is in the store, MLflow is no longer needed.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.store.db import utils as mlflow_database

from features.base.errors import ArtifactError, UnavailableError
from features.base.foreign import translate_errors
from features.base.home import Home
from features.model.artifact import ARTIFACT_FOLDER, DIGEST_TAG
from features.model.response_model import ResponseModel
from features.model.tracking import (
    MAX_ATTEMPTS,
    check_store,
    find_experiment,
    list_champions,
    quiet_mlflow,
    relocate_artifacts,
)
from serving.models.models import DIGEST_FACT, VERSION_LABEL, list_latest, store_model


@dataclass(frozen=True)
class Pulled:
    """One champion, and whether it was new to the store."""

    name: str
    version: str
    tag: str
    new: bool


def pull_champions(home: Home) -> list[Pulled]:
    """Copy every champion that the store does not have yet.

    Raises UnavailableError if the registry cannot be read or has no champion, ArtifactError if a
    champion does not match its registered digest.
    """
    quiet_mlflow()
    mlflow_database.MAX_RETRY_COUNT = MAX_ATTEMPTS
    _remove_unfinished(home)
    with translate_errors():
        champions = _find_champions(home)
        if not champions:
            raise UnavailableError("the registry has no champion; run `python -m training fit`")
        return [_pull_champion(name, version) for name, version in champions]


def _find_champions(home: Home) -> list[tuple[str, str]]:
    if home.database is not None and not home.database.exists():
        return []
    check_store(home)
    mlflow.set_tracking_uri(home.tracking_uri)
    client = mlflow.MlflowClient()
    experiment = find_experiment(client)
    if experiment is not None:
        relocate_artifacts(home, experiment.artifact_location)
    return list_champions(client)


def _pull_champion(name: str, version: str) -> Pulled:
    registered = mlflow.MlflowClient().get_model_version(name, version)
    digest = registered.tags.get(DIGEST_TAG)
    if digest is None:
        raise ArtifactError(f"{name} version {version} was not registered by training")
    present = next((model for model in list_latest() if model.tag.name == name), None)
    if present is not None and _is_same(present, str(version), digest):
        # Stored again it would be a new version, which every running service would load.
        return Pulled(name, str(version), str(present.tag), new=False)
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{version}"))
    tag = store_model(folder / ARTIFACT_FOLDER, name, str(version), digest)
    return Pulled(name, str(version), tag, new=True)


# Intact, too: a damaged copy is replaced.
def _is_same(present: Any, version: str, digest: str) -> bool:
    recorded = present.info.labels.get(VERSION_LABEL), present.info.metadata.get(DIGEST_FACT)
    if recorded != (version, digest):
        return False
    try:
        ResponseModel.load(Path(present.path), digest)
    except ArtifactError:
        return False
    return True


# An interrupted pull leaves incomplete models in the store.
def _remove_unfinished(home: Home) -> None:
    for folder in (home.bento_folder / "models").glob("*/*/"):
        if not (folder / "model.yaml").is_file():
            shutil.rmtree(folder)
