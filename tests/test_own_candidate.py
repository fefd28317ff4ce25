"""A random forest of a user's own package, from its study to the estimates that clinicians see."""

import json
import sys
import urllib.parse
import urllib.request
from importlib import import_module
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import write_cohort
from pages import BLOCK, ROOT

from experiments.demo import find_free_port
from features.base.home import find_home
from features.model.classifier import UNSPLIT, bound_log_odds
from features.model.matrix import build_matrix
from features.model.prediction import compute_probability
from features.model.response_model import ResponseModel
from features.records.assessment import read_assessments

# As much as it takes to pass the gate, and no more.
QUICK = (
    *("--set", "validation.folds=3", "--set", "validation.repeats=1"),
    *("--set", "validation.resamples=100", "--set", 'validation.profile="quick"'),
    *("--set", "validation.bootstraps=10", "--set", "uncertainty.redevelopments=20"),
    *("--set", "gate.redevelopments=0", "--jobs", "1", "--json"),
)
READ = ("age", "sex", "phq9", "gad7", "failed_antidepressants", "episode_months", "bmi")
OUTCOME = "phq9.acute.response"
PAGE = ROOT / "docs" / "how-to" / "use-your-own-classifier.md"


def list_files():
    """List the files that the how-to shows, in its order."""
    return [block for _, block in BLOCK.findall(PAGE.read_text("utf-8"))]


def write_package(folder: Path) -> None:
    """Write the how-to's package as a plain folder, with what an installer would write."""
    module, _, entry, metadata, _, tuned = list_files()
    facts = folder / "clinic-1.0.dist-info"
    facts.mkdir(parents=True)
    # Thirty trees are enough to show the way.
    (folder / "forest.py").write_text(f"{module}\n\n{tuned}".replace("(300", "(30"))
    (facts / "entry_points.txt").write_text(entry)
    (facts / "METADATA").write_text(metadata)


@pytest.fixture(scope="module")
def clinic(make_commands, tmp_path_factory):
    """A home in which the how-to's study was fitted and its champion pulled; what `fit` printed."""
    from training.candidates.registry import list_candidates

    folder = tmp_path_factory.mktemp("clinic")
    write_package(folder / "clinic")
    (folder / "forest.toml").write_text(list_files()[4])
    write_cohort(folder / "cohort.parquet", 1200, seed=7, world="strong")
    home = make_commands(folder / "home")
    sys.path.insert(0, str(folder / "clinic"))
    list_candidates.cache_clear()
    try:
        arguments = (folder / "forest.toml", "--cohort", folder / "cohort.parquet", *QUICK)
        fitted = json.loads(home.call("fit", *arguments).stdout)
        forest = fit_forest(import_module("forest"), folder)
    finally:
        sys.path.remove(str(folder / "clinic"))
        sys.modules.pop("forest", None)
        list_candidates.cache_clear()
    # From here on nothing knows of the package.
    home.run("serving", "pull")
    return home, folder, fitted, forest


def fit_forest(module, folder):
    """Fit the forest with scikit-learn alone, with the seed of the study's final fit."""
    from training.study.courses import load_design
    from training.study.seeds import FINAL_SEED, derive_seed
    from training.study.study import read_study

    study = read_study(folder / "forest.toml")
    design = load_design(study, folder / "cohort.parquet")
    forest = module.Forest().make().set_params(random_state=derive_seed(study.seed, FINAL_SEED))
    return forest.fit(design.matrix, design.outcome.astype(int))


def load_champion(home):
    """Return the stored champion's folder, and the champion."""
    (stored,) = find_home(home.environment).models_folder.glob(f"{OUTCOME}/*/card.json")
    return stored.parent, ResponseModel.load(stored.parent)


@pytest.fixture(scope="module")
def patients(clinic):
    """Patients with depression as a table, some values missing, and as JSON objects."""
    frame = pd.read_parquet(clinic[1] / "cohort.parquet").query("condition == 'depression'")
    frame = frame.loc[frame["phq9"].notna(), ["patient_id", "condition", *READ]].head(60)
    frame["age"] = frame["age"].mask(np.arange(len(frame)) % 5 == 0)
    return frame, [row.dropna().to_dict() for _, row in frame.iterrows()]


@pytest.fixture(scope="module")
def expected(clinic, patients):
    """What scikit-learn says of them, calibrated as the model is."""
    model, forest = load_champion(clinic[0])[1], clinic[3]
    matrix = build_matrix(read_assessments(patients[1]), model.card.features)
    (intercept, below, above), *_ = model.equation.terms.calibration
    assert below == above
    log_odds = bound_log_odds(forest.predict_proba(matrix)[:, 1])
    return compute_probability(intercept + below * log_odds)


@pytest.fixture(scope="module")
def scores(clinic, patients, tmp_path_factory):
    """What `score` writes of them, without the package, and without scikit-learn."""
    home, folder, *_ = clinic
    patients[0].to_csv(folder / "people.csv", index=False)
    home.run("serving", "score", folder / "people.csv", "--out", folder / "scores.csv")
    return pd.read_csv(folder / "scores.csv")


def test_forest_passes_the_gate_and_is_stored_as_onnx(clinic):
    home, _, fitted, _ = clinic
    assert (fitted["chosen"], fitted["gate"]) == ("forest", {"passed": True, "failed": []})
    assert fitted["champion"]["candidate"] == "forest"
    folder, model = load_champion(home)
    assert model.card.factors_reason == UNSPLIT
    assert "middle 80% of 20 bootstrap refits" in model.card.interval.method
    assert set(model.card.versions) > {"onnxruntime", "skl2onnx"}
    assert set(model.card.files) == {
        "terms.npz",
        *(f"classifier-{number:04d}.onnx" for number in range(21)),
    }
    assert {path.suffix for path in folder.iterdir()} == {".json", ".npz", ".onnx", ".yaml"}


def post(address, content, kind):
    """Send a body of some kind; returns the answer."""
    request = urllib.request.Request(address, content.encode(), {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read().decode()


def test_service_agrees_with_scikit_learn_and_says_why_it_has_no_factors(
    clinic, patients, expected, wait_ready
):
    """On the page too."""
    address = f"http://127.0.0.1:{find_free_port()}"
    process = clinic[0].start("serving", "serve", "--port", address.rpartition(":")[2])
    try:
        wait_ready(process, f"{address}/readyz")
        body = {"assessments": patients[1]}
        results = json.loads(post(f"{address}/predict_batch", json.dumps(body), "application/json"))
        form = urllib.parse.urlencode(patients[1][1] | {"patient_id": ""})
        page = post(f"{address}/", form, "application/x-www-form-urlencoded")
    finally:
        process.terminate()
        process.communicate(timeout=30)
    estimates = [result["estimates"][0] for result in results["results"]]
    given = [estimate for estimate in estimates if estimate["abstained"] is None]
    assert len(given) > 30
    for estimate in given:
        assert (estimate["factors"], estimate["factors_reason"]) == ([], UNSPLIT)
        odds = estimate["probability"] / (1 - estimate["probability"])
        assert estimate["intercept"] == pytest.approx(np.log(odds))
    assert any("age" in estimate["imputed"] for estimate in given)
    assert f"is not shown: {UNSPLIT}." in page
    served = np.array([e["probability"] for e in estimates], dtype=float)
    answered = ~np.isnan(served)
    assert served[answered] == pytest.approx(expected[answered], abs=1e-5)
    assert len(np.unique(served[answered].round(6))) > 30


def test_scores_and_mlflow_agree_with_scikit_learn(clinic, patients, expected, scores):
    assert set(scores["factors_reason"]) == {UNSPLIT}
    mlflow.set_tracking_uri(f"sqlite:///{clinic[0].home / 'mlflow.db'}")
    function = mlflow.pyfunc.load_model(f"models:/{OUTCOME}@champion")
    needed = mlflow.pyfunc.get_model_dependencies(f"models:/{OUTCOME}@champion")
    assert "onnxruntime==" in Path(needed).read_text()
    predicted = function.predict(patients[0])["probability"].to_numpy()
    assert predicted == pytest.approx(scores["probability"].to_numpy(), abs=1e-12, nan_ok=True)
    answered = ~np.isnan(predicted)
    assert answered.sum() > 30
    assert predicted[answered] == pytest.approx(expected[answered], abs=1e-5)


def test_report_says_why_no_field_is_drawn(clinic):
    from training.registry.registry import Registry

    home, _, fitted, _ = clinic
    client = Registry(find_home(home.environment)).client
    report = client.download_artifacts(fitted["run_id"], fitted["report"])
    text = Path(report).read_text("utf-8")
    assert f"Not shown: {UNSPLIT}." in " ".join(text.split())
    assert "random forest" in text
