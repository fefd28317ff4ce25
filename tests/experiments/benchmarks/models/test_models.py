"""The benchmark of models at small size: its output, its invariants, and resumption."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks.methods import peers
from experiments.benchmarks.methods.methods import ModelTask
from experiments.benchmarks.methods.peers import make_table, match_categories
from experiments.benchmarks.models.figure import spread_apart
from experiments.benchmarks.models.models import (
    METHODS,
    ModelRequest,
    choose_methods,
    parse_sizes,
)
from experiments.benchmarks.models.report import judge_models, report_models
from experiments.benchmarks.models.summary import arrange_results, summarise_methods
from experiments.benchmarks.report import DOCS
from experiments.benchmarks.results import Results
from experiments.benchmarks.samples import Plan, prepare_world, take_courses
from experiments.benchmarks.scores import THIRDS, score_prediction
from features.base.errors import InputError, KetamineResponseError
from features.model.prediction import Prediction
from training.measures.logistic import logit

ROOT = Path(__file__).parents[4]
SMALL = Plan(most=60, tested=300, new_sites=5, draws=10)
REQUEST = ModelRequest(2, 0, (60,), ("chosen",), SMALL)


@pytest.fixture(scope="module")
def world():
    return prepare_world("world-3", 0, SMALL)


def run_quick(home, *arguments):
    """Run the command's quick version with one thread, in its own process."""
    command = [sys.executable, "-m", "experiments", "benchmark", "models", "--quick", *arguments]
    environment = {**os.environ, "KETAMINE_RESPONSE_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def quick(home):
    return json.loads(run_quick(home, "--json").stdout)


def make_prediction(probability, low=None, high=None, size=None):
    unknown = np.full(len(probability), np.nan)
    return Prediction(
        logit(probability),
        probability,
        *(unknown if part is None else part for part in (low, high, size)),
    )


def make_result(method, courses, loss, world="world-1", **scores):
    """Make a result as stored in the file."""
    scored = {"log_loss": loss, "attainable": 0.60, "auc": 0.6, "slope": 1.0, "coverage": 0.8}
    scored |= {"coverage_of_mean_site": 0.9, **{f"coverage_{part}": 0.8 for part in THIRDS}}
    scored |= scores
    setting = {"world": world, "cohort": 0, "courses": courses, "method": method}
    return setting | {"picked": method, "seconds": 1.0, "known": scored, "unseen": scored}


def test_quick_version_shows_every_method_and_size(quick):
    assert quick["data"] == "SIMULATED"
    shown = {(row["method"], row["courses"], row["place"]) for row in quick["rows"]}
    ours, others = ("chosen", "evidence_prior", "base_rate"), ("peer_xgboost", "peer_ridge")
    expected = {(m, n, p) for m in ours for n in (0, 60, 250) for p in ("known", "unseen")}
    expected |= {(m, n, p) for m in others for n in (60, 250) for p in ("known", "unseen")}
    assert shown == expected
    assert {verdict["verdict"] for verdict in quick["verdicts"]} <= {
        "met",
        "NOT MET",
        "cannot tell",
    }
    assert quick["skipped"] == {}


def test_nothing_exceeds_the_attainable(quick):
    for row in quick["rows"]:
        assert row["share"] < 1
        if row["method"] == "base_rate":
            assert row["share"] == 0
            assert row["auc"] == pytest.approx(0.5)


def test_interrupted_run_resumes(quick, home):
    path = home / "benchmarks" / "models.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:40])  # killed while writing
    done = run_quick(home)
    assert f"{len(lines) - 1} of {len(lines)} results are there already" in done.stderr
    assert path.read_text().splitlines()[: len(lines) - 1] == lines[:-1]
    again = json.loads(path.read_text().splitlines()[-1])
    before = json.loads(lines[-1])
    assert {**again, "seconds": 0} == {**before, "seconds": 0}
    assert "SIMULATED" in done.stdout


def test_small_samples_write_no_page(home):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run_quick(home, "--docs")
    assert refused.value.returncode == 2


def test_attainable_scores_best_and_is_calibrated(world):
    for sample in (world.known, world.unseen):
        truth = sample.attainable
        best = score_prediction(make_prediction(truth), sample)
        assert best["log_loss"] == pytest.approx(best["attainable"])
        assert best["auc"] == pytest.approx(best["auc_attainable"])
        assert (best["intercept"], best["slope"]) == pytest.approx((0, 1), abs=1e-6)
        twice = 1 / (1 + np.exp(-2 * logit(truth)))
        sure = score_prediction(make_prediction(twice), sample)
        assert sure["log_loss"] > best["log_loss"]
        assert sure["auc"] == pytest.approx(best["auc"])
        assert sure["slope"] == pytest.approx(0.5, abs=1e-6)


def test_coverage_is_of_the_sites_truth(world):
    truth = world.unseen.at_site
    size = np.arange(len(truth), dtype=float)
    high = np.where(size < 100, truth - 0.01, truth + 0.01)  # the least known third is missed
    prediction = make_prediction(truth, truth - 0.02, high, size)
    scores = score_prediction(prediction, world.unseen)
    covered = [scores[f"coverage_{third}"] for third in THIRDS]
    assert covered == [0, 1, 1]
    assert scores["coverage"] == pytest.approx(2 / 3)
    assert scores["coverage_of_mean_site"] < scores["coverage"]


def test_only_new_sites_have_unknown_effects(world):
    assert (world.known.attainable == world.known.at_site).all()
    assert np.abs(world.unseen.attainable - world.unseen.at_site).mean() > 0.02
    assert not set(world.unseen.columns.get_texts("site")) & set(world.courses.get_texts("site"))


def test_fewer_courses_are_the_first_of_more(world):
    few, many = take_courses(world, 20), take_courses(world, 60)
    assert (few.size, many.size, take_courses(world, 0).size) == (20, 60, 0)
    codes = [part.columns.get_texts("patient_id").tolist() for part in (few, many)]
    assert codes[1][:20] == codes[0]


@pytest.mark.filterwarnings("ignore:Missing values detected")  # EBM: of its pictures
@pytest.mark.parametrize("name", peers.PEERS)
def test_peer_predicts_new_sites_too(world, name):
    peer = peers.PEERS[name]
    if peer.absent:
        pytest.skip(f"PEER ABSENT: {', '.join(peer.absent)}")
    fields = world.study.list_fields()
    table = make_table(take_courses(world, 60).columns, fields)
    predict = peer.fit(table, take_courses(world, 60).outcome, 1)
    for sample in (world.known, world.unseen):
        probability = predict(make_table(sample.columns, fields))
        assert probability.shape == (sample.columns.size,)
        assert ((probability > 0) & (probability < 1)).all()
        assert np.ptp(probability) > 0


def test_new_site_is_a_missing_category(world):
    tables = [make_table(part, ["site", "sex"]) for part in (world.courses, world.unseen.columns)]
    matched = match_categories(tables[1], tables[0])
    assert matched["site"].isna().all()
    assert matched["sex"].equals(tables[1]["sex"])
    assert list(matched["site"].cat.categories) == list(tables[0]["site"].cat.categories)


def test_absent_peers_are_named(monkeypatch):
    absent = replace(peers.PEERS["peer_ebm"], modules=("no_such_module",))
    monkeypatch.setattr(
        "experiments.benchmarks.models.models.PEERS", {**peers.PEERS, "peer_ebm": absent}
    )
    methods, skipped = choose_methods("peer_ebm,base_rate")
    assert methods == ("base_rate",)
    assert skipped == {"peer_ebm": "not installed: no_such_module"}
    text = report_models(arrange_results([]), REQUEST, skipped).text
    assert "**NOT COMPARED**: EBM (not installed: no_such_module)" in text


@pytest.mark.parametrize("text", ["", "60;250", "-1"])
def test_invalid_sizes_are_refused(text):
    with pytest.raises(InputError):
        parse_sizes(text)


def test_unknown_methods_are_refused():
    with pytest.raises(InputError, match="peer_ridge"):
        choose_methods("peer_rigde")
    assert choose_methods("")[0] == tuple(name for name in METHODS if name in choose_methods("")[0])


def test_key_changes_with_what_the_result_depends_on():
    task = ModelTask("world-1", 0, 60, "base_rate", SMALL)
    others = [
        replace(task, world="world-2"),
        replace(task, cohort=1),
        replace(task, courses=61),
        replace(task, method="peer_ridge"),
        replace(task, plan=replace(SMALL, draws=11)),
    ]
    assert len({part.key for part in (task, *others)}) == 6
    assert task.key == replace(task).key


def test_latest_result_counts(tmp_path):
    results = Results(tmp_path / "r.jsonl")
    for value in (1, 2):
        results.add({"key": "a", "value": value})
    assert results.read_latest() == {"a": {"key": "a", "value": 2}}


def test_verdicts_can_fail():
    results = [
        make_result(method, 60, loss + step, world)
        for world, step in (("world-1", 0), ("world-2", 0.001))
        for method, loss in (("chosen", 0.65), ("base_rate", 0.69), ("peer_ridge", 0.66))
    ]
    assert {verdict.word for verdict in judge_models(arrange_results(results))} == {"met"}
    results += [make_result("peer_ebm", 60, 0.64, world) for world in ("world-1", "world-2")]
    lost = [v for v in judge_models(arrange_results(results)) if v.word == "NOT MET"]
    assert len(lost) == 2
    assert all("fails against EBM" in verdict.result for verdict in lost)


def test_shares_are_ratios_of_means():
    results = [
        make_result(method, 60, loss, world)
        for world, losses in (("world-1", (0.65, 0.70)), ("world-2", (0.62, 0.64)))
        for method, loss in zip(("chosen", "base_rate"), losses, strict=True)
    ]
    rows = summarise_methods(arrange_results(results))
    shares = {row["share"] for row in rows if row["method"] == "chosen"}
    assert list(shares) == pytest.approx([(0.05 + 0.02) / (0.10 + 0.04)])


def test_page_keeps_its_text_and_takes_results(tmp_path):
    page, drawn = (
        tmp_path / "benchmarks" / "models.md",
        tmp_path / "images" / "benchmark-models.png",
    )
    page.parent.mkdir()
    drawn.parent.mkdir()
    page.write_text((DOCS / "benchmarks" / "models.md").read_text("utf-8"), "utf-8")
    board = arrange_results(
        make_result(method, n, loss)
        for n in (60, 250)
        for method, loss in (("chosen", 0.65), ("base_rate", 0.69), ("peer_ridge", 2.0))
    )
    for worlds in (7, 8):
        (section,) = report_models(board, replace(REQUEST, worlds=worlds), {}).sections
        section.write(tmp_path)
    written = page.read_text("utf-8")
    assert "SIMULATED: 8 drawn worlds" in written
    assert "SIMULATED: 7 drawn worlds" not in written
    assert written.startswith("# Models compared")
    assert drawn.read_bytes().startswith(b"\x89PNG")
    page.write_text("without marks", "utf-8")
    with pytest.raises(KetamineResponseError, match="marks"):
        section.write(tmp_path)


def test_labels_do_not_overlap():
    moved = spread_apart(np.array([-0.5, -0.5, -0.5, 0.1, 0.11]), 0.08)
    assert (np.diff(moved) > 0.079).all()
