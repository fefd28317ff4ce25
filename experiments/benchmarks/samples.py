"""Training and test courses of simulated patients, whose true probabilities are known."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from experiments.benchmarks.scores import Sample
from experiments.simulator import (
    Simulation,
    Sites,
    World,
    draw_new_sites,
    find_world,
    make_sites,
    simulate,
)
from features.base.arrays import Indices
from features.records.cohort import collect_cohort
from features.records.columns import Columns
from features.records.mapping import Mapper
from features.sources.tables import wrap_table
from training.study.courses import filter_courses, prepare_design
from training.study.design import Design
from training.study.seeds import derive_seed
from training.study.study import Study, read_study

STUDY = Path(__file__).parents[1] / "studies" / "demo.toml"
# The two candidates that are left out cost much and rarely win.
OFFERED: tuple[str, ...] = (
    "evidence_prior",
    "anchored_xgboost",
    "elastic_net",
    "base_rate",
)
# Which of the seeds derived from a benchmark's own.
KNOWN_SEED, UNSEEN_SEED = 2, 3
_LEARN_SEED, _ORDER_SEED = 1, 4
# About 60% of simulated patients have depression, and about half of those have a known outcome.
PATIENTS_PER_COURSE, _PATIENTS_PER_TEST = 4, 1.7
_TRUTHS = ("probability_observed", "probability_new_site")


@dataclass(frozen=True)
class Plan:
    """Sizes of the samples; two plans that differ share no sample."""

    most: int = 4000  # Training courses; smaller numbers are the first of these
    tested: int = 4000  # Test courses at the world's own sites, and again at new ones
    new_sites: int = 40  # Number of sites that no model was trained on
    draws: int = 100  # Draws of the missing values behind each attainable probability
    # Candidates that `fit` chooses from, in the study's order of preference
    offered: tuple[str, ...] = OFFERED
    seed: int = 20261123


@dataclass(frozen=True)
class Prepared:
    """A world's samples: training courses, and test courses at known and at unseen sites."""

    study: Study
    courses: Columns
    known: Sample
    unseen: Sample


@lru_cache(maxsize=1)  # tasks come world by world
def prepare_world(name: str, cohort: int, plan: Plan) -> Prepared:
    """Draw a world's samples.

    Parameters
    ----------
    cohort
        Its number: another one has other training patients.
    """
    world, study = find_world(name), read_study(STUDY)
    seed = derive_seed(plan.seed, cohort)
    # Not "new" to the simulator, so that it also gives the truth with the site's effect known.
    elsewhere = replace(draw_new_sites(world, plan.new_sites, plan.seed), new=False)
    return Prepared(
        study=study.model_copy(update={"candidates": plan.offered}),
        courses=draw_courses(world, study, plan.most, derive_seed(seed, _LEARN_SEED)),
        known=_draw_test(world, study, make_sites(world), plan, derive_seed(seed, KNOWN_SEED)),
        unseen=_draw_test(world, study, elsewhere, plan, derive_seed(seed, UNSEEN_SEED), True),
    )


def draw_courses(world: World, study: Study, count: int, seed: int) -> Columns:
    """Draw courses with a known outcome, in an order that is random but fixed by the seed."""
    patients, known = PATIENTS_PER_COURSE * count, Columns(0, {})
    while known.size < count:
        columns = filter_courses(study, read_simulated(simulate(world, patients, seed)))
        known = prepare_design(study, columns).columns
        # How many have a known outcome depends on the world.
        patients *= 2
    order = np.random.default_rng([seed, _ORDER_SEED]).permutation(known.size)
    return known.select(order[:count])


def _draw_test(
    world: World, study: Study, sites: Sites, plan: Plan, seed: int, new: bool = False
) -> Sample:
    patients = int(_PATIENTS_PER_TEST * plan.tested)
    simulation = simulate(world, patients, seed, intake=True, sites=sites, draws=plan.draws)
    columns = read_simulated(simulation)
    truth = {name: simulation.truth[name].to_numpy() for name in _TRUTHS}
    rows = list_study_rows(study, columns)[: plan.tested]
    at_site, at_new_site = (truth[name][rows] for name in _TRUTHS)
    return Sample(columns.select(rows), at_new_site if new else at_site, at_site)


def list_study_rows(study: Study, columns: Columns) -> Indices:
    """List the rows of the courses that a study is about."""
    numbered = columns.replace({"row": np.arange(columns.size)})
    rows: Indices = filter_courses(study, numbered).values["row"]
    return rows


def read_simulated(simulation: Simulation) -> Columns:
    """Read a simulated cohort as any other: validated, totals derived from items."""
    return collect_cohort(wrap_table(simulation.cohort, "SIMULATED"), Mapper())


def take_courses(world: Prepared, count: int) -> Design:
    """Take the first training courses; with 0, only fields and sites are known."""
    if count:
        return prepare_design(world.study, world.courses.select(np.arange(count)))
    return prepare_design(world.study, world.courses).select(np.arange(0))
