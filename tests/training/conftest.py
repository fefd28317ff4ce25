"""Fixtures of training's tests: designs and findings with known truth."""

import shutil
from dataclasses import replace
from functools import cache
from unittest.mock import patch

import numpy as np
import pytest
from cards import make_card
from designs import make_plain_design

from features.base.home import find_home
from features.model.card import (
    Measure,
    ModelCard,
)
from features.records.assessment import read_assessments
from training.findings.findings import (
    ChampionFacts,
    Compared,
    DecisionFacts,
    Findings,
    InstabilityFacts,
    Performance,
)
from training.fit import run_study
from training.measures.decision import THRESHOLDS, DecisionPoint
from training.measures.subgroups import Subgroup
from training.registry.registry import Registry
from training.study.courses import load_design
from training.study.design import number_sites
from training.study.study import Study

BY_HAND = Study(name="by-hand", question="?", outcome="phq9.acute.response", seed=1)


@pytest.fixture
def make_design():
    """Makes courses whose outcome follows PHQ-9 and, if given, site effects."""

    def make(size=300, strength=0.15, site_effects=(), seed=1, missing=0.1, study=BY_HAND):
        generator = np.random.default_rng(seed)
        rows = []
        for number in range(size):
            row = {
                "patient_id": f"p{number}",
                "condition": "depression",
                "phq9": int(generator.integers(5, 28)),
            }
            for name, low, high in (("age", 20, 80), ("bmi", 18, 45), ("gad7", 0, 21)):
                if generator.random() > missing:
                    row[name] = int(generator.integers(low, high + 1))
            row["bipolar"] = bool(generator.random() < 0.2)
            if site_effects:
                row["site"] = f"site-{number % len(site_effects)}"
            rows.append(row)
        columns = read_assessments(rows)
        sites, _ = number_sites(columns)
        effects = np.array(site_effects)[sites] if site_effects else np.zeros(size)
        log_odds = strength * (columns.get_numbers("phq9") - 16) + effects
        outcome = (generator.random(size) < 1 / (1 + np.exp(-log_odds))).astype(float)
        fields = ["age", "bmi", "phq9", "gad7", "bipolar"]
        design = make_plain_design(columns, fields, outcome, study)
        return replace(design, enrolled=design)

    return make


def make_performance(way, measures):
    """Make the performance by one type of validation."""
    kept = {name: Measure(value=value) for name, value in measures.items()}
    return Performance(way=way, method="by hand", courses=240, events=108, measures=kept)


def make_decision(gains):
    """Make a decision curve with these gains at each threshold."""
    none = Measure(value=None)
    rest = dict.fromkeys(("benefit", "treat_all", "standardised"), none)
    points = [
        DecisionPoint(threshold=at, treated=0.5, gain=Measure(value=gain), **rest)
        for at, gain in gains.items()
    ]
    return DecisionFacts(way="nested", points=tuple(points))


def make_subgroup(name, low, high):
    """Make a row of the subgroup table, with the interval of its O/E ratio."""
    ratio = Measure(value=(low * high) ** 0.5, low=low, high=high)
    return Subgroup(grouping="sex", name=name, courses=80, events=36, ratio=ratio)


GOOD = {
    "auc": 0.66, "log_loss": 0.65, "brier": 0.23, "scaled_brier": 0.06, "ratio": 1.0,
    "intercept": 0.0, "slope": 1.0, "ici": 0.02, "e50": 0.02, "e90": 0.04, "emax": 0.08,
}  # fmt: skip
CALIBRATED = {"female": (0.8, 1.3), "male": (0.7, 1.1)}


@pytest.fixture
def make_findings():
    """Makes findings of a model that meets every criterion, apart from the changes given."""

    def make(
        card=None,
        difference=-0.02,
        error=0.01,
        ways=None,
        gains=None,
        ratios=None,
        champion=None,
        **changes,
    ):
        card = card if isinstance(card, ModelCard) else make_card(**(card or {}))
        own = Compared(
            name=card.candidate,
            label="by hand",
            chosen=True,
            measures={},
            difference=difference,
            error=error,
        )
        ways = {"corrected": {}} if ways is None else ways
        gains = dict.fromkeys(THRESHOLDS, 0.01) | (gains or {})
        ratios = CALIBRATED if ratios is None else ratios
        facts = {
            "purpose": "development",
            "profile": "full",
            "card": card,
            "verdict": "Good enough.",
            "cohort": "240 courses made up by hand",
            "courses": 240,
            "events": 108,
            "patients": 240,
            "simulated": card.simulated,
            "candidates": (own,),
            "performance": tuple(make_performance(way, GOOD | ways[way]) for way in ways),
            "decision": make_decision(gains),
            "instability": InstabilityFacts(versions=40, level=0.95, error=0.04),
            "subgroups": tuple(make_subgroup(name, *ratios[name]) for name in ratios),
            "champion": champion and ChampionFacts(**({"error": 0.01} | champion)),
        }
        return Findings(**(facts | changes))

    return make


DEVELOPED = "phq9.acute.response"


@pytest.fixture(scope="session", autouse=True)
def newest_revision():
    """Let MLflow look for its newest schema once, not at each store: it reads every migration."""
    from mlflow.store.db import utils

    cached = cache(utils._get_latest_schema_revision)
    with patch.object(utils, "_get_latest_schema_revision", cached):
        yield


@pytest.fixture(scope="session")
def developed(make_once, empty_store, cohort):
    """Two models as developed by studies, by candidate."""

    def develop(folder):
        shutil.copytree(empty_store, folder, dirs_exist_ok=True)
        run_studies(find_home({"KETAMINE_RESPONSE_HOME": str(folder)}), cohort)

    folder = make_once("developed", develop)
    registry = Registry(find_home({"KETAMINE_RESPONSE_HOME": str(folder)}))
    versions = registry.client.search_model_versions(f"name='{DEVELOPED}'")
    models = [registry.load_version(DEVELOPED, str(version.version)).model for version in versions]
    return {model.card.candidate: model for model in models}


def run_studies(home, cohort):
    """Run a study for each of the two models."""
    facts = {
        "name": "developed",
        "question": "?",
        "outcome": DEVELOPED,
        "seed": 3,
        "cohort": {"where": {"condition": ["depression"]}},
        "validation": {"folds": 3, "repeats": 1, "resamples": 100, "profile": "quick"},
        "gate": {"redevelopments": 0},
        "uncertainty": {"redevelopments": 20},
    }
    for candidates in (("severity_only", "base_rate"), ("base_rate",)):
        study = Study(**facts, candidates=candidates)
        run_study(load_design(study, cohort), home, jobs=1)


@pytest.fixture
def home(empty_store, tmp_path):
    """The test's own home, with an empty store."""
    folder = tmp_path / "home"
    shutil.copytree(empty_store, folder)
    return find_home({"KETAMINE_RESPONSE_HOME": str(folder), "USER": "ada"})


@pytest.fixture
def register(home, developed, make_findings):
    """Registers a version in its own run, with findings by default."""
    registry = Registry(home)

    def make(candidate="severity_only", with_findings=True, **changes):
        model = developed[candidate]
        study = Study(name="by-hand", question="?", outcome=model.card.name, seed=1)
        with registry.open_study(study):
            version = registry.register(model).version
        if with_findings:
            findings = make_findings(card=model.card, version=version, **changes)
            registry.log_findings(findings, "<p>report</p>")
        return version

    make.registry = registry
    return make
