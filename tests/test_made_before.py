"""Models, registries and Bentos made before the rooms still load, and give the same estimates."""

import json
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from experiments.demo import find_free_port
from features.model.response_model import ResponseModel
from features.records.assessment import read_assessments

ROOT = Path(__file__).parent.parent
MADE_BEFORE = Path(__file__).parent / "fixtures" / "made_before"
KEPT = json.loads((MADE_BEFORE / "estimates.json").read_text("utf-8"))
ASSESSMENTS = KEPT["assessments"]
OUTCOMES = ("phq9.acute.remission", "phq9.acute.response")  # boosted trees, an elastic net
NUMBERS = ("probability", "low", "high", "effective_sample_size")


def list_kept(outcome):
    """List the old version's estimates of an outcome, in the order of the assessments."""
    return [
        estimate
        for estimates in KEPT["estimates"]
        for estimate in estimates
        if estimate["outcome"] == outcome
    ]


@pytest.fixture(scope="module")
def old_commands(make_commands, move_home, tmp_path_factory):
    """A home made by an old version."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(MADE_BEFORE / "home.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    move_home(folder, folder.parent / "old", Path("/made-before"))
    return make_commands(folder.parent / "old")


def find_logged_model(home, outcome):
    """Find the folder that MLflow logged for an outcome."""
    (card,) = (
        path
        for path in home.glob("artifacts/models/*/artifacts/data/model/card.json")
        if json.loads(path.read_text("utf-8"))["name"] == outcome
    )
    return card.parent.parent.parent


def check_estimates(results):
    """Compare a service's results with the old version's estimates."""
    assert len(results) == len(ASSESSMENTS)
    for result, kept in zip(results, KEPT["estimates"], strict=True):
        for now, then in zip(result["estimates"], kept, strict=True):
            factors = {factor["field"]: factor["log_odds"] for factor in now["factors"]}
            assert factors == pytest.approx(then["factors"], abs=1e-9)
            numbers = {
                **{name: now[name] for name in ("probability", "effective_sample_size")},
                **{name: now["interval"][name] for name in ("low", "high")},
                "base_rate": now["base_rate"]["probability"],
                "intercept": now["intercept"],
            }
            assert numbers == pytest.approx({name: then[name] for name in numbers}, abs=1e-9)
            assert now["outcome"]["id"] == then["outcome"]
            assert now["model"]["version"] == then["version"]
            assert now["model"]["digest"] == then["digest"]
            assert (now["imputed"], now["abstained"]) == (then["imputed"], then["abstained"])


def estimate_over_http(process, port, wait_ready):
    """Ask a service for every estimate, then end it."""
    address = f"http://127.0.0.1:{port}"
    try:
        wait_ready(process, f"{address}/readyz")
        body = json.dumps({"assessments": ASSESSMENTS}).encode()
        request = urllib.request.Request(
            f"{address}/predict_batch", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["results"]
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_old_artifact_gives_the_same_estimates(old_commands, outcome):
    model = ResponseModel.load(find_logged_model(old_commands.home, outcome) / "data" / "model")
    prediction = model.predict(read_assessments(ASSESSMENTS))
    for name in NUMBERS:
        then = [estimate[name] for estimate in list_kept(outcome)]
        assert getattr(prediction, name).tolist() == pytest.approx(then, abs=1e-9)


def predict_through_mlflow(home, outcome):
    """Estimate by the model that MLflow loads, for the columns of its signature."""
    model = mlflow.pyfunc.load_model(str(find_logged_model(home, outcome)))
    frame = pd.DataFrame(ASSESSMENTS)
    frame = frame[[n for n in model.metadata.get_input_schema().input_names() if n in frame]]
    flags = [name for name in frame if frame[name].map(type).eq(bool).any()]
    return model.predict(frame.astype(dict.fromkeys(flags, float)))


def check_frame(outcome, frame):
    for name in NUMBERS:
        then = [estimate[name] for estimate in list_kept(outcome)]
        assert frame[name].tolist() == pytest.approx(then, abs=1e-9)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_mlflow_loads_an_old_model(old_commands, monkeypatch, outcome):
    """By the current code, since it is imported already."""
    monkeypatch.setattr(sys, "path", sys.path.copy())  # MLflow adds the model's code to it
    check_frame(outcome, predict_through_mlflow(old_commands.home, outcome))


def test_old_model_brings_its_own_code(old_commands, tmp_path):
    """A new process uses the code that was logged with the model."""
    outcome = "phq9.acute.response"
    folder = find_logged_model(old_commands.home, outcome)
    script = (
        "import sys, mlflow\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "print(sys.modules['features'].__file__, len(model.predict(model.input_example)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, folder],
        cwd=tmp_path,
        env=old_commands.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.split()[0]).is_relative_to(folder)


def test_old_model_store_is_served(old_commands, wait_ready, tmp_path):
    port = find_free_port()
    process = old_commands.start("serving", "serve", "--port", port, log=tmp_path / "log")
    check_estimates(estimate_over_http(process, port, wait_ready))


def test_old_bento_starts_with_its_own_code(old_commands, wait_ready, tmp_path):
    port = find_free_port()
    process = old_commands.start(
        *("bentoml", "serve", "ketamine_response:latest", "--host", "127.0.0.1", "--port", port),
        log=tmp_path / "log",
        cwd=tmp_path,
        BENTOML_HOME=str(old_commands.home / "bentoml"),
    )
    check_estimates(estimate_over_http(process, port, wait_ready))


def test_old_champions_are_pulled(old_commands, tmp_path):
    """Into a copy of the old store, which keeps its model and gets the missing one."""
    store = tmp_path / "bentoml"
    shutil.copytree(old_commands.home / "bentoml", store)
    shutil.rmtree(store / "models" / "phq9.acute.remission")
    done = old_commands.run("serving", "pull", "--json", BENTOML_HOME=str(store))
    pulled = {
        champion["name"]: champion["new"] for champion in json.loads(done.stdout)["champions"]
    }
    assert pulled == {"phq9.acute.remission": True, "phq9.acute.response": False}


def test_old_findings_history_and_card_are_read(old_commands):
    """The gate judges the old findings again, and the card shows them."""
    outcome = "phq9.acute.response"
    history = old_commands.call("history", outcome)
    assert "promotion of version 1" in history.output
    card = json.loads(old_commands.call("card", outcome, "--json").stdout)
    assert card["findings"]["candidates"]
    again = json.loads(old_commands.call("promote", f"{outcome}@1", "--json").stdout)
    assert (again["state"], again["failed"]) == ("champion", [])
