"""The true world in the ideal statistician's numbers, to start at it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from experiments.benchmarks.ideal_terms import CURVED, PAIRS
from experiments.benchmarks.ideal_worlds import (
    BLOCKS,
    CENTRES,
    MOST_PAIRS,
    MOST_STEPS,
    UNKNOWN,
    Worlds,
    draw_worlds,
)
from experiments.simulator.drawn import (
    AUCS,
    CROSSED,
    DECOYS,
    DRIFT,
    DRIFT_SPREAD,
    LITERATURE_SPREAD,
    SITE_SPREADS,
    STEPPED,
    UNKNOWN_SHARES,
)
from experiments.simulator.effects import PUBLISHED
from experiments.simulator.sites import make_sites
from experiments.simulator.world import World

Numbers = NDArray[np.float64]
# Quantiles between which thresholds are drawn.
THRESHOLDS = (0.3, 0.8)


def read_world(seed: int, world: World) -> Worlds:
    """Read back the numbers that `draw_world` drew from a seed, to start at the truth.

    A threshold becomes the nearest of the quantiles.
    """
    generator = np.random.default_rng(seed)
    generator.integers(2**31)
    drawn = draw_worlds(1, np.random.default_rng(seed))
    put = {name: values[0] for name, values in ((n, drawn.get(n)) for n in BLOCKS)}
    put["factor"][:] = (generator.normal(1, LITERATURE_SPREAD) - 1) / LITERATURE_SPREAD
    put["departures"][:] = generator.standard_normal(len(PUBLISHED))
    wrong = generator.integers(len(PUBLISHED))
    put["decoys"][:] = [float(generator.standard_normal()) for _ in DECOYS]
    pairs = [read_pair(generator) for _ in range(generator.integers(2, 4))]
    count = int(generator.integers(1, 3))
    names = generator.choice(STEPPED, size=count, replace=False).tolist()
    steps = [STEPPED.index(name) for name in names]
    put["thresholds"][:count] = [read_uniform(generator, THRESHOLDS) for _ in steps]
    put["centres"][:] = [read_uniform(generator, ends) for ends in CENTRES]
    read_sizes(generator, put["sizes"], len(pairs), count)
    put["share"][:] = read_uniform(generator, UNKNOWN_SHARES)
    put["shift"][:] = generator.standard_normal(3)[0]
    put["auc"][:] = read_uniform(generator, AUCS)
    put["site_spread"][:] = read_uniform(generator, SITE_SPREADS)
    put["drift"][:] = (generator.normal(DRIFT, DRIFT_SPREAD) - DRIFT) / DRIFT_SPREAD
    sites = make_sites(world)
    put["sites"][:] = sites.effects / world.site_spread
    put["slopes"][:] = (sites.slopes - 1) / world.slope_spread
    drawn.pairs[0, : len(pairs)] = pairs
    spare = next(place for place in drawn.steps[0] if place not in steps)
    drawn.steps[0] = [*steps, spare][:MOST_STEPS]
    return replace(
        drawn,
        wrong=np.array([wrong]),
        all_pairs=np.array([len(pairs) == MOST_PAIRS]),
        all_steps=np.array([count == MOST_STEPS]),
    )


def read_pair(generator: np.random.Generator) -> int:
    """Read the position of a pair."""
    names = generator.choice(CROSSED, size=2, replace=False).tolist()
    first, second = sorted(CROSSED.index(name) for name in names)
    return PAIRS.index((first, second))


def read_sizes(generator: np.random.Generator, put: Numbers, pairs: int, steps: int) -> None:
    """Read signs and sizes of what nobody published."""
    count = pairs + steps + len(CURVED)
    signs = generator.choice([-1, 1], size=count)
    sizes = signs * special.ndtri(generator.uniform(0.5, 1, count))
    places = [*range(pairs), *range(MOST_PAIRS, MOST_PAIRS + steps), UNKNOWN - 2, UNKNOWN - 1]
    put[places] = sizes


def read_uniform(generator: np.random.Generator, ends: tuple[float, float]) -> float:
    """Read a uniform number as the standard normal one of the same probability."""
    low, high = ends
    return float(special.ndtri((generator.uniform(low, high) - low) / (high - low)))
