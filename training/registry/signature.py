"""What MLflow stores with a model for its own tools: signature, example, requirements, code."""

from importlib.metadata import version
from pathlib import Path

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, Schema

import features
from features.base.versions import name_xgboost
from features.dictionary.dictionary import DRUG_FIELDS
from features.dictionary.field import Field, Kind
from features.model.card import ModelCard, StudiedRange
from features.model.equation import Equation
from features.model.pyfunc import ANSWER_COLUMNS

LOADER_MODULE = "features.model.pyfunc"
# Every assessment has both, whatever the model reads. The requirements are what `features` imports
# to run a model, and nothing of training.
_ALWAYS_TAKEN = ("patient_id", "condition")
_REQUIREMENTS = ("numpy", "pandas", "pyarrow", "pydantic")


def list_inputs(card: ModelCard) -> list[Field]:
    """List the input fields of a model: features, studied ranges, and items of the instruments.

    Every baseline total is among them, since an assessment may bring any of them.
    """
    named = {feature.field for feature in card.features} | {r.field for r in card.ranges}
    known = card.dictionary.instruments
    named |= {item for key in named & set(known) for item in known[key].item_fields}
    named |= {*_ALWAYS_TAKEN, *known, *(("site",) if card.sites else ())}
    return [field for name, field in card.dictionary.fields.items() if name in named]


def make_signature(card: ModelCard) -> ModelSignature:
    """Make MLflow's signature."""
    # Numbers are doubles, so that they may be missing. So are flags: MLflow's scoring server reads
    # a missing boolean as true.
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


def make_input_example(card: ModelCard) -> pd.DataFrame:
    """Make an invented assessment from the middle of every studied range; no patient's."""
    values = {studied.field: _pick_middle(card, studied) for studied in card.ranges}
    if "dose_mg_kg" in values:
        values.pop("dose_mg", None)  # an assessment states the dose once
    agent = card.dictionary.agents.get(str(values.get("agent")))
    if agent is not None and agent.routes is not None:
        # Of the agents and routes studied, the first two need not go together.
        routes = [name for name in card.list_studied("route") if name in agent.routes]
        values = {name: value for name, value in values.items() if name not in DRUG_FIELDS}
        if routes:
            values["route"] = routes[0]
    return pd.DataFrame([{"patient_id": "example", **values}])


def _pick_middle(card: ModelCard, studied: StudiedRange) -> str | float:
    if studied.categories:
        return studied.categories[0]
    instrument = card.dictionary.instruments.get(studied.field)
    step = instrument.multiplier if instrument else 1
    return float(step * round(((studied.low or 0) + (studied.high or 0)) / 2 / step))


def list_requirements(equation: Equation) -> list[str]:
    """List the libraries that running a model needs, at the installed versions."""
    exported = () if equation.splits else ("onnxruntime",)
    names = (*_REQUIREMENTS, name_xgboost(), *exported)
    return [f"{name}=={version(name)}" for name in names]


def find_code() -> Path:
    """Return the folder of the package that loads and runs a model; it is stored with it."""
    return Path(features.__file__).parent
