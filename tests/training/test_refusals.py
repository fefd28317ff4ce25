"""Models that must not reach a clinician, each refused for its own fault."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import xgboost

from features.model.response_model import ResponseModel
from training.candidates.base import Fit, make_constant, make_equation
from training.candidates.calibration import NONE
from training.candidates.registry import make_candidates
from training.candidates.trees.trees import add_trees
from training.findings.card import make_card
from training.findings.comparison import compare
from training.findings.gate import list_failed
from training.study.study import Study
from training.validation.development import describe_development
from training.validation.evidence import gather_evidence
from training.validation.judgement import judge_development
from training.validation.procedure import Contest
from training.validation.runs import cross_validate

CANDIDATES = make_candidates()

STUDY = Study(
    name="refused",
    question="?",
    outcome="phq9.acute.response",
    seed=5,
    candidates=("xgboost", "base_rate"),
    validation={"folds": 3, "repeats": 2, "resamples": 100, "bootstraps": 30},
)
# Replaces the study's own candidate of that name.
NAME = "xgboost"


@dataclass(frozen=True)
class Unpruned:
    """Deep trees without shrinkage, grown until every course is separated."""

    name = NAME
    label = "unpruned trees"

    def fit(self, design, seed):
        return Fit(self.refit(design, {}, seed), {"rounds": 200, **NONE.as_settings()})

    def refit(self, design, settings, seed):
        data = xgboost.DMatrix(design.matrix, label=design.outcome, nthread=1)
        parameters = {
            "objective": "binary:logistic",
            "max_depth": 12,
            "eta": 0.5,
            "lambda": 0.0,
            "min_child_weight": 0.0,
            "base_score": 0.5,
            "nthread": 1,
            "seed": seed,
        }
        blank = np.zeros(len(design.features))
        return add_trees(
            make_equation(design, 0.0, blank, blank), xgboost.train(parameters, data, 200)
        )


@dataclass(frozen=True)
class Distorted:
    """The elastic net with log-odds moved and stretched, equally in all its draws."""

    moved: float
    stretched: float

    name = NAME
    label = "distorted"

    def fit(self, design, seed):
        fit = CANDIDATES["elastic_net"].fit(design, seed)
        return replace(fit, equation=self.distort(fit.equation))

    def refit(self, design, settings, seed):
        return self.distort(CANDIDATES["elastic_net"].refit(design, settings, seed))

    def distort(self, equation):
        terms, stretch = equation.terms, self.stretched
        changed = {
            "intercept": stretch * terms.intercept + self.moved,
            "present": stretch * terms.present,
            "missing": stretch * terms.missing,
            "calibration": np.array([[0.0, 1.0, 1.0]]),
        }
        return replace(equation, terms=replace(terms, **changed))


def find(design, candidate, study=STUDY):
    """Validate a candidate against the base rate as `fit` does, and judge it."""
    design = replace(design, study=study)
    candidates = {NAME: candidate, "base_rate": CANDIDATES["base_rate"]}
    crossed = cross_validate(design, candidates, jobs=1)
    crossed = replace(crossed, nested=crossed.held_out[NAME])
    # Judge this candidate, whichever the one-standard-error rule would select.
    comparison = replace(compare(design, crossed.held_out), chosen=NAME)
    equation = candidate.fit(design, 1).equation
    evidence = gather_evidence(design, Contest({NAME: candidate}, inner_folds=3), equation, crossed)
    card = make_card(design, comparison, CANDIDATES[NAME], equation)
    model = ResponseModel(card, equation)
    findings = judge_development(describe_development(design, model, comparison, evidence))
    return findings, list_failed(findings.gate)


def test_a_sound_model_passes(make_design):
    findings, failed = find(make_design(600, strength=0.15), CANDIDATES["elastic_net"])
    assert failed == []
    assert findings.find_performance("corrected").measures["auc"].value > 0.6


def test_overfitted_trees_are_refused(make_design):
    findings, failed = find(make_design(60), Unpruned())
    assert {"calibration_slope", "base_rate", "instability"} <= set(failed)
    ways = ("apparent", "corrected", "nested")
    apparent, corrected, nested = (findings.find_performance(way) for way in ways)
    assert apparent.measures["auc"].value > 0.95
    assert corrected.measures["auc"].value == pytest.approx(nested.measures["auc"].value, abs=0.1)
    assert nested.measures["slope"].value < 0.5
    slope = next(row for row in findings.gate if row.name == "calibration_slope")
    assert "overfitting" in slope.because


def test_a_leaking_column_is_refused(make_design):
    design = make_design(300)
    leaking = design.matrix.copy()
    index = [feature.name for feature in design.features].index("gad7")
    noise = np.random.default_rng(1).normal(size=300)
    leaking[:, index] = np.clip(8 + 6 * design.outcome + 2 * noise, 0, 21).round()
    columns = design.columns.replace({"gad7": leaking[:, index].astype(float)})
    findings, failed = find(
        replace(design, matrix=leaking, columns=columns), CANDIDATES["elastic_net"]
    )
    assert failed == ["leakage"]
    assert any("LEAKAGE ALARM" in alarm for alarm in findings.alarms)


@pytest.mark.parametrize(
    ("moved", "stretched", "criterion"),
    [(1.0, 1.0, "calibration_ratio"), (0.0, 3.0, "calibration_slope")],
)
def test_a_miscalibrated_model_is_refused(make_design, moved, stretched, criterion):
    _, failed = find(make_design(600, strength=0.15), Distorted(moved, stretched))
    assert criterion in failed
    assert "leakage" not in failed


def test_a_constant_model_does_not_beat_the_base_rate(make_design):
    @dataclass(frozen=True)
    class Constant:
        name, label = NAME, "constant"

        def fit(self, design, seed):
            return Fit(make_constant(design), {})

    _, failed = find(make_design(200), Constant())
    assert "base_rate" in failed
