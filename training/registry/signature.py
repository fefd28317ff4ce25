"""What MLflow's tools need to take and give: signature, example, requirements, code."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, Schema

import features
from features.dictionary.field import Field, Kind
from features.dictionary.fields import FIELDS
from features.dictionary.instruments import INSTRUMENTS
from features.model.card import ModelCard, StudiedRange
from features.model.pyfunc import ANSWER_COLUMNS

LOADER_MODULE = "features.model.pyfunc"
ALWAYS_TAKEN = ("patient_id", "condition")
REQUIREMENTS = ("numpy", "pandas", "pyarrow", "pydantic")


def list_inputs(card: ModelCard) -> list[Field]:
    """List the fields that a model takes: what it reads, whom it is for, and their items.

    Every baseline total is taken, since an assessment needs one, whichever it is.
    """
    named = {feature.field for feature in card.features} | {r.field for r in card.ranges}
    named |= {item for key in named & set(INSTRUMENTS) for item in INSTRUMENTS[key].item_fields}
    named |= {*ALWAYS_TAKEN, *INSTRUMENTS, *(("site",) if card.sites else ())}
    return [field for name, field in FIELDS.items() if name in named]


def make_signature(card: ModelCard) -> ModelSignature:
    """Make MLflow's signature.

    Numbers are doubles, so that they may be missing, and so are flags: MLflow's scoring server
    reads a missing boolean as true. Everything else is a text.
    """
    texts = (Kind.CATEGORY, Kind.TEXT, Kind.DATE)
    inputs = [
        ColSpec(
            DataType.string if field.kind in texts else DataType.double,
            field.name,
            required=field.required,
        )
        for field in list_inputs(card)
    ]
    outputs = [ColSpec(DataType.double, name) for name in ANSWER_COLUMNS]
    return ModelSignature(Schema(inputs), Schema(outputs))


def make_example(card: ModelCard) -> pd.DataFrame:
    """Make an invented assessment from the middle of every studied range; it is nobody's."""
    values = {found.field: pick_middle(found) for found in card.ranges}
    if "dose_mg_kg" in values:
        values.pop("dose_mg", None)  # a dose is given once
    return pd.DataFrame([{"patient_id": "example", **values}])


def pick_middle(found: StudiedRange) -> str | float:
    """Pick the first category, or a whole number in the middle of the range.

    Examples
    --------
    >>> pick_middle(StudiedRange(field="age", low=20, high=70))
    45.0
    """
    if found.categories:
        return found.categories[0]
    return float(round(((found.low or 0) + (found.high or 0)) / 2))


def list_requirements() -> list[str]:
    """List what loading a model needs, at the versions of this run."""
    return [f"{name}=={version(name)}" for name in (*REQUIREMENTS, find_xgboost())]


def find_xgboost() -> str:
    """Name the installed build of XGBoost."""
    try:
        version("xgboost-cpu")
    except PackageNotFoundError:
        return "xgboost"
    return "xgboost-cpu"


def find_code() -> Path:
    """Find the package that loads and runs a model; it travels with it."""
    return Path(features.__file__).parent
