"""The clinical rules, as tables that a clinician can read and correct."""

from pathlib import Path

import numpy as np
import pytest

from features.base.errors import OutcomeError
from features.dictionary.dictionary import load_dictionary
from features.dictionary.outcome import parse_outcome
from features.records.assessment import read_assessments
from features.records.eligibility import check_eligibility
from features.records.scoring import prorate_total

BUILT_IN = load_dictionary()

FOLDER = Path(__file__).parent
WORDS = {"yes": 1.0, "no": 0.0, "unknown": np.nan}


def read_table(name, number=0):
    """Read one table of a page as rows of texts."""
    blocks = (FOLDER / name).read_text("utf-8").split("\n\n")
    tables = [block.strip().splitlines() for block in blocks if block.startswith("|")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in tables[number][2:]]


def read_number(text, missing):
    return np.nan if text == missing else float(text)


@pytest.mark.parametrize(("outcome", "baseline", "followup", "met"), read_table("outcomes.md"))
def test_outcome_is_met_as_the_table_says(outcome, baseline, followup, met):
    scores = [np.array([read_number(text, "missing")]) for text in (baseline, followup)]
    assert parse_outcome(outcome).evaluate(*scores) == pytest.approx([WORDS[met]], nan_ok=True)


@pytest.mark.parametrize(("outcome", "rule"), read_table("outcomes.md", 1))
def test_outcome_that_cannot_be_read_is_refused(outcome, rule):
    with pytest.raises(OutcomeError) as refused:
        parse_outcome(outcome)
    assert rule in [problem.rule for problem in refused.value.problems]


@pytest.mark.parametrize(("instrument", "items", "total"), read_table("items.md"))
def test_items_give_the_total_of_the_table(instrument, items, total):
    answers = np.array([[read_number(text, ".") for text in items.split()]])
    expected = [read_number(total, "none")]
    assert prorate_total(BUILT_IN.instruments[instrument], answers) == pytest.approx(
        expected, nan_ok=True
    )


def read_known(text):
    """Read `name=value` pairs as an assessment's fields."""
    known = dict(pair.split("=") for pair in text.split())
    return {name: read_value(value) for name, value in known.items()}


def read_value(text):
    if text in ("true", "false"):
        return text == "true"
    return float(text) if text.replace(".", "").isdigit() else text


@pytest.mark.parametrize(("known", "rule", "action"), read_table("eligibility.md"))
def test_rule_agrees_with_the_table(known, rule, action):
    person = {"patient_id": "a", "condition": "depression", "gad7": 12, "age": 44}
    pressure = {"systolic": 120, "diastolic": 80}
    columns = read_assessments([person | pressure | read_known(known)])
    (notices,) = check_eligibility(columns).list_notices()
    actions = {notice["rule"]: notice["action"] for notice in notices}
    assert actions.get(rule, "nothing") == action
