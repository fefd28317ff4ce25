"""A published equation outside our source tree, from its TOML to what clinicians see."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.base.home import find_home
from features.model.response_model import ResponseModel
from serving.estimates.predictor import Predictor
from serving.models.champion import Champion
from training.registry.registry import Registry

OUTCOME = "phq9.acute.response"
EQUATION = """
name = "invented2026"
label = "Invented 2026"
source = "Invented for this test; no patient was ever seen"
outcome = "remission on the QIDS at week 8"
population = "none: the equation is invented"
intercept = 1.4

[missing]
failed_antidepressants = 2

[terms.phq9]
transform = "spline"
knots = [6, 12, 18, 24]
coefficient = [0.05, -0.3, 0.4]
standard_error = [0.01, 0.02, 0.02]

[terms.sex]
reference = ["male", "other"]
odds_ratio = { female = 3.0 }
interval = { female = [2.5, 3.6] }

[terms.failed_antidepressants]
transform = "log1p"
coefficient = -1.2
standard_error = 0.1
"""
STUDY = """
name = "imported"
question = "Does the published equation hold here?"
outcome = "phq9.acute.response"
seed = 3
candidates = ["invented2026", "invented2026_closed_test", "base_rate"]

[[published]]
file = "invented.toml"

[cohort]
where = { condition = ["depression"] }

[validation]
folds = 3
repeats = 1
resamples = 100
bootstraps = 20

[uncertainty]
redevelopments = 20

[gate]
highest_auc = 0.95
net_benefit_margin = 0.1
"""
# Log-odds that the study should find: the published ones plus this.
MOVED = -0.9


def compute_published(frame):
    """The file's equation, written out: the nonlinear terms are divided by (24 - 6)^2."""

    def cube(knot):
        return np.maximum(frame["phq9"] - knot, 0) ** 3

    curves = [(cube(t) - cube(18) * (24 - t) / 6 + cube(24) * (18 - t) / 6) / 324 for t in (6, 12)]
    spline = 0.05 * frame["phq9"] - 0.3 * curves[0] + 0.4 * curves[1]
    failed = np.log1p(frame["failed_antidepressants"].fillna(2))
    return 1.4 + spline + np.log(3) * (frame["sex"] == "female") - 1.2 * failed


@pytest.fixture(scope="module")
def clinic(make_commands, empty_store, small_cohort, tmp_path_factory):
    """A home in which the study was fitted and its champion pulled."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "invented.toml").write_text(EQUATION)
    (folder / "study.toml").write_text(STUDY)
    frame = pd.read_parquet(small_cohort)
    frame = frame[frame["phq9"].notna()].drop(columns=[f"phq9_{n}" for n in range(1, 10)])
    frame["sex"] = frame["sex"].fillna("other")
    generator = np.random.default_rng(1)
    responds = generator.random(len(frame)) < expit(compute_published(frame) + MOVED)
    frame["phq9_acute"] = np.where(responds, frame["phq9"] // 2, frame["phq9"])
    frame.to_parquet(folder / "cohort.parquet")
    shutil.copytree(empty_store, folder / "home")
    home = make_commands(folder / "home")
    fitted = home.call(
        "fit", folder / "study.toml", "--cohort", folder / "cohort.parquet", "--jobs", 1, "--json"
    )
    home.run("serving", "pull")
    (stored,) = find_home(home.environment).models_folder.glob(f"{OUTCOME}/*/card.json")
    model = ResponseModel.load(stored.parent)
    return SimpleNamespace(
        home=home, folder=folder, fitted=json.loads(fitted.stdout), model=model, log=fitted.stderr
    )


def test_study_recalibrates_and_promotes_it(clinic):
    fitted, model = clinic.fitted, clinic.model
    assert fitted["chosen"] == "invented2026_closed_test"
    assert fitted["gate"] == {"passed": True, "failed": []}
    assert fitted["champion"]["candidate"] == "invented2026_closed_test"
    published = model.card.published
    assert published.label == "Invented 2026"
    assert published.intercept == pytest.approx(MOVED, abs=0.4)
    assert published.slope == 1
    as_published = fitted["candidates"]["invented2026"]
    assert as_published["intercept"] == pytest.approx(published.intercept, abs=0.05)
    low, high = as_published["intervals"]["intercept"]
    assert low < published.intercept < high < 0


def test_fit_warns_of_another_outcome(clinic):
    assert "WARNING: Invented 2026 was made for another outcome than" in clinic.log


def test_card_says_what_is_and_what_is_not_known(clinic):
    card = clinic.model.card
    assert card.required == ("phq9", "sex")
    assert "drawn from their published standard errors" in card.interval.method
    assert "made for another outcome (remission on the QIDS at week 8)" in card.note
    text = clinic.home.call("card", OUTCOME).stdout
    assert "Candidate: Invented 2026 (`invented2026_closed_test`)" in text
    assert "Invented for this test; no patient was ever seen" in text
    assert "Recalibrated: its log-odds plus -" in text


def test_report_shows_source_update_and_alarm(clinic):
    registry = Registry(find_home(clinic.home.environment))
    version = clinic.fitted["model"]["version"]
    findings = registry.read_findings(OUTCOME, version)
    (alarm,) = findings.alarms
    assert alarm.startswith("ANOTHER OUTCOME: the published equation “Invented 2026”")
    assert findings.sample_size.parameters == 0
    sources = {candidate.name: candidate.source for candidate in findings.candidates}
    assert sources["invented2026"] == "Invented for this test; no patient was ever seen"
    assert sources["base_rate"] == ""


def test_service_page_and_score_agree_with_the_paper(clinic, open_client, tmp_path):
    person = {"patient_id": "a", "condition": "depression", "phq9": 21, "sex": "female"}
    rows = [person, person | {"patient_id": "b", "sex": None}]
    champion = Champion(f"{OUTCOME}:x", "1", clinic.model)
    client = open_client(champions=Predictor((champion,), least_sample_size=1))
    answer, silent = (client.post("/predict", json=row).json()["estimates"][0] for row in rows)
    frame = pd.DataFrame([person | {"failed_antidepressants": np.nan}])
    log_odds = compute_published(frame)[0] + clinic.model.card.published.intercept
    assert answer["probability"] == pytest.approx(expit(log_odds), abs=1e-6)
    added = answer["intercept"] + sum(factor["log_odds"] for factor in answer["factors"])
    assert added == pytest.approx(log_odds, abs=1e-6)
    assert answer["imputed"] == ["failed_antidepressants"]
    assert answer["interval"]["low"] < answer["probability"] < answer["interval"]["high"]
    assert silent["abstained"] == {"reason": "value_missing", "fields": ["sex"]}

    page = client.post("/", data={"condition": "depression", "phq9": "21", "sex": "female"}).text
    assert f'<p class="probability">{100 * answer["probability"]:.0f}%</p>' in page
    assert "what the publication states was used: Failed" in page
    assert "which was made for another outcome" in page
    page = client.post("/", data={"condition": "depression", "phq9": "21"}).text
    assert "needs a value that is missing" in page
    assert "Missing: Sex" in page

    pd.DataFrame(rows).to_csv(tmp_path / "people.csv", index=False)
    clinic.home.run("serving", "score", tmp_path / "people.csv", "--out", tmp_path / "scores.csv")
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert scores["probability"][0] == pytest.approx(answer["probability"], abs=1e-12)
    assert scores["abstained"][1] == "value_missing"


def test_validation_elsewhere_leaves_out_what_it_cannot_estimate(clinic, tmp_path):
    frame = pd.read_parquet(clinic.folder / "cohort.parquet").iloc[::2]
    frame.loc[frame.index[:30], "sex"] = None
    frame.to_parquet(tmp_path / "other.parquet")
    clinic.home.call("validate", OUTCOME, tmp_path / "other.parquet", "--out", tmp_path)
    findings = json.loads((tmp_path / "findings.json").read_text())
    assert "without a value that the equation needs" in findings["cohort"]
    assert any(alarm.startswith("ANOTHER OUTCOME") for alarm in findings["alarms"])


def test_missing_values_without_provision_refuse_the_study(clinic, tmp_path):
    frame = pd.read_parquet(clinic.folder / "cohort.parquet")
    frame.loc[frame.index[:3], "sex"] = None
    frame.to_parquet(tmp_path / "gaps.parquet")
    study = clinic.folder / "study.toml"
    refused = clinic.home.call(
        "fit", study, "--cohort", tmp_path / "gaps.parquet", "--json", code=2
    )
    (error,) = json.loads(refused.stdout)["errors"]
    assert (error["field"], error["rule"]) == ("sex", "missing")
    assert "missing.sex" in error["message"]
