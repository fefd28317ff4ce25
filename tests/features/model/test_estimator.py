"""Estimates from columns: their content, and when the model abstains."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.dictionary.additions import Agent
from features.dictionary.dictionary import combine_dictionaries, load_dictionary
from features.dictionary.outcome import parse_outcome
from features.model.calibration import IDENTITY
from features.model.card import IntervalFacts, ModelCard, OutcomeFacts, Population, StudiedRange
from features.model.equation import Equation
from features.model.estimate import MIN_SAMPLE_SIZE
from features.model.estimator import Estimator
from features.model.matrix import Feature, list_features
from features.model.pyfunc import ResponseFunction
from features.model.response_model import ResponseModel
from features.model.terms import Terms
from features.records.assessment import read_assessments

FEATURES = list_features(["phq9"])


def make_model(courses=100, spread=0.1, outcome="phq9.acute.response", ranges=()):
    """Make a model with log-odds 1 - PHQ-9 / 16, and nine bootstrap refits around it."""
    versions = np.append(0, np.linspace(-spread, spread, 9))
    terms = Terms(
        intercept=1 + versions,
        present=np.full((10, 1), -1 / 16),
        missing=np.full((10, 1), -1.0),
        sites=np.zeros((10, 0)),
        trees=np.zeros(10),
        centre=np.array([16.0]),
        scale=np.ones(1),
        pairs=np.empty((0, 2), dtype=np.int64),
        products=np.empty((10, 0)),
        calibration=np.tile(IDENTITY, (10, 1)),
    )
    card = ModelCard(
        name=outcome,
        outcome=OutcomeFacts(**parse_outcome(outcome).describe()),
        candidate="elastic_net",
        data="real",
        study="by-hand",
        question="?",
        created="2026-01-01T00:00:00+00:00",
        seed=1,
        population=Population(
            courses=courses, events=courses // 2, patients=courses, sites=0, without_outcome=5
        ),
        features=FEATURES,
        ranges=(StudiedRange(field="condition", categories=("depression",)), *ranges),
        interval=IntervalFacts(level=0.8, method="by hand", redevelopments=9),
        performance={},
        validation="none",
        verdict="none",
        data_digest="0",
        versions={},
    )
    return ResponseModel(card, Equation(FEATURES, (), terms), "d" * 64)


@pytest.fixture
def estimate(make_assessment):
    def estimate(model, sample_size=MIN_SAMPLE_SIZE, **changes):
        people = read_assessments([make_assessment(**changes)])
        return Estimator(model, min_sample_size=sample_size).list_estimates(people)[0]

    return estimate


def test_an_estimate_is_the_models_with_its_reasons(estimate):
    answer = estimate(make_model(), phq9=8)
    assert answer["probability"] == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert answer["interval"]["low"] < answer["probability"] < answer["interval"]["high"]
    assert answer["abstained"] is None
    assert answer["base_rate"] == {"probability": 0.5, "n": 100}


def test_patients_of_other_conditions_get_none(make_assessment):
    people = read_assessments(
        [make_assessment(condition=name) for name in ("anxiety", "depression", "ptsd")]
    )
    estimates = Estimator(make_model()).list_estimates(people)
    assert [answer is not None for answer in estimates] == [False, True, False]


def test_too_few_patients_are_ten_by_default(estimate):
    """The spread is chosen so that the effective sample size is just below 10, or just above."""
    assert MIN_SAMPLE_SIZE == 10
    for spread, withheld in ((1.05, True), (1.03, False)):
        size = estimate(make_model(spread=spread), 0, phq9=16)["effective_sample_size"]
        assert abs(size - 10) < 0.3
        answer = estimate(make_model(spread=spread), phq9=16)
        assert (answer["probability"] is None) is withheld
        if withheld:
            assert answer["abstained"] == {"reason": "too_little_evidence", "fields": []}


def test_before_any_outcome_few_are_not_too_few(estimate):
    assert estimate(make_model(courses=0, spread=3.0), phq9=16)["abstained"] is None


@pytest.mark.parametrize(
    ("phq9", "inside"), [(9, False), (10, True), (15, True), (20, True), (21, False)]
)
def test_both_ends_of_a_studied_range_are_inside(estimate, phq9, inside):
    model = make_model(ranges=(StudiedRange(field="phq9", low=10, high=20),))
    answer = estimate(model, phq9=phq9)
    assert (answer["abstained"] is None) is inside
    if not inside:
        assert answer["abstained"] == {"reason": "outside_studied_range", "fields": ["phq9"]}


def test_the_gravest_reason_is_given(estimate):
    model = make_model(spread=3.0, ranges=(StudiedRange(field="phq9", low=10, high=20),))
    assert estimate(model, phq9=5, psychosis=True)["abstained"]["reason"] == "eligibility"
    assert estimate(model, phq9=None, gad7=9)["abstained"]["reason"] == "baseline_missing"
    assert estimate(model, phq9=5)["abstained"]["reason"] == "outside_studied_range"
    assert estimate(model, phq9=15)["abstained"]["reason"] == "too_little_evidence"


def test_an_update_needs_one_early_score(estimate):
    ranges = [StudiedRange(field=name, low=0, high=27) for name in ("madrs_day1", "phq9_week2")]
    model = make_model(outcome="phq9.acute.response.after-week2", ranges=ranges)
    answer = estimate(model)
    assert answer["abstained"] == {
        "reason": "early_score_missing",
        "fields": ["madrs_day1", "phq9_week2"],
    }
    assert estimate(model, phq9_week2=9)["abstained"] is None


def test_mlflow_gets_estimates_and_nan_if_abstained(make_assessment):
    model = make_model()
    rows = [
        make_assessment(phq9=12.0),
        make_assessment(psychosis=1.0),
        make_assessment(condition="ptsd"),
    ]
    frame = ResponseFunction(model).predict(pd.DataFrame(rows))
    (expected,) = Estimator(model).list_estimates(read_assessments([make_assessment(phq9=12)]))
    assert frame["probability"][0] == expected["probability"]
    assert frame["low"][0] == expected["interval"]["low"]
    size = expected["effective_sample_size"]
    assert frame["effective_sample_size"][0] == pytest.approx(size, rel=1e-12)
    assert frame[1:].isna().all(axis=None)


def test_old_card_knows_the_built_in_scales():
    plain = make_model().card.model_dump(mode="json")
    del plain["instruments"]
    assert ModelCard.model_validate(plain).dictionary is load_dictionary()


def test_card_has_the_scales_its_study_added():
    card = make_model().card
    pain = card.dictionary.instruments["phq9"].model_copy(update={"key": "bpi", "condition": None})
    known = card.model_copy(update={"instruments": (pain,)}).model_dump_json()
    assert ModelCard.model_validate_json(known).dictionary.fields["bpi"].high == 27
    assert "bpi" not in card.dictionary.fields


def make_agent_model(*keys, studied=None):
    """Make a model of added agents: the log-odds are 1 for the last of them, else 0."""
    agents = tuple(Agent(key=key, label=key.upper(), routes=()) for key in keys)
    model = make_model(ranges=(StudiedRange(field="agent", categories=studied or keys),))
    card = model.card.model_copy(update={"added_agents": agents})
    last = len(card.dictionary.fields["agent"].categories) - 1
    features = (
        Feature(name=f"agent={keys[-1]}", field="agent", transform="level", parameter=last),
        *list_features(["route"], card.dictionary)[:1],
    )
    count = len(features)
    terms = replace(
        model.equation.terms,
        intercept=np.zeros(10),
        present=np.tile([1.0, 0.0], (10, 1)),
        missing=np.zeros((10, count)),
        centre=np.zeros(count),
        scale=np.ones(count),
    )
    card = card.model_copy(update={"features": features})
    return ResponseModel(card, Equation(features, (), terms), "d" * 64)


def test_models_with_other_agents_are_served_together(make_assessment):
    """Each category has another position in the dictionary of all of them."""
    models = [make_agent_model("cbt", "tms"), make_agent_model("emdr", "cbt")]
    both = combine_dictionaries(model.card.dictionary for model in models)
    agents = ("cbt", "tms", "emdr")
    rows = [make_assessment(agent=agent, route=None) for agent in agents]
    people = read_assessments(rows, both)
    answers = [Estimator(model, dictionary=both).list_estimates(people) for model in models]
    raised = pytest.approx(1 / (1 + np.exp(-1)))
    outside = {"reason": "outside_studied_range", "fields": ["agent"]}
    chances = [[answer["probability"] for answer in row] for row in answers]
    assert chances == [[0.5, raised, None], [raised, None, 0.5]]
    assert answers[0][2]["abstained"] == answers[1][1]["abstained"] == outside
    for model, agent, expected in ((models[0], "tms", raised), (models[1], "emdr", 0.5)):
        alone = read_assessments([make_assessment(agent=agent, route=None)], model.card.dictionary)
        assert Estimator(model).list_estimates(alone)[0]["probability"] == expected


def test_what_only_drugs_have_is_not_missing_from_others(make_assessment):
    model = make_agent_model("cbt", studied=("ketamine", "cbt"))
    rows = [make_assessment(agent=agent, route=None) for agent in ("cbt", "ketamine")]
    people = read_assessments(rows, model.card.dictionary)
    imputed = [answer["imputed"] for answer in Estimator(model).list_estimates(people)]
    assert imputed == [[], ["route"]]
