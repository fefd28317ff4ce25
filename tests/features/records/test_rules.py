"""Rules between fields, and totals from items, at their limits."""

import numpy as np
import pytest

from features.dictionary.dictionary import load_dictionary
from features.records.assessment import parse_rows
from features.records.columns import concatenate_columns
from features.records.scoring import prorate_total

INSTRUMENTS = load_dictionary().instruments


@pytest.fixture
def list_rules(make_assessment):
    def list_rules(**changes):
        _, problems = parse_rows([make_assessment(**changes)])
        return [(problem.field, problem.rule) for problem in problems]

    return list_rules


@pytest.mark.parametrize("dose", [28, 56, 84])
def test_sprays_of_esketamine_come_in_three_doses(list_rules, dose):
    spray = {"agent": "esketamine", "route": "intranasal"}
    assert list_rules(dose_mg=dose, **spray) == []
    assert list_rules(dose_mg=dose + 1, **spray) == [("dose_mg", "dose")]
    assert list_rules(dose_mg=dose + 1, agent="ketamine", route="intranasal") == []
    assert list_rules(dose_mg=dose + 1, agent="esketamine", route="iv") == []


def test_a_dose_is_given_once(list_rules):
    assert list_rules(dose_mg=50, dose_mg_kg=0.5) == [("dose_mg", "one_dose")]
    assert list_rules(dose_mg_kg=0.5) == []


@pytest.mark.parametrize(("low", "high"), [("onset_age", "age"), ("diastolic", "systolic")])
def test_numbers_in_order_may_be_equal(list_rules, low, high):
    assert list_rules(**{low: 80, high: 80}) == []
    assert list_rules(**{low: 79, high: 80}) == []
    assert list_rules(**{low: 81, high: 80}) == [(low, "order")]


def test_total_may_be_what_missing_items_allow(list_rules):
    """Eight items of 2 are 16; the ninth may add 0 to 3."""
    items = {f"phq9_{number}": 2 for number in range(1, 9)}
    for total, problems in ((15, [("phq9", "total")]), (16, []), (19, [])):
        assert list_rules(phq9=total, **items) == problems
    assert list_rules(phq9=20, **items) == [("phq9", "total")]
    assert list_rules(phq9=18, **items, phq9_9=1) == [("phq9", "total")]


def test_a_total_that_takes_blank_items_for_zero_is_refused(list_rules):
    """Six answers and three blanks give no PHQ-9; a form that sums gives one all the same."""
    six = {f"phq9_{number}": 2 for number in range(1, 7)}
    assert list_rules(phq9=None, **six) == [("baseline_score", "required")]
    assert list_rules(phq9=12, **six) == [("phq9", "total")]
    assert list_rules(phq9=13, **six) == [], "a total that counts the others"
    assert list_rules(phq9=14, **six, phq9_7=2) == [], "two may be blank"
    assert list_rules(phq9=0, phq9_9=0) == [], "one item beside a total is no form"
    assert list_rules(phq9=4, phq9_1=2, phq9_9=2) == [("phq9", "total")]


def test_items_that_share_a_score_are_blank_together(list_rules):
    """Of items 6 and 7 of the QIDS, and of 8 and 9, a patient answers one."""
    answers = {f"qids_{number}": 1 for number in range(1, 17) if number not in (7, 9)}
    assert list_rules(phq9=None, qids=9, **answers) == []
    assert list_rules(phq9=None, qids=8, **answers | {"qids_5": None}) == [("qids", "total")]


def test_only_derived_totals_of_part_of_the_items_are_prorated(make_assessment):
    eight = {f"phq9_{number}": 2 for number in range(1, 9)}
    rows = [
        make_assessment(patient_id="a", phq9=None, **eight),
        make_assessment(patient_id="b", phq9=None, **eight, phq9_9=2),
        make_assessment(patient_id="c", phq9=18, **eight),
        make_assessment(patient_id="d"),
    ]
    columns, problems = parse_rows(rows)
    assert problems == []
    assert columns.get_numbers("phq9").tolist() == [18, 18, 18, 17]
    assert columns.find_prorated("phq9").tolist() == [True, False, False, False]
    assert not columns.find_prorated("madrs").any()
    for rows_kept in (np.array([2, 0]), np.array([True, False, True, False])):
        assert columns.select(rows_kept).find_prorated("phq9").sum() == 1
    assert columns.keep(["phq9"]).find_prorated("phq9")[0]
    assert not columns.replace({"phq9": np.full(4, 9.0)}).prorated
    both = concatenate_columns([columns.select(np.array([3])), columns])
    assert both.find_prorated("phq9").tolist() == [False, True, False, False, False]


@pytest.mark.parametrize("instrument", INSTRUMENTS.values(), ids=INSTRUMENTS)
def test_missing_items_are_limited_by_the_scale(instrument):
    count, allowed = len(instrument.item_highs), instrument.missing_items_allowed
    items = np.zeros((2, count))
    items[0, :allowed] = items[1, : allowed + 1] = np.nan
    total = prorate_total(instrument, items)
    assert total.tolist() == pytest.approx([0, np.nan], nan_ok=True)


def test_halves_round_up_within_the_range():
    gad7 = INSTRUMENTS["gad7"]
    one_missing = [np.nan, 3, 3, 3, 3, 3, 3]
    assert prorate_total(gad7, np.array([one_missing])).tolist() == [21]
    # 3 over 6 items is 3.5 over 7, 9 is 10.5.
    halves = np.array([[np.nan, 3, 0, 0, 0, 0, 0], [np.nan, 3, 3, 3, 0, 0, 0]])
    assert prorate_total(gad7, halves).tolist() == [4, 11]


def test_rows_without_any_baseline_total_are_refused(make_assessment):
    rows = [make_assessment(), make_assessment(patient_id="b", phq9=None)]
    _, (problem,) = parse_rows(rows)
    assert (problem.field, problem.rule, problem.rows) == ("baseline_score", "required", (2,))


def test_a_broken_total_is_not_missing_too(list_rules):
    assert list_rules(phq9=28) == [("phq9", "range")]
    assert list_rules(condition="sadness") == [("condition", "category")]
    assert list_rules(condition=None) == [("condition", "required")]
