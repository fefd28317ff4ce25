"""HTTP, batch, MLflow and a Bento in a fresh process give the same probabilities."""

import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from experiments.demo import find_free_port

ROOT = Path(__file__).parent.parent
PEOPLE = 200


def post(address, body):
    request = urllib.request.Request(
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()[:2000]) from None


@pytest.fixture(scope="module")
def people(intake):
    """200 assessments of the champion's condition, as rows and as JSON objects."""
    frame = pd.read_parquet(intake)
    frame = frame[frame["condition"] == "depression"].head(PEOPLE)
    assert len(frame) == PEOPLE
    frame["assessed_on"] = frame["assessed_on"].astype(str)
    rows = [
        {name: value for name, value in row.items() if not pd.isna(value)}
        for row in frame.to_dict("records")
    ]
    return frame, rows


@pytest.fixture(scope="module")
def scored(commands, people, tmp_path_factory):
    """The probabilities that `score` writes; NaN if it abstained."""
    folder = tmp_path_factory.mktemp("scored")
    people[0].to_csv(folder / "people.csv", index=False)
    commands.run("serving", "score", folder / "people.csv", "--out", folder / "scores.parquet")
    return pd.read_parquet(folder / "scores.parquet")["probability"]


@pytest.fixture(scope="module")
def bento(commands):
    """The tag of a Bento with the champion."""
    return json.loads(commands.run("serving", "bundle", "--json").stdout)["bento"]


def list_probabilities(answers):
    """List the first estimates' probabilities; NaN if abstained."""
    probabilities = [answer["estimates"][0]["probability"] for answer in answers]
    return [float("nan") if value is None else value for value in probabilities]


def test_service_agrees_with_score(service, people, scored):
    answers = [post(f"{service}/predict", row) for row in people[1]]
    assert scored.notna().sum() > 150
    assert scored.nunique() > 100
    assert list_probabilities(answers) == pytest.approx(scored.tolist(), abs=1e-6, nan_ok=True)


def test_batch_agrees_with_score(service, people, scored):
    results = post(f"{service}/predict_batch", {"assessments": people[1]})["results"]
    assert list_probabilities(results) == pytest.approx(scored.tolist(), abs=1e-6, nan_ok=True)


def test_mlflow_models_serve_agrees_with_score(commands, people, scored, wait_ready):
    port = find_free_port()
    process = commands.start(
        *("mlflow", "models", "serve", "--env-manager", "local", "--port", port),
        *("-m", "models:/phq9.acute.response@champion"),
        cwd=commands.home,  # not the repository: the model brings its own code
        MLFLOW_TRACKING_URI=f"sqlite:///{commands.home / 'mlflow.db'}",
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    try:
        wait_ready(process, f"http://127.0.0.1:{port}/ping")
        body = {"dataframe_records": people[1]}
        predictions = post(f"http://127.0.0.1:{port}/invocations", body)["predictions"]
    finally:
        os.killpg(process.pid, 15)
        process.communicate(timeout=30)
    probabilities = [
        prediction["probability"]
        for prediction, known in zip(predictions, scored.notna(), strict=True)
        if known  # where `score` abstains, the pyfunc gives no number
    ]
    assert probabilities == pytest.approx(scored.dropna().tolist(), abs=1e-6)


def test_bento_agrees_with_score(commands, people, scored, wait_ready, bento, tmp_path):
    port = find_free_port()
    process = commands.start(
        *("bentoml", "serve", bento, "--host", "127.0.0.1", "--port", port),
        cwd=tmp_path,  # the Bento brings its own code
        BENTOML_HOME=str(commands.home / "bentoml"),
    )
    try:
        wait_ready(process, f"http://127.0.0.1:{port}/readyz")
        body = {"assessments": people[1]}
        results = post(f"http://127.0.0.1:{port}/predict_batch", body)["results"]
        cards = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/model", timeout=30))
    finally:
        os.killpg(process.pid, 15)
        process.communicate(timeout=30)
    assert list_probabilities(results) == pytest.approx(scored.tolist(), abs=1e-6, nan_ok=True)
    assert cards["models"][0]["name"] == "phq9.acute.response"


def test_bento_names_its_models_and_holds_its_code(commands, bento):
    """A later champion in the store is for services that follow the store."""
    name, version = bento.split(":")
    bento = (commands.home / "bentoml" / "bentos" / name / version / "bento.yaml").read_text()
    assert re.search(r"tag: phq9\.acute\.response:[a-z0-9]+", bento)
    assert (commands.home / "bentoml" / "bentos" / name / version / "src" / "serving").is_dir()
    assert not (commands.home / "bentoml" / "bentos" / name / version / "src" / "training").exists()
