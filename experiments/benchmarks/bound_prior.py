"""What is true of drawn worlds on the whole, beside what our candidate takes to be true."""

from collections.abc import Iterator

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

WORLDS = 2000


def compare_priors() -> Iterator[list[str]]:
    """Compare constants of our prior with what holds in worlds drawn; rows of a table."""
    equations = write_equations(draw_worlds(WORLDS, np.random.default_rng(0)))
    sizes = equations.sizes[1:FIRST_CURVE].astype(float)
    published, spread = LATER / (SPREADS / WIDER), sizes[: len(LATER)].T / (SPREADS / WIDER)
    discount = spread @ published / (published @ published)
    routes = sizes[-(len(ROUTES) - 1) :]
    iv = ROUTES.index("iv")
    levels = equations.levels[iv] - special.logit(TARGETS["depression", "acute"][iv])
    yield show("discount of the published sizes", discount, f"{DISCOUNT} ({DISCOUNT_SPREAD})")
    yield show("a route less what is published of it, log-odds", routes, f"0 ({ROUTE_SPREAD})")
    yield show(
        "base rate less the published one, log-odds",
        levels,
        f"0 ({np.sqrt(BASE_RATE_SPREAD**2 - SITE_SPREAD**2):.1f})",
    )


def show(label: str, values: NDArray[np.floating], ours: str) -> list[str]:
    """Show a mean and a standard deviation beside ours."""
    return [label, f"{values.mean():.2f} ({values.std():.2f})", ours]
