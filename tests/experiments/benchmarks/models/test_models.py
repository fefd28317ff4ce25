"""The benchmark of models, in small: what it shows, what can never be, and that it goes on."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks.methods import peers
from experiments.benchmarks.methods.table import make_table, take_categories
from experiments.benchmarks.models import figure, page
from experiments.benchmarks.models.models import METHODS, Task, choose_methods, parse_sizes
from experiments.benchmarks.models.summary import arrange
from experiments.benchmarks.models.verdicts import judge
from experiments.benchmarks.results import Results
from experiments.benchmarks.samples import Plan, prepare, take_courses
from experiments.benchmarks.scores import score
from features.base.errors import InputError, KetamineResponseError
from features.model.response_model import Prediction
from training.measures.logistic import logit

ROOT = Path(__file__).parents[4]
SMALL = Plan(most=60, tested=300, new_sites=5, draws=10)


@pytest.fixture(scope="module")
def world():
    return prepare("world-3", 0, SMALL)


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


def say(probability, low=None, high=None, size=None):
    """A prediction of these probabilities."""
    unknown = np.full(len(probability), np.nan)
    return Prediction(
        logit(probability),
        probability,
        *(unknown if part is None else part for part in (low, high, size)),
    )


def make_result(method, courses, loss, world="world-1", **scores):
    """A result as the file has it."""
    told = {"log_loss": loss, "attainable": 0.60, "auc": 0.6, "slope": 1.0, "coverage": 0.8}
    told |= {"coverage_of_mean_site": 0.9, **{f"coverage_{one}": 0.8 for one in THIRDS}} | scores
    place = {"world": world, "cohort": 0, "courses": courses, "method": method}
    return place | {"picked": method, "seconds": 1.0, "known": told, "unseen": told}


THIRDS = ("low", "middle", "high")


def test_the_quick_version_shows_every_method_size_and_place(quick):
    assert quick["data"] == "SIMULATED"
    shown = {(row["method"], row["courses"], row["place"]) for row in quick["rows"]}
    ours, others = ("chosen", "evidence_prior", "base_rate"), ("peer_xgboost", "peer_ridge")
    expected = {(m, n, p) for m in ours for n in (0, 60, 250) for p in ("known", "unseen")}
    expected |= {(m, n, p) for m in others for n in (60, 250) for p in ("known", "unseen")}
    assert shown == expected
    assert {one["verdict"] for one in quick["verdicts"]} <= {"met", "NOT MET", "cannot tell"}
    assert quick["skipped"] == {}


def test_nothing_goes_beyond_the_attainable_and_the_base_rate_gains_nothing(quick):
    for row in quick["rows"]:
        assert row["share"] < 1
        if row["method"] == "base_rate":
            assert row["share"] == 0
            assert row["auc"] == pytest.approx(0.5)


def test_what_was_done_is_not_done_again(quick, home):
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


def test_small_samples_are_not_shown_in_the_docs(home):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run_quick(home, "--docs")
    assert refused.value.returncode == 2


def test_the_attainable_itself_scores_best_and_is_calibrated(world):
    for sample in (world.known, world.unseen):
        truth = sample.attainable
        best = score(say(truth), sample)
        assert best["log_loss"] == pytest.approx(best["attainable"])
        assert best["auc"] == pytest.approx(best["auc_attainable"])
        assert (best["intercept"], best["slope"]) == pytest.approx((0, 1), abs=1e-6)
        twice = 1 / (1 + np.exp(-2 * logit(truth)))
        sure = score(say(twice), sample)
        assert sure["log_loss"] > best["log_loss"]
        assert sure["auc"] == pytest.approx(best["auc"])
        assert sure["slope"] == pytest.approx(0.5, abs=1e-6)


def test_coverage_counts_the_truth_at_the_site_and_by_thirds(world):
    truth = world.unseen.at_site
    size = np.arange(len(truth), dtype=float)
    high = np.where(size < 100, truth - 0.01, truth + 0.01)  # the least known third is missed
    found = score(say(truth, truth - 0.02, high, size), world.unseen)
    covered = [found[f"coverage_{one}"] for one in THIRDS]
    assert covered == [0, 1, 1]
    assert found["coverage"] == pytest.approx(2 / 3)
    assert found["coverage_of_mean_site"] < found["coverage"]


def test_new_sites_have_effects_of_their_own_and_old_ones_none_apart(world):
    assert (world.known.attainable == world.known.at_site).all()
    assert np.abs(world.unseen.attainable - world.unseen.at_site).mean() > 0.02
    assert not set(world.unseen.columns.get_texts("site")) & set(world.courses.get_texts("site"))


def test_fewer_courses_are_part_of_more(world):
    few, many = take_courses(world, 20), take_courses(world, 60)
    assert (few.size, many.size, take_courses(world, 0).size) == (20, 60, 0)
    codes = [one.columns.get_texts("patient_id").tolist() for one in (few, many)]
    assert codes[1][:20] == codes[0]


@pytest.mark.filterwarnings("ignore:Missing values detected")  # EBM: of its pictures
@pytest.mark.parametrize("name", peers.PEERS)
def test_a_peer_gives_probabilities_at_new_sites_too(world, name):
    peer = peers.PEERS[name]
    if peer.absent:
        pytest.skip(f"PEER ABSENT: {', '.join(peer.absent)}")
    fields = world.study.list_fields()
    learned = make_table(take_courses(world, 60).columns, fields)
    predict = peer.fit(learned, take_courses(world, 60).outcome, 1)
    for sample in (world.known, world.unseen):
        said = predict(make_table(sample.columns, fields))
        assert said.shape == (sample.columns.size,)
        assert ((said > 0) & (said < 1)).all()
        assert np.ptp(said) > 0


def test_a_site_that_was_not_learned_from_is_missing(world):
    tables = [make_table(one, ["site", "sex"]) for one in (world.courses, world.unseen.columns)]
    asked = take_categories(tables[1], tables[0])
    assert asked["site"].isna().all()
    assert asked["sex"].equals(tables[1]["sex"])
    assert list(asked["site"].cat.categories) == list(tables[0]["site"].cat.categories)


def test_absent_peers_are_named(monkeypatch):
    absent = replace(peers.PEERS["peer_ebm"], modules=("no_such_module",))
    monkeypatch.setattr(
        "experiments.benchmarks.models.models.PEERS", {**peers.PEERS, "peer_ebm": absent}
    )
    methods, skipped = choose_methods("peer_ebm,base_rate")
    assert methods == ("base_rate",)
    assert skipped == {"peer_ebm": "not installed: no_such_module"}
    assert page.list_skipped(skipped) == ["**NOT COMPARED**: EBM (not installed: no_such_module)"]


@pytest.mark.parametrize("text", ["", "60;250", "-1"])
def test_sizes_that_are_none_are_refused(text):
    with pytest.raises(InputError):
        parse_sizes(text)


def test_unknown_methods_are_refused():
    with pytest.raises(InputError, match="peer_ridge"):
        choose_methods("peer_rigde")
    assert choose_methods("")[0] == tuple(name for name in METHODS if name in choose_methods("")[0])


def test_a_key_changes_with_all_that_the_result_depends_on():
    task = Task("world-1", 0, 60, "base_rate", SMALL)
    others = [
        replace(task, world="world-2"),
        replace(task, cohort=1),
        replace(task, courses=61),
        replace(task, method="peer_ridge"),
        replace(task, plan=replace(SMALL, draws=11)),
    ]
    assert len({one.key for one in (task, *others)}) == 6
    assert task.key == replace(task).key


def test_the_latest_of_two_results_counts(tmp_path):
    results = Results(tmp_path / "r.jsonl")
    for value in (1, 2):
        results.add({"key": "a", "value": value})
    assert results.read_latest() == {"a": {"key": "a", "value": 2}}


def test_verdicts_can_fail():
    found = [
        make_result(method, 60, loss + step, world)
        for world, step in (("world-1", 0), ("world-2", 0.001))
        for method, loss in (("chosen", 0.65), ("base_rate", 0.69), ("peer_ridge", 0.66))
    ]
    assert {one.word for one in judge(arrange(found))} == {"met"}
    found += [make_result("peer_ebm", 60, 0.64, world) for world in ("world-1", "world-2")]
    lost = [one for one in judge(arrange(found)) if one.word == "NOT MET"]
    assert len(lost) == 2
    assert all("fails against EBM" in one.found for one in lost)


def test_shares_are_ratios_of_means():
    found = [
        make_result(method, 60, loss, world)
        for world, losses in (("world-1", (0.65, 0.70)), ("world-2", (0.62, 0.64)))
        for method, loss in zip(("chosen", "base_rate"), losses, strict=True)
    ]
    shares = {row.share for row in arrange(found).list_rows() if row.method == "chosen"}
    assert list(shares) == pytest.approx([(0.05 + 0.02) / (0.10 + 0.04)])


def test_the_page_keeps_its_own_words_and_takes_the_results(tmp_path, monkeypatch):
    copy, drawn = tmp_path / "models.md", tmp_path / "benchmark-models.png"
    copy.write_text(page.PAGE.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(page, "PAGE", copy)
    monkeypatch.setattr(page, "FIGURE", drawn)
    board = arrange(
        make_result(method, n, loss)
        for n in (60, 250)
        for method, loss in (("chosen", 0.65), ("base_rate", 0.69), ("peer_ridge", 2.0))
    )
    for text in ("first", "second"):
        page.write_page(text, board)
    written = copy.read_text("utf-8")
    assert "\n\nsecond\n\n" in written
    assert "first\n\n<!-- end" not in written
    assert written.startswith("# Models compared")
    assert drawn.read_bytes().startswith(b"\x89PNG")
    copy.write_text("without marks", "utf-8")
    with pytest.raises(KetamineResponseError, match="marks"):
        page.write_page("third", board)


def test_labels_do_not_overlap():
    moved = figure.spread_apart(np.array([-0.5, -0.5, -0.5, 0.1, 0.11]), 0.08)
    assert (np.diff(moved) > 0.079).all()
