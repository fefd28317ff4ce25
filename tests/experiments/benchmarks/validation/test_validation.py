"""The check of validation against the truth: its tables, and a small run."""

import json

import numpy as np
import pytest

from experiments.benchmarks.validation.report import (
    VALIDATION_TYPES,
    list_site_shares,
    pair_with_truth,
    report_validation,
)
from experiments.benchmarks.validation.validation import (
    QUICK,
    choose_offered,
    list_limits,
    measure_expected,
)
from features.base.errors import InputError
from features.model.card import Measure


def make_result(auc, low, high, true, next_site=(0.6, 0.5, 0.7), sites=(0.55, 0.75)):
    limits = {name: [auc, low, high] for name in ("auc", "log_loss", "brier", "slope")}
    truth = dict.fromkeys(limits, true)
    return {
        "found": dict.fromkeys(VALIDATION_TYPES, limits),
        "true": truth,
        "next_site": {"auc": list(next_site)},
        "new_sites": [dict.fromkeys(("auc", "ratio", "intercept", "slope"), auc) for auc in sites],
    }


RESULTS = [make_result(0.70, 0.65, 0.75, 0.68), make_result(0.66, 0.62, 0.67, 0.68)]


def report(results, sites_only=False):
    return report_validation(results, QUICK, sites_only)


def test_error_is_figure_minus_truth():
    text = report(RESULTS).text
    (row,) = [line for line in text.splitlines() if line.startswith("| corrected | AUC")]
    assert "+0.0000 (0.0200)" in row  # 0.02 and -0.02
    assert "0.020" in row
    assert "50% of 2" in row
    assert text.startswith("SIMULATED")


def test_undefined_figures_are_left_out():
    undefined = make_result(None, None, None, 0.68)
    assert len(pair_with_truth([*RESULTS, undefined], "corrected", "auc")) == 2


def test_coverage_is_share_of_sites_within_interval():
    low = make_result(0.70, 0.65, 0.75, 0.68, sites=(0.45, 0.48, 0.55, 0.75))
    shares = list_site_shares([RESULTS[0], low], "auc")
    assert shares == pytest.approx(np.array([[0.5, 0, 0.5, 0.2], [0.25, 0.5, 0.25, 0.2]]))
    assert len(list_site_shares(RESULTS, "slope")) == 0


def test_coverage_has_its_sides_and_standard_error():
    whole = make_result(0.70, 0.65, 0.75, 0.68, sites=(0.6, 0.65))
    text = report([RESULTS[0], whole], sites_only=True).text
    (row,) = [line for line in text.splitlines() if line.startswith("| AUC")]
    assert row == "| AUC | 75.0% (25.0) | 0.0% | 25.0% | 0.20 | 2 |"
    assert text.startswith("SIMULATED")


def test_expected_performance_is_that_of_endless_outcomes():
    generator = np.random.default_rng(1)
    true = generator.uniform(0.2, 0.8, 400)
    log_odds = np.log(true / (1 - true)) / 2
    expected = measure_expected(log_odds, true)
    drawn = np.tile(true, 500)
    outcome = generator.random(len(drawn)) < drawn
    assert expected["slope"] == pytest.approx(2.0, abs=1e-6)
    assert expected["ratio"] == pytest.approx(true.sum() / (1 / (1 + np.exp(-log_odds))).sum())
    brier = ((1 / (1 + np.exp(-np.tile(log_odds, 500))) - outcome) ** 2).mean()
    assert expected["brier"] == pytest.approx(brier, abs=0.002)


def test_measures_are_kept_with_their_intervals():
    assert list_limits({"auc": Measure(value=0.6, low=0.5, high=0.7)}) == {"auc": [0.6, 0.5, 0.7]}


def test_quick_check_prints_json_and_is_not_repeated(fresh_commands):
    command = ("benchmark", "validation", "--quick", "--json")
    printed = json.loads(fresh_commands.run("experiments", *command).stdout)
    assert printed["data"] == "SIMULATED"
    assert [world["world"] for world in printed["worlds"]] == ["world-301", "world-302"]
    for world in printed["worlds"]:
        assert set(VALIDATION_TYPES) <= set(world["found"])
        assert 0.3 < world["true"]["auc"] < 0.8
    again = fresh_commands.run("experiments", *command)
    assert "2 of 2 results are there already" in again.stderr
    assert json.loads(again.stdout)["worlds"] == printed["worlds"]


def test_one_candidate_is_checked_with_the_base_rate():
    assert choose_offered("elastic_net") == ("elastic_net", "base_rate")
    assert choose_offered("base_rate") == ("base_rate",)
    with pytest.raises(InputError, match="there are: evidence_prior"):
        choose_offered("ridge")


def test_new_sites_alone_need_no_refits(fresh_commands):
    command = ("benchmark", "validation", "--quick", "--sites-only")
    found_sites = json.loads(fresh_commands.run("experiments", *command, "--json").stdout)
    assert found_sites["request"]["bootstraps"] == 0
    assert all("auc" in world["next_site"] for world in found_sites["worlds"])
    text = report(RESULTS, sites_only=True).text
    assert "prediction interval for a new site" in text
    assert "corrected" not in text


def test_quick_check_writes_no_page(fresh_commands):
    done = fresh_commands.run("experiments", "benchmark", "validation", "--quick", "--docs", code=2)
    assert "not with --quick" in done.stderr
