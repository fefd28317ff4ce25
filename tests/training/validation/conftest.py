"""A model with a known equation, and cohorts whose outcomes follow it to a chosen degree."""

import csv
import shutil

import mlflow
import numpy as np
import pytest

from features.base.home import find_home
from features.dictionary.outcome import parse_outcome
from features.model.calibration import IDENTITY
from features.model.card import (
    IntervalFacts,
    Measure,
    ModelCard,
    OutcomeFacts,
    Population,
    StudiedRange,
)
from features.model.equation import Equation
from features.model.matrix import list_features
from features.model.response_model import ResponseModel
from features.model.terms import Terms
from features.records.assessment import read_assessments
from features.records.cohort import read_cohort
from training.registry.registry import Registry

OUTCOME = "phq9.acute.response"
FIELDS = ("age", "phq9", "gad7")
# Per unit from the centres, in the registry's order; age has its published sign.
CENTRES = {"age": 50.0, "phq9": 16.0, "gad7": 10.0}
PER_UNIT = {"age": -0.02, "phq9": 0.12, "gad7": 0.05}


def make_equation(versions=8, spread=0.02, calibration=IDENTITY, level=-0.2):
    """Make an equation whose log-odds are `level` at the centres."""
    features = list_features(FIELDS)
    features = tuple(feature for feature in features if feature.name in PER_UNIT)
    present = np.array([[PER_UNIT[feature.name] for feature in features]])
    around = present * (1 + spread * np.linspace(-1, 1, versions)[:, None])
    present = np.vstack([present, around])
    centre = np.array([CENTRES[feature.name] for feature in features])
    rows = versions + 1
    return Equation(
        features,
        (),
        Terms(
            intercept=level - present @ centre,
            present=present,
            missing=present * centre,
            sites=np.zeros((rows, 0)),
            trees=np.zeros(rows),
            centre=centre,
            scale=np.ones(len(features)),
            pairs=np.empty((0, 2), dtype=np.int64),
            products=np.empty((rows, 0)),
            calibration=np.tile(calibration, (rows, 1)),
        ),
    )


def make_flat(level=-0.2):
    """Make an equation with constant log-odds."""
    equation = make_equation(versions=4)
    terms = Terms(
        **vars(equation.terms)
        | {
            "intercept": np.linspace(level, level + 0.04, 5),
            "present": np.zeros((5, 0)),
            "missing": np.zeros((5, 0)),
            "centre": np.zeros(0),
            "scale": np.ones(0),
        }
    )
    return Equation((), (), terms)


def make_model(equation=None, **changes):
    """The model with its card."""
    equation = equation or make_equation()
    facts = {
        "name": OUTCOME,
        "outcome": OutcomeFacts(**parse_outcome(OUTCOME).describe()),
        "candidate": "elastic_net",
        "data": "real",
        "study": "by-hand",
        "question": "?",
        "created": "2026-01-01T00:00:00+00:00",
        "seed": 1,
        "population": Population(courses=900, events=405, patients=900, sites=2, without_outcome=5),
        "features": equation.features,
        "ranges": (
            StudiedRange(field="condition", categories=("depression",)),
            StudiedRange(field="age", low=20, high=80),
            StudiedRange(field="phq9", low=5, high=27),
        ),
        "interval": IntervalFacts(level=0.8, method="by hand", redevelopments=8),
        "performance": {"elastic_net": {"auc": Measure(value=0.66)}},
        "validation": "by hand",
        "verdict": "Good enough.",
        "data_digest": "0" * 64,
        "versions": {},
    }
    return ResponseModel(ModelCard(**facts | changes), equation)


def draw_rows(size=1500, intercept=0.0, slope=1.0, seed=1, sites=("south", "west"), first="p"):
    """Draw courses whose log-odds are those of the equation times the slope, plus the intercept."""
    generator = np.random.default_rng(seed)
    rows = [
        {
            "patient_id": f"{first}{number}",
            "condition": "depression",
            "age": int(generator.integers(20, 81)),
            "phq9": int(generator.integers(5, 28)),
            "gad7": int(generator.integers(0, 22)),
            "sex": ("female", "male")[number % 2],
            "site": sites[number % len(sites)],
        }
        for number in range(size)
    ]
    log_odds = make_equation().compute_log_odds(read_assessments(rows))[:, 0]
    share = 1 / (1 + np.exp(-intercept - slope * log_odds))
    for row, responds in zip(rows, generator.random(size) < share, strict=True):
        row["phq9_acute"] = row["phq9"] // 2 if responds else row["phq9"]
    return rows


def write_rows(path, rows):
    """Write rows as a CSV file, with empty cells for missing fields."""
    names = dict.fromkeys(name for row in rows for name in row)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(names), restval="")
        table.writeheader()
        table.writerows(rows)
    return path


@pytest.fixture
def known_model():
    """The model, or one with another equation or card."""
    return make_model


@pytest.fixture
def known_equation():
    """The equation of that model."""
    return make_equation


@pytest.fixture
def flat_equation():
    """A constant equation, which does not discriminate."""
    return make_flat


@pytest.fixture
def draw():
    """Draws rows of a cohort whose true log-odds are known."""
    return draw_rows


@pytest.fixture
def write():
    """Writes rows as a CSV file."""
    return write_rows


@pytest.fixture(scope="session")
def make_registered(empty_store):
    """Registers the known model in a new home, and makes it champion."""

    def make(folder):
        shutil.copytree(empty_store, folder, dirs_exist_ok=True)
        registry = Registry(find_home({"KETAMINE_RESPONSE_HOME": str(folder)}))
        with mlflow.start_run(experiment_id=registry.experiment):
            added = registry.register(make_model())
        history = registry.open_history(OUTCOME)
        history.change(added.version, "promotion", "ada", "the first")

    return make


@pytest.fixture
def read(tmp_path):
    """Reads rows as a cohort, through a file."""

    def read_rows(rows):
        return read_cohort(write_rows(tmp_path / "cohort.csv", rows))

    return read_rows
