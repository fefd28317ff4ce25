"""R's results for 200 simulated courses, written by truth.R."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

FOLDER = Path(__file__).parent


@pytest.fixture(scope="session")
def truth():
    return json.loads((FOLDER / "truth.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def courses(truth):
    """The courses as arrays; patients and sites are positions, so they count from 0."""
    table = {name: np.array(values) for name, values in truth["courses"].items()}
    return SimpleNamespace(
        probability=table["probability"],
        other=table["other"],
        outcome=table["outcome"].astype(float),
        weights=table["weight"],
        patients=table["patient"] - 1,
        sites=table["site"] - 1,
    )
