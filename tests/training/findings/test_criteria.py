"""Each criterion of the gate: just inside its bounds, just outside, and not measured."""

import pytest

from experiments.__main__ import app
from experiments.docs.reference import render_page
from training.findings.criteria import RULES
from training.findings.findings import InstabilityFacts
from training.findings.rule import Case, Standing, judge_rule
from training.measures.subgroups import Subgroup
from training.study.parts import GatePart

NAMED = {rule.name: rule for rule in RULES}
CHAMPION = Standing("3", "xgboost")
BARELY = 1e-6
UPDATE = "phq9.week12.response.after-week2"


@pytest.fixture
def judge_one(make_findings):
    """Judge good findings with these changes by a single criterion."""

    def judge(name, standing=CHAMPION, bounds=None, **changes):
        case = Case(make_findings(**changes), GatePart(**(bounds or {})), standing)
        return judge_rule(NAMED[name], case)

    return judge


def corrected(**measures):
    return {"ways": {"corrected": measures}}


def refitted(error=0.04, versions=40):
    return {"instability": InstabilityFacts(versions=versions, level=0.95, error=error)}


def against(difference, version="3"):
    return {"champion": {"version": version, "candidate": "xgboost", "difference": difference}}


@pytest.mark.parametrize(
    ("name", "within", "outside", "reason"),
    [
        ("base_rate", {"difference": -0.01 - BARELY}, {"difference": -0.01 + BARELY},
         "no better than the base rate"),
        ("base_rate", {"difference": -BARELY, "error": 0.0}, {"difference": 0.0, "error": 0.0},
         "no better and no worse"),
        ("calibration_slope", corrected(slope=0.7), corrected(slope=0.7 - BARELY),
         "estimates are too extreme (overfitting)"),
        ("calibration_slope", corrected(slope=1.5), corrected(slope=1.5 + BARELY),
         "estimates are not extreme enough"),
        ("calibration_ratio", corrected(ratio=0.8), corrected(ratio=0.8 - BARELY),
         "estimates are too high"),
        ("calibration_ratio", corrected(ratio=1.25), corrected(ratio=1.25 + BARELY),
         "estimates are too low"),
        ("net_benefit", {"gains": {0.4: -0.02}}, {"gains": {0.4: -0.02 - BARELY}},
         "at the threshold 0.4"),
        ("net_benefit", {"gains": {0.2: -0.02, 0.6: -0.02}}, {"gains": {0.2: -0.03}},
         "at the threshold 0.2"),
        # Thresholds outside 0.2 to 0.6 do not count.
        ("net_benefit", {"gains": {0.65: -0.9, 0.1: -0.9}}, {"gains": {0.6: -0.9, 0.65: -1}},
         "at the threshold 0.6"),
        ("instability", refitted(error=0.1), refitted(error=0.1 + BARELY),
         "other patients would have led to other estimates"),
        ("redevelopments", refitted(versions=20), refitted(versions=19),
         "too few to estimate optimism"),
        ("redevelopments", {"profile": "full"}, {"profile": "quick"},
         "hyperparameters were fixed in the refits: fit without the quick profile"),
        ("events", {"events": 20}, {"events": 19}, "too few to measure discrimination"),
        ("events", {"events": 220}, {"events": 221}, "too few to measure discrimination"),
        # (1.96 / 0.1)² x 0.5 x 0.5 = 96.04: 97 courses.
        ("courses", {"courses": 97, "events": 48}, {"courses": 96, "events": 48},
         "too few to know even the base rate"),
        ("subgroups", {"ratios": {"female": (0.3, 0.67)}},
         {"ratios": {"female": (0.3, 0.67 - BARELY)}}, "miscalibrated: sex female"),
        ("subgroups", {"ratios": {"female": (1.5, 3.0)}},
         {"ratios": {"female": (1.5 + BARELY, 3.0), "male": (0.8, 1.2)}},
         "miscalibrated: sex female"),
        ("leakage", corrected(auc=0.78), corrected(auc=0.78 + BARELY),
         "implausibly high: a column may contain the outcome"),
        ("champion", against(-BARELY), against(BARELY), "no better than the champion"),
        ("champion", against(-BARELY), against(0.0), "no better and no worse"),
    ],
)  # fmt: skip
def test_criterion_holds_up_to_its_bound(judge_one, name, within, outside, reason):
    met = judge_one(name, **(against(-0.01) | within))
    failed = judge_one(name, **(against(-0.01) | outside))
    assert (met.passed, met.because) == (True, "")
    assert (failed.passed, failed.because) == (False, reason)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("base_rate", {"candidates": ()}, "the candidates were not compared"),
        ("calibration_slope", corrected(slope=None), "not measured"),
        ("calibration_ratio", corrected(ratio=None), "not measured"),
        ("leakage", corrected(auc=None), "not measured"),
        ("leakage", {"ways": {"apparent": {}}}, "not measured"),
        ("net_benefit", {"decision": None}, "no decision curve covers thresholds from 0.2 to 0.6"),
        ("net_benefit", {"gains": {0.2: None}},
         "no decision curve covers thresholds from 0.2 to 0.6"),
        ("net_benefit", {"gains": {0.6: None}},
         "no decision curve covers thresholds from 0.2 to 0.6"),
        ("instability", refitted(error=None, versions=0), "no bootstrap refits were made"),
        ("instability", {"instability": None}, "no bootstrap refits were made"),
        ("subgroups", {"ratios": {}}, "no subgroup was tabulated"),
        ("champion", against(-0.1, "5"), "compared with version 5, but the champion is version 3: "
         "fit again on the current cohort"),
        ("champion", {}, "compared with no champion, but the champion is version 3: "
         "fit again on the current cohort"),
    ],
)  # fmt: skip
def test_criterion_that_was_not_measured_has_failed(judge_one, name, changes, reason):
    criterion = judge_one(name, **changes)
    assert (criterion.value, criterion.passed) == (None, False)
    assert criterion.because == reason


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("champion", {"standing": None}, "there is no champion"),
        ("champion", {"standing": Standing("3", "base_rate")},
         "the champion is the base rate: see base_rate"),
        ("instability", {"bounds": {"redevelopments": 0}, "instability": None},
         "the study requires no bootstrap refits"),
        ("redevelopments", {"bounds": {"redevelopments": 0}, "profile": "quick"},
         "the study requires no bootstrap refits"),
    ],
)  # fmt: skip
def test_criterion_that_does_not_apply_says_why(judge_one, name, changes, reason):
    criterion = judge_one(name, **changes)
    assert (criterion.passed, criterion.because) == (None, reason)


def test_instability_that_was_measured_is_judged(judge_one):
    """Measured instability counts even if the study does not require refits."""
    judged = judge_one("instability", bounds={"redevelopments": 0}, **refitted(error=0.2))
    assert judged.passed is False


def test_leakage_is_not_judged_after_early_scores(judge_one):
    """Scores after the first dose predict far better than a baseline."""
    judged = judge_one("leakage", card={"outcome": UPDATE}, **corrected(auc=0.9))
    assert (judged.passed, judged.value) == (None, 0.9)


def test_leakage_is_judged_for_simulated_patients_too(judge_one):
    judged = judge_one("leakage", card={"data": "simulated"}, **corrected(auc=0.9))
    assert judged.passed is False


def test_small_subgroups_are_not_judged(judge_one):
    small = Subgroup(grouping="sex", name="female", courses=None, events=None, note="too few")
    judged = judge_one("subgroups", subgroups=(small,))
    assert (judged.passed, judged.because) == (
        None,
        "no subgroup has enough courses to be judged",
    )


def test_worst_subgroup_is_the_farthest_from_one(judge_one):
    """Farthest by its ratio, and by the end of its interval nearest to 1."""
    ratios = {"a": (0.9, 4.4), "b": (1.2, 1.4), "c": (0.6, 0.8), "d": (0.5, 0.84)}
    assert judge_one("subgroups", ratios=ratios).value == 0.8
    assert judge_one("subgroups", ratios={"a": (0.9, 4.4)}).value == 1.0
    assert judge_one("subgroups", ratios={"a": (0.0, 0.0)}).passed is False


def test_corrected_evidence_comes_before_nested(judge_one):
    ways = {"apparent": {"slope": 9.0}, "nested": {"slope": 0.8}, "corrected": {"slope": 0.9}}
    judged = judge_one("calibration_slope", ways=ways)
    assert (judged.value, judged.question) == (0.9, "calibration slope, corrected")
    judged = judge_one("calibration_slope", ways={"nested": {"slope": 0.8}})
    assert (judged.value, judged.question) == (0.8, "calibration slope, nested")


@pytest.mark.parametrize("undefined", [None, float("nan")])
def test_nested_evidence_replaces_what_is_undefined(judge_one, undefined):
    """A model that separates its own patients has an infinite slope on them."""
    ways = {"corrected": {"slope": undefined}, "nested": {"slope": 0.2}}
    judged = judge_one("calibration_slope", ways=ways)
    assert (judged.value, judged.passed) == (0.2, False)


def test_external_evidence_alone_counts_on_another_cohort(judge_one):
    ways = {"corrected": {"slope": 0.9}, "external": {"slope": 1.1}}
    judged = judge_one("calibration_slope", ways=ways, purpose="external")
    assert judged.value == 1.1
    judged = judge_one("calibration_slope", ways={"corrected": {}}, purpose="external")
    assert judged.value is None


def test_bounds_of_the_study_are_in_the_question(judge_one):
    judged = judge_one("net_benefit", bounds={"thresholds": (0.3, 0.5)})
    assert judged.question.endswith("at thresholds from 0.3 to 0.5")
    assert judge_one("net_benefit", gains={0.2: None}, bounds={"thresholds": (0.25, 0.6)}).passed


def test_number_of_courses_follows_the_base_rate(judge_one):
    assert judge_one("courses", courses=240, events=48).low == 62
    assert judge_one("courses", courses=0, events=0).low == 97


def test_nan_is_not_measured(judge_one):
    judged = judge_one("instability", **refitted(error=float("nan")))
    assert (judged.value, judged.passed) == (None, False)
    assert judge_one("leakage", **corrected(auc=float("nan"))).because == "not measured"


def test_reference_page_has_every_criterion():
    """`docs/reference/gate.md` is written from the same table."""
    page = render_page("gate.md", app)
    assert all(f"| `{rule.name}` |" in page for rule in RULES)
    assert "{" not in page
