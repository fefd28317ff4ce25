"""Bundling: the champions and the code that serves them, as one Bento."""

from contextlib import chdir
from pathlib import Path

import bentoml

import serving
from serving.models.models import list_latest, load_champions

ROOT = Path(serving.__file__).parent.parent
SERVICE = "serving.service:ResponseService"
INCLUDED = ["features/**/*.py", "features/**/*.toml", "serving/**/*.py", "serving/page/*"]
REQUIREMENTS = "requirements/serving.txt"


def build_bento() -> str:
    """Build a Bento from the champions in the store, checked once more.

    Returns
    -------
    str
        Its tag.

    Raises
    ------
    UnavailableError
        If the store has no champion.
    ArtifactError
        If one is damaged.
    """
    load_champions()
    with chdir(ROOT):  # BentoML looks for the requirements from where it stands
        bento = bentoml.bentos.build(
            SERVICE,
            build_ctx=str(ROOT),
            include=INCLUDED,
            # The pins are hashed and name no index; BentoML's own lock would name one.
            python={"requirements_txt": REQUIREMENTS, "lock_packages": False},
            models=[str(model.tag) for model in list_latest()],
        )
    return str(bento.tag)
