"""Names as exports have them: totals, items, visits, fields; English and German."""

import pytest

from features.dictionary.dictionary import load_dictionary
from training.drafting.vocabulary import (
    compare_names,
    name_field_like,
    read_score_name,
    read_slot,
    recognise_instrument,
    translate_answers,
    translate_word,
)

BUILT_IN = load_dictionary()


@pytest.mark.parametrize(
    ("name", "instrument", "item", "slot"),
    [
        ("phq9", "phq9", None, None),
        ("PHQ-9 Total", "phq9", None, None),
        ("PHQ9_BL", "phq9", None, "baseline"),
        ("hamd17_baseline", "hamd17", None, "baseline"),
        ("HAM-D Day 1", "hamd17", None, "day1"),
        ("PHQ9_01", "phq9", 1, None),
        ("PHQ-9 Q3 (week 6)", "phq9", 3, "acute"),
        ("phq9_w6_3", "phq9", 3, "acute"),
        ("phq9_3_acute", "phq9", 3, "acute"),
        ("GAD-7 6 weeks", "gad7", None, "acute"),
        ("MADRS Tag 1", "madrs", None, "day1"),
        ("PHQ-9 Woche 12", "phq9", None, "week12"),
        ("bdi_ii_total", "bdi2", None, None),
        ("cesd_6m", "cesd", None, "month6"),
        ("cesd_24m", "cesd", None, "ignore"),
    ],
)
def test_scores_are_read_from_names(name, instrument, item, slot):
    reading = read_score_name(name, BUILT_IN)
    assert (reading.instrument, reading.item, reading.slot) == (instrument, item, slot)


@pytest.mark.parametrize(
    "name", ["phq9_date", "phq9_complete", "phq9_10", "hamd17_last", "PHQ-9 severity", "age", ""]
)
def test_other_names_are_not_scores(name):
    assert read_score_name(name, BUILT_IN) is None


@pytest.mark.parametrize(
    ("visit", "slot"),
    [
        ("baseline_arm_1", "baseline"),
        ("Screening", "baseline"),
        ("week_6_arm_1", "acute"),
        ("Day 14", "week2"),
        ("Month 6", "month6"),
        ("Week 0", "baseline"),
        ("Week 52", "ignore"),
        ("Unscheduled", "ignore"),
        ("Visit 3", None),
    ],
)
def test_visits_are_read_from_their_words(visit, slot):
    assert read_slot(visit) == slot


def test_names_are_compared_by_words_then_letters():
    assert compare_names("Patient Age", ["age"]) == pytest.approx(0.95)
    assert compare_names("Geschlecht", ["sex", "geschlecht"]) == 1
    assert compare_names("benzodiazepin", ["benzodiazepine"]) > 0.7
    assert compare_names("balance", ["age"]) == 0
    assert name_field_like("Größe", BUILT_IN) == "height"
    assert name_field_like("planned_route", BUILT_IN) == "route"
    assert name_field_like("referral", BUILT_IN) is None


def test_words_and_answers_are_translated():
    assert translate_word("MDD", "condition", ("depression", "ptsd")) == "depression"
    assert translate_word("männlich", "sex", ("female", "male")) == "male"
    assert translate_word("Ja", "flag", ("true", "false")) == "true"
    assert translate_word("gout", "condition", ("depression",)) is None
    assert translate_answers(["Nearly every day", "Not at all"]) == {
        "Nearly every day": "3",
        "Not at all": "0",
    }
    assert translate_answers(["Not at all", "Sometimes"]) == {}
    assert recognise_instrument("Montgomery-Asberg", BUILT_IN) == "madrs"
    assert recognise_instrument("BMI score", BUILT_IN) is None
