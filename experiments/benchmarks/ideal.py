"""The ideal statistician: knows how worlds are drawn, and not which one this is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.ideal_sampler import Cloud, find_centre, lead, move, start
from experiments.benchmarks.ideal_terms import Courses, complete, read_courses
from experiments.benchmarks.ideal_truth import read_world
from experiments.benchmarks.ideal_worlds import (
    SIZE,
    SLICES,
    SLOPE_SPREAD,
    Equations,
    Worlds,
    spread_probability,
    write_equations,
)
from experiments.benchmarks.samples import Sample
from experiments.simulator.sites import SITE_COUNT, name_sites
from experiments.simulator.world import World
from training.design import Design

Numbers = NDArray[np.float64]
Single = NDArray[np.float32]
# Of a posterior: how it was found, and from how many courses.
Kind = tuple[str, int]

SITES = name_sites("site", SITE_COUNT)
# Places of the seeds: of what completes the learned courses and the tested ones, and of sites.
LEARNED_SEED, TESTED_SEED, UNSEEN_SEED = 11, 12, 13
# Worlds that the posterior's own expectation is found from.
FEW = 30
# For slopes by finite differences.
NUDGE = 0.05


@dataclass(frozen=True)
class Effort:
    """How finely the posterior is worked out.

    Parameters
    ----------
    worlds
        That stand for it.
    sweeps, last_sweeps
        Rounds of moves at each stage, and after the last one of each number of courses.
    sweeps_of_missing, tested_sweeps
        Times that learned and tested courses are completed, each time twice.
    checked
        Worlds drawn from the prior for the check by importance sampling.
    """

    worlds: int = 150
    sweeps: int = 3
    last_sweeps: int = 12
    sweeps_of_missing: int = 4
    tested_sweeps: int = 40
    checked: int = 10_000
    seed: int = 20261123


@dataclass(frozen=True)
class Learned:
    """Courses to learn from, completed again and again.

    Parameters
    ----------
    tables
        ``float32[completions, courses, columns]``.
    """

    courses: Courses
    tables: Single
    outcome: NDArray[np.bool_]


@dataclass(frozen=True)
class Step:
    """From the first so many courses to more of them: what the sampler asks about.

    Parameters
    ----------
    before, after
        Numbers of courses.
    """

    learned: Learned
    before: int
    after: int

    def compute(self, worlds: Worlds) -> Numbers:
        """Compute log-likelihoods; ``[2, worlds]``: of the courses before, and of the new ones."""
        probability = self._average(worlds)
        outcome = self.learned.outcome[: self.after, None]
        told = np.log(np.where(outcome, probability, 1 - probability))
        parts = told[: self.before], told[self.before :]
        return np.stack([part.sum(axis=0, dtype=np.float64) for part in parts])

    def inform(self, worlds: Worlds, part: float) -> Numbers:
        """Compute the information on the normal numbers by finite differences."""
        nudged = [nudge(worlds.select(np.array([row]))) for row in range(worlds.size)]
        found = [self._inform_one(world, part) for world in nudged]
        information: Numbers = np.mean(found, axis=0)
        return information

    def _inform_one(self, nudged: Worlds, part: float) -> Numbers:
        middle, slopes = find_slopes(self._average(nudged))
        weights = np.where(np.arange(self.after) < self.before, 1.0, part)
        spread = middle * (1 - middle)
        information: Numbers = (slopes * (weights / spread)[:, None]).T @ slopes
        return information

    def _average(self, worlds: Worlds) -> Single:
        equations = write_equations(worlds)
        base, slope = place(self.learned.courses, equations, slice(self.after))
        total = np.zeros_like(base)
        for table in self.learned.tables[:, : self.after]:
            total += spread_probability(base + slope * (table @ equations.sizes))
        return total / np.float32(len(self.learned.tables))


def nudge(world: Worlds) -> Worlds:
    """Nudge each of one world's numbers in turn; the last of these worlds is itself."""
    many = world.select(np.zeros(SIZE + 1, dtype=int))
    normal = many.normal + NUDGE * np.eye(SIZE + 1, SIZE)
    return replace(many, normal=normal)


@dataclass(frozen=True)
class Said:
    """What is said of tested courses.

    Parameters
    ----------
    probability
        ``[courses]``: mean of the posterior's probabilities.
    excess
        The log loss over the attainable that the posterior itself expects of them.
    """

    probability: Numbers
    excess: float


def find_slopes(nudged: Single) -> tuple[Numbers, Numbers]:
    """Find probabilities and their slopes by finite differences from those of nudged worlds."""
    probability = nudged.astype(float)
    middle = probability[:, -1]
    slopes = (probability[:, :-1] - middle[:, None]) / NUDGE
    slopes[:, SLICES["thresholds"]] = 0.0  # they jump: taken as not known, or as told
    return middle, slopes


def place(courses: Courses, equations: Equations, rows: slice) -> tuple[Single, Single]:
    """Place each course in each world: log-odds before effects, and the factor on effects."""
    site = courses.site[rows]
    base = equations.levels[courses.route[rows]]
    base = base + courses.years[rows, None] * equations.drift + equations.effects[site]
    return base, equations.slopes[site]


def read_learned(design: Design, effort: Effort) -> Learned:
    """Read the courses to learn from, and complete them."""
    courses = read_courses(design.columns, SITES)
    tables = list(complete(courses, effort.sweeps_of_missing, [LEARNED_SEED]))
    halves = np.concatenate([table.reshape(2, courses.size, -1) for table in tables])
    return Learned(courses, halves, design.outcome == 1)


def learn(
    learned: Learned, sizes: tuple[int, ...], effort: Effort, generator: np.random.Generator
) -> Iterator[tuple[int, Cloud, Step | None]]:
    """Learn from ever more courses; yield the posterior with each number of them.

    With none there is no step that led there.
    """
    cloud, before = start(effort.worlds, generator), 0
    for size in sizes:
        step = Step(learned, before, size) if size else None
        if step:
            cloud = lead(cloud, step, effort.sweeps, effort.last_sweeps, generator)
        before = size
        yield size, cloud, step


def start_at_truth(
    world: World, cloud: Cloud, step: Step, effort: Effort, generator: np.random.Generator
) -> Worlds:
    """Move copies of the true world as the posterior's worlds were moved at last.

    The truth is a draw from the posterior, so these are too; only that they are alike as long as
    they remember where they came from. What they say is too good, and the better the fewer moves.
    """
    truth = read_world(int(world.name.split("-")[1]), world)
    copies = truth.select(np.zeros(effort.worlds, dtype=int))
    likelihood = np.repeat(step.compute(truth).sum(), effort.worlds)
    centre = find_centre(cloud.worlds, step, 1.0, generator)
    started = Cloud(copies, likelihood, cloud.step)
    return move(started, step, 1.0, centre, effort.last_sweeps, generator).worlds


def predict(
    clouds: Mapping[Kind, Worlds], sample: Sample, unseen: bool, effort: Effort
) -> dict[Kind, Said]:
    """Compute what each of several posteriors says of a sample.

    Every completion of the courses is given to a part of the worlds, and to a few that the
    posterior's own expectation is found from.
    """
    courses = read_courses(sample.columns, SITES)
    written = {name: write_equations(worlds) for name, worlds in clouds.items()}
    parts = {n: max(1, min(10, worlds.size // 20)) for n, worlds in clouds.items()}
    totals = {name: np.zeros(courses.size) for name in clouds}
    apart = {name: np.zeros((courses.size, FEW)) for name in clouds}
    generator = np.random.default_rng([effort.seed, UNSEEN_SEED])
    turns = 2 * effort.tested_sweeps
    for turn, table in enumerate(halve(courses, effort.tested_sweeps)):
        for name, equations in written.items():
            some, few = pick(equations, turn, parts[name]), pick_few(equations)
            said = ask(courses, table, some, draw_site(some, generator) if unseen else None)
            totals[name] += said.mean(axis=1, dtype=np.float64) / turns
            said = ask(courses, table, few, draw_site(few, generator) if unseen else None)
            apart[name] += said / np.float32(turns)
    return {name: Said(totals[name], expect_excess(totals[name], apart[name])) for name in clouds}


def halve(courses: Courses, sweeps: int) -> Iterator[Single]:
    """Complete tested courses again and again; every sweep does so twice."""
    for table in complete(courses, sweeps, [TESTED_SEED]):
        yield from table.reshape(2, courses.size, -1)


def pick(equations: Equations, turn: int, parts: int) -> Equations:
    """Pick the worlds whose turn it is."""
    return Equations(
        *(values[..., turn % parts :: parts] for values in equations.__dict__.values())
    )


def pick_few(equations: Equations) -> Equations:
    """Pick a few worlds, always the same; some again where there are fewer."""
    rows = np.linspace(0, len(equations.drift) - 1, FEW).astype(int)
    return Equations(*(values[..., rows] for values in equations.__dict__.values()))


def expect_excess(said: Numbers, apart: Numbers) -> float:
    """Expect the log loss over the attainable, were each of some worlds the true one.

    Examples
    --------
    >>> expect_excess(np.array([0.5]), np.array([[0.5, 0.5]]))
    0.0
    """
    odds = apart * np.log(apart / said[:, None])
    against = (1 - apart) * np.log((1 - apart) / (1 - said[:, None]))
    return float((odds + against).mean())


def draw_site(equations: Equations, generator: np.random.Generator) -> Single:
    """Draw a new site for each world: its effect and its slope, as standard normal numbers."""
    drawn: Single = generator.standard_normal((2, len(equations.drift))).astype(np.float32)
    return drawn


def ask(courses: Courses, table: Single, equations: Equations, site: Single | None) -> Single:
    """Compute probabilities, ``[courses, worlds]``.

    Parameters
    ----------
    site
        Of a new site, and of its mirror image, so that few are as good as many; None where each
        course is at its own.
    """
    moved = table @ equations.sizes
    if site is None:
        base, slope = place(courses, equations, slice(None))
        return spread_probability(base + slope * moved)
    base = equations.levels[courses.route] + courses.years[:, None] * equations.drift
    total: Single = np.zeros_like(base)
    for effect, tilt in (site, -site):
        slope = 1 + np.float32(SLOPE_SPREAD) * tilt
        total += spread_probability(base + equations.site_spread * effect + slope * moved)
    return total / np.float32(2)
