"""Pulling champions from MLflow's registry into BentoML's model store.

The only module of serving that needs MLflow. Each champion is verified against its registered
digest; once it is in the store, MLflow is no longer needed.
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from features.base.errors import ArtifactError, UnavailableError
from features.base.home import Home
from features.model.artifact import ARTIFACT_FOLDER, CHAMPION_ALIAS, DIGEST_TAG
from features.model.response_model import ResponseModel
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
    # Both log every step of opening the registry.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    _remove_unfinished(home)
    mlflow.set_tracking_uri(home.tracking_uri)
    try:
        registered = mlflow.MlflowClient().search_registered_models()
    except MlflowException as error:
        raise UnavailableError(f"MLflow's registry cannot be read: {error.error_code}") from None
    named = [model for model in registered if CHAMPION_ALIAS in model.aliases]
    if not named:
        raise UnavailableError("the registry has no champion; run `python -m training fit`")
    return [_pull_champion(model.name, model.aliases[CHAMPION_ALIAS]) for model in named]


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
