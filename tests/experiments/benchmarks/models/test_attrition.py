"""The benchmark of missing outcomes: the truth that it compares with, and its table."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.benchmarks.models.attrition import (
    Calibrated,
    CohortResult,
    calibrate_to_truth,
    examine_cohort,
    report_attrition,
)
from features.model.prediction import compute_probability
from training.findings.findings import Scenario
from training.study.parts import ODDS_RATIOS


def make_cohort(shift):
    scenarios = tuple(
        Scenario(ratio, 0.3, 0.6 + shift - index / 10, 0.6, -index / 4, 0.9)
        for index, ratio in enumerate(ODDS_RATIOS)
    )
    return CohortResult(4000, 1000, 0.56 + shift, 0.57, Calibrated(0.45, -0.5, 0.8), scenarios)


def test_row_shows_mean_and_deviation_over_cohorts():
    """Shares of 56% and 60%: mean 58, standard deviation 2.8."""
    text = report_attrition([make_cohort(0), replace(make_cohort(0.04), reported=1100)]).text
    assert text.startswith("SIMULATED: 2 cohorts")
    assert "1,050 with a known outcome" in text
    assert "| all, in truth | 45.0% (0.0) | -0.50 (0.00) | 0.80 (0.00) |" in text
    assert "| with a known outcome | 58.0% (2.8) |  |  |" in text
    assert "| table, odds ratio 0.50 | 42.0% (2.8) | -0.50 (0.00) | 0.90 (0.00) |" in text


@pytest.fixture(scope="module")
def examined():
    return examine_cohort(5, patients=6000)


def test_truth_is_that_of_all_courses(examined):
    """Set in the simulator: 45% respond, 58% of those with a known outcome, which 30% have."""
    assert examined.true.base_rate == pytest.approx(0.45, abs=0.02)
    assert examined.reported_rate == pytest.approx(0.58, abs=0.04)
    assert examined.reported / examined.courses == pytest.approx(0.30, abs=0.03)


def test_true_odds_ratio_comes_nearest_to_the_truth(examined):
    """By the share that responds, and by calibration."""
    rows = {row.odds_ratio: row for row in examined.scenarios}
    nearest = {
        name: min(rows, key=lambda ratio: abs(getattr(rows[ratio], name) - true))
        for name, true in (
            ("base_rate", examined.true.base_rate),
            ("intercept", examined.true.intercept),
        )
    }
    assert all(0.33 < ratio <= 0.5 for ratio in nearest.values())
    assert abs(rows[1.0].intercept) < 0.05
    assert examined.true.intercept < -0.3


def test_calibration_is_to_each_courses_probability():
    """Log-odds twice too extreme have a slope of 0.5; even odds are logit(0.2) too high."""
    log_odds = np.array([-2.0, 0, 2])
    judged = calibrate_to_truth(log_odds, compute_probability(log_odds / 2 - 0.2))
    assert judged.slope == pytest.approx(0.5)
    assert judged.base_rate == pytest.approx(
        np.mean(compute_probability(np.array([-1.2, -0.2, 0.8])))
    )
    assert calibrate_to_truth(np.zeros(3), np.full(3, 0.2)).intercept == pytest.approx(np.log(0.25))


def test_command_examines_the_given_number_of_cohorts(fresh_commands):
    done = fresh_commands.run("experiments", "benchmark", "attrition", "--cohorts", "2", "--json")
    report = json.loads(done.stdout)
    assert report["data"] == "SIMULATED"
    assert len(report["cohorts"]) == 2
