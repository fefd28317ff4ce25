"""Bentos built by BentoML's own command, away from the checkout."""

import json
import os
import tarfile
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.demo import find_free_port
from features.model.classifier import ExportedClassifier
from serving.bundle import choose_build_options

ROOT = Path(__file__).parents[2]
# The development install puts the checkout on every process' path; this removes it.
HIDE_CHECKOUT = f"""
import sys
sys.path[:] = [entry for entry in sys.path if entry != {str(ROOT)!r}]
"""


@pytest.fixture(scope="module")
def variables(store_champion, tmp_path_factory):
    """Of an environment with one champion, in which the checkout cannot be imported."""
    home, hidden = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("hidden")
    store_champion(home)
    (hidden / "sitecustomize.py").write_text(HIDE_CHECKOUT)
    return {"BENTOML_HOME": str(home / "bentoml"), "PYTHONPATH": str(hidden)}


@pytest.fixture(scope="module")
def own_commands(variables, make_commands):
    """Commands of the home with the champion."""
    return make_commands(Path(variables["BENTOML_HOME"]).parent)


@pytest.fixture(scope="module")
def bento(own_commands, variables, tmp_path_factory):
    """The output of `bentoml build`, exported and unpacked in its own folder."""
    folder = tmp_path_factory.mktemp("bento")
    built = own_commands.run("bentoml", "build", "--output", "tag", **variables).stdout
    tag = built.partition("__tag__:")[2].strip()
    assert tag.startswith("ketamine_response:")
    own_commands.run("bentoml", "export", tag, folder / "own.bento", **variables)
    with tarfile.open(folder / "own.bento") as packed:
        packed.extractall(folder / "unpacked", filter="data")
    return folder / "unpacked"


@pytest.fixture(scope="module")
def address(own_commands, bento, variables, wait_ready):
    """The Bento, served by `bentoml serve` from its own folder."""
    address = f"http://127.0.0.1:{(port := find_free_port())}"
    serve = ("bentoml", "serve", ".", "--host", "127.0.0.1", "--port", port)
    process = own_commands.start(*serve, cwd=bento, **variables)
    try:
        wait_ready(process, f"{address}/readyz")
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.communicate(timeout=30)


def test_built_bento_answers_without_the_checkout(address, make_assessment):
    body = json.dumps(make_assessment()).encode()
    request = urllib.request.Request(
        f"{address}/predict", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        (estimate,) = json.load(response)["estimates"]
    assert 0 < estimate["probability"] < 1


def test_built_bento_has_pinned_requirements_of_serving(bento):
    required = (bento / "env" / "python" / "requirements.txt").read_text()
    assert "bentoml==" in required
    assert "mlflow" not in required
    # It follows the store, where a champion may come that was exported from scikit-learn.
    assert "onnxruntime==" in required


def test_bundle_requires_onnxruntime_only_if_a_champion_needs_it(make_champion):
    plain = make_champion()
    equation = plain.model.equation
    classifiers = (ExportedClassifier(b""),) * len(equation.terms.intercept)
    model = replace(plain.model, equation=replace(equation, classifiers=classifiers))
    for champions, needed in (([plain], False), ([plain, replace(plain, model=model)], True)):
        required = ROOT / choose_build_options(champions)["python"]["requirements_txt"]
        pinned = {line.partition("==")[0] for line in required.read_text().splitlines()}
        assert ("onnxruntime" in pinned) is needed
        assert "bentoml" in pinned
