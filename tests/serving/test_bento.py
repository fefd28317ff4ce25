"""Bentos built by BentoML's own command, away from the checkout."""

import json
import os
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

import pytest

from experiments.demo import find_free_port

ROOT = Path(__file__).parents[2]
# The development install puts the checkout on every process' path; this removes it.
HIDE_CHECKOUT = f"""
import sys
sys.path[:] = [entry for entry in sys.path if entry != {str(ROOT)!r}]
"""


def run_bentoml(*arguments, cwd, environment):
    command = [sys.executable, "-m", "bentoml", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(store_champion, make_commands, tmp_path_factory):
    """An environment with one champion, in which the checkout cannot be imported."""
    home, hidden = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("hidden")
    store_champion(home)
    (hidden / "sitecustomize.py").write_text(HIDE_CHECKOUT)
    own = {"BENTOML_HOME": str(home / "bentoml"), "PYTHONPATH": str(hidden)}
    return make_commands(home).environment | own


@pytest.fixture(scope="module")
def bento(environment, tmp_path_factory):
    """The output of `bentoml build`, exported and unpacked in its own folder."""
    folder = tmp_path_factory.mktemp("bento")
    built = run_bentoml("build", "--output", "tag", cwd=ROOT, environment=environment)
    tag = built.partition("__tag__:")[2].strip()
    assert tag.startswith("ketamine_response:")
    run_bentoml("export", tag, folder / "own.bento", cwd=folder, environment=environment)
    with tarfile.open(folder / "own.bento") as packed:
        packed.extractall(folder / "unpacked", filter="data")
    return folder / "unpacked"


@pytest.fixture(scope="module")
def address(bento, environment, wait_ready):
    """The Bento, served by `bentoml serve` from its own folder."""
    address = f"http://127.0.0.1:{(port := find_free_port())}"
    command = [sys.executable, "-m", "bentoml", "serve", ".", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=bento,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
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
