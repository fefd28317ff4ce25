"""Evidence by every type of validation, and the findings that follow from it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from training.candidates.registry import make_candidates
from training.findings.findings import Findings
from training.measures.performance import MEASURES
from training.study.study import Study
from training.validation.evidence import (
    MAX_QUICK_BOOTSTRAPS,
    count_bootstraps,
    gather_evidence,
    list_performance,
)
from training.validation.procedure import Contest, FixedRefit, choose_procedure, select_candidate
from training.validation.runs import cross_validate
from training.validation.units import draw_bootstrap

CANDIDATES = make_candidates()

NAMES = ("evidence_prior", "elastic_net", "base_rate")


def make_study(**validation):
    return Study(
        name="by-hand",
        question="?",
        outcome="phq9.acute.response",
        seed=1,
        candidates=NAMES,
        validation={"folds": 3, "repeats": 2, "resamples": 100, "bootstraps": 5} | validation,
    )


def validate(study, design):
    candidates = {name: CANDIDATES[name] for name in NAMES}
    crossed = cross_validate(study, design, candidates, jobs=1)
    fit = candidates["evidence_prior"].fit(design, 1)
    procedure = choose_procedure(study, candidates, "evidence_prior", fit)
    return gather_evidence(study, design, procedure, fit.equation, crossed)


def test_every_validation_type_has_measures_or_a_reason(make_design):
    """With one site and no dates; optimism makes corrected figures worse than apparent ones."""
    study = make_study()
    rows = list(list_performance(study, validate(study, make_design(150))))
    assert [row.way for row in rows] == ["apparent", "corrected", "nested", "sites", "temporal"]
    for row in rows:
        assert bool(row.measures) != bool(row.because)
    apparent, corrected, nested, sites, _ = rows
    assert nested.courses == 150  # not counted once per repeat
    assert "two sites" in sites.because
    for name, sign in (("auc", 1), ("log_loss", -1), ("brier", -1)):
        gain = apparent.measures[name].value - corrected.measures[name].value
        assert sign * gain > 0, name
    assert 0 < corrected.shrinkage < 1


@pytest.mark.parametrize(
    ("redraw", "method"),
    [(True, "outcomes redrawn from the model"), (False, "outcomes as recorded")],
)
def test_bootstrap_outcomes_are_as_the_study_asks(make_design, redraw, method):
    study, design = make_study(redraw_outcomes=redraw, bootstraps=3), make_design(90)
    evidence = validate(study, design)
    corrected = list(list_performance(study, evidence))[1]
    assert corrected.method.endswith(method)
    assert evidence.refit_probability.shape == (3, 90)
    sample = draw_bootstrap(study, design, 0).train
    predicted = evidence.refit_probability[0, sample]
    brier = evidence.refits.on_sample[0, MEASURES.index("brier")]
    recorded = np.mean((design.outcome[sample] - predicted) ** 2)
    assert (brier == pytest.approx(recorded)) is not redraw


def test_without_bootstraps_nothing_is_corrected(make_design):
    study = make_study(bootstraps=0)
    evidence = validate(study, make_design(90))
    assert evidence.refit_probability.shape == (0, 90)
    corrected = list(list_performance(study, evidence))[1]
    assert not corrected.measures
    assert corrected.because


def test_sites_and_latest_courses_are_held_out(make_design):
    design = make_design(240, site_effects=(0.5, 0.0, -0.5))
    days = (design.patients * 7 % 240).astype(float)
    design = replace(design, columns=design.columns.replace({"assessed_on": days}))
    study = make_study(bootstraps=0)
    *_, sites, latest = list_performance(study, validate(study, design))
    assert (sites.courses, latest.courses) == (240, 60)
    assert "3 sites" in sites.method


def test_the_quick_profile_fixes_hyperparameters(make_design):
    fit = CANDIDATES["evidence_prior"].fit(make_design(80), 1)
    quick, full = (make_study(profile=name, bootstraps=200) for name in ("quick", "full"))
    fixed = choose_procedure(quick, CANDIDATES, "evidence_prior", fit)
    assert isinstance(fixed, FixedRefit)
    assert fixed.settings == fit.settings
    whole = choose_procedure(full, CANDIDATES, "evidence_prior", fit)
    assert isinstance(whole, Contest)
    assert (tuple(whole.candidates), whole.inner_folds) == (NAMES, 3)
    assert (count_bootstraps(quick), count_bootstraps(full)) == (MAX_QUICK_BOOTSTRAPS, 200)


def test_selection_follows_the_one_standard_error_rule(make_design):
    """On noise, all candidates are within one error, and the most preferred is selected."""
    design = make_design(200, strength=0.0)
    fits = {name: CANDIDATES[name].fit(design, 1) for name in NAMES}
    assert select_candidate(fits, design) == NAMES[0]
    assert select_candidate(dict(reversed(fits.items())), design) == "base_rate"


def test_findings_are_read_back_from_json(fitted_findings):
    again = Findings.model_validate_json(fitted_findings.model_dump_json())
    assert again == fitted_findings
    plain = json.loads(fitted_findings.model_dump_json())
    assert plain["simulated"]
    assert {
        performance["way"] for performance in plain["performance"] if performance["measures"]
    } >= {"nested", "sites"}
    assert plain["gate"]
    assert plain["checklist"]
    assert plain["limitations"]


@pytest.fixture(scope="module")
def fitted_findings(commands):
    """Findings of the demonstration's study, from the store."""
    from features.base.home import find_home
    from training.registry.reference import parse_reference
    from training.registry.registry import Registry

    registry = Registry(find_home({"KETAMINE_RESPONSE_HOME": str(commands.home)}))
    name = "phq9.acute.response"
    version = registry.find_version(parse_reference(f"{name}@challenger"))
    return registry.read_findings(name, version)
