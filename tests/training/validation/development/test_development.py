"""The findings of a run, whole: every way of testing, and what the store's files say."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from training.candidates.registry import make_candidates
from training.findings.findings import Findings
from training.measures.performance import MEASURES
from training.study.study import Study
from training.validation.development.evidence import (
    MOST_HELD,
    choose_procedure,
    choose_redrawing,
    count_bootstraps,
    gather_evidence,
)
from training.validation.development.validated import Validated, list_performance
from training.validation.procedure import HeldRedevelopment, Redevelopment, pick_candidate
from training.validation.runs import cross_validate
from training.validation.store import Store
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
    redrawing = choose_redrawing(study, design, fit.equation, crossed)
    evidence = gather_evidence(study, design, procedure, redrawing, Store(), jobs=1)
    return Validated(study, design, fit.equation, crossed, evidence)


def test_every_way_of_testing_is_there_or_says_why_not(make_design):
    found = list(list_performance(validate(make_study(), make_design(150))))
    assert [one.way for one in found] == ["apparent", "corrected", "nested", "sites", "temporal"]
    for one in found:
        assert bool(one.measures) != bool(one.because)
    assert found[2].courses == 150  # not once a repeat
    assert "two sites" in found[3].because


def test_optimism_makes_the_corrected_worse_than_the_apparent(make_design):
    apparent, corrected, *_ = list_performance(validate(make_study(), make_design(150)))
    for name, better in (("auc", 1), ("log_loss", -1), ("brier", -1)):
        gain = apparent.measures[name].value - corrected.measures[name].value
        assert better * gain > 0, name
    assert 0 < corrected.shrinkage < 1


@pytest.mark.parametrize(("redraw", "told"), [(True, "drawn anew"), (False, "as recorded")])
def test_outcomes_are_drawn_anew_or_as_recorded_as_the_study_asks(make_design, redraw, told):
    found = validate(make_study(redraw_outcomes=redraw, bootstraps=3), make_design(90))
    corrected = list(list_performance(found))[1]
    assert corrected.method.endswith(told if not redraw else f"{told} from the model")
    versions, learned = found.evidence.versions, draw_bootstrap(found.study, found.design, 0).train
    said, recorded = expit(versions.log_odds[0, learned]), found.design.outcome[learned]
    own = versions.own[0, MEASURES.index("brier")]
    assert (own == pytest.approx(np.mean((recorded - said) ** 2))) is not redraw


def test_sites_and_the_latest_are_tested_where_there_are_any(make_design):
    design = make_design(240, site_effects=(0.5, 0.0, -0.5))
    days = (design.patients * 7 % 240).astype(float)
    design = replace(design, columns=design.columns.replace({"assessed_on": days}))
    *_, sites, latest = list_performance(validate(make_study(), design))
    assert (sites.courses, latest.courses) == (240, 60)
    assert "3 sites" in sites.method


def test_the_quick_profile_repeats_one_fit_with_its_choices_held(make_design):
    fit = CANDIDATES["evidence_prior"].fit(make_design(80), 1)
    quick, full = (make_study(profile=name, bootstraps=200) for name in ("quick", "full"))
    held = choose_procedure(quick, CANDIDATES, "evidence_prior", fit)
    assert isinstance(held, HeldRedevelopment)
    assert held.settings == fit.settings
    assert isinstance(choose_procedure(full, CANDIDATES, "evidence_prior", fit), Redevelopment)
    assert (count_bootstraps(quick), count_bootstraps(full)) == (MOST_HELD, 200)


def test_a_redevelopment_chooses_by_the_rule_of_one_error(make_design):
    """Nothing to learn: all are within one error, and the preferred one is taken."""
    design = make_design(200, strength=0.0)
    fits = {name: CANDIDATES[name].fit(design, 1) for name in NAMES}
    assert pick_candidate(fits, design) == NAMES[0]
    turned = dict(reversed(fits.items()))
    assert pick_candidate(turned, design) == "base_rate"


@pytest.mark.parametrize("count", [0, 3])
def test_so_many_versions_are_developed_as_the_study_asks_for(make_design, count):
    found = validate(make_study(bootstraps=count), make_design(90))
    assert found.versions.shape == (count, 90)
    corrected = list(list_performance(found))[1]
    assert bool(corrected.measures) == bool(count)


def test_findings_are_json_that_can_be_read_back(fitted_findings):
    again = Findings.model_validate_json(fitted_findings.model_dump_json())
    assert again == fitted_findings
    plain = json.loads(fitted_findings.model_dump_json())
    assert plain["simulated"]
    assert {one["way"] for one in plain["performance"] if one["measures"]} >= {"nested", "sites"}
    assert plain["gate"]
    assert plain["checklist"]
    assert plain["limitations"]


@pytest.fixture(scope="module")
def fitted_findings(commands):
    """What the demonstration's study found, from the store."""
    from features.base.home import find_home
    from training.registry.reference import parse_reference
    from training.registry.registry import Registry

    registry = Registry(find_home({"KETAMINE_RESPONSE_HOME": str(commands.home)}))
    name = "phq9.acute.response"
    version = registry.find_version(parse_reference(f"{name}@challenger"))
    return registry.read_findings(name, version)
