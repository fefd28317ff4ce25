"""The benchmark of missing outcomes: what weights and the delta adjustment say, and the truth."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from joblib import delayed

from experiments.benchmarks.models.page import DOCS, fill_page
from experiments.benchmarks.samples import STUDY, read_simulated
from experiments.docs.reference import format_table
from experiments.simulator import find_world, simulate
from features.base.arrays import Numbers
from features.base.commands import track
from features.model.equation import Equation
from training.candidates import CANDIDATES
from training.findings.findings import Scenario
from training.measures.logistic import fit_intercept, fit_intercept_slope
from training.measures.predictions import Predictions
from training.study.design import filter_courses, make_design
from training.study.parts import ODDS_RATIOS, AttritionPart
from training.study.split import derive_seed
from training.study.study import read_study
from training.study.weighting import Enrolment, list_enrolled, weigh_courses
from training.validation.attrition import describe_attrition
from training.validation.resample import spread
from training.validation.runs import cross_validate

PAGE = DOCS / "explanation" / "attrition.md"
BEGIN = "<!-- Written by `python -m experiments benchmark attrition --docs`: begin -->"
HEADING = ["", "share that responds", "intercept", "slope"]

WORLD, CANDIDATE = "stress", "evidence_prior"
PATIENTS, SEED = 6000, 20261124


@dataclass(frozen=True)
class Calibrated:
    """What share responds, and how a model is calibrated among them."""

    base_rate: float
    intercept: float
    slope: float


@dataclass(frozen=True)
class Found:
    """One cohort.

    Parameters
    ----------
    courses, reported
        Courses whose outcome could have been judged, and how many of them have it.
    reported_rate, weighted_rate
        Share that responds of those who report, and the same weighted.
    true
        Of all courses, by the probabilities that their outcomes were drawn from.
    scenarios
        By odds ratio, what the table says of all courses.
    """

    courses: int
    reported: int
    reported_rate: float
    weighted_rate: float
    true: Calibrated
    scenarios: tuple[Scenario, ...]


def run_benchmark(cohorts: int, jobs: int) -> list[Found]:
    """Draw cohorts of the world where those who respond are the likelier to report."""
    tasks = [delayed(examine_cohort)(derive_seed(SEED, number)) for number in range(cohorts)]
    return list(track(spread(jobs, iter(tasks)), len(tasks), "attrition"))


def examine_cohort(seed: int, patients: int = PATIENTS) -> Found:
    """Compare what a report would say of one cohort with its truth."""
    asked = {"candidates": (CANDIDATE,), "attrition": AttritionPart(weights=True)}
    study = read_study(STUDY).model_copy(update=asked)
    simulation = simulate(find_world(WORLD), patients, seed)
    columns = read_simulated(simulation)
    courses = filter_courses(study, columns.replace({"row": np.arange(columns.size)}))
    enrolment, design = list_enrolled(study, courses), make_design(study, courses)
    truth = simulation.truth["probability"].to_numpy()[enrolment.columns.values["row"]]
    candidates = {CANDIDATE: CANDIDATES[CANDIDATE]}
    held_out = cross_validate(study, design, candidates, jobs=1).held_out[CANDIDATE]
    equation = candidates[CANDIDATE].fit(design, seed).equation
    weights = weigh_courses(study, design, enrolment).weights
    return Found(
        courses=enrolment.columns.size,
        reported=design.size,
        reported_rate=float(design.outcome.mean()),
        weighted_rate=float(np.average(design.outcome, weights=weights)),
        true=judge_truth(tell_all(enrolment, held_out, equation), truth),
        scenarios=describe_attrition(study, design, enrolment, held_out, equation).scenarios,
    )


def tell_all(enrolment: Enrolment, held_out: Predictions, equation: Equation) -> Numbers:
    """Tell what the table judges: of those who report, what folds without them said."""
    told = equation.compute_log_odds(enrolment.columns)[:, 0]
    told[enrolment.reported] = held_out.average_repeats().log_odds
    return told


def judge_truth(told: Numbers, truth: Numbers) -> Calibrated:
    """Judge log-odds by the probabilities that outcomes were drawn from; both ``[courses]``."""
    evenly = np.ones((1, len(told)))
    return Calibrated(
        base_rate=float(truth.mean()),
        intercept=float(fit_intercept(told, truth, evenly)[0]),
        slope=float(fit_intercept_slope(told, truth, evenly)[0, 1]),
    )


def describe(found: Sequence[Found]) -> str:
    """Describe what was found as a table: means over cohorts, with their standard deviation."""
    rows = [
        ["all, in truth", *list_figures([one.true for one in found])],
        ["those who report", show_shares([one.reported_rate for one in found]), "", ""],
        ["the same, weighted", show_shares([one.weighted_rate for one in found]), "", ""],
    ]
    for place, ratio in enumerate(ODDS_RATIOS):
        told = [one.scenarios[place] for one in found]
        rows.append([f"table, odds ratio {ratio:.2f}", *list_figures(told)])
    return "\n".join(
        [
            f"SIMULATED: {len(found)} cohorts of {PATIENTS:,} patients; on average "
            f"{np.mean([one.courses for one in found]):,.0f} courses of depression, "
            f"{np.mean([one.reported for one in found]):,.0f} with their outcome. The model is "
            f"`{CANDIDATE}`. In brackets, the standard deviation between cohorts.",
            "",
            format_table(HEADING, rows),
        ]
    )


def list_figures(told: Sequence[Calibrated | Scenario]) -> list[str]:
    """List a row's figures; what has no slope in some cohort has none."""
    slopes = [np.nan if one.slope is None else one.slope for one in told]
    return [
        show_shares([one.base_rate for one in told]),
        show_numbers([one.intercept for one in told], "+.2f"),
        show_numbers(slopes, ".2f"),
    ]


def show_shares(values: Sequence[float]) -> str:
    """Show the mean share, and how it varies."""
    return f"{100 * np.mean(values):.1f} % ({100 * np.std(values, ddof=1):.1f})"


def show_numbers(values: Sequence[float], form: str) -> str:
    """Show the mean, and how it varies."""
    return f"{np.mean(values):{form}} ({np.std(values, ddof=1):.2f})"


def collect(found: Sequence[Found]) -> dict[str, Any]:
    """Collect what was found, for JSON."""
    return {"data": "SIMULATED", "world": WORLD, "cohorts": [asdict(one) for one in found]}


def write_page(text: str) -> None:
    """Put the table into the page."""
    fill_page(PAGE, BEGIN, text)
