"""Bundling: the champions and the code that serves them, as one Bento."""

import tomllib
from contextlib import chdir
from pathlib import Path
from typing import Any

import bentoml

import serving
from serving.models.models import list_latest, load_champions

ROOT = Path(serving.__file__).parent.parent
SERVICE = "serving.service:ResponseService"


def build_bento() -> str:
    """Build a Bento from the champions in the store, verifying each; return its tag.

    Raises UnavailableError if there are none, ArtifactError if one is damaged.
    """
    load_champions()
    models = [str(model.tag) for model in list_latest()]
    with chdir(ROOT):  # BentoML resolves the requirements against the working directory
        bento = bentoml.bentos.build(**read_build_options(), build_ctx=str(ROOT), models=models)
    return str(bento.tag)


def read_build_options() -> dict[str, Any]:
    """Read the options of ``bentoml build``, so that both commands make the same Bento."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        options: dict[str, Any] = tomllib.load(file)["tool"]["bentoml"]["build"]
    return options
