"""Outcomes and update outcomes: names, words, and which early scores may enter."""

from itertools import product

import numpy as np
import pytest

from features.base.errors import OutcomeError
from features.dictionary.horizon import CHECKPOINTS, HORIZONS
from features.dictionary.outcome import parse_outcome


def list_rules(text):
    with pytest.raises(OutcomeError) as refused:
        parse_outcome(text)
    return [problem.rule for problem in refused.value.problems]


@pytest.mark.parametrize("text", ["phq9.acute.response", "hamd17.acute.response.after-week2"])
def test_outcome_keeps_its_requested_name(text):
    outcome = parse_outcome(text)
    assert outcome.id == text
    assert outcome.describe()["id"] == text


def test_update_is_described_and_keeps_its_horizon():
    update = parse_outcome("hamd17.acute.response.after-week2")
    baseline = parse_outcome("hamd17.acute.response")
    assert update.definition == f"{baseline.definition}, estimated again after week 2"
    assert update.followup_field == baseline.followup_field == "hamd17_acute"


def test_every_problem_of_an_outcome_comes_at_once():
    assert list_rules("phq8.someday.cure.after-never") == [
        *("instrument", "horizon", "criterion", "checkpoint")
    ]
    assert list_rules("phq9.day1.response.after-week2") == ["recall", "order"]
    assert list_rules("phq8.week1.response.after-week2") == ["instrument", "order"]


@pytest.mark.parametrize(("horizon", "checkpoint"), list(product(HORIZONS, HORIZONS)))
def test_an_outcome_must_come_after_its_checkpoint(horizon, checkpoint):
    order = list(HORIZONS)
    text = f"madrs.{horizon}.response.after-{checkpoint}"
    if order.index(horizon) > order.index(checkpoint):
        assert parse_outcome(text).checkpoint is HORIZONS[checkpoint]
    else:
        assert list_rules(text) == ["order"]


def test_the_last_horizon_is_no_checkpoint():
    assert [horizon.key for horizon in CHECKPOINTS] == list(HORIZONS)[:-1]


def test_early_scores_respect_checkpoint_and_recall():
    early = parse_outcome("hamd17.acute.response.after-week2").early_scores
    assert {"hamd17_day1", "hamd17_week1", "hamd17_week2", "hama_week2", "phq9_week2"} <= set(early)
    assert not {"hamd17_acute", "hamd17_week12", "hamd17", "phq9_day1", "phq9_week1"} & set(early)
    assert parse_outcome("hamd17.acute.response").early_scores == ()


@pytest.mark.parametrize("criterion", ["response", "remission"])
def test_events_measure_better_than_non_events(criterion):
    outcome = parse_outcome(f"phq9.acute.{criterion}")
    baseline, followup = (
        scores.ravel() for scores in np.meshgrid(np.arange(28.0), np.arange(28.0))
    )
    met, measured = outcome.evaluate(baseline, followup), outcome.measure(baseline, followup)
    assert (np.isnan(met) == np.isnan(measured)).all()
    assert measured[met == 1].min() > measured[met == 0].max()
