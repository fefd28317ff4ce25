"""Raw exports go by their mappings into studies, validation and scores as their truth does."""

import json

import numpy as np
import pandas as pd
import pytest

from experiments.simulator import WORLDS, simulate, write_simulation
from experiments.simulator.exports import write_export
from training.study.courses import load_design
from training.study.study import read_study

STUDY = """
name = "raw-export"
question = "Who responds by the end of the acute series?"
outcome = "phq9.acute.response"
seed = 1

[cohort]
path = "export"
mapping = "export/mapping.toml"
"""


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """Three joined tables in a folder `export`, and what they hold."""
    folder = tmp_path_factory.mktemp("raw")
    truth, _ = write_export("tables", simulate(WORLDS["strong"], 240, 7), 7, folder / "export")
    write_simulation(truth, folder / "truth.parquet")
    (folder / "study.toml").write_text(STUDY)
    return folder


def count_events(path):
    frame = pd.read_parquet(path).dropna(subset=["phq9", "phq9_acute"])
    frame = frame[frame["phq9"] > 0]
    return len(frame), int((2 * frame["phq9_acute"] <= frame["phq9"]).sum())


def test_study_has_the_true_courses_and_events(export):
    """What `fit` learns from; docs/how-to/import-an-export.md fits."""
    design = load_design(read_study(export / "study.toml"))
    known = ~np.isnan(design.outcome)
    counts = int(known.sum()), int(np.nansum(design.outcome))
    assert counts == count_events(export / "truth.parquet")


def test_validate_finds_the_same_in_export_and_truth(export, commands, tmp_path):
    mapping = ("--mapping", export / "export" / "mapping.toml")
    found = []
    for cohort, how in ((export / "export", mapping), (export / "truth.parquet", ())):
        out = ("--out", tmp_path / cohort.stem, "--json")
        done = commands.call("validate", "phq9.acute.response@champion", cohort, *how, *out)
        found.append(json.loads(done.stdout)["findings"])
    # Only an export has tables and patients to account for.
    tables = [findings["flow"].pop("tables") for findings in found]
    excluded = [findings["flow"].pop("patients_excluded") for findings in found]
    assert [table["table"] for table in tables[0]] == ["demographics", "dosing", "scores"]
    assert (tables[1], excluded[1]) == ([], [])
    assert found[0] == found[1]


def test_score_gives_the_same_for_export_and_truth(export, commands, tmp_path):
    mapping = ("--mapping", export / "export" / "mapping.toml")
    scores = []
    for cohort, how in ((export / "export", mapping), (export / "truth.parquet", ())):
        out = tmp_path / f"{cohort.stem}.csv"
        commands.run("serving", "score", cohort, *how, "--out", out)
        scores.append(pd.read_csv(out).drop(columns="row").set_index(["patient_id", "course"]))
    assert len(scores[0]) == 240
    pd.testing.assert_frame_equal(scores[0].sort_index(), scores[1].sort_index())
