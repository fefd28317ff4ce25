"""The benchmark of validation: the performance that a report states, against the truth.

In each drawn world the procedure is validated as `fit` does it; the model then predicts many new
patients, whose true probabilities are known, at the same sites and at new ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from joblib import delayed

import training
from experiments.benchmarks.results import Result, Results, complete_results, make_key, parse_names
from experiments.benchmarks.samples import (
    KNOWN_SEED,
    OFFERED,
    PATIENTS_PER_COURSE,
    UNSEEN_SEED,
    Plan,
    list_study_rows,
    prepare_world,
    read_simulated,
    take_courses,
)
from experiments.benchmarks.scores import Sample
from experiments.simulator import Sites, World, draw_new_sites, find_world, make_sites, simulate
from features.base.arrays import Numbers
from features.base.commands import track
from features.base.files import digest_sources, list_sources
from features.model.card import Measure
from features.model.equation import Equation
from training.candidates.registry import BASE_RATE, list_candidates, make_candidates
from training.findings.comparison import compare
from training.measures.bootstrap import make_interval_settings
from training.measures.performance import MEASURES, compute_performance, measure_performance
from training.study.courses import evaluate_outcome
from training.study.design import Design
from training.study.parts import MEASURE_LEVEL
from training.study.seeds import FINAL_SEED, derive_seed
from training.study.study import Study
from training.validation.across_sites import measure_across_sites
from training.validation.evidence import (
    Evidence,
    count_bootstraps,
    gather_evidence,
    list_performance,
)
from training.validation.optimism import correct_optimism, measure_refits
from training.validation.procedure import Procedure, choose_procedure
from training.validation.resample import spread
from training.validation.runs import KEEP_NOTHING, cross_validate, run_units
from training.validation.units import list_bootstraps

# Not among the worlds by which candidates were built or compared.
_FIRST_WORLD = 301

# The correction that a study may ask for instead of its default.
RECORDED = "corrected, outcomes as recorded"

AT_SITES = ("auc", "ratio", "intercept", "slope")


@dataclass(frozen=True)
class ValidationRequest:
    """How thoroughly validation is checked."""

    worlds: int = 40
    courses: int = 800  # Training courses in each world
    bootstraps: int = 50  # Bootstrap refits of the whole procedure
    # New courses behind the truth, at the world's own sites and again at new ones
    tested: int = 2500
    new_sites: int = 8
    offered: tuple[str, ...] = OFFERED

    @property
    def plan(self) -> Plan:
        """The samples of each world."""
        return Plan(self.courses, self.tested, self.new_sites, draws=30, offered=self.offered)

    def make_key(self, world: str) -> str:
        """Digest everything that a world's result depends on."""
        sources = digest_sources(list_sources(training, ["**/*.py"]), {})
        return make_key({**asdict(self), "worlds": 0, "world": world, "sources": sources})


QUICK = ValidationRequest(2, 150, 8, 1000, 4, ("evidence_prior", "base_rate"))


def choose_offered(only: str) -> tuple[str, ...]:
    """Choose a candidate, to be compared with the base rate.

    Raises
    ------
    InputError
        If it is unknown.
    """
    known = tuple(list_candidates())
    names = (*parse_names(only, known), BASE_RATE)
    return tuple(name for name in known if name in names)


def run_checks(request: ValidationRequest, results: Results, jobs: int) -> list[Result]:
    """Check validation in every world; results that are there already are kept."""
    worlds = [f"world-{_FIRST_WORLD + number}" for number in range(request.worlds)]
    keys = [request.make_key(world) for world in worlds]

    def run(indices: list[int]) -> Iterable[Result]:
        calls = (delayed(_check_world)(request, worlds[index], keys[index]) for index in indices)
        return track(spread(jobs, calls), len(indices), "worlds")

    return complete_results(results, keys, run)


def _check_world(request: ValidationRequest, world: str, key: str) -> Result:
    prepared = prepare_world(world, 0, request.plan)
    study = _set_validation(prepared.study, request)
    home, elsewhere = _draw_followed(world, study, request)
    design = replace(take_courses(prepared, request.courses), study=study)
    known = make_candidates()
    candidates = {name: known[name] for name in study.candidates}
    crossed = cross_validate(design, candidates, 1)
    chosen = compare(design, crossed.held_out).chosen
    fit = candidates[chosen].fit(design, derive_seed(study.seed, FINAL_SEED))
    procedure = choose_procedure(study, candidates, chosen, fit)
    evidence = gather_evidence(design, procedure, fit.equation, crossed)
    performance = {
        part.way: list_limits(part.measures) for part in list_performance(study, evidence)
    }
    recorded = _correct_recorded(design, procedure, evidence)
    return {
        "key": key,
        "data": "SIMULATED",
        "world": world,
        "chosen": chosen,
        "found": performance | {RECORDED: list_limits(recorded)},
        "next_site": _predict_site(evidence),
        "true": _measure_sample(fit.equation, home),
        "new_sites": _measure_sites(fit.equation, elsewhere),
    }


def _correct_recorded(
    design: Design, procedure: Procedure, evidence: Evidence
) -> Mapping[str, Measure]:
    study = design.study
    if not study.validation.bootstraps:
        return {}
    units = list_bootstraps(design, count_bootstraps(study))
    results = run_units(procedure, design, units, KEEP_NOTHING, 1, RECORDED)
    apparent = measure_performance(evidence.apparent, make_interval_settings(study))
    return correct_optimism(apparent, measure_refits(design, results))


# The report is about patients with a known outcome: those lost to follow-up differ at baseline,
# and a model may rank them better or worse.
def _draw_followed(name: str, study: Study, request: ValidationRequest) -> tuple[Sample, Sample]:
    world, seed = find_world(name), request.plan.seed
    # Not "new" to the simulator, so that it gives the truth with the site's effect known.
    elsewhere = replace(draw_new_sites(world, request.new_sites, seed), new=False)
    return (
        _draw_sample(world, study, make_sites(world), request, derive_seed(seed, KNOWN_SEED)),
        _draw_sample(world, study, elsewhere, request, derive_seed(seed, UNSEEN_SEED)),
    )


def _draw_sample(
    world: World, study: Study, sites: Sites, request: ValidationRequest, seed: int
) -> Sample:
    patients = PATIENTS_PER_COURSE * request.tested
    simulation = simulate(world, patients, seed, sites=sites, draws=request.plan.draws)
    simulated = read_simulated(simulation)
    rows = list_study_rows(study, simulated)
    columns = simulated.select(rows)
    known = ~np.isnan(evaluate_outcome(study, columns))
    at_site = simulation.truth["probability_observed"].to_numpy()[rows[known]]
    return Sample(columns.select(known), at_site, at_site)


def _set_validation(study: Study, request: ValidationRequest) -> Study:
    settings = {"repeats": 1, "bootstraps": request.bootstraps, "profile": "full", "resamples": 400}
    validation = study.validation.model_copy(update=settings)
    return study.model_copy(update={"validation": validation})


def list_limits(measures: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """List each measure's value and the limits of its interval."""
    return {name: [part.value, part.low, part.high] for name, part in measures.items()}


# By leave-one-site-out validation.
def _predict_site(evidence: Evidence) -> dict[str, list[float | None]]:
    by_site = evidence.sites
    if by_site is None:
        return {}
    pooled = measure_across_sites(by_site, evidence.site_names, MEASURE_LEVEL).pooled
    return list_limits({name: part.next_site for name, part in pooled.items()})


def _measure_sample(equation: Equation, sample: Sample) -> dict[str, float | None]:
    return measure_expected(equation.compute_log_odds(sample.columns)[:, 0], sample.at_site)


def measure_expected(log_odds: Numbers, true: Numbers) -> dict[str, float | None]:
    """Measure the expected performance of log-odds if the true probabilities are known.

    Each course counts as both outcomes, weighted by its true probability.
    """
    outcome = np.repeat([1.0, 0.0], len(true))
    weights = np.concatenate([true, 1 - true])[None, :]
    values = compute_performance(np.tile(log_odds, 2), outcome, weights)[0]
    return {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(MEASURES, values, strict=True)
    }


def _measure_sites(equation: Equation, sample: Sample) -> list[dict[str, float | None]]:
    sites = sample.columns.get_texts("site").astype(str)
    parts = [np.flatnonzero(sites == site) for site in np.unique(sites)]
    return [
        measure_expected(
            equation.compute_log_odds(sample.columns.select(rows))[:, 0], sample.at_site[rows]
        )
        for rows in parts
    ]
