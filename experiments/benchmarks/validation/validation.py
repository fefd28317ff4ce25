"""The benchmark of validation: what a report says of performance, against the truth.

In each drawn world the procedure is validated as `fit` does it; the model is then asked about many
new patients, whose true probabilities are known, at the same sites and at new ones.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
from joblib import delayed
from numpy.typing import NDArray

import training
from experiments.benchmarks.results import Result, Results
from experiments.benchmarks.samples import (
    PATIENTS_A_COURSE,
    Plan,
    Sample,
    find_courses,
    prepare,
    read_simulated,
    take_courses,
)
from experiments.simulator import Sites, World, draw_new_sites, find_world, make_sites, simulate
from features.base.arrays import Numbers
from features.base.commands import say, track
from features.base.errors import InputError, Problem
from features.base.files import digest_sources, list_sources
from features.model.card import Measure
from features.model.equation import Equation
from features.records.columns import Columns
from training.candidates import CANDIDATES, Candidate
from training.findings.comparison import BASE_RATE, compare
from training.measures.performance import MEASURES, compute_performance, measure_performance
from training.study.design import evaluate_outcome
from training.study.split import derive_seed
from training.study.study import CandidateName, Study
from training.validation.across_sites import measure_across_sites
from training.validation.development.evidence import (
    choose_procedure,
    choose_redrawing,
    count_bootstraps,
    gather_evidence,
)
from training.validation.development.optimism import correct_optimism, gather_versions
from training.validation.development.validated import Validated, list_performance
from training.validation.procedure import Procedure
from training.validation.resample import FINAL_SEED, spread
from training.validation.runs import cross_validate, run_units
from training.validation.store import Store
from training.validation.units import list_bootstraps

# Not among the worlds by which candidates were built or compared.
FIRST_WORLD = 301

# The way of correcting that a study may ask for instead of its default.
RECORDED = "corrected, outcomes as recorded"

AT_SITES = ("auc", "ratio", "intercept", "slope")


@dataclass(frozen=True)
class Request:
    """How thoroughly validation is checked.

    Parameters
    ----------
    courses
        To learn from, in each world.
    bootstraps
        Re-developments of the whole procedure.
    tested
        New courses behind the truth, at the world's own sites and again at so many new ones.
    """

    worlds: int = 40
    courses: int = 800
    bootstraps: int = 50
    tested: int = 2500
    new_sites: int = 8
    offered: tuple[CandidateName, ...] = (
        "evidence_prior",
        "anchored_xgboost",
        "elastic_net",
        "base_rate",
    )

    @property
    def plan(self) -> Plan:
        """What is drawn of each world."""
        return Plan(self.courses, self.tested, self.new_sites, draws=30, offered=self.offered)

    def make_key(self, world: str) -> str:
        """Digest of all that a result depends on."""
        sources = digest_sources(list_sources(training, ["**/*.py"]), {})
        told = {**asdict(self), "worlds": 0, "world": world, "sources": sources}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


QUICK = Request(2, 150, 8, 1000, 4, ("evidence_prior", "base_rate"))


def choose_offered(only: str) -> tuple[CandidateName, ...]:
    """Choose a candidate, to be compared with the base rate.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    names: tuple[CandidateName, ...] = get_args(CandidateName)
    if only not in names:
        message = f"has no such candidate; there are: {', '.join(names)}"
        raise InputError([Problem("--only", "category", message)])
    return tuple(name for name in names if name in (only, BASE_RATE))


def run_checks(request: Request, results: Results, jobs: int) -> list[Result]:
    """Check every world that has not been checked yet, and return all results."""
    worlds = [f"world-{FIRST_WORLD + number}" for number in range(request.worlds)]
    keys = {world: request.make_key(world) for world in worlds}
    done = results.read_latest()
    left = [world for world in worlds if keys[world] not in done]
    if len(left) < len(worlds):
        say(f"{len(worlds) - len(left)} of {len(worlds)} worlds are there already")
    tasks = (delayed(check_world)(request, world, keys[world], results) for world in left)
    for _ in track(spread(jobs, tasks), len(left), "worlds"):
        pass
    done = results.read_latest()
    return [done[keys[world]] for world in worlds]


def check_world(request: Request, world: str, key: str, results: Results) -> None:
    """Validate in one world, find the truth, and keep both."""
    prepared = prepare(world, 0, request.plan)
    study = set_validation(prepared.study, request)
    home, elsewhere = draw_followed(world, study, request)
    design = take_courses(prepared, request.courses)
    candidates: dict[str, Candidate] = {name: CANDIDATES[name] for name in study.candidates}
    crossed = cross_validate(study, design, candidates, 1, Store())
    chosen = compare(study, design, crossed.held_out).chosen
    fit = candidates[chosen].fit(design, derive_seed(study.seed, FINAL_SEED))
    procedure = choose_procedure(study, candidates, chosen, fit)
    redrawing = choose_redrawing(study, design, fit.equation, crossed)
    evidence = gather_evidence(study, design, procedure, redrawing, Store(), 1)
    validated = Validated(study, design, fit.equation, crossed, evidence)
    results.add(
        {
            "key": key,
            "data": "SIMULATED",
            "world": world,
            "chosen": chosen,
            "found": {one.way: plain(one.measures) for one in list_performance(validated)}
            | {RECORDED: plain(correct_recorded(validated, procedure))},
            "next_site": predict_site(validated),
            "true": find_truth(fit.equation, home),
            "new_sites": find_truth_at_sites(fit.equation, elsewhere),
        }
    )


def correct_recorded(validated: Validated, procedure: Procedure) -> Mapping[str, Measure]:
    """Correct for the optimism in samples with outcomes as recorded; nothing without samples."""
    study, design = validated.study, validated.design
    if not study.validation.bootstraps:
        return {}
    units = list_bootstraps(study, design, count_bootstraps(study))
    found = run_units(procedure, design, units, Store(), 1, RECORDED)
    apparent = measure_performance(validated.own, validated.settings)
    return correct_optimism(apparent, gather_versions(design, found))


def draw_followed(name: str, study: Study, request: Request) -> tuple[Sample, Sample]:
    """Draw new patients at the world's own sites, and at new ones.

    Those whose outcome is known, like those that the report is about: whoever does not report has
    another baseline, and a model may rank them better or worse.
    """
    world = find_world(name)
    # Not "new" to the simulator, so that it tells the truth with the site's effect known.
    elsewhere = replace(draw_new_sites(world, request.new_sites, request.plan.seed), new=False)
    return (
        draw_sample(world, study, make_sites(world), request, derive_seed(request.plan.seed, 2)),
        draw_sample(world, study, elsewhere, request, derive_seed(request.plan.seed, 3)),
    )


def draw_sample(world: World, study: Study, sites: Sites, request: Request, seed: int) -> Sample:
    """Draw courses with a known outcome, with their attainable probabilities."""
    patients = PATIENTS_A_COURSE * request.tested
    simulation = simulate(world, patients, seed, sites=sites, draws=request.plan.draws)
    rows = find_courses(study, read_simulated(simulation))
    columns = read_simulated(simulation).select(rows)
    known = ~np.isnan(evaluate_outcome(study, columns))
    at_site = simulation.truth["probability_observed"].to_numpy()[rows[known]]
    return Sample(columns.select(known), at_site, at_site)


def set_validation(study: Study, request: Request) -> Study:
    """Set how a world's study is validated."""
    asked = {"repeats": 1, "bootstraps": request.bootstraps, "profile": "full", "resamples": 400}
    validation = study.validation.model_copy(update=asked)
    return study.model_copy(update={"validation": validation})


def plain(measures: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Return measures as their value and the ends of their interval."""
    return {name: [one.value, one.low, one.high] for name, one in measures.items()}


def predict_site(validated: Validated) -> dict[str, list[float | None]]:
    """Predict what a new site will show, from sites held out one by one."""
    said = validated.evidence.sites
    if said is None:
        return {}
    found = measure_across_sites(said, validated.evidence.names, validated.settings.level)
    return plain({name: one.next_site for name, one in found.pooled.items()})


def find_truth(equation: Equation, sample: Sample) -> dict[str, float | None]:
    """Find the performance among very many patients.

    Each course counts as both outcomes, by its true probability.
    """
    log_odds = equation.compute_log_odds(sample.columns)[:, 0]
    return measure_truth(log_odds, sample.at_site)


def measure_truth(log_odds: Numbers, true: Numbers) -> dict[str, float | None]:
    """Measure what is to be expected of log-odds where the true probabilities are known."""
    both = np.tile(log_odds, 2)
    outcome = np.repeat([1.0, 0.0], len(true))
    weights = np.concatenate([true, 1 - true])
    found = compute_performance(both, outcome, weights[None, :])[0]
    return {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(MEASURES, found, strict=True)
    }


def find_truth_at_sites(equation: Equation, sample: Sample) -> list[dict[str, float | None]]:
    """Find the performance at each new site."""
    return [
        measure_truth(
            equation.compute_log_odds(sample.columns.select(rows))[:, 0], sample.at_site[rows]
        )
        for rows in list_rows_by_site(sample.columns)
    ]


def list_rows_by_site(columns: Columns) -> list[NDArray[np.int64]]:
    """List the rows of each site."""
    sites = columns.get_texts("site").astype(str)
    return [np.flatnonzero(sites == site) for site in np.unique(sites)]
