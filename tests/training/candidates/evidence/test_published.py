"""The evidence table: effects on known features, with sources, in the stated units."""

import pytest

from features.dictionary.dictionary import load_dictionary
from features.dictionary.outcome import parse_outcome
from features.model.matrix import list_features
from training.candidates.evidence.published import BASE_RATES, EFFECTS, SIGNS, look_up_base_rate

BUILT_IN = load_dictionary()

CONDITIONS = BUILT_IN.fields["condition"].categories
ROUTES = BUILT_IN.fields["route"].categories


def test_every_effect_is_on_a_feature():
    names = {feature.name for feature in list_features(BUILT_IN.fields)}
    assert set(EFFECTS) <= names


@pytest.mark.parametrize("effect", EFFECTS.values(), ids=lambda effect: effect.feature)
def test_every_effect_has_source_unit_and_spread(effect):
    assert effect.source
    assert effect.unit > 0
    assert effect.deviation > 0
    assert effect.spread >= abs(effect.later) / 3, "nothing here is known that well"
    assert effect.first_day * effect.later > 0, "no finding turns round after a day"


def test_what_was_recalled_is_marked():
    assert EFFECTS["chronic_pain"].recalled
    assert not EFFECTS["age_from_65"].recalled


def test_trees_are_held_to_agreed_signs_alone():
    assert SIGNS["failed_ect"] == -1
    assert SIGNS["family_alcohol_use_disorder"] == 1
    assert "bmi" not in SIGNS


def test_effects_are_in_the_features_own_units():
    assert EFFECTS["age"].size("acute") == pytest.approx(-0.06 / 10)
    assert EFFECTS["bmi"].size("day1") == pytest.approx(0.30 / 6.3)


@pytest.mark.parametrize("rate", BASE_RATES, ids=lambda rate: f"{rate.condition}-{rate.route}")
def test_every_base_rate_is_a_valid_proportion(rate):
    assert 0 < rate.share < 1
    assert rate.source
    assert rate.condition in CONDITIONS
    assert rate.route in ("", *ROUTES)


@pytest.mark.parametrize("horizon", ["day1", "week1", "week2", "acute", "week12", "month6"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_and_horizon_has_a_rate(condition, horizon):
    outcome = parse_outcome(f"madrs.{horizon}.response")
    assert 0.1 < look_up_base_rate(outcome, condition) < 0.7


@pytest.mark.parametrize("instrument", BUILT_IN.instruments.values(), ids=BUILT_IN.instruments)
def test_an_instrument_names_a_condition_with_rates(instrument):
    """Rates are looked up by key, not by label: PTSD's are under `ptsd`."""
    assert instrument.condition in {rate.condition for rate in BASE_RATES}
    outcome = parse_outcome(f"{instrument.key}.acute.response")
    assert look_up_base_rate(outcome, instrument.condition, "iv") is not None


def test_other_conditions_have_no_rate():
    assert look_up_base_rate(parse_outcome("phq9.acute.response"), None, "iv") is None


@pytest.mark.parametrize(
    ("outcome", "route", "share"),
    [
        ("phq9.acute.response", "", 0.45),
        ("phq9.acute.response", "sc", 0.30),
        ("madrs.day1.response", "intranasal", 0.18),
        ("madrs.day1.response", "sc", 0.45),
        ("phq9.acute.remission", "", 0.2475),
    ],
)
def test_base_rates_are_those_published(outcome, route, share):
    assert look_up_base_rate(parse_outcome(outcome), "depression", route) == pytest.approx(share)
