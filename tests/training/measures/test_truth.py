"""The stored results are R's, checked if R is installed."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
LIBRARIES = "for (one in c('rms', 'pROC', 'metafor', 'jsonlite')) library(one, character.only=TRUE)"


@pytest.fixture(scope="module")
def rscript():
    program = shutil.which("Rscript")
    if program is None:
        pytest.skip("NO R: truth.R was not run again, the stored truth is taken on trust")
    if subprocess.run([program, "-e", LIBRARIES], capture_output=True, check=False).returncode:
        pytest.skip("R LACKS rms, pROC, metafor or jsonlite: truth.R was not run again")
    return program


def read(folder, name):
    return flatten(json.loads((folder / name).read_text("utf-8")))


def flatten(content, path=""):
    """List the leaves of a document by their paths."""
    if not isinstance(content, dict | list):
        return {path: content}
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    return {
        leaf_path: leaf
        for key, value in pairs
        for leaf_path, leaf in flatten(value, f"{path}/{key}").items()
    }


def check(stored, recomputed):
    for path, value in recomputed.items():
        assert stored[path] == pytest.approx(value, abs=1e-9), path


def test_stored_results_agree_with_r(rscript, tmp_path):
    subprocess.run([rscript, FOLDER / "truth.R", tmp_path], check=True, capture_output=True)
    stored, recomputed = (read(folder, "truth.json") for folder in (FOLDER, tmp_path))
    assert stored.keys() == recomputed.keys()
    check(
        stored, {path: recomputed[path] for path in recomputed if not path.startswith("/versions")}
    )


def test_stored_optimism_agrees_with_r(rscript, tmp_path):
    """The first of the stored runs, on the data and the fit common to all."""
    subprocess.run([rscript, FOLDER / "truth.R", tmp_path, "1"], check=True, capture_output=True)
    stored, recomputed = (read(folder, "optimism.json") for folder in (FOLDER, tmp_path))
    of_all = ("/mean_corrected", "/monte_carlo_sd", "/rms")
    first_run = {
        # R writes a list of one as a number.
        f"{path}/0" if path.startswith("/corrected") else path: value
        for path, value in recomputed.items()
        if not path.startswith(of_all)
    }
    assert "/corrected/dxy/0" in first_run
    check(stored, first_run)
