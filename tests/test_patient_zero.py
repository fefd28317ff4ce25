"""Estimates from patient zero: assessments alone, a real service, then the first outcomes."""

import json
import urllib.parse
import urllib.request

import mlflow
import pandas as pd
import pytest

OUTCOME = "phq9.acute.response"
NONE_YET = ("--set", "cohort.outcomes=none-yet")


@pytest.fixture(scope="module")
def clinic(make_commands, intake, tmp_path_factory):
    """A home with a study of assessments without any follow-up, and the JSON of `fit`."""
    home = make_commands(tmp_path_factory.mktemp("clinic"))
    study = ("fit", "experiments/studies/demo.toml", "--cohort", intake, "--json")
    refused = home.call(*study, code=2)
    assert "cohort.outcomes" in refused.output
    fitted = json.loads(home.call(*study, *NONE_YET).stdout)
    home.run("serving", "pull")
    return home, fitted


@pytest.fixture(scope="module")
def address(clinic, wait_ready):
    """The address of a real service process with the clinic's champion."""
    from experiments.demo import find_free_port

    port = find_free_port()
    process = clinic[0].start("serving", "serve", "--port", port)
    try:
        wait_ready(process, f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def ask(address, body, kind="application/json"):
    request = urllib.request.Request(address, body.encode(), {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read().decode()


def test_fit_reports_measures_as_missing(clinic):
    fitted = clinic[1]
    assert (fitted["courses"], fitted["events"], fitted["chosen"]) == (0, 0, "evidence_prior")
    assert fitted["model"] == {"name": OUTCOME, "version": "1", "alias": "challenger"}
    assert fitted["champion"]["candidate"] == "base_rate"
    assert fitted["candidates"]["evidence_prior"]["log_loss"] is None


def test_first_patient_gets_published_rate_with_wide_interval(clinic, address, make_assessment):
    answer = json.loads(ask(f"{address}/predict", json.dumps(make_assessment())))
    (estimate,) = answer["estimates"]
    assert estimate["abstained"] is None
    assert estimate["probability"] == pytest.approx(clinic[1]["base_rate"])
    assert estimate["base_rate"] == {"probability": clinic[1]["base_rate"], "n": 0}
    assert estimate["interval"]["high"] - estimate["interval"]["low"] > 0.35
    assert 0 < estimate["effective_sample_size"] < 10
    assert "no outcome is known here yet" in estimate["note"]
    assert "SIMULATED" in estimate["note"]


def test_served_card_has_no_measures(address):
    with urllib.request.urlopen(f"{address}/model", timeout=30) as response:
        (model,) = json.load(response)["models"]
    assert model["population"]["courses"] == 0
    assert model["performance"]["base_rate"]["auc"]["value"] is None


def test_page_names_the_source_of_the_estimate(address):
    form = urllib.parse.urlencode({"condition": "depression", "phq9": "17"})
    page = ask(f"{address}/", form, "application/x-www-form-urlencoded")
    assert '<p class="probability">' in page
    assert "every patient gets the published base rate" in page
    beyond = form + "&age=100"
    page = ask(f"{address}/", beyond, "application/x-www-form-urlencoded")
    assert "In published studies" in page
    assert "Of 0 patients" not in page


def test_score_and_pyfunc_estimate_too(clinic, make_assessment, tmp_path):
    home, fitted = clinic
    pd.DataFrame([make_assessment()]).to_csv(tmp_path / "people.csv", index=False)
    home.run("serving", "score", tmp_path / "people.csv", "--out", tmp_path / "scores.csv")
    (scored,) = pd.read_csv(tmp_path / "scores.csv").to_dict("records")
    assert scored["probability"] == pytest.approx(fitted["base_rate"])
    assert scored["base_rate"] == pytest.approx(fitted["base_rate"])
    mlflow.set_tracking_uri(f"sqlite:///{home.home / 'mlflow.db'}")
    challenger = mlflow.pyfunc.load_model(f"models:/{OUTCOME}@challenger")
    people = pd.DataFrame([make_assessment(age=44.0, phq9=score) for score in (8.0, 24.0)])
    mild, severe = challenger.predict(people)["probability"]
    assert mild > severe


def test_first_outcomes_replace_published_rate(clinic, cohort):
    """There are enough outcomes to compare candidates."""
    home, _ = clinic
    quick = (
        *("--set", 'candidates=["evidence_prior", "base_rate"]', "--set", "validation.folds=3"),
        *("--set", "validation.resamples=100", "--set", "uncertainty.redevelopments=20"),
        *("--set", "validation.bootstraps=20", "--jobs", "1", "--json"),
    )
    fitted = json.loads(
        home.call("fit", "experiments/studies/demo.toml", "--cohort", cohort, *quick).stdout
    )
    assert fitted["champion"]["version"] not in ("1", "2")
    assert fitted["courses"] > 100
    pulled = json.loads(home.run("serving", "pull", "--json").stdout)["champions"]
    assert [(champion["name"], champion["version"]) for champion in pulled] == [
        (OUTCOME, fitted["champion"]["version"])
    ]
