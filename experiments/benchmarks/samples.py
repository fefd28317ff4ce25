"""What models learn from and are tested on: courses of simulated patients whose truth is known."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.simulator import (
    Simulation,
    Sites,
    World,
    draw_new_sites,
    find_world,
    make_sites,
    simulate,
)
from features.base.arrays import Numbers
from features.records.cohort import collect_cohort
from features.records.columns import Columns
from features.records.mapping import Mapper
from features.records.tables import wrap_table
from training.study.design import Design, filter_courses, make_design
from training.study.split import derive_seed
from training.study.study import Study, read_study

STUDY = Path(__file__).parents[1] / "studies" / "demo.toml"
# Places of the seeds that a benchmark derives from its own.
LEARN_SEED, KNOWN_SEED, UNSEEN_SEED, ORDER_SEED = 1, 2, 3, 4
# Of ten simulated patients about six have depression, and about half of those report the outcome.
PATIENTS_A_COURSE, PATIENTS_A_TEST = 4, 1.7


@dataclass(frozen=True)
class Plan:
    """How large the samples are; two plans that differ have nothing in common.

    Parameters
    ----------
    most
        Courses to learn from at the most; smaller numbers are taken from among these.
    tested
        Courses to be tested on, from the world's own sites and again from new ones.
    new_sites
        Sites that no model has seen.
    draws
        Of what is missing, behind each attainable probability.
    offered
        Candidates that `fit` is to choose from, in the study's order of preference; the other two
        cost much and rarely win.
    """

    most: int = 4000
    tested: int = 4000
    new_sites: int = 40
    draws: int = 100
    offered: tuple[str, ...] = (
        "evidence_prior",
        "anchored_xgboost",
        "elastic_net",
        "base_rate",
    )
    seed: int = 20261123


@dataclass(frozen=True)
class Sample:
    """Courses to be tested on.

    Parameters
    ----------
    attainable
        ``[courses]``: the best that could be said. A course counts as both outcomes, each with
        this probability. Where the site is new its effect is integrated out.
    at_site
        ``[courses]``: the same with the effect of the site known, new or not.
    """

    columns: Columns
    attainable: Numbers
    at_site: Numbers


@dataclass(frozen=True)
class Prepared:
    """A world's samples."""

    study: Study
    courses: Columns
    known: Sample
    unseen: Sample


@lru_cache(maxsize=1)
def prepare(name: str, cohort: int, plan: Plan) -> Prepared:
    """Draw a world's samples; the last one asked for is kept.

    Parameters
    ----------
    cohort
        Number of the cohort: another one has other patients to learn from.
    """
    world, study = find_world(name), read_study(STUDY)
    seed = derive_seed(plan.seed, cohort)
    # Not "new" to the simulator, so that it also tells the truth with the site's effect known.
    elsewhere = replace(draw_new_sites(world, plan.new_sites, plan.seed), new=False)
    return Prepared(
        study=study.model_copy(update={"candidates": plan.offered}),
        courses=draw_courses(world, study, plan.most, derive_seed(seed, LEARN_SEED)),
        known=draw_test(world, study, make_sites(world), plan, derive_seed(seed, KNOWN_SEED)),
        unseen=draw_test(world, study, elsewhere, plan, derive_seed(seed, UNSEEN_SEED), True),
    )


def draw_courses(world: World, study: Study, most: int, seed: int) -> Columns:
    """Draw so many courses with a known outcome, in an order that is random but fixed."""
    patients, known = PATIENTS_A_COURSE * most, Columns(0, {})
    while known.size < most:
        columns = filter_courses(study, read_simulated(simulate(world, patients, seed)))
        known = make_design(study, columns).columns
        patients *= 2
    order = np.random.default_rng([seed, ORDER_SEED]).permutation(known.size)
    return known.select(order[:most])


def draw_test(
    world: World, study: Study, sites: Sites, plan: Plan, seed: int, new: bool = False
) -> Sample:
    """Draw courses to be tested on, with their attainable probabilities."""
    patients = int(PATIENTS_A_TEST * plan.tested)
    simulation = simulate(world, patients, seed, intake=True, sites=sites, draws=plan.draws)
    columns = read_simulated(simulation)
    truth = {name: simulation.truth[name].to_numpy() for name in TRUTHS}
    rows = find_courses(study, columns)[: plan.tested]
    at_site, at_new_site = (truth[name][rows] for name in TRUTHS)
    return Sample(columns.select(rows), at_new_site if new else at_site, at_site)


TRUTHS = ("probability_observed", "probability_new_site")


def find_courses(study: Study, columns: Columns) -> NDArray[np.int64]:
    """Find the rows that the study asks for."""
    numbered = columns.replace({"row": np.arange(columns.size)})
    rows: NDArray[np.int64] = filter_courses(study, numbered).values["row"]
    return rows


def read_simulated(simulation: Simulation) -> Columns:
    """Read a simulated cohort as any other: validated, totals derived from items."""
    table = wrap_table(simulation.cohort, "SIMULATED")
    return collect_cohort(table, Mapper())


def take_courses(world: Prepared, count: int) -> Design:
    """Take the first so many courses to learn from; with 0, fields and sites are known alone."""
    if count:
        return make_design(world.study, world.courses.select(np.arange(count)))
    return make_design(world.study, world.courses).select(np.arange(0))
