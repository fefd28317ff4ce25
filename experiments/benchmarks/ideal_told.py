"""What one would reach who is told more than the ideal statistician knows: a bound from above."""

from collections.abc import Sequence

import numpy as np

from experiments.benchmarks.ideal import SITES, Learned, Step, ask, find_slopes, halve, nudge
from experiments.benchmarks.ideal_terms import read_courses
from experiments.benchmarks.ideal_truth import read_world
from experiments.benchmarks.ideal_worlds import SIZE, write_equations
from experiments.benchmarks.samples import Sample
from experiments.simulator.world import World

# Times that tested courses are completed, each time twice.
SWEEPS = 10


def expect_told(
    world: World, learned: Learned, sizes: Sequence[int], sample: Sample, unseen: bool
) -> dict[int, float]:
    """Expect the log loss over the attainable of one who is told what is not a number.

    He is told which sign is wrong, which pairs interact and where the thresholds are; sizes, sites
    and base rate he has to learn. By the normal approximation about the truth, with the true
    prior: half the variance of each probability over p(1 - p).

    Returns
    -------
    dict
        By number of courses.
    """
    truth = read_world(int(world.name.split("-")[1]), world)
    courses, equations = read_courses(sample.columns, SITES), write_equations(nudge(truth))
    generator, total = np.random.default_rng(0), np.zeros((courses.size, SIZE + 1), np.float32)
    for table in halve(courses, SWEEPS):
        # The same site in every nudged world, or the slopes would be those of chance.
        site = generator.standard_normal((2, 1)).astype(np.float32) if unseen else None
        total += ask(courses, table, equations, site) / np.float32(2 * SWEEPS)
    middle, slopes = find_slopes(total)
    excess = {}
    for size in sizes:
        precision = np.eye(SIZE)
        if size:
            precision += Step(learned, 0, size).inform(truth, 1.0)
        variance = ((slopes @ np.linalg.inv(precision)) * slopes).sum(axis=1)
        excess[size] = float((variance / (2 * middle * (1 - middle))).mean())
    return excess
