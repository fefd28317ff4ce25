"""A clinic with its own scales, fields and treatments, from its file to what clinicians see.

Nothing of it is in our source: the dictionary is that of docs/how-to/extend-the-dictionary.md.
"""

import json
import urllib.parse
import urllib.request

import mlflow
import numpy as np
import pandas as pd
import pytest
from pages import BLOCK, ROOT

from features.base.home import find_home
from features.dictionary.dictionary import load_dictionary
from features.model.response_model import ResponseModel

OUTCOME = "dass21_depression.acute.response"
# A file of instruments alone, as before there were others to add.
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
name = "own-dictionary"
question = "Whose DASS-21 depression halves?"
outcome = "dass21_depression.acute.response"
seed = 3
candidates = ["evidence_prior", "base_rate"]

[cohort]
instruments = "scales.toml"
dictionary = "clinic.toml"
where = { condition = ["depression"] }

[features]
include = ["dass21_depression", "lsas", "bpi", "age", "prs_depression", "agent", "route"]

[validation]
folds = 3
repeats = 1
resamples = 100
bootstraps = 20

[uncertainty]
redevelopments = 20
"""
DASS = ("dass21_3", "dass21_5", "dass21_10", "dass21_13", "dass21_16", "dass21_17", "dass21_21")
LSAS = tuple(f"lsas_{part}_{item}" for part in ("fear", "avoidance") for item in range(1, 25))
CBT = {"agent": "cbt", "route": None, "phq9": None}


def add_own(frame, seed):
    """Add what the clinic records: the polygenic score moves the outcome, and CBT has no route."""
    generator, size = np.random.default_rng(seed), len(frame)
    prs = generator.normal(0, 1, size).clip(-6, 6)
    dass = generator.integers(1, 4, (size, len(DASS)))
    responds = generator.random(size) < 1 / (1 + np.exp(-0.2 - 1.2 * prs))
    after = 2 * np.floor(dass.sum(axis=1) * np.where(responds, 0.4, 0.8))
    agent = generator.choice(["ketamine", "cbt", "psilocybin"], size, p=[0.5, 0.25, 0.25])
    undosed = agent == "cbt"
    return frame.drop(columns=["dose_mg_kg", "dose_mg"]).assign(
        **{name: dass[:, index] for index, name in enumerate(DASS)},
        **dict(zip(LSAS, generator.integers(0, 4, (len(LSAS), size)), strict=True)),
        bpi=generator.integers(8, 41, size),
        prs_depression=prs.round(3),
        agent=agent,
        route=np.select([undosed, agent == "psilocybin"], [None, "oral"], "iv"),
        dass21_depression_acute=after,
    )


@pytest.fixture(scope="module")
def clinic(make_commands, cohort, tmp_path_factory):
    """A home in which the study was fitted and its champion pulled, and what `fit` printed."""
    folder = tmp_path_factory.mktemp("own")
    page = (ROOT / "docs" / "how-to" / "extend-the-dictionary.md").read_text("utf-8")
    (folder / "clinic.toml").write_text(BLOCK.search(page)[2])
    (folder / "scales.toml").write_text(SCALES)
    (folder / "study.toml").write_text(STUDY)
    frame = add_own(pd.read_parquet(cohort), 1)
    frame[:450].to_parquet(folder / "cohort.parquet")
    frame[800:].to_parquet(folder / "later.parquet")
    home = make_commands(folder / "home")
    arguments = ("--cohort", folder / "cohort.parquet", "--jobs", "1", "--json")
    fitted = json.loads(home.call("fit", folder / "study.toml", *arguments).stdout)
    home.run("serving", "pull")
    return home, folder, fitted


def test_the_registered_model_carries_the_additions(clinic):
    home, folder, fitted = clinic
    assert fitted["model"]["name"] == OUTCOME
    assert fitted["chosen"] == "evidence_prior"
    (stored,) = (find_home(home.environment).models_folder).glob(f"{OUTCOME}/*/card.json")
    card = ResponseModel.load(stored.parent).card
    files = (folder / "scales.toml", folder / "clinic.toml")
    assert card.dictionary is load_dictionary(*files)
    assert card.parse_outcome().instrument is card.dictionary.instruments["dass21_depression"]
    assert card.list_studied("agent") == ("ketamine", "psilocybin", "cbt")
    assert {"lsas", "bpi", "prs_depression"} <= {studied.field for studied in card.ranges}


def test_the_report_names_them(clinic):
    home, _, _ = clinic
    mlflow.set_tracking_uri(f"sqlite:///{home.home / 'mlflow.db'}")
    shown = home.call("card", OUTCOME).stdout
    assert "Polygenic score, depression (`prs_depression`): " in shown
    assert "ketamine, Psilocybin, Cognitive behavioural therapy" in shown
    assert "a number from -6 to 6 SD; prior spread 0.15 per 1. Source: exploratory" in shown


def read_json(address, **body):
    request = urllib.request.Request(
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def read_page(address, form=None):
    body = None if form is None else urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(address, body, timeout=30) as response:
        return response.read().decode()


def test_service_and_page_know_them(clinic, wait_ready, make_assessment):
    from experiments.demo import find_free_port

    address = f"http://127.0.0.1:{find_free_port()}"
    process = clinic[0].start("serving", "serve", "--port", address.rpartition(":")[2])
    try:
        wait_ready(process, f"{address}/readyz")
        dass = dict.fromkeys(DASS[:6], 2)
        person = make_assessment(**CBT, **dass, prs_depression=1.5, psychosis=True)
        answer = read_json(f"{address}/predict", **person)
        rows = [person, make_assessment(**CBT | {"agent": "ketamine"}, **dass, prs_depression=9)]
        published = read_page(f"{address}/docs.json")
        batch = read_json(f"{address}/predict_batch", assessments=rows)["results"]
        form = {name: person[name] for name in ("condition", "agent", "prs_depression", *dass)}
        form["dass21_depression"] = form.pop("dass21_3") * 14
        page = read_page(f"{address}/", {n: v for n, v in form.items() if n not in dass})
    finally:
        process.terminate()
        process.communicate(timeout=30)
    (estimate,) = answer["estimates"]
    assert estimate["outcome"]["definition"].startswith("DASS-21 depression down by at least 50%")
    assert 0 < estimate["probability"] < 1
    assert estimate["imputed"] == ["bpi", "lsas"], "CBT has no route to be missing"
    assert estimate["prorated"] == ["dass21_depression"]
    factors = {factor["field"]: factor for factor in estimate["factors"]}
    assert factors["prs_depression"]["label"] == "Polygenic score, depression"
    assert factors["prs_depression"]["log_odds"] > 0
    rules = {notice["rule"] for notice in answer["eligibility"]}
    assert rules == {"suicidal_intent"}, "no contraindication of ketamine"
    assert "prs_depression" in published
    assert '"cbt"' in published
    assert batch[0]["estimates"] == answer["estimates"]
    assert [error["field"] for error in batch[1]["errors"]] == ["prs_depression"]
    assert '<option value="cbt" selected>Cognitive behavioural therapy</option>' in page
    assert "Polygenic score, depression" in page
    assert "Will this patient respond to treatment?" in page


def test_score_and_mlflow_read_them(clinic, make_assessment, tmp_path):
    home, _, _ = clinic
    rows = [
        make_assessment(patient_id=f"p{prs}", **CBT, dass21_depression=28.0, lsas=70.0, bpi=9.0)
        | {"prs_depression": prs, "age": 44.0}
        for prs in (-1.0, 1.0)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "people.csv", index=False)
    home.run("serving", "score", tmp_path / "people.csv", "--out", tmp_path / "scores.csv")
    low, high = pd.read_csv(tmp_path / "scores.csv")["probability"]
    assert 0 < low < high < 1
    mlflow.set_tracking_uri(f"sqlite:///{home.home / 'mlflow.db'}")
    function = mlflow.pyfunc.load_model(f"models:/{OUTCOME}@champion")
    predicted = function.predict(pd.DataFrame(rows))["probability"]
    assert predicted.to_numpy() == pytest.approx([low, high], abs=1e-12)


def test_validate_reads_them_from_the_card(clinic, tmp_path):
    home, folder, _ = clinic
    home.call("validate", OUTCOME, folder / "later.parquet", "--out", tmp_path, "--json")
    findings = json.loads((tmp_path / "findings.json").read_text())
    assert findings["card"]["outcome"]["id"] == OUTCOME
    assert findings["courses"] > 50


def test_another_study_does_not_know_them(clinic, make_commands, tmp_path):
    _, folder, _ = clinic
    refused = make_commands(tmp_path).call(
        *("fit", "experiments/studies/demo.toml", "--cohort", folder / "cohort.parquet", "--json"),
        code=2,
    )
    assert "bpi" in refused.output
    assert "prs_depression" in refused.output
