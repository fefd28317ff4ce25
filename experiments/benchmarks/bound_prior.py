"""What is true of drawn worlds on the whole, beside what our candidate takes to be true."""

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from experiments.benchmarks.ideal_worlds import (
    FIRST_CURVE,
    LATER,
    SPREADS,
    draw_worlds,
    write_equations,
)
from experiments.simulator.drawn import WIDER
from experiments.simulator.effects import ROUTES
from experiments.simulator.world import TARGETS
from training.candidates.update import DISCOUNT, DISCOUNT_SPREAD
from training.evidence import BASE_RATE_SPREAD, ROUTE_SPREAD, SITE_SPREAD

Numbers = NDArray[np.float64]

WORLDS = 2000


@cache
def measure_worlds() -> tuple[Numbers, Numbers, Numbers]:
    """Measure drawn worlds beside what is published.

    Returns
    -------
    tuple
        Discounts of the published sizes, routes and base rates less the published ones in
        log-odds; ``[worlds]`` each, routes ``[routes, worlds]``.
    """
    equations = write_equations(draw_worlds(WORLDS, np.random.default_rng(0)))
    sizes = equations.sizes[1:FIRST_CURVE].astype(float)
    published, spread = LATER / (SPREADS / WIDER), sizes[: len(LATER)].T / (SPREADS / WIDER)
    discount = spread @ published / (published @ published)
    iv = ROUTES.index("iv")
    levels = equations.levels[iv] - special.logit(TARGETS["depression", "acute"][iv])
    return discount, sizes[-(len(ROUTES) - 1) :], levels


def compare_priors() -> Iterator[list[str]]:
    """Compare constants of our prior with what holds in worlds drawn; rows of a table."""
    discount, routes, levels = measure_worlds()
    spread = np.sqrt(BASE_RATE_SPREAD**2 - SITE_SPREAD**2)
    yield show("discount of the published sizes", discount, f"{DISCOUNT} ({DISCOUNT_SPREAD})")
    yield show("a route less what is published of it, log-odds", routes, f"0 ({ROUTE_SPREAD})")
    yield show("base rate less the published one, log-odds", levels, f"0 ({spread:.1f})")


def show(label: str, values: Numbers, ours: str) -> list[str]:
    """Show a mean and a standard deviation beside ours."""
    return [label, f"{values.mean():.2f} ({values.std():.2f})", ours]
