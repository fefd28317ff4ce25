"""R's results for 200 simulated courses, written by truth.R."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from training.measures.logistic import logit
from training.measures.predictions import Predictions

FOLDER = Path(__file__).parent


@pytest.fixture(scope="session")
def truth():
    return json.loads((FOLDER / "truth.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def predict():
    """Makes predictions of given probabilities; each course a patient of its own by default."""

    def make(probability, outcome, patients=None, weights=None):
        patients = np.arange(len(outcome)) if patients is None else patients
        groups = np.zeros(len(outcome), dtype=int)
        return Predictions(logit(probability), outcome, patients, groups, weights)

    return make


@pytest.fixture(scope="session")
def predicted(courses, predict):
    """Predictions of R's courses, equally weighted."""
    return predict(courses.probability, courses.outcome, courses.patients)


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
