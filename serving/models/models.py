"""Champions in BentoML's model store, from which every service and `score` load them.

An outcome's latest model in the store is its champion; a Bento serves the models it was built with.
"""

import shutil
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException

from features.base.errors import ArtifactError, UnavailableError
from features.model.response_model import ResponseModel
from serving.models.champion import Champion

PROJECT_LABEL, PROJECT = "project", "ketamine-response"
VERSION_LABEL, DIGEST_FACT = "mlflow_version", "digest"
NO_CHAMPION = "no champion in BentoML's model store; run `python -m serving pull`"


def store_model(folder: Path, name: str, version: str, digest: str) -> str:
    """Copy a verified model into BentoML's store, as the latest of its name; return its tag."""
    ResponseModel.load(folder, digest)
    with bentoml.models.create(
        name,
        module=ResponseModel.__module__,
        labels={PROJECT_LABEL: PROJECT, VERSION_LABEL: version},
        metadata={DIGEST_FACT: digest},
    ) as stored:
        shutil.copytree(folder, stored.path, dirs_exist_ok=True)
    return str(stored.tag)


def list_latest() -> list[Any]:
    """List the latest model of each name; raise UnavailableError if one is incomplete."""
    try:
        stored = bentoml.models.list()
    except BentoMLException:
        raise UnavailableError(
            "BentoML's model store has an incomplete model; run `python -m serving pull`"
        ) from None
    ours = (model for model in stored if model.info.labels.get(PROJECT_LABEL) == PROJECT)
    names = dict.fromkeys(model.tag.name for model in ours)
    return [bentoml.models.get(f"{name}:latest") for name in names]


def load_champions() -> tuple[Champion, ...]:
    """Load the latest champion of each name, verifying every byte.

    Raises UnavailableError if there are none, ArtifactError if one is damaged.
    """
    stored = list_latest()
    if not stored:
        raise UnavailableError(NO_CHAMPION)
    return tuple(map(load_champion, stored))


def load_champion(stored: Any) -> Champion:
    """Load one model of the store."""
    digest = stored.info.metadata.get(DIGEST_FACT)
    if digest is None:
        raise ArtifactError(f"{stored.tag}: stored without a digest")
    try:
        model = ResponseModel.load(Path(stored.path), str(digest))
    except ArtifactError as error:
        raise ArtifactError(f"{stored.tag}: {error}") from None
    return Champion(str(stored.tag), stored.info.labels[VERSION_LABEL], model)
