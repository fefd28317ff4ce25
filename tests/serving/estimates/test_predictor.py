"""The predictor: exact, explained, and able to abstain."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from features.base.errors import DictionaryError
from features.dictionary.additions import Agent
from features.model.equation import Equation
from features.records.assessment import read_assessments
from serving.estimates.predictor import Predictor

ROOT = Path(__file__).parents[3]


@pytest.fixture
def ask(predictor, make_assessment):
    def ask(**changes):
        return predictor.estimate(read_assessments([make_assessment(**changes)]))[0]

    return ask


def test_the_probability_is_the_one_computed_by_hand(ask):
    (estimate,) = ask(phq9=20, bmi=30, bipolar=True, site="north")["estimates"]
    log_odds = 0.4 - 0.05 * 20 + 0.02 * 30 - 0.3 + 0.5
    assert estimate["probability"] == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=1e-12)


def test_intercept_and_factors_sum_to_the_log_odds(ask):
    (estimate,) = ask(phq9=20, bmi=30, bipolar=True, site="north")["estimates"]
    total = estimate["intercept"] + sum(factor["log_odds"] for factor in estimate["factors"])
    assert total == pytest.approx(np.log(estimate["probability"] / (1 - estimate["probability"])))
    sizes = [abs(factor["log_odds"]) for factor in estimate["factors"]]
    assert sizes == sorted(sizes, reverse=True)


def test_every_promised_field_is_there(ask):
    (estimate,) = ask()["estimates"]
    assert set(estimate) == {
        *("outcome", "probability", "interval", "effective_sample_size", "base_rate"),
        *("abstained", "intercept", "factors", "factors_reason", "imputed"),
        *("prorated", "model", "note"),
    }
    assert set(estimate["outcome"]) == {"id", "instrument", "horizon", "criterion", "definition"}
    assert set(estimate["interval"]) == {"low", "high", "level", "method"}
    assert estimate["base_rate"] == {"probability": 0.4, "n": 200}
    assert set(estimate["model"]) == {"name", "version", "digest", "data", "card"}
    assert estimate["note"] == "prognosis if treated, not treatment benefit"
    assert estimate["interval"]["low"] < estimate["probability"] < estimate["interval"]["high"]


def test_missing_fields_are_listed_without_effect(ask):
    (estimate,) = ask(bmi=None, bipolar=None)["estimates"]
    assert estimate["imputed"] == ["bmi", "bipolar", "site"]
    moved = {f["field"]: f["log_odds"] for f in estimate["factors"]}
    assert moved.get("bmi", 0) == pytest.approx(0, abs=1e-12)


def test_a_prorated_total_is_named(ask):
    eight = {f"phq9_{number}": 2 for number in range(1, 9)}
    (estimate,) = ask(phq9=None, **eight)["estimates"]
    (same,) = ask(phq9=18)["estimates"]
    assert (estimate["prorated"], same["prorated"]) == (["phq9"], [])
    assert estimate["probability"] == same["probability"]
    six = {f"gad7_{number}": 2 for number in range(1, 7)}
    assert ask(**six)["estimates"][0]["prorated"] == [], "the model does not read it"


def test_an_unknown_site_is_an_average_one(ask):
    unknown, unnamed = (ask(site=site)["estimates"][0]["probability"] for site in ("south", None))
    assert unknown == unnamed


@pytest.mark.parametrize(
    ("changes", "reason", "fields"),
    [
        ({"bmi": 51}, "outside_studied_range", ["bmi"]),
        ({"bmi": 14, "phq9": 3}, "outside_studied_range", ["phq9", "bmi"]),
        ({"route": "oral"}, "outside_studied_range", ["route"]),
        ({"phq9": None, "gad7": 12}, "baseline_missing", ["phq9"]),
        ({"psychosis": True}, "eligibility", ["psychosis"]),
        ({"age": 17, "pregnancy": True, "bmi": 51}, "eligibility", ["age", "pregnancy"]),
    ],
)
def test_it_abstains_and_names_the_field(ask, changes, reason, fields):
    (estimate,) = ask(**changes)["estimates"]
    assert estimate["abstained"] == {"reason": reason, "fields": fields}
    assert estimate["probability"] is None
    assert estimate["interval"] is None
    assert estimate["effective_sample_size"] is None
    assert estimate["factors"] == []
    assert estimate["base_rate"]["probability"] == 0.4


@pytest.mark.parametrize("changes", [{"bmi": 50}, {"bmi": 15}, {"route": "im"}, {"route": None}])
def test_the_edge_of_what_was_studied_is_inside(ask, changes):
    assert ask(**changes)["estimates"][0]["abstained"] is None


def test_too_little_evidence_gives_no_estimate(make_champion, make_assessment):
    unsure = Predictor((make_champion(spread=2.0),), least_sample_size=10)
    (result,) = unsure.estimate(read_assessments([make_assessment()]))
    assert result["estimates"][0]["abstained"] == {"reason": "too_little_evidence", "fields": []}


def test_each_condition_is_answered_by_its_own_champions(ask):
    assert [e["outcome"]["id"] for e in ask()["estimates"]] == ["phq9.acute.response"]
    anxious = ask(condition="anxiety", gad7=12)["estimates"]
    assert [e["outcome"]["id"] for e in anxious] == ["gad7.acute.response"]
    assert ask(condition="ptsd", pcl5=50)["estimates"] == []


def test_every_estimate_states_simulated_data(make_champion, make_assessment):
    simulated = Predictor((make_champion(data="simulated"),), least_sample_size=1)
    (estimate,) = simulated.estimate(read_assessments([make_assessment()]))[0]["estimates"]
    assert estimate["model"]["data"] == "simulated"
    assert estimate["note"].startswith("SIMULATED DATA")


def settle(answer):
    """Round every number: sums over one row and many differ in their last digits."""
    if isinstance(answer, dict):
        return {name: settle(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [settle(value) for value in answer]
    return pytest.approx(answer, rel=1e-11, abs=1e-13) if isinstance(answer, float) else answer


def make_many(make_assessment):
    return [
        make_assessment(
            patient_id=f"p{n}",
            phq9=5 + n % 20,
            condition=condition,
            gad7=10,
            bmi=51 if n % 5 == 4 else 30 if n % 4 else None,
            psychosis=n % 7 == 0 or None,
            site="north" if n % 3 else None,
        )
        for n, condition in enumerate(["depression", "anxiety", "ptsd"] * 20)
    ]


def test_many_rows_get_what_each_would_get_alone(predictor, make_assessment):
    rows = make_many(make_assessment)
    together = predictor.estimate(read_assessments(rows))
    alone = [predictor.estimate(read_assessments([row]))[0] for row in rows]
    assert together == settle(alone)


def test_the_order_of_rows_does_not_matter(predictor, make_assessment):
    rows = make_many(make_assessment)
    backwards = predictor.estimate(read_assessments(rows[::-1]))
    assert backwards[::-1] == settle(predictor.estimate(read_assessments(rows)))


def test_brief_estimate_has_the_same_probability(make_champion, make_assessment):
    columns = read_assessments(make_many(make_assessment))
    champions = (make_champion(spread=0.6),)
    sizes = [
        estimate["effective_sample_size"]
        for row in Predictor(champions, least_sample_size=0).estimate(columns)
        for estimate in row["estimates"]
        if estimate["abstained"] is None
    ]
    unsure = Predictor(champions, least_sample_size=np.median(sizes))
    brief, full = unsure.estimate(columns, "brief"), unsure.estimate(columns)
    left_out = {
        **dict.fromkeys(("interval", "effective_sample_size", "intercept")),
        **{"factors": [], "imputed": []},
    }
    for short, long in zip(brief, full, strict=True):
        assert short["eligibility"] == long["eligibility"]
        wanted = [settle(estimate | left_out) for estimate in long["estimates"]]
        assert short["estimates"] == wanted
    abstained = [estimate["abstained"] for row in brief for estimate in row["estimates"]]
    reasons = {reason and reason["reason"] for reason in abstained}
    assert reasons == {None, "eligibility", "outside_studied_range", "too_little_evidence"}


def test_brief_estimate_without_threshold_uses_model_alone(make_champion, make_assessment):
    sure = Predictor((make_champion(spread=2.0),), least_sample_size=0)
    columns = read_assessments([make_assessment()])
    (brief,), (full,) = (sure.estimate(columns, d)[0]["estimates"] for d in ("brief", "full"))
    assert brief["probability"] == pytest.approx(full["probability"], abs=1e-12)
    assert brief["abstained"] is None


def test_champion_without_features_gives_its_base_rate(make_champion, make_assessment):
    """Such a champion results if no candidate beats the base rate."""
    champion = make_champion()
    terms = champion.model.equation.terms
    nothing = {name: getattr(terms, name)[:, :0] for name in ("present", "missing", "sites")}
    nothing |= {name: getattr(terms, name)[:0] for name in ("centre", "scale")}
    equation = Equation((), (), replace(terms, **nothing))
    constant = replace(champion, model=replace(champion.model, equation=equation))
    predictor = Predictor((constant,), least_sample_size=0)
    for result in predictor.estimate(read_assessments([make_assessment()] * 50)):
        (estimate,) = result["estimates"]
        assert estimate["probability"] == pytest.approx(1 / (1 + np.exp(-0.4)), abs=1e-12)
        assert (estimate["factors"], estimate["imputed"]) == ([], [])


def test_estimates_are_plain_json(predictor, make_assessment):
    results = predictor.estimate(read_assessments(make_many(make_assessment)))
    assert json.loads(orjson.dumps(results)) == results


def test_rounding_error_is_not_a_factor(make_champion, make_assessment):
    """A missing value's term and its centre's cancel, up to rounding."""
    champion = make_champion()
    equation = champion.model.equation
    traced = replace(equation.terms, missing=equation.terms.missing + 1e-14)
    model = replace(champion.model, equation=replace(equation, terms=traced))
    predictor = Predictor((replace(champion, model=model),), least_sample_size=0)
    (result,) = predictor.estimate(read_assessments([make_assessment(bmi=None, bipolar=None)]))
    assert [factor["field"] for factor in result["estimates"][0]["factors"]] == ["phq9"]


def test_estimating_imports_neither_file_readers_nor_training_stack():
    script = (
        "import sys, serving.estimates.predictor, features.model.response_model\n"
        "import features.records.assessment\n"
        "heavy = {'pyarrow', 'pandas', 'sklearn', 'mlflow', 'scipy', 'xgboost', 'matplotlib'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_champions_with_other_additions_answer_together(make_champion, make_assessment):
    """Each adds an agent; the same key with another label is refused, by its name."""

    def make(key, label, *facts):
        champion = make_champion(*facts)
        agents = (Agent(key=key, label=label, routes=()),)
        card = champion.model.card.model_copy(update={"added_agents": agents})
        return replace(champion, model=replace(champion.model, card=card))

    anxious = ("gad7.acute.response", ("anxiety",))
    both = Predictor((make("cbt", "CBT"), make("tms", "TMS", *anxious)), least_sample_size=1)
    rows = [
        make_assessment(agent="cbt", route=None),
        make_assessment(agent="tms", route=None, condition="anxiety", gad7=12),
    ]
    for result in both.estimate(read_assessments(rows, both.dictionary)):
        (estimate,) = result["estimates"]
        assert 0 < estimate["probability"] < 1
        assert result["eligibility"] == [
            notice for notice in result["eligibility"] if notice["action"] == "not_screened"
        ]
    with pytest.raises(DictionaryError, match=r"define one thing differently.*\n.*agents\.cbt"):
        Predictor((make("cbt", "CBT"), make("cbt", "Other", *anxious)), least_sample_size=1)
