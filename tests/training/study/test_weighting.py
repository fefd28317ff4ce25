"""Weights for missing outcomes: which bias they correct, and that every candidate uses them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.records.cohort import read_cohort
from training.candidates.base import make_constant
from training.candidates.registry import make_candidates
from training.candidates.trees.trees import STUMPS, grow_trees
from training.study.courses import prepare_design
from training.study.study import Study
from training.study.weighting import compute_weights, count_effective, fit_reporting, weigh_courses

CANDIDATES = make_candidates()

SITES = (1.0, -1.0, 0.3, -0.3)


def make_study(**parts):
    facts = {"name": "t", "question": "?", "outcome": "phq9.acute.response", "seed": 3}
    return Study(**(facts | parts))


WEIGHTED = make_study(attrition={"weights": True})


def report(design, reported, study=WEIGHTED):
    """Keep the outcomes of some courses; the others are enrolled without a follow-up."""
    enrolled = replace(design, outcome=np.where(reported, design.outcome, np.nan))
    return replace(design.select(reported), study=study, enrolled=enrolled)


def lose(design, pull, seed=5):
    """Draw follow-up, more likely with a stronger pull."""
    return np.random.default_rng(seed).random(design.size) < expit(pull - 1.0)


def compare_shares(design, reported):
    """Compute the event rate of all, of those with follow-up, and of those by weight."""
    known = weigh_courses(report(design, reported))
    weighted = np.average(known.outcome, weights=known.weights)
    return design.outcome.mean(), known.outcome.mean(), weighted


def test_weights_correct_missingness_by_baseline(make_design):
    """Recorded severity and site determine both outcome and follow-up: the assumption holds."""
    design = make_design(6000, site_effects=SITES)
    severity = design.columns.get_numbers("phq9") - 16
    pull = 0.12 * severity + np.array(SITES)[design.sites]
    patients, reporters, weighted = compare_shares(design, lose(design, pull))
    assert reporters - patients > 0.10
    assert weighted == pytest.approx(patients, abs=0.025)


def test_weights_cannot_correct_missingness_by_outcome(make_design):
    """The assumption fails: responders have 2.2 times the odds of follow-up at any baseline.

    Only the part of the bias that baseline predicts is removed.
    """
    design = make_design(6000, site_effects=SITES)
    patients, reporters, weighted = compare_shares(
        design, lose(design, np.log(2.2) * design.outcome)
    )
    assert reporters - patients > 0.10
    assert weighted - patients > 0.6 * (reporters - patients)


def test_missing_fields_may_predict_follow_up(make_design):
    design = make_design(3000, missing=0.4)
    absent = design.columns.find_missing("bmi")
    reporting = fit_reporting(report(design, lose(design, 2.0 * absent)).enrolled)
    assert reporting[absent].mean() - reporting[~absent].mean() > 0.3


def test_weights_have_mean_1_and_are_truncated():
    probability = np.append(np.full(999, 0.5), 1e-6)
    weights = compute_weights(probability, np.ones(1000, dtype=bool))
    assert weights.mean() == pytest.approx(1)
    assert weights.max() < 10
    # Without both truncations that course would outweigh all others.
    assert count_effective(weights) > 900


def test_where_every_outcome_is_known_all_count_alike(make_design):
    design = make_design(100)
    known = weigh_courses(report(design, np.ones(100, dtype=bool)))
    assert known.weights == pytest.approx(np.ones(100))


def test_without_being_asked_for_there_are_no_weights(make_design):
    design = make_design(100)
    design = report(design, design.outcome == 1, make_study())
    assert weigh_courses(design) is design
    assert design.weights.tolist() == [1.0] * design.size


def test_weights_follow_their_courses(cohort):
    """Weights are in the order of the design's courses, also in a selection."""
    columns = read_cohort(cohort)
    design = prepare_design(WEIGHTED, columns)
    codes = design.enrolled.columns.get_texts("patient_id")[design.enrolled.reported]
    assert codes.tolist() == design.columns.get_texts("patient_id").tolist()
    design = weigh_courses(design)
    rows = np.array([7, 7, 2])
    assert design.select(rows).weights.tolist() == design.weights[rows].tolist()


def test_course_without_baseline_total_is_not_enrolled(cohort, tmp_path):
    frame = pd.read_parquet(cohort)
    frame = frame[frame["gad7"].notna()]  # a total of some kind is required
    items = [f"phq9_{number}" for number in range(1, 10)]
    frame.loc[frame["condition"] != "depression", ["phq9", *items]] = None
    frame.to_parquet(tmp_path / "unmeasured.parquet")
    columns = read_cohort(tmp_path / "unmeasured.parquet")
    design = prepare_design(make_study(), columns)
    assert not np.isnan(design.enrolled.columns.get_numbers("phq9")).any()
    assert design.courses.size == columns.size
    unmeasured = np.isnan(columns.get_numbers("phq9")).sum()
    assert columns.size - design.enrolled.size == unmeasured > 100


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_heeds_weights(make_design, name):
    """Events have three times the weight of non-events."""
    design = make_design(400)
    uneven = replace(design, given_weights=np.where(design.outcome == 1, 1.5, 0.5))
    plain, weighted = (
        expit(CANDIDATES[name].fit(courses, 1).equation.compute_log_odds(design.columns)).mean()
        for courses in (design, uneven)
    )
    assert weighted - plain > 0.15


def test_trees_themselves_heed_weights(make_design):
    """From the same start, and without calibration, which would mask it."""
    design = make_design(400)
    uneven = replace(design, given_weights=np.where(design.outcome == 1, 1.5, 0.5))
    start, settings = make_constant(design), {**STUMPS, "rounds": 50}
    plain, weighted = (
        grow_trees(courses, start, settings, seed=1).inplace_predict(design.matrix).mean()
        for courses in (design, uneven)
    )
    assert weighted - plain > 0.15


@pytest.mark.parametrize("name", ["base_rate", "elastic_net", "severity_only"])
def test_even_weights_change_nothing(make_design, name):
    design = make_design(200)
    even = replace(design, given_weights=np.ones(200))
    plain, weighted = (
        CANDIDATES[name].fit(courses, 1).equation.compute_log_odds(design.columns)
        for courses in (design, even)
    )
    assert weighted == pytest.approx(plain, abs=1e-12)


def test_uneven_weights_leave_the_evidence_less_sure(make_design):
    """Half of the weights are nearly 0: the posterior is as wide as without these courses."""
    design, generator = make_design(400), np.random.default_rng(2)
    some = np.arange(400) % 2 == 0
    uneven = replace(design, given_weights=np.where(some, 1.99, 0.01))

    def spread(courses):
        update = CANDIDATES["evidence_prior"].fit(courses, 1).posterior
        return update.mixture.draw(2000, generator)[1][:, 0].std()

    assert spread(uneven) == pytest.approx(spread(design.select(some)), rel=0.1)
    assert spread(uneven) > 1.15 * spread(design)
