"""A champion that serves; it needs no BentoML, wherever it comes from."""

from dataclasses import dataclass

from features.model.response_model import ResponseModel


@dataclass(frozen=True)
class Champion:
    """A model that serves."""

    tag: str  # Name and version in BentoML's store
    version: str  # In MLflow's registry
    model: ResponseModel
