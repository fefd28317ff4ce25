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
# Without onnxruntime, which only champions need that were exported from scikit-learn. What `bentoml
# build` makes follows the store, where such a champion may come, and so has it in any case.
REQUIREMENTS = "requirements/serving.txt"


def build_bento() -> str:
    """Build a Bento from the champions in the store, verifying each; return its tag.

    Raises UnavailableError if there are none, ArtifactError if one is damaged.
    """
    champions = load_champions()
    models = [str(model.tag) for model in list_latest()]
    options = read_build_options()
    if all(champion.model.equation.splits for champion in champions):
        options["python"] = {**options["python"], "requirements_txt": REQUIREMENTS}
    with chdir(ROOT):  # BentoML resolves the requirements against the working directory
        bento = bentoml.bentos.build(**options, build_ctx=str(ROOT), models=models)
    return str(bento.tag)


def read_build_options() -> dict[str, Any]:
    """Read the options of ``bentoml build``, so that both commands make the same Bento."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        options: dict[str, Any] = tomllib.load(file)["tool"]["bentoml"]["build"]
    return options
