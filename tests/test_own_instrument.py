"""A study with its own scale, from its file to the estimates that clinicians see."""

import json
import urllib.request

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.base.home import find_home
from features.model.response_model import ResponseModel

OUTCOME = "bpi.acute.response"
SCALES = """
[bpi]
name = "BPI severity"
measures = "pain"
item_highs = [10, 10, 10, 10]
bands = [{ low = 0, label = "none" }, { low = 1, label = "some" }, { low = 20, label = "much" }]
recall_days = 1
response_percent = 30
missing_items_allowed = 1
source = "made up for this test"
"""
STUDY = """
name = "pain"
question = "Whose pain falls by 30 per cent?"
outcome = "bpi.acute.response"
seed = 3
candidates = ["evidence_prior", "base_rate"]

[cohort]
instruments = "scales.toml"
where = { condition = ["depression"] }

[features]
include = ["age", "bmi", "phq9", "bpi", "route"]

[validation]
folds = 3
repeats = 1
resamples = 100
bootstraps = 20

[uncertainty]
redevelopments = 20
"""


def add_pain(frame, seed):
    """Add pain of 8 to 40, which falls by a third if depression responds."""
    generator = np.random.default_rng(seed)
    pain = generator.integers(8, 41, len(frame))
    fall = np.where(frame["phq9_acute"] <= frame["phq9"] / 2, 0.4, 0.1)
    after = np.where(frame["phq9_acute"].isna(), np.nan, np.floor(pain * (1 - fall)))
    return frame.assign(bpi=pain, bpi_acute=after)


@pytest.fixture(scope="module")
def clinic(make_commands, cohort, tmp_path_factory):
    """A home in which the study was fitted and its champion pulled, and what `fit` printed."""
    folder = tmp_path_factory.mktemp("pain")
    (folder / "scales.toml").write_text(SCALES)
    (folder / "study.toml").write_text(STUDY)
    frame = add_pain(pd.read_parquet(cohort), 1)
    frame[:800].to_parquet(folder / "cohort.parquet")
    frame[800:].to_parquet(folder / "later.parquet")
    home = make_commands(folder / "home")
    arguments = ("--cohort", folder / "cohort.parquet", "--jobs", "1", "--json")
    fitted = json.loads(home.call("fit", folder / "study.toml", *arguments).stdout)
    home.run("serving", "pull")
    return home, folder, fitted


def test_the_registered_model_carries_the_scale(clinic):
    home, _, fitted = clinic
    assert fitted["model"]["name"] == OUTCOME
    (stored,) = (find_home(home.environment).models_folder).glob(f"{OUTCOME}/*/card.json")
    card = ResponseModel.load(stored.parent).card
    (scale,) = card.instruments
    assert (scale.key, scale.high, scale.condition) == ("bpi", 40, None)
    assert card.parse_outcome().instrument is card.dictionary.instruments["bpi"]
    assert "bpi" in {studied.field for studied in card.ranges}


def test_the_service_reads_and_publishes_the_scale(clinic, wait_ready, make_assessment):
    from experiments.demo import find_free_port

    address = f"http://127.0.0.1:{find_free_port()}"
    process = clinic[0].start("serving", "serve", "--port", address.rpartition(":")[2])
    try:
        wait_ready(process, f"{address}/readyz")
        body = json.dumps(make_assessment(bpi_1=9, bpi_2=9, bpi_3=9)).encode()
        request = urllib.request.Request(
            f"{address}/predict", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            (estimate,) = json.load(response)["estimates"]
        with urllib.request.urlopen(f"{address}/", timeout=30) as response:
            page = response.read().decode()
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert estimate["outcome"]["definition"].startswith("BPI severity down by at least 30")
    assert 0 < estimate["probability"] < 1
    assert "bpi" not in estimate["imputed"], "36 of 40, pro-rated from three items"
    assert estimate["prorated"] == ["bpi"]
    assert "BPI severity total" in page


def test_score_and_mlflow_read_the_scale(clinic, make_assessment, tmp_path):
    home, _, _ = clinic
    rows = [
        make_assessment(patient_id=f"p{bpi}", bpi=bpi, age=44.0, phq9=17.0) for bpi in (10.0, 38.0)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "people.csv", index=False)
    home.run("serving", "score", tmp_path / "people.csv", "--out", tmp_path / "scores.csv")
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert scores["probability"].between(0, 1).all()
    mlflow.set_tracking_uri(f"sqlite:///{home.home / 'mlflow.db'}")
    function = mlflow.pyfunc.load_model(f"models:/{OUTCOME}@champion")
    predicted = function.predict(pd.DataFrame(rows))["probability"]
    assert predicted.to_numpy() == pytest.approx(scores["probability"].to_numpy(), abs=1e-12)


def test_validate_reads_the_scale_from_the_card(clinic, tmp_path):
    home, folder, _ = clinic
    home.call("validate", OUTCOME, folder / "later.parquet", "--out", tmp_path, "--json")
    findings = json.loads((tmp_path / "findings.json").read_text())
    assert findings["card"]["outcome"]["id"] == OUTCOME
    assert findings["courses"] > 50


def test_another_study_does_not_know_the_scale(clinic, make_commands, tmp_path):
    _, folder, _ = clinic
    refused = make_commands(tmp_path).call(
        *("fit", "experiments/studies/demo.toml", "--cohort", folder / "cohort.parquet", "--json"),
        code=2,
    )
    assert "bpi" in refused.output
