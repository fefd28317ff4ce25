"""The whole gate, and models that it must refuse; test_criteria has the single criteria."""

import re

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from training.findings.findings import (
    DecisionFacts,
    InstabilityFacts,
)
from training.findings.gate import format_gate, judge, judge_with_champion, list_failed, passes
from training.findings.rule import Standing
from training.measures.bootstrap import IntervalSettings
from training.measures.calibration_curve import estimate_ratio, estimate_slope
from training.measures.decision import THRESHOLDS, compute_benefits, measure_decisions
from training.measures.discrimination import estimate_auc
from training.measures.instability import compute_errors
from training.measures.losses import compare_losses
from training.measures.predictions import Predictions
from training.measures.subgroups import tabulate_subgroups
from training.study.parts import GatePart

BOUNDS = GatePart()
UPDATE = "phq9.week12.response.after-week2"


def find(criteria, name):
    return next(criterion for criterion in criteria if criterion.name == name)


def test_good_model_meets_every_criterion(make_findings):
    criteria = judge(make_findings(), BOUNDS)
    assert passes(criteria)
    assert {criterion.name for criterion in criteria if criterion.passed is None} == {"champion"}
    assert all(criterion.because == "" for criterion in criteria if criterion.passed)


def test_external_findings_are_not_judged_on_development(make_findings):
    external = make_findings(ways={"external": {"slope": 1.1}}, purpose="external")
    criteria = judge(external, BOUNDS)
    waived = {criterion.name for criterion in criteria if criterion.passed is None}
    assert waived == {"base_rate", "instability", "redevelopments", "champion"}


def test_base_rate_may_always_be_champion(make_findings):
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
    assert {criterion.passed for criterion in criteria} == {None}
    assert all("base rate" in criterion.because for criterion in criteria)


def test_update_outcome_passes_with_a_high_auc(make_findings):
    ways = {"corrected": {"auc": 0.9}}
    assert list_failed(judge(make_findings(ways=ways), BOUNDS)) == ["leakage"]
    assert passes(judge(make_findings(card={"outcome": UPDATE}, ways=ways), BOUNDS))


def test_study_without_refits_can_pass(make_findings):
    gate = GatePart(redevelopments=0)
    assert passes(judge(make_findings(instability=None, profile="quick"), gate))


def test_champion_to_beat_is_the_current_one(make_findings):
    """Not the champion that the findings were compared with."""
    compared = {"version": "3", "candidate": "xgboost", "difference": -0.004}
    findings = make_findings(champion=compared)
    assert passes(judge(findings, BOUNDS))
    assert passes(judge_with_champion(findings, BOUNDS, Standing("3", "xgboost")))
    assert list_failed(judge_with_champion(findings, BOUNDS, Standing("5", "xgboost"))) == [
        "champion"
    ]
    assert passes(judge_with_champion(findings, BOUNDS, None))


def test_200_courses_can_pass_and_29_cannot(make_findings):
    assert passes(judge(make_findings(courses=200, events=90), BOUNDS))
    assert list_failed(judge(make_findings(courses=29, events=6), BOUNDS)) == ["courses", "events"]


def test_table_has_figures_and_names_failures(make_findings):
    criteria = judge(make_findings(ways={"corrected": {"slope": 0.41}}), BOUNDS)
    table = re.sub(" +", " ", format_gate(criteria))
    assert "| calibration_slope | 0.7 to 1.5 | 0.41 | FAILED |" in table
    assert "| champion | at most 0 | - | does not apply |" in table
    assert "Do not apply:\n champion: there is no champion\n" in table
    failed = "calibration_slope: estimates are too extreme (overfitting)"
    assert table.endswith(
        f"1 of {sum(c.passed is not None for c in criteria)} are not met:\n {failed}"
    )
    assert format_gate(judge(make_findings(), BOUNDS)).endswith("that applies is met.")


def test_a_reason_of_all_criteria_is_given_once(make_findings):
    findings = make_findings()
    card = findings.card.model_copy(update={"candidate": "base_rate"})
    table = format_gate(judge(findings.model_copy(update={"card": card}), BOUNDS))
    assert table.count("may always be champion") == 1
    assert table.endswith("No criterion applies.")


# Fitted models, measured as in validation.


def draw_courses(size, generator, deviation=0.8, fields=6):
    """Draw courses whose outcome follows the first field only."""
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
    """Compute a model's findings: bootstrap-corrected, and compared by cross-validation."""
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
    held_out, base = np.empty(size), np.empty(size)
    for fold in range(5):
        out = folds == fold
        held_out[out] = fit(matrix[~out], outcome[~out])(matrix[out])
        base[out] = outcome[~out].mean()
    losses = [-np.log(np.where(outcome == 1, p, 1 - p)) for p in (held_out, base)]
    gap = compare_losses(*losses, np.arange(size))
    predictions = Predictions(
        to_log_odds(held_out), outcome, np.arange(size), np.zeros(size, dtype=int)
    )
    curve = measure_decisions(predictions, IntervalSettings(100, 0.95, 1))
    sexes = np.where(generator.random(size) < 0.5, "female", "male")
    rows = tabulate_subgroups(predictions, {"sex": sexes}, 0.95)
    error = compute_errors(model(matrix), np.array(others)).mean()
    return make_findings(
        difference=gap.mean,
        error=gap.error,
        ways={
            "apparent": apparent,
            "corrected": corrected,
            "nested": measure_basics(held_out, outcome),
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
    assert passes(criteria), format_gate(criteria)


def test_unpruned_trees_are_refused_as_overfitted(make_findings):
    matrix, outcome = draw_courses(60, np.random.default_rng(3))
    criteria = judge(validate(fit_tree, matrix, outcome, make_findings), BOUNDS)
    assert {"calibration_slope", "base_rate", "instability", "courses"} <= set(
        list_failed(criteria)
    )
    assert find(criteria, "calibration_slope").because == "estimates are too extreme (overfitting)"


def test_leaking_model_is_refused(make_findings):
    matrix, outcome = draw_courses(400, np.random.default_rng(3))
    matrix[:, 1] = outcome + np.random.default_rng(4).normal(0, 0.6, len(outcome))
    criteria = judge(validate(fit_logistic, matrix, outcome, make_findings), BOUNDS)
    assert list_failed(criteria) == ["leakage"], format_gate(criteria)


def test_overestimating_model_is_refused_as_miscalibrated(make_findings):
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
    """Compute the share of cohorts whose net benefit falls below the margin.

    True log-odds have a standard deviation of 0.6 (an AUC of 0.66) around a rate of 45%.
    """
    generator, at = np.random.default_rng(0), np.array(THRESHOLDS)
    refused = 0
    for _ in range(repeats):
        log_odds = generator.normal(np.log(0.45 / 0.55), 0.6, size)
        outcome = (generator.random(size) < 1 / (1 + np.exp(-log_odds))).astype(float)
        mean = log_odds.mean()
        probability = 1 / (1 + np.exp(-(mean + stretch * (log_odds - mean))))
        each = np.ones((1, size))
        benefit = compute_benefits(probability, outcome, at, each)[0]
        treat_all = compute_benefits(np.ones(size), outcome, at, each)[0]
        refused += bool((benefit - np.maximum(treat_all, 0) < -margin).any())
    return refused / repeats


@pytest.mark.parametrize(
    ("size", "stretch", "share"),
    [(200, 1, 0.15), (500, 1, 0.02), (200, 2.5, 0.67), (500, 2.5, 0.59)],
)
def test_net_benefit_margin_refuses_as_documented(size, stretch, share):
    # Four standard errors of a proportion of 400.
    assert find_refused(size, stretch) == pytest.approx(
        share, abs=4 * (share * (1 - share) / 400) ** 0.5
    )
