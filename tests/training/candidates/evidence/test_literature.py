"""Priors of a design: published ones of ketamine, and those that a study's own file states."""

import numpy as np
import pytest
from designs import make_plain_design

from features.dictionary.dictionary import load_dictionary
from features.records.assessment import read_assessments
from training.candidates.evidence.literature import (
    expect_base_rate,
    list_signs,
    read_literature,
)
from training.candidates.evidence.published import EFFECTS, SIGNS, UNKNOWN_SPREAD
from training.candidates.evidence.update import update_literature
from training.study.study import Study

ADDED = """
[fields.stated]
kind = "number"
label = "Stated"
range = [-100, 100]
source = "made up"
typical = [10, 20]
prior = { spread = SPREAD, step = 2 }

[fields.unstated]
kind = "number"
label = "Unstated"
range = [-100, 100]
source = "made up"

[fields.age_from_65]
kind = "flag"
label = "Named like a published feature"
source = "made up"

[agents.cbt]
label = "CBT"
routes = []
prior = { spread = 0.5 }
"""
FIELDS = ["bmi", "failed_ect", "stated", "unstated", "age_from_65", "agent"]


@pytest.fixture
def make_design(tmp_path):
    """Make a design of courses given as rows."""

    def make(rows, outcome=(), spread=0.3):
        (tmp_path / "added.toml").write_text(ADDED.replace("SPREAD", str(spread)))
        dictionary = load_dictionary(tmp_path / "added.toml")
        study = Study(name="by-hand", question="?", outcome="phq9.acute.response", seed=1)
        people = [
            {"patient_id": f"p{n}", "condition": "depression", "phq9": 17} | row
            for n, row in enumerate(rows)
        ]
        columns = read_assessments(people, dictionary)
        known = np.array(outcome if len(outcome) else np.arange(len(rows)) % 2, dtype=float)
        return make_plain_design(columns, FIELDS, known, study)

    return make


def list_rows(size, agent="ketamine"):
    """List rows in which `stated` has mean 0 and deviation 20, and `unstated` 0 and 10."""
    return [
        {"agent": agent, "bmi": 28, "stated": 20 * sign, "unstated": 10 * sign}
        | {"age_from_65": sign > 0}
        for sign in ([-1, 1] * size)[:size]
    ]


def describe(design):
    """Describe the prior of each feature: size, spread, centre and scale."""
    literature = read_literature(design)
    rows = zip(literature.size, literature.spread, literature.centre, literature.scale, strict=True)
    return dict(zip((feature.name for feature in design.features), rows, strict=True))


def test_stated_priors_have_mean_zero_and_their_spread(make_design):
    rows = [*list_rows(40), *list_rows(40, "cbt")]
    prior = describe(make_design(rows))
    assert prior["stated"] == pytest.approx((0, 0.3 / 2, 0, 20))
    assert prior["unstated"] == pytest.approx((0, UNKNOWN_SPREAD / 10, 0, 10))
    assert prior["agent=cbt"] == pytest.approx((0, 0.5, 0.5, 0.5))
    assert prior["agent=ketamine"] == pytest.approx((0, UNKNOWN_SPREAD / 0.5, 0.5, 0.5))
    assert prior["age_from_65"][0] == 0, "the study's own field, not the published feature"


def test_few_courses_are_described_by_typical_values(make_design):
    prior = describe(make_design(list_rows(18)))
    assert prior["stated"] == pytest.approx((0, 0.3 / 2, 10, 20))
    assert prior["unstated"] == pytest.approx((0, 0, 0, 1)), "contributes nothing"


def test_published_evidence_is_of_ketamine(make_design):
    ketamine, cbt = list_rows(30), list_rows(30, "cbt")
    effect = EFFECTS["bmi"]
    size, spread = effect.size("acute"), effect.spread / effect.unit
    for rows, published, expected in (
        (ketamine, True, size),
        (ketamine + cbt, False, size),
        (cbt, False, 0),
    ):
        design = make_design(rows)
        assert expect_base_rate(design).is_published is published
        assert describe(design)["bmi"][:2] == pytest.approx((expected, spread))
        signs = dict(zip(FIELDS, list_signs(design), strict=False))
        assert signs["failed_ect"] == (SIGNS["failed_ect"] if expected else 0)


def test_a_wide_prior_lets_the_data_speak(make_design):
    """The same 200 courses, in which `stated` decides, under a narrow and a wide prior."""
    rows = list_rows(200)
    outcome = [float(row["stated"] > 0) if n % 5 else 0.0 for n, row in enumerate(rows)]
    slopes = []
    for spread in (0.002, 0.2):
        design = make_design(rows, outcome, spread)
        index = [feature.name for feature in design.features].index("stated")
        slopes.append(update_literature(design, 1).mean.terms.present[0, index])
    assert 0 < 5 * slopes[0] < slopes[1]
