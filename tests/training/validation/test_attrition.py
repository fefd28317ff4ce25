"""Missing outcomes in the simulated world where non-responders are lost more often."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.simulator import WORLDS, simulate, write_simulation
from features.model.prediction import compute_probability
from training.candidates.registry import make_candidates
from training.measures.logistic import fit_intercept
from training.measures.predictions import Predictions
from training.study.courses import list_enrolled, load_courses, make_design
from training.study.parts import ODDS_RATIOS, AttritionPart
from training.study.study import Study
from training.study.weighting import weigh_courses
from training.validation.attrition import (
    MIN_COMPARED,
    compare_baseline,
    describe_attrition,
    vary_odds,
)
from training.validation.runs import cross_validate

CANDIDATES = make_candidates()

STRESS = Study(
    name="stress",
    question="?",
    outcome="phq9.acute.response",
    seed=3,
    cohort={"where": {"condition": ["depression"]}},
    features={"include": ["age", "bmi", "phq9", "failed_antidepressants", "route", "site"]},
    candidates=("elastic_net",),
    validation={"folds": 2, "repeats": 1},
)


class Stressed:
    """A cohort of the stress world, a model fitted on it, and the true outcomes."""

    def __init__(self, folder):
        simulation = simulate(WORLDS["stress"], 12_000, seed=21)
        write_simulation(simulation.cohort, folder / "stress.parquet")
        self.courses = load_courses(STRESS, folder / "stress.parquet")
        self.enrolment = list_enrolled(STRESS, self.courses)
        self.design = make_design(STRESS, self.courses)
        codes, truth = (
            simulation.truth[name].to_pylist() for name in ("patient_id", "probability")
        )
        known = dict(zip(codes, truth, strict=True))
        patients = self.enrolment.columns.get_texts("patient_id")
        self.probability = np.array([known[code] for code in patients])
        self.truth = float(self.probability.mean())
        self.held_out = cross_validate(STRESS, self.design, CANDIDATES, jobs=1).held_out
        self.equation = CANDIDATES["elastic_net"].fit(self.design, 1).equation

    def describe(self):
        return describe_attrition(self.enrolment, self.held_out["elastic_net"], self.equation)

    @property
    def error(self):
        """Standard error of the event rate with follow-up."""
        share = self.design.outcome.mean()
        return np.sqrt(share * (1 - share) / self.design.size)


@pytest.fixture(scope="module")
def stressed(tmp_path_factory):
    return Stressed(tmp_path_factory.mktemp("stress"))


def test_patients_with_follow_up_respond_more_often(stressed):
    """In docs: 45% of all patients, 58% of those with follow-up, with 70% missing."""
    assert stressed.truth == pytest.approx(0.45, abs=0.01)
    assert stressed.design.outcome.mean() == pytest.approx(0.58, abs=0.03)
    attrition = stressed.describe()
    assert attrition.missing / attrition.courses == pytest.approx(0.70, abs=0.02)


def test_true_odds_ratio_gives_true_base_rate(stressed):
    """It agrees within sampling error; odds ratios of 1 and 1/3 lie clearly on either side."""
    rates = {row.odds_ratio: row.base_rate for row in stressed.describe().scenarios}
    assert rates[1 / 2.2] == pytest.approx(stressed.truth, abs=2 * stressed.error)
    assert rates[1.0] > stressed.truth + 4 * stressed.error
    assert rates[0.33] < stressed.truth - 2 * stressed.error


def test_true_odds_ratio_gives_true_calibration(stressed):
    """Of all courses: held-out predictions of those with follow-up, the model's of the others."""
    log_odds = stressed.equation.compute_log_odds(stressed.enrolment.columns)[:, 0]
    held_out = stressed.held_out["elastic_net"].average_repeats()
    log_odds[stressed.enrolment.reported] = held_out.log_odds
    (true,) = fit_intercept(log_odds, stressed.probability, np.ones((1, len(log_odds))))
    rows = {row.odds_ratio: row for row in stressed.describe().scenarios}
    nearest = min(rows, key=lambda ratio: abs(rows[ratio].intercept - true))
    assert 0.33 < nearest <= 0.5
    assert true < -0.3


def test_each_row_moves_base_rate_and_calibration_further(stressed):
    rows = stressed.describe().scenarios
    assert [row.odds_ratio for row in rows] == list(ODDS_RATIOS)
    for name in ("missing_rate", "base_rate", "intercept"):
        values = [getattr(row, name) for row in rows]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) == len(values)
    assert len({row.predicted for row in rows}) == 1
    assert rows[0].intercept == pytest.approx(0, abs=0.05)
    assert rows[0].slope == pytest.approx(1, abs=0.15)
    for row in rows[1:]:
        assert np.log(row.odds_ratio) < row.intercept < 0


def test_the_intercept_calibrates_the_model_on_average(stressed):
    """Adding it to all log-odds gives the row's own base rate."""
    row = stressed.describe().scenarios[2]
    log_odds = stressed.equation.compute_log_odds(
        stressed.enrolment.columns.select(~stressed.enrolment.reported)
    )[:, 0]
    predictions = stressed.held_out["elastic_net"]
    moved = compute_probability(predictions.log_odds + row.intercept)
    mended = predictions.by_repeat(moved).mean(axis=0).sum()
    mended += compute_probability(log_odds + row.intercept).sum()
    assert mended / stressed.enrolment.columns.size == pytest.approx(row.base_rate, abs=1e-6)


def test_weights_do_not_mend_the_stress_world(stressed):
    """Follow-up depends on the outcome: weights leave the bias, and only the table shows it."""
    study = STRESS.model_copy(update={"attrition": AttritionPart(weights=True)})
    design = weigh_courses(study, stressed.design, stressed.enrolment)
    weighted = np.average(design.outcome, weights=design.weights)
    assert weighted > stressed.truth + 4 * stressed.error


def test_baseline_differences_are_those_of_the_world(stressed):
    """There severe and young patients have follow-up less often; each field is named once."""
    gaps = stressed.describe().gaps
    differences = {gap.field: gap.difference for gap in gaps}
    assert len(differences) == len(gaps)
    assert differences["phq9"] > 0.15
    assert differences["age"] < -0.05
    sizes = [abs(gap.difference) for gap in gaps]
    assert sizes == sorted(sizes, reverse=True)


def test_a_rarely_recorded_field_is_not_compared(stressed):
    """A difference between a few patients could disclose a single one."""
    few = replace(stressed.enrolment, matrix=stressed.enrolment.matrix.copy())
    index = [feature.name for feature in few.features].index("phq9")
    reported = np.flatnonzero(few.reported)
    few.matrix[reported[MIN_COMPARED - 1 :], index] = np.nan
    assert "phq9" not in {gap.field for gap in compare_baseline(few)}
    few.matrix[reported, index] = stressed.enrolment.matrix[reported, index]
    assert "phq9" in {gap.field for gap in compare_baseline(few)}


def test_a_constant_model_has_no_slope():
    twice, outcome = np.zeros((2, 4)), np.array([1.0, 1, 0, 0])
    held_out = Predictions.from_repeats(twice, twice.astype(np.int64), outcome, np.arange(4))
    row = vary_odds(0.5, held_out, np.zeros(4))
    assert row.slope is None
    assert row.missing_rate == pytest.approx(1 / 3)
    assert row.base_rate == pytest.approx((2 + 4 / 3) / 8)


def test_without_missing_outcomes_nothing_is_varied(stressed):
    complete = replace(
        stressed.enrolment,
        columns=stressed.design.columns,
        features=(),
        matrix=stressed.design.matrix[:, :0],
        reported=np.ones(stressed.design.size, dtype=bool),
    )
    attrition = describe_attrition(complete, stressed.held_out["elastic_net"], stressed.equation)
    assert (attrition.missing, attrition.scenarios, attrition.gaps) == (0, (), ())
