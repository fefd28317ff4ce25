"""Draw worlds from their posterior by sequential Monte Carlo (Del Moral, Doucet and Jasra 2006).

Worlds drawn from the prior are led to the posterior: the courses' likelihood is let in bit by bit,
worlds are resampled by it, and moved by Metropolis steps that leave each stage as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import brentq

from experiments.benchmarks.ideal_terms import PAIRS
from experiments.benchmarks.ideal_worlds import (
    MOST_PAIRS,
    MOST_STEPS,
    SIZE,
    SLICES,
    Worlds,
    draw_worlds,
)
from experiments.simulator.drawn import STEPPED
from experiments.simulator.effects import PUBLISHED

Numbers = NDArray[np.float64]


class Evidence(Protocol):
    """Courses, some of which were there before and some of which are new."""

    def compute(self, worlds: Worlds) -> Numbers:
        """Compute log-likelihoods; ``[2, worlds]``: of the courses before, and of the new ones."""

    def inform(self, worlds: Worlds, part: float) -> Numbers:
        """Compute the information on the normal numbers, ``[SIZE, SIZE]``, averaged over worlds.

        New courses count as the part of themselves that is let in.
        """


# Effective worlds, of all, below which the likelihood is let in no further before they are moved.
KEPT = 0.5
WANTED_ACCEPTANCE = 0.25
SMALLEST_STEP, LARGEST_STEP = 0.05, 1.0
# 2.4 / sqrt(numbers) is best for a normal distribution (Roberts, Gelman and Gilks 1997).
LONGEST_WALK = 0.6
# Proposals about the centre are this much wider than the worlds are taken to be spread, so that no
# world is left outside.
WIDER = 1.2
# Worlds whose information is averaged.
INFORMANTS = 4
# Numbers drawn anew at once, when only some are.
BLOCK = 8


@dataclass(frozen=True)
class Centre:
    """The normal distribution that steps are taken about: where the worlds are just now.

    Parameters
    ----------
    factor
        Lower Cholesky factor of the covariance.
    """

    mean: Numbers
    factor: Numbers

    def weigh(self, worlds: Worlds) -> Numbers:
        """Compute the logarithm of the prior over this density, up to a constant."""
        away = solve_triangular(self.factor, (worlds.normal - self.mean).T, lower=True)
        ratio: Numbers = ((away**2).sum(axis=0) - (worlds.normal**2).sum(axis=1)) / 2
        return ratio


@dataclass(frozen=True)
class Cloud:
    """Worlds that stand for a distribution.

    Parameters
    ----------
    likelihood
        ``[worlds]``: log-likelihood of the courses let in so far.
    step
        Length of the last steps, between 0 and 1.
    stages
        Times that the worlds were resampled.
    """

    worlds: Worlds
    likelihood: Numbers
    step: float = 0.5
    stages: int = 0


def start(count: int, generator: np.random.Generator) -> Cloud:
    """Draw worlds from the prior."""
    return Cloud(draw_worlds(count, generator), np.zeros(count))


def lead(
    cloud: Cloud, evidence: Evidence, sweeps: int, last: int, generator: np.random.Generator
) -> Cloud:
    """Lead worlds from the posterior of the courses before to that of all.

    Parameters
    ----------
    sweeps, last
        Rounds of moves at each stage, and at the last one.
    """
    reached = 0.0
    old, new = evidence.compute(cloud.worlds)
    while reached < 1:
        reached, passed = find_next(new, reached), reached
        rows = resample((reached - passed) * new, generator)
        cloud = Cloud(
            cloud.worlds.select(rows), (old + reached * new)[rows], cloud.step, cloud.stages + 1
        )
        centre = find_centre(cloud.worlds, evidence, reached, generator)
        rounds = sweeps if reached < 1 else last
        cloud = move(cloud, evidence, reached, centre, rounds, generator)
        if reached < 1:
            old, new = evidence.compute(cloud.worlds)
    return cloud


def find_next(gain: Numbers, reached: float) -> float:
    """Find how much of the likelihood can be let in at once."""

    def miss(part: float) -> float:
        return count_effective((part - reached) * gain) - KEPT * len(gain)

    return 1.0 if miss(1.0) >= 0 else float(brentq(miss, reached, 1.0))


def count_effective(log_weights: Numbers) -> float:
    """Count how many equally weighted worlds weighted ones are worth.

    Examples
    --------
    >>> count_effective(np.array([0.0, 0.0, -900.0]))
    2.0
    """
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum())


def resample(log_weights: Numbers, generator: np.random.Generator) -> NDArray[np.int64]:
    """Choose rows in proportion to their weights, as evenly as can be."""
    weights = np.exp(log_weights - log_weights.max())
    points = (generator.random() + np.arange(len(weights))) / len(weights)
    ends = np.cumsum(weights) / weights.sum()
    return np.minimum(np.searchsorted(ends, points), len(weights) - 1)


def find_centre(
    worlds: Worlds, evidence: Evidence, part: float, generator: np.random.Generator
) -> Centre:
    """Find where worlds are, and how they spread by what the courses tell of them.

    Their own covariance would not do: with few worlds it is too narrow in some directions, and
    steps about it would make them narrower at every stage.
    """
    some = worlds.select(generator.integers(worlds.size, size=INFORMANTS))
    precision = np.eye(SIZE) + evidence.inform(some, part)
    covariance = WIDER**2 * np.linalg.inv(precision)
    return Centre(worlds.normal.mean(axis=0), np.linalg.cholesky(covariance))


def move(
    cloud: Cloud,
    evidence: Evidence,
    part: float,
    centre: Centre,
    sweeps: int,
    generator: np.random.Generator,
) -> Cloud:
    """Move every world by Metropolis steps that leave the posterior as it is.

    Parameters
    ----------
    part
        Of the new courses' likelihood that is let in.
    """
    for _ in range(sweeps):
        for name in MOVES:
            proposed, extra = propose(name, cloud, centre, generator)
            found = np.array([1, part]) @ evidence.compute(proposed)
            odds = found - cloud.likelihood + extra
            taken = np.log(generator.random(len(odds))) < odds
            step = adapt(cloud.step, float(taken.mean())) if name == "about" else cloud.step
            cloud = replace(
                cloud,
                worlds=cloud.worlds.choose(proposed, taken),
                likelihood=np.where(taken, found, cloud.likelihood),
                step=step,
            )
    return cloud


def propose(
    name: str, cloud: Cloud, centre: Centre, generator: np.random.Generator
) -> tuple[Worlds, Numbers]:
    """Propose other worlds, and tell the log-odds for them that are not the likelihood's."""
    worlds = cloud.worlds
    if name == "about":
        proposed = step_about(worlds, centre, cloud.step, generator)
        return proposed, centre.weigh(proposed) - centre.weigh(worlds)
    if name == "walk":
        proposed = walk(worlds, centre, generator)
        gained = (worlds.normal**2 - proposed.normal**2).sum(axis=1) / 2
        return proposed, gained
    return PROPOSALS[name](worlds, generator), np.zeros(worlds.size)


def adapt(step: float, acceptance: float) -> float:
    """Take longer steps when many are taken, and shorter ones when few are."""
    wanted = step * np.exp(acceptance - WANTED_ACCEPTANCE)
    return float(np.clip(wanted, SMALLEST_STEP, LARGEST_STEP))


def step_about(
    worlds: Worlds, centre: Centre, length: float, generator: np.random.Generator
) -> Worlds:
    """Step all numbers about a centre, leaving its normal distribution as it is."""
    # A mixture of lengths: some go far where there is room.
    steps = np.clip(length * np.exp(0.5 * generator.standard_normal((worlds.size, 1))), 0, 1)
    noise = generator.standard_normal(worlds.normal.shape) @ centre.factor.T
    away = worlds.normal - centre.mean
    return replace(worlds, normal=centre.mean + np.sqrt(1 - steps**2) * away + steps * noise)


def walk(worlds: Worlds, centre: Centre, generator: np.random.Generator) -> Worlds:
    """Step from where each world is, wherever that is."""
    length = LONGEST_WALK * generator.random((worlds.size, 1))
    noise = generator.standard_normal(worlds.normal.shape) @ centre.factor.T
    return replace(worlds, normal=worlds.normal + length * noise)


def draw_some(worlds: Worlds, generator: np.random.Generator) -> Worlds:
    """Draw a few numbers anew, others in each world; half the time they only turn a little."""
    order = generator.random(worlds.normal.shape).argsort(axis=1)
    chosen = order < generator.integers(1, BLOCK + 1, size=(worlds.size, 1))
    length = np.where(generator.random((worlds.size, 1)) < 0.5, 1.0, 0.4)
    fresh = np.sqrt(1 - length**2) * worlds.normal + length * generator.standard_normal(
        worlds.normal.shape
    )
    return replace(worlds, normal=np.where(chosen, fresh, worlds.normal))


def draw_wrong(worlds: Worlds, generator: np.random.Generator) -> Worlds:
    """Let another sign be the wrong one; half the time with sizes drawn anew."""
    wrong = generator.integers(len(PUBLISHED), size=worlds.size)
    normal, rows = worlds.normal.copy(), np.arange(worlds.size)
    anew = generator.random(worlds.size) < 0.5
    first = SLICES["departures"].start
    for place in (wrong, worlds.wrong):
        drawn = generator.standard_normal(worlds.size)
        normal[rows, first + place] = np.where(anew, drawn, normal[rows, first + place])
    return replace(worlds, wrong=wrong, normal=normal)


def draw_pair(worlds: Worlds, generator: np.random.Generator) -> Worlds:
    """Draw one interaction anew, half the time with its size."""
    pairs, rows = worlds.pairs.copy(), np.arange(worlds.size)
    place = generator.integers(MOST_PAIRS, size=worlds.size)
    pairs[rows, place] = generator.integers(len(PAIRS), size=worlds.size)
    return replace(worlds, pairs=pairs, normal=draw_size(worlds, place, generator))


def draw_step(worlds: Worlds, generator: np.random.Generator) -> Worlds:
    """Draw one threshold anew, with or without its size; features must differ."""
    steps, rows = worlds.steps.copy(), np.arange(worlds.size)
    place = generator.integers(MOST_STEPS, size=worlds.size)
    other = steps[rows, 1 - place]
    steps[rows, place] = (other + generator.integers(1, len(STEPPED), size=len(rows))) % len(
        STEPPED
    )
    normal = draw_size(worlds, MOST_PAIRS + place, generator)
    normal[rows, SLICES["thresholds"].start + place] = generator.standard_normal(worlds.size)
    return replace(worlds, steps=steps, normal=normal)


def draw_size(worlds: Worlds, place: NDArray[np.int64], generator: np.random.Generator) -> Numbers:
    """Draw the size of one term anew, half the time."""
    normal, rows = worlds.normal.copy(), np.arange(worlds.size)
    column = SLICES["sizes"].start + place
    anew, drawn = generator.random(worlds.size) < 0.5, generator.standard_normal(worlds.size)
    normal[rows, column] = np.where(anew, drawn, normal[rows, column])
    return normal


def draw_counts(worlds: Worlds, generator: np.random.Generator) -> Worlds:
    """Put the last interaction or the last threshold in or out."""
    pairs = generator.random(worlds.size) < 0.5
    return replace(worlds, all_pairs=worlds.all_pairs ^ pairs, all_steps=worlds.all_steps ^ ~pairs)


PROPOSALS: dict[str, Callable[[Worlds, np.random.Generator], Worlds]] = {
    "some": draw_some,
    "wrong": draw_wrong,
    "pair": draw_pair,
    "step": draw_step,
    "counts": draw_counts,
}
MOVES = ("about", "walk", "walk", "some", "walk", "wrong", "pair", "pair", "step", "counts")


def weigh_prior(
    evidence: Evidence, drawn: int, kept: int, generator: np.random.Generator
) -> tuple[Worlds, float]:
    """Draw from the posterior by weighing worlds drawn from the prior, for a check.

    Returns
    -------
    tuple
        Worlds drawn by weight, and how many equally weighted ones all are worth.
    """
    worlds = draw_worlds(drawn, generator)
    chunks = np.array_split(np.arange(drawn), max(1, drawn // 500))
    likelihood = [evidence.compute(worlds.select(rows)).sum(axis=0) for rows in chunks]
    weights = np.concatenate(likelihood)
    rows = resample(weights, generator)[generator.permutation(drawn)[: 4 * kept]]
    return worlds.select(rows), count_effective(weights)
