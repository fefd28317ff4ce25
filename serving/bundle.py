"""Bundling: the champions and the code that serves them, as one Bento."""

import tomllib
from collections.abc import Iterable
from contextlib import chdir
from pathlib import Path
from typing import Any

import bentoml

import serving
from serving.models.champion import Champion
from serving.models.models import list_latest, load_champions

ROOT = Path(serving.__file__).parent.parent
SERVICE = "serving.service:ResponseService"
# Without onnxruntime, which only champions need that were exported from scikit-learn. What `bentoml
# build` makes follows the store, where such a champion may come, and so has it in any case.
_LEAST_REQUIREMENTS = "requirements/serving.txt"


def build_bento() -> str:
    """Build a Bento from the champions in the store, verifying each; return its tag.

    Raises UnavailableError if there are none, ArtifactError if one is damaged.
    """
    options = choose_build_options(load_champions())
    models = [str(model.tag) for model in list_latest()]
    with chdir(ROOT):  # BentoML resolves the requirements against the working directory
        bento = bentoml.bentos.build(**options, build_ctx=str(ROOT), models=models)
    return str(bento.tag)


def choose_build_options(champions: Iterable[Champion]) -> dict[str, Any]:
    """Choose the options of ``bentoml build``, with no more requirements than champions have."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        options: dict[str, Any] = tomllib.load(file)["tool"]["bentoml"]["build"]
    if all(champion.model.equation.splits for champion in champions):
        options["python"]["requirements_txt"] = _LEAST_REQUIREMENTS
    return options
