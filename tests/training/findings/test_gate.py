"""The gate: every criterion on either side of its bounds, and models that must be refused."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from training.findings.criteria import Standing
from training.findings.findings import (
    DecisionFacts,
    InstabilityFacts,
)
from training.findings.gate import describe_gate, judge, judge_against, list_failed, passes
from training.measures.calibration_curve import estimate_ratio, estimate_slope
from training.measures.decision import THRESHOLDS, compute_benefits, measure_decisions
from training.measures.discrimination import estimate_auc
from training.measures.instability import compute_errors
from training.measures.losses import compare_losses
from training.measures.subgroups import Subgroup, tabulate_subgroups
from training.study.parts import GatePart

BOUNDS = GatePart()
UPDATE = "phq9.week12.response.after-week2"


def find(criteria, name):
    (found,) = [one for one in criteria if one.name == name]
    return found


def test_a_good_model_meets_every_criterion(make_findings):
    criteria = judge(make_findings(), BOUNDS)
    assert passes(criteria)
    assert {one.name for one in criteria if one.passed is None} == {"champion"}
    assert all(one.because == "" for one in criteria if one.passed)


JUST = 1e-6


@pytest.mark.parametrize(
    ("name", "within", "beyond"),
    [
        ("base_rate", {"difference": -0.01 - JUST}, {"difference": -0.01 + JUST}),
        ("base_rate", {"difference": -JUST, "error": 0.0}, {"difference": 0.0, "error": 0.0}),
        ("calibration_slope", {"ways": {"corrected": {"slope": 0.7}}},
         {"ways": {"corrected": {"slope": 0.7 - JUST}}}),
        ("calibration_slope", {"ways": {"corrected": {"slope": 1.5}}},
         {"ways": {"corrected": {"slope": 1.5 + JUST}}}),
        ("calibration_ratio", {"ways": {"corrected": {"ratio": 0.8}}},
         {"ways": {"corrected": {"ratio": 0.8 - JUST}}}),
        ("calibration_ratio", {"ways": {"corrected": {"ratio": 1.25}}},
         {"ways": {"corrected": {"ratio": 1.25 + JUST}}}),
        ("net_benefit", {"gains": {0.4: -0.02}}, {"gains": {0.4: -0.02 - JUST}}),
        ("net_benefit", {"gains": {0.2: -0.02, 0.6: -0.02}}, {"gains": {0.2: -0.03}}),
        ("net_benefit", {"gains": {0.65: -0.9, 0.1: -0.9}}, {"gains": {0.6: -0.9}}),
        ("instability",
         {"instability": InstabilityFacts(versions=40, level=0.95, error=0.1)},
         {"instability": InstabilityFacts(versions=40, level=0.95, error=0.1 + JUST)}),
        ("redevelopments",
         {"instability": InstabilityFacts(versions=20, level=0.95, error=0.04)},
         {"instability": InstabilityFacts(versions=19, level=0.95, error=0.04)}),
        ("redevelopments", {"profile": "full"}, {"profile": "quick"}),
        ("events", {"events": 20}, {"events": 19}),
        ("events", {"events": 220}, {"events": 221}),
        # (1.96 / .1)² x .5 x .5 = 96.04: 97 courses.
        ("courses", {"courses": 98, "events": 49}, {"courses": 96, "events": 48}),
        ("subgroups", {"ratios": {"female": (0.3, 0.68)}}, {"ratios": {"female": (0.3, 0.66)}}),
        ("subgroups", {"ratios": {"female": (1.49, 3.0)}}, {"ratios": {"female": (1.51, 3.0)}}),
        ("leakage", {"ways": {"corrected": {"auc": 0.78}}},
         {"ways": {"corrected": {"auc": 0.79}}}),
        ("champion",
         {"champion": {"version": "1", "candidate": "xgboost", "difference": -JUST}},
         {"champion": {"version": "1", "candidate": "xgboost", "difference": 0.0}}),
    ],
)  # fmt: skip
def test_each_criterion_is_met_within_its_bounds_and_fails_beyond(
    make_findings, name, within, beyond
):
    met, missed = (judge(make_findings(**changes), BOUNDS) for changes in (within, beyond))
    assert find(met, name).passed
    assert passes(met)
    assert list_failed(missed) == [name]
    assert find(missed, name).because


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("base_rate", {"candidates": ()}),
        ("calibration_slope", {"ways": {"corrected": {"slope": None}}}),
        ("calibration_ratio", {"ways": {"corrected": {"ratio": None}}}),
        ("leakage", {"ways": {"corrected": {"auc": None}}}),
        ("leakage", {"ways": {"apparent": {}}}),
        ("net_benefit", {"decision": None}),
        ("net_benefit", {"gains": {0.2: None}}),
        ("instability", {"instability": InstabilityFacts(versions=0, level=0.95)}),
        ("instability", {"instability": None}),
        ("subgroups", {"ratios": {}}),
    ],
)
def test_what_applies_and_was_not_measured_has_failed(make_findings, name, changes):
    found = find(judge(make_findings(**changes), BOUNDS), name)
    assert found.passed is False
    assert found.value is None
    assert found.because


def test_the_corrected_slope_counts_then_the_nested_one_and_for_others_patients_the_external_one(
    make_findings,
):
    ways = {"apparent": {"slope": 9.0}, "nested": {"slope": 0.8}, "corrected": {"slope": 0.9}}
    for left_out, slope in (((), 0.9), (("corrected",), 0.8)):
        given = {way: found for way, found in ways.items() if way not in left_out}
        criteria = judge(make_findings(ways=given), BOUNDS)
        assert find(criteria, "calibration_slope").value == slope
    external = make_findings(ways=ways | {"external": {"slope": 1.1}}, purpose="external")
    criteria = judge(external, BOUNDS)
    assert find(criteria, "calibration_slope").value == 1.1
    told = ("base_rate", "instability", "redevelopments", "champion")
    assert [find(criteria, name).passed for name in told] == [None] * 4


@pytest.mark.parametrize("undefined", [None, float("nan")])
def test_where_the_corrected_slope_is_not_defined_the_nested_one_counts(make_findings, undefined):
    """A model that separates its own patients has an infinite slope on them."""
    ways = {"corrected": {"slope": undefined}, "nested": {"slope": 0.2}}
    found = find(judge(make_findings(ways=ways), BOUNDS), "calibration_slope")
    assert (found.value, found.passed) == (0.2, False)
    assert found.because == "estimates are too extreme: overfitted"


def test_a_subgroup_fails_only_if_its_whole_interval_is_beyond_the_bounds(make_findings):
    """Its ratio of 2 means nothing where the interval reaches down to .9."""
    wide = judge(make_findings(ratios={"female": (0.9, 4.4)}), BOUNDS)
    narrow = judge(make_findings(ratios={"female": (1.7, 2.3), "male": (0.8, 1.2)}), BOUNDS)
    assert find(wide, "subgroups").value == 1.0
    assert find(narrow, "subgroups").value == 1.7
    assert find(narrow, "subgroups").because == "miscalibrated: sex female"


def test_subgroups_that_are_all_too_small_say_nothing(make_findings):
    small = Subgroup(grouping="sex", name="female", courses=None, events=None, note="too few")
    found = find(judge(make_findings(subgroups=(small,)), BOUNDS), "subgroups")
    assert found.passed is None
    assert "courses enough" in found.because


def test_the_base_rate_may_always_be_champion(make_findings):
    poor = make_findings(
        card={"candidate": "base_rate"},
        difference=0.0,
        error=0.0,
        ways={},
        courses=29,
        events=6,
        instability=None,
        champion={"version": "1", "candidate": "xgboost", "difference": 0.5},
    )
    criteria = judge(poor, BOUNDS)
    assert passes(criteria)
    assert {one.passed for one in criteria} == {None}
    assert all("base rate" in one.because for one in criteria)


def test_an_update_outcome_may_rank_far_better_than_baseline_can(make_findings):
    ways = {"corrected": {"auc": 0.9}}
    assert list_failed(judge(make_findings(ways=ways), BOUNDS)) == ["leakage"]
    assert passes(judge(make_findings(card={"outcome": UPDATE}, ways=ways), BOUNDS))


def test_simulated_patients_raise_the_alarm_as_real_ones_do(make_findings):
    findings = make_findings(card={"data": "simulated"}, ways={"corrected": {"auc": 0.9}})
    assert list_failed(judge(findings, BOUNDS)) == ["leakage"]


def test_a_study_that_asks_for_no_redevelopments_can_pass_without(make_findings):
    asked = GatePart(redevelopments=0)
    assert passes(judge(make_findings(instability=None, profile="quick"), asked))


@pytest.mark.parametrize(
    ("present", "passed", "because"),
    [
        (None, None, "there is no champion"),
        (Standing("3", "base_rate"), None, "the champion is the base rate: see base_rate"),
        (Standing("3", "xgboost"), True, ""),
        (Standing("5", "xgboost"), False,
         "compared with version 3, but the champion is version 5: fit again on today's cohort"),
    ],
)  # fmt: skip
def test_the_champion_to_beat_is_the_one_of_today(make_findings, present, passed, because):
    compared = {"version": "3", "candidate": "xgboost", "difference": -0.004}
    found = find(judge_against(make_findings(champion=compared), BOUNDS, present), "champion")
    assert (found.passed, found.because) == (passed, because)


def test_a_champion_that_came_later_was_not_compared_with(make_findings):
    found = find(judge_against(make_findings(), BOUNDS, Standing("5", "xgboost")), "champion")
    assert found.because.startswith("compared with no champion, but the champion is version 5")


def test_a_clinic_of_200_courses_can_pass_and_the_nimh_trial_cannot(make_findings):
    assert passes(judge(make_findings(courses=200, events=90), BOUNDS))
    assert list_failed(judge(make_findings(courses=29, events=6), BOUNDS)) == ["courses", "events"]


def test_the_description_has_every_number_and_names_what_failed(make_findings):
    criteria = judge(make_findings(ways={"corrected": {"slope": 0.41}}), BOUNDS)
    told = describe_gate(criteria)
    assert "| calibration_slope | 0.7 to 1.5     | 0.41  | FAILED         |" in told
    assert "| champion          | at most 0      | -     | does not apply |" in told
    assert "1 of 10 are not met:\n  calibration_slope: estimates are too extreme" in told
    assert describe_gate(judge(make_findings(), BOUNDS)).endswith("that applies is met.")


# Models that were really fitted, measured with the measures of validation.


def draw_courses(size, generator, deviation=0.8, fields=6):
    """Courses of which the first field tells the outcome, and nothing else does."""
    matrix = generator.normal(size=(size, fields))
    log_odds = deviation * matrix[:, 0] - 0.2
    return matrix, (generator.random(size) < 1 / (1 + np.exp(-log_odds))).astype(float)


def keep_inside(probability):
    return np.clip(probability, 0.01, 0.99)


def fit_logistic(matrix, outcome, weight=1.0):
    model = LogisticRegression(C=0.2).fit(matrix, outcome, np.where(outcome == 1, weight, 1.0))
    return lambda other: keep_inside(model.predict_proba(other)[:, 1])


def fit_tree(matrix, outcome):
    model = DecisionTreeClassifier(random_state=1).fit(matrix, outcome)
    return lambda other: keep_inside(model.predict_proba(other)[:, 1])


def to_log_odds(probability):
    return np.log(probability / (1 - probability))


def measure_basics(probability, outcome):
    return {
        "auc": estimate_auc(probability, outcome).value,
        "slope": estimate_slope(to_log_odds(probability), outcome).value,
        "ratio": estimate_ratio(probability, outcome).value,
    }


def validate(fit, matrix, outcome, make_findings, versions=25):
    """Findings of a model: corrected by the bootstrap, compared by cross-validation."""
    size, generator = len(outcome), np.random.default_rng(8)
    model = fit(matrix, outcome)
    apparent = measure_basics(model(matrix), outcome)
    others, optimism = [], []
    for _ in range(versions):
        rows = generator.integers(0, size, size)
        other = fit(matrix[rows], outcome[rows])
        drawn = measure_basics(other(matrix[rows]), outcome[rows])
        here = measure_basics(other(matrix), outcome)
        optimism.append([drawn[name] - here[name] for name in apparent])
        others.append(other(matrix))
    falls = dict(zip(apparent, np.mean(optimism, axis=0), strict=True))
    corrected = {name: apparent[name] - falls[name] for name in apparent}
    folds = np.arange(size) % 5
    said, base = np.empty(size), np.empty(size)
    for fold in range(5):
        out = folds == fold
        said[out] = fit(matrix[~out], outcome[~out])(matrix[out])
        base[out] = outcome[~out].mean()
    losses = [-np.log(np.where(outcome == 1, p, 1 - p)) for p in (said, base)]
    gap = compare_losses(*losses, np.arange(size))
    curve = measure_decisions(said, outcome, np.arange(size), 100, 0.95, 1)
    sexes = np.where(generator.random(size) < 0.5, "female", "male")
    rows = tabulate_subgroups(said, outcome, {"sex": sexes}, 0.95)
    error = compute_errors(model(matrix), np.array(others).T).mean()
    return make_findings(
        difference=gap.mean,
        error=gap.error,
        ways={
            "apparent": apparent,
            "corrected": corrected,
            "nested": measure_basics(said, outcome),
        },
        decision=DecisionFacts(way="nested", points=tuple(curve)),
        instability=InstabilityFacts(versions=versions, level=0.95, error=error),
        subgroups=tuple(rows),
        courses=size,
        events=int(outcome.sum()),
    )


def test_an_honest_model_passes(make_findings):
    matrix, outcome = draw_courses(400, np.random.default_rng(3))
    criteria = judge(validate(fit_logistic, matrix, outcome, make_findings), BOUNDS)
    assert passes(criteria), describe_gate(criteria)


def test_unpruned_trees_on_60_patients_are_refused_as_overfitted(make_findings):
    matrix, outcome = draw_courses(60, np.random.default_rng(3))
    criteria = judge(validate(fit_tree, matrix, outcome, make_findings), BOUNDS)
    assert {"calibration_slope", "base_rate", "instability", "courses"} <= set(
        list_failed(criteria)
    )
    assert find(criteria, "calibration_slope").because == "estimates are too extreme: overfitted"


def test_a_model_that_knows_the_outcome_is_refused_as_leaking(make_findings):
    matrix, outcome = draw_courses(400, np.random.default_rng(3))
    matrix[:, 1] = outcome + np.random.default_rng(4).normal(0, 0.6, len(outcome))
    criteria = judge(validate(fit_logistic, matrix, outcome, make_findings), BOUNDS)
    assert list_failed(criteria) == ["leakage"], describe_gate(criteria)


def test_a_model_whose_estimates_are_all_too_high_is_refused_as_miscalibrated(make_findings):
    """Positives counted three times, as `scale_pos_weight` does."""
    matrix, outcome = draw_courses(400, np.random.default_rng(3))

    def fit(rows, known):
        return fit_logistic(rows, known, weight=3.0)

    criteria = judge(validate(fit, matrix, outcome, make_findings), BOUNDS)
    assert "calibration_ratio" in list_failed(criteria)
    assert find(criteria, "calibration_ratio").because == "estimates are too high"
    assert find(criteria, "calibration_slope").passed
    assert find(criteria, "leakage").passed


def find_refused(size, stretch, margin=BOUNDS.net_benefit_margin, repeats=400):
    """Share of cohorts in which net benefit falls below the margin.

    The truth has log-odds with a standard deviation of .6 (an AUC of .66) about 45 %.
    """
    generator, at = np.random.default_rng(0), np.array(THRESHOLDS)
    refused = 0
    for _ in range(repeats):
        log_odds = generator.normal(np.log(0.45 / 0.55), 0.6, size)
        outcome = (generator.random(size) < 1 / (1 + np.exp(-log_odds))).astype(float)
        mean = log_odds.mean()
        said = 1 / (1 + np.exp(-(mean + stretch * (log_odds - mean))))
        each = np.ones((1, size))
        benefit = compute_benefits(said, outcome, at, each)[0]
        treat_all = compute_benefits(np.ones(size), outcome, at, each)[0]
        refused += bool((benefit - np.maximum(treat_all, 0) < -margin).any())
    return refused / repeats


@pytest.mark.parametrize(
    ("size", "stretch", "share"),
    [(200, 1, 0.15), (500, 1, 0.02), (200, 2.5, 0.67), (500, 2.5, 0.59)],
)
def test_the_margin_of_net_benefit_refuses_as_often_as_the_docs_say(size, stretch, share):
    # Four standard errors of 400 cohorts.
    assert find_refused(size, stretch) == pytest.approx(
        share, abs=4 * (share * (1 - share) / 400) ** 0.5
    )
