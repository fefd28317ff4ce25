"""The field registry."""

import pytest

from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Group, Kind
from features.dictionary.horizon import HORIZONS

BUILT_IN = load_dictionary()

# Names that other systems rely on.
PROMISED = """
    patient_id site assessed_on condition age sex bmi phq9 gad7 pcl5 madrs hamd17 qids bdi2 hama
    caps5 phq9_1 phq9_9 gad7_1 gad7_7 pcl5_1 pcl5_20 failed_antidepressants failed_ect
    episode_months onset_age benzodiazepine_mg alcohol_use_disorder family_alcohol_use_disorder
    ptsd_comorbid anxiety_comorbid bipolar personality_disorder chronic_pain suicide_attempt
    ace_score expectancy systolic diastolic prior_response_ketamine agent route dose_mg_kg
    dose_mg sessions weeks psychosis mania pregnancy aneurysm_or_avm
""".split()


@pytest.mark.parametrize("name", PROMISED)
def test_promised_name_is_a_field(name):
    assert name in BUILT_IN.fields


def test_only_patient_and_condition_are_required_of_everybody():
    assert {name for name, field in BUILT_IN.fields.items() if field.required} == {
        "patient_id",
        "condition",
    }


@pytest.mark.parametrize("field", BUILT_IN.cohort_fields.values(), ids=BUILT_IN.cohort_fields)
def test_field_says_what_it_accepts(field):
    assert field.label
    assert field.allowed
    if field.numeric:
        assert field.low < field.high
        assert field.step > 0
    if field.kind is Kind.CATEGORY:
        assert len(set(field.categories)) == len(field.categories) > 1


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("phq9", "a whole number from 0 to 27 points"),
        ("age", "a number from 0 to 120 years"),
        ("sex", "one of: female, male, other"),
        ("bipolar", "true or false"),
        ("assessed_on", "a date as YYYY-MM-DD, from 1990 to 2100"),
    ],
)
def test_field_puts_what_it_accepts_into_words(name, allowed):
    assert BUILT_IN.fields[name].allowed == allowed


def test_every_instrument_has_total_items_and_follow_ups():
    for key, instrument in BUILT_IN.instruments.items():
        assert BUILT_IN.fields[key].high == instrument.high
        assert [BUILT_IN.fields[name].high for name in instrument.item_fields] == list(
            instrument.item_highs
        )
        for name in (f"{key}_{horizon}" for horizon in HORIZONS):
            assert (name in BUILT_IN.followups) is not (name in BUILT_IN.unreadable)
            if name in BUILT_IN.followups:
                followup = BUILT_IN.followups[name]
                assert (followup.group, followup.high) == (Group.FOLLOWUP, instrument.high)


def test_follow_up_within_the_recall_is_not_a_field():
    assert {"phq9_day1", "phq9_week1", "pcl5_week2", "cesd_day1"} <= set(BUILT_IN.unreadable)
    assert {"madrs_day1", "phq9_week2"} <= set(BUILT_IN.followups)


def test_assessments_take_early_but_not_last_scores():
    last = list(HORIZONS)[-1]
    for name, field in BUILT_IN.followups.items():
        assert (name in BUILT_IN.fields) is not name.endswith(f"_{last}")
        assert not field.required


@pytest.mark.parametrize(
    ("name", "step"),
    [("age", 5), ("bmi", 1), ("systolic", 10), ("dose_mg_kg", 0.05), ("phq9", 5), ("sessions", 1),
     ("phq9_week2", 5), ("phq9_1", 1)],
)  # fmt: skip
def test_published_ranges_are_rounded_to_these_steps(name, step):
    """Finer ones would show a patient's exact value on a card."""
    assert BUILT_IN.fields[name].step == step
