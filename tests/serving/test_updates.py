"""Updated estimates: their own model next to the baseline one, from cohort to HTTP."""

import json
import shutil
import urllib.request

import numpy as np
import pandas as pd
import pytest

from features.records.assessment import read_assessments
from serving.estimates.predictor import Predictor

BASELINE, UPDATE = "phq9.acute.response", "phq9.acute.response.after-week2"


@pytest.fixture(scope="module")
def both(make_champion, make_update):
    """A baseline champion and an update champion of the same outcome."""
    return Predictor((make_champion(), make_update()), least_sample_size=1)


@pytest.fixture
def ask(both, make_assessment):
    def ask(**changes):
        result = both.estimate(read_assessments([make_assessment(**changes)]))[0]
        return {estimate["outcome"]["id"]: estimate for estimate in result["estimates"]}

    return ask


@pytest.fixture
def client(open_client, both):
    return open_client(champions=both)


def test_both_answer_and_each_says_what_it_estimates(ask):
    answers = ask(phq9=20, phq9_week2=8)
    assert list(answers) == [BASELINE, UPDATE]
    update = answers[UPDATE]
    assert update["outcome"]["definition"].endswith("estimated again after week 2")
    log_odds = 0.9 - 0.05 * 20 - 0.1 * 8 + 0.02 * 60
    assert update["probability"] == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=1e-6)
    assert update["model"]["name"] == UPDATE
    assert "phq9_week2" in [factor["field"] for factor in update["factors"]]


def test_an_early_score_never_reaches_the_baseline_estimate(ask):
    assert ask(phq9_week2=2)[BASELINE] == ask(phq9_week2=25)[BASELINE] == ask()[BASELINE]


def test_score_after_the_checkpoint_is_not_read(ask):
    assert ask(phq9_week2=9, phq9_acute=0)[UPDATE] == ask(phq9_week2=9)[UPDATE]


def test_update_without_early_score_abstains_alone(ask):
    answers = ask()
    reason = {"reason": "early_score_missing", "fields": ["phq9_week2", "madrs_day1"]}
    assert answers[UPDATE]["abstained"] == reason
    assert answers[UPDATE]["probability"] is None
    assert answers[BASELINE]["abstained"] is None
    later = ask(phq9_acute=3)[UPDATE]
    assert later["abstained"] == reason


def test_one_early_score_suffices(ask):
    """The others are imputed."""
    update = ask(madrs_day1=20)[UPDATE]
    assert update["abstained"] is None
    assert update["imputed"] == ["phq9_week2"]


@pytest.mark.parametrize(
    ("changes", "reason", "fields"),
    [
        ({"phq9_week2": 26}, "outside_studied_range", ["phq9_week2"]),
        ({"phq9": None, "gad7": 9}, "baseline_missing", ["phq9"]),
        ({"psychosis": True}, "eligibility", ["psychosis"]),
    ],
)
def test_an_update_abstains_for_the_gravest_reason(ask, changes, reason, fields):
    assert ask(**changes)[UPDATE]["abstained"] == {"reason": reason, "fields": fields}


def test_page_offers_early_scores_only_for_updates(client, open_client, predictor):
    page = client.get("/").text
    assert "Scores since treatment began" in page
    assert 'name="phq9_week2"' in page
    assert 'name="madrs_week12"' not in page
    page = open_client(champions=predictor).get("/").text
    assert "Scores since treatment began" not in page
    assert "phq9_week2" not in page


def test_page_shows_both_estimates_or_what_is_needed(client):
    form = {"condition": "depression", "phq9": "17"}
    waiting = client.post("/", data=form).text
    assert "No estimate yet" in waiting
    assert "PHQ-9 total, 11 to 17 days after the first dose" in waiting
    page = client.post("/", data=form | {"phq9_week2": "7"}).text
    assert page.count('<p class="probability">') == 2


def test_invalid_early_score_is_an_error(client, make_assessment):
    body = make_assessment(phq9_week2=28, phq9_day1=3, phq9_month6=2)
    response = client.post("/predict", json=body)
    errors = {(error["field"], error["rule"]) for error in response.json()["errors"]}
    assert response.status_code == 400
    assert errors == {("phq9_week2", "range"), ("phq9_day1", "recall"), ("phq9_month6", "leakage")}


AFTER_ACUTE = "phq9.week12.response.after-acute"


@pytest.fixture(scope="module")
def updated(commands, cohort, tmp_path_factory):
    """A home with the demonstration's champion and a fitted and pulled update champion."""
    home = tmp_path_factory.mktemp("updated")
    shutil.copytree(commands.home / "bentoml", home / "bentoml")
    copied = type(commands)(home)
    settings = (
        *(f"outcome={AFTER_ACUTE}", "features.include=['phq9', 'phq9_acute', 'madrs_day1']"),
        *("uncertainty.redevelopments=20", "validation.resamples=100"),
        'candidates=["base_rate", "elastic_net"]',
        # A lenient gate: this tests how the model is served.
        *("gate.calibration_slope=[0.1, 9]", "gate.calibration_ratio=[0.3, 3]"),
        *("gate.net_benefit_margin=0.2", "gate.subgroup_ratio=[0.1, 9]"),
    )
    options = [part for setting in settings for part in ("--set", setting)]
    quick = ("--set", "validation.bootstraps=20", "--jobs", "1", "--json")
    fitted = copied.call(
        "fit", "experiments/studies/demo.toml", "--cohort", cohort, *options, *quick
    )
    model = json.loads(fitted.stdout)["model"]
    assert model == {"name": AFTER_ACUTE, "version": "1", "alias": "champion"}
    pulled = json.loads(copied.run("serving", "pull", "--json").stdout)["champions"]
    assert [champion["name"] for champion in pulled] == [AFTER_ACUTE]
    return copied


@pytest.fixture
def address(updated, wait_ready):
    """The address of a real service process with both champions."""
    from experiments.demo import find_free_port

    port = find_free_port()
    process = updated.start("serving", "serve", "--port", port)
    try:
        wait_ready(process, f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_fitted_update_estimates_the_same_over_http(updated, address, make_assessment, tmp_path):
    person = make_assessment(phq9=20, phq9_acute=6)
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{address}/predict", json.dumps(person).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    served = {
        estimate["outcome"]["id"]: estimate["probability"] for estimate in answer["estimates"]
    }
    assert set(served) == {BASELINE, AFTER_ACUTE}
    pd.DataFrame([person, make_assessment(patient_id="b", phq9=20)]).to_csv(
        tmp_path / "people.csv", index=False
    )
    out = tmp_path / "scores.csv"
    updated.run("serving", "score", tmp_path / "people.csv", "--out", out)
    scores = pd.read_csv(out).set_index(["patient_id", "outcome"])
    for outcome, probability in served.items():
        assert scores.loc[("a17", outcome), "probability"] == pytest.approx(probability, abs=1e-12)
    assert scores.loc[("b", AFTER_ACUTE), "abstained"] == "early_score_missing"
    assert "phq9_acute" in scores.loc[("b", AFTER_ACUTE), "abstained_fields"]
    assert np.isnan(scores.loc[("b", AFTER_ACUTE), "probability"])
