"""Artifacts: a model's files on disk, each with its SHA-256 in the card. Nothing is pickled."""

from collections.abc import Mapping
from pathlib import Path

from features.base.errors import ArtifactError
from features.base.files import digest_bytes, write_bytes_atomic

CARD_FILE = "card.json"
# What training writes into MLflow's registry, and serving reads there.
ARTIFACT_FOLDER = "data/model"
CHAMPION_ALIAS, CHALLENGER_ALIAS = "champion", "challenger"
DIGEST_TAG = "digest"


def write_files(folder: Path, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Write files, and return the SHA-256 of each."""
    for name, content in contents.items():
        write_bytes_atomic(folder / name, content)
    return {name: digest_bytes(content) for name, content in contents.items()}


def read_file(folder: Path, name: str) -> bytes:
    """Read a file of a model; `ArtifactError` if it cannot be read, or lies outside the folder."""
    if Path(name).name != name:
        raise ArtifactError("the card names a file outside its folder")
    try:
        return (folder / name).read_bytes()
    except OSError:
        raise ArtifactError(f"{name} is missing or unreadable") from None


def read_files(folder: Path, digests: Mapping[str, str]) -> dict[str, bytes]:
    """Read files and check each against its SHA-256; see :func:`read_file`."""
    contents = {name: read_file(folder, name) for name in digests}
    for name, content in contents.items():
        if digest_bytes(content) != digests[name]:
            raise ArtifactError(f"{name} is damaged: its digest differs from the card's")
    return contents
