"""The benchmark of missing outcomes: weighting and the delta adjustment against the truth."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from joblib import delayed

from experiments.benchmarks.report import Report, Section, format_table
from experiments.benchmarks.samples import STUDY, read_simulated
from experiments.simulator import find_world, simulate
from features.base.arrays import Numbers
from features.base.commands import track
from features.model.equation import Equation
from training.candidates.registry import make_candidates
from training.findings.findings import Scenario
from training.measures.logistic import fit_intercept, fit_intercept_slope
from training.measures.predictions import Predictions
from training.study.courses import filter_courses, list_enrolled, make_design
from training.study.design import Enrolment
from training.study.parts import ODDS_RATIOS, AttritionPart
from training.study.split import derive_seed
from training.study.study import read_study
from training.study.weighting import weigh_courses
from training.validation.attrition import describe_attrition
from training.validation.resample import spread
from training.validation.runs import cross_validate

CANDIDATES = make_candidates()
# Responders are likelier to be followed up there.
_WORLD = "stress"
_CANDIDATE = "evidence_prior"
_PATIENTS, _SEED = 6000, 20261124


@dataclass(frozen=True)
class Calibrated:
    """The share that responds, and a model's calibration for them."""

    base_rate: float
    intercept: float
    slope: float


@dataclass(frozen=True)
class CohortResult:
    """One cohort."""

    # courses, reported: courses that are due for follow-up, and how many of them have a known
    # outcome
    courses: int
    reported: int
    # reported_rate, weighted_rate: share that responds of those with a known outcome, and the same
    # weighted
    reported_rate: float
    weighted_rate: float
    true: Calibrated  # Of all courses, by the probabilities that outcomes were drawn from
    scenarios: tuple[Scenario, ...]  # The delta adjustment's figures for all courses, by odds ratio


def run_attrition(cohorts: int, jobs: int) -> list[CohortResult]:
    """Examine cohorts of the world where responders are likelier to be followed up."""
    calls = (delayed(examine_cohort)(derive_seed(_SEED, number)) for number in range(cohorts))
    return list(track(spread(jobs, calls), cohorts, "attrition"))


def examine_cohort(seed: int, patients: int = _PATIENTS) -> CohortResult:
    """Compare a report's figures on missing outcomes with the truth of one cohort."""
    settings = {"candidates": (_CANDIDATE,), "attrition": AttritionPart(weights=True)}
    study = read_study(STUDY).model_copy(update=settings)
    simulation = simulate(find_world(_WORLD), patients, seed)
    columns = read_simulated(simulation)
    courses = filter_courses(study, columns.replace({"row": np.arange(columns.size)}))
    enrolment, design = list_enrolled(study, courses), make_design(study, courses)
    truth = simulation.truth["probability"].to_numpy()[enrolment.columns.values["row"]]
    candidates = {_CANDIDATE: CANDIDATES[_CANDIDATE]}
    held_out = cross_validate(study, design, candidates, jobs=1).held_out[_CANDIDATE]
    equation = candidates[_CANDIDATE].fit(design, seed).equation
    weights = weigh_courses(study, design, enrolment).weights
    return CohortResult(
        courses=enrolment.columns.size,
        reported=design.size,
        reported_rate=float(design.outcome.mean()),
        weighted_rate=float(np.average(design.outcome, weights=weights)),
        true=calibrate_to_truth(_predict_all(enrolment, held_out, equation), truth),
        scenarios=describe_attrition(enrolment, held_out, equation).scenarios,
    )


def _predict_all(enrolment: Enrolment, held_out: Predictions, equation: Equation) -> Numbers:
    # As the report does: held-out predictions for courses with a known outcome.
    log_odds = equation.compute_log_odds(enrolment.columns)[:, 0]
    log_odds[enrolment.reported] = held_out.average_repeats().log_odds
    return log_odds


def calibrate_to_truth(log_odds: Numbers, truth: Numbers) -> Calibrated:
    """Calibrate log-odds to the probabilities that outcomes were drawn from, ``[courses]`` each."""
    equal = np.ones((1, len(log_odds)))
    return Calibrated(
        base_rate=float(truth.mean()),
        intercept=float(fit_intercept(log_odds, truth, equal)[0]),
        slope=float(fit_intercept_slope(log_odds, truth, equal)[0, 1]),
    )


def report_attrition(cohorts: Sequence[CohortResult]) -> Report:
    """Report means over cohorts, with standard deviations."""
    rates = [[cohort.reported_rate for cohort in cohorts], [c.weighted_rate for c in cohorts]]
    rows = [
        ["all, in truth", *_list_figures([cohort.true for cohort in cohorts])],
        ["with a known outcome", _format_shares(rates[0]), "", ""],
        ["the same, weighted", _format_shares(rates[1]), "", ""],
    ]
    for index, ratio in enumerate(ODDS_RATIOS):
        scenarios = [cohort.scenarios[index] for cohort in cohorts]
        rows.append([f"table, odds ratio {ratio:.2f}", *_list_figures(scenarios)])
    blocks = [
        f"SIMULATED: {len(cohorts)} cohorts of {_PATIENTS:,} patients; on average "
        f"{np.mean([cohort.courses for cohort in cohorts]):,.0f} courses of depression, "
        f"{np.mean([cohort.reported for cohort in cohorts]):,.0f} with a known outcome. The model "
        f"is `{_CANDIDATE}`. In brackets, the standard deviation between cohorts.",
        format_table(["", "share that responds", "intercept", "slope"], rows),
    ]
    data = {"data": "SIMULATED", "world": _WORLD, "cohorts": [asdict(c) for c in cohorts]}
    return Report([Section("benchmark attrition", "explanation/attrition.md", blocks)], data)


def _list_figures(calibrations: Sequence[Calibrated | Scenario]) -> list[str]:
    # A slope that is undefined in one cohort leaves the mean undefined.
    slopes = [np.nan if part.slope is None else part.slope for part in calibrations]
    return [
        _format_shares([part.base_rate for part in calibrations]),
        _format_spread([part.intercept for part in calibrations], "+.2f"),
        _format_spread(slopes, ".2f"),
    ]


def _format_shares(values: Sequence[float]) -> str:
    return f"{100 * np.mean(values):.1f}% ({100 * np.std(values, ddof=1):.1f})"


def _format_spread(values: Sequence[float], form: str) -> str:
    return f"{np.mean(values):{form}} ({np.std(values, ddof=1):.2f})"
