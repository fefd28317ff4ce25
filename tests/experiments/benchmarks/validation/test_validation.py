"""The check of validation against the truth: what its tables say, and one small run."""

import json

import numpy as np
import pytest

from experiments.benchmarks.validation.cost import Cost
from experiments.benchmarks.validation.page import (
    WAYS,
    describe,
    describe_sites,
    list_pairs,
    list_shares,
)
from experiments.benchmarks.validation.validation import QUICK, choose_offered, measure_truth, plain
from features.base.errors import InputError
from features.model.card import Measure


def make_result(auc, low, high, true, next_site=(0.6, 0.5, 0.7), sites=(0.55, 0.75)):
    said = {name: [auc, low, high] for name in ("auc", "log_loss", "brier", "slope")}
    truth = dict.fromkeys(said, true)
    return {
        "found": dict.fromkeys(WAYS, said),
        "true": truth,
        "next_site": {"auc": list(next_site)},
        "new_sites": [dict.fromkeys(("auc", "ratio", "intercept", "slope"), one) for one in sites],
    }


RESULTS = [make_result(0.70, 0.65, 0.75, 0.68), make_result(0.66, 0.62, 0.67, 0.68)]


def test_errors_are_what_was_said_less_what_is_true():
    text = describe(RESULTS, [], QUICK)
    (row,) = [line for line in text.splitlines() if line.startswith("| corrected | AUC")]
    assert "+0.0000 (0.0200)" in row  # .02 and -.02
    assert "0.020" in row
    assert "50 % of 2" in row
    assert text.startswith("SIMULATED")


def test_what_is_not_defined_is_left_out():
    undefined = make_result(None, None, None, 0.68)
    assert len(list_pairs([*RESULTS, undefined], "corrected", "auc")) == 2


def test_coverage_is_the_share_of_new_sites_within_the_interval():
    low = make_result(0.70, 0.65, 0.75, 0.68, sites=(0.45, 0.48, 0.55, 0.75))
    shares = list_shares([RESULTS[0], low], "auc")
    assert shares == pytest.approx(np.array([[0.5, 0, 0.5, 0.2], [0.25, 0.5, 0.25, 0.2]]))
    assert len(list_shares(RESULTS, "slope")) == 0


def test_coverage_is_told_with_the_side_on_which_it_fails_and_its_error_over_worlds():
    whole = make_result(0.70, 0.65, 0.75, 0.68, sites=(0.6, 0.65))
    text = describe_sites([RESULTS[0], whole], QUICK)
    (row,) = [line for line in text.splitlines() if line.startswith("| AUC")]
    assert row == "| AUC | 75.0 % (25.0) | 0.0 % | 25.0 % | 0.20 | 2 |"
    assert text.startswith("SIMULATED")


def test_costs_are_told_beside_a_single_fit():
    cost = Cost("full", 5000, 12, 6, 200, 2, 300.0, 1.5)
    text = describe(RESULTS, [cost], QUICK)
    (row,) = [line for line in text.splitlines() if line.startswith("| full")]
    assert row == "| full | 200 | 300 | 1.5 | 200 |"


def test_the_truth_is_what_outcomes_drawn_without_end_would_show():
    generator = np.random.default_rng(1)
    true = generator.uniform(0.2, 0.8, 400)
    log_odds = np.log(true / (1 - true)) / 2
    found = measure_truth(log_odds, true)
    drawn = np.tile(true, 500)
    outcome = generator.random(len(drawn)) < drawn
    assert found["slope"] == pytest.approx(2.0, abs=1e-6)
    assert found["ratio"] == pytest.approx(true.sum() / (1 / (1 + np.exp(-log_odds))).sum())
    brier = ((1 / (1 + np.exp(-np.tile(log_odds, 500))) - outcome) ** 2).mean()
    assert found["brier"] == pytest.approx(brier, abs=0.002)


def test_measures_are_kept_with_their_intervals():
    assert plain({"auc": Measure(value=0.6, low=0.5, high=0.7)}) == {"auc": [0.6, 0.5, 0.7]}


def test_a_small_check_runs_is_kept_and_prints_json(fresh_commands):
    asked = ("benchmark", "validation", "--quick", "--no-costs", "--json")
    found = json.loads(fresh_commands.run("experiments", *asked).stdout)
    assert found["data"] == "SIMULATED"
    assert [one["world"] for one in found["worlds"]] == ["world-301", "world-302"]
    for one in found["worlds"]:
        assert set(WAYS) <= set(one["found"])
        assert 0.3 < one["true"]["auc"] < 0.8
    again = fresh_commands.run("experiments", *asked)
    assert "2 of 2 worlds are there already" in again.stderr
    assert json.loads(again.stdout)["worlds"] == found["worlds"]


def test_one_candidate_is_checked_beside_the_base_rate():
    assert choose_offered("elastic_net") == ("elastic_net", "base_rate")
    assert choose_offered("base_rate") == ("base_rate",)
    with pytest.raises(InputError, match="there are: evidence_prior"):
        choose_offered("ridge")


def test_the_next_site_alone_takes_no_re_developments_and_times_nothing(fresh_commands):
    asked = ("benchmark", "validation", "--quick", "--sites-only")
    found = json.loads(fresh_commands.run("experiments", *asked, "--json").stdout)
    assert found["request"]["bootstraps"] == 0
    assert found["costs"] == []
    assert all("auc" in one["next_site"] for one in found["worlds"])
    printed = fresh_commands.run("experiments", *asked).stdout
    assert "prediction interval for the next site" in printed
    assert "corrected" not in printed


def test_a_quick_check_writes_no_page(fresh_commands):
    done = fresh_commands.run("experiments", "benchmark", "validation", "--quick", "--docs", code=2)
    assert "not with --quick" in done.stderr
