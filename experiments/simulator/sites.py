"""Sites: what treats whom where, and how well; the same for every cohort of a world."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.simulator.world import MISSING, World

SITE_COUNT = 12
VETERANS_SITE = 7
# The veterans' clinics report 26 % where others report 45 %.
VETERANS_EFFECT = float(np.log(0.26 / 0.74) - np.log(0.45 / 0.55))
MAIN_ROUTES = (
    *("iv", "iv", "intranasal", "iv", "sublingual", "iv"),
    *("im", "iv", "intranasal", "iv", "sublingual", "sc"),
)
# Of all that is missing, this much because a site's form never asks.
BY_FORM = 0.6
ITEM_SITES = 0.5


@dataclass(frozen=True)
class Sites:
    """The sites of a world.

    Parameters
    ----------
    weights
        ``[sites]``: share of all patients.
    effects, slopes
        ``[sites]``: log-odds added to the base rate, and factor on the strength of effects.
    skipped
        For each field, ``bool[sites]``: the form does not ask.
    items
        For each instrument, ``bool[sites]``: items are recorded, and no total.
    """

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    effects: NDArray[np.float64]
    slopes: NDArray[np.float64]
    skipped: dict[str, NDArray[np.bool_]]
    items: dict[str, NDArray[np.bool_]]


def make_sites(world: World) -> Sites:
    """Make the sites of a world."""
    generator = np.random.default_rng(world.seed)
    weights = generator.dirichlet(np.full(SITE_COUNT, 6.0))
    effects = world.site_spread * generator.standard_normal(SITE_COUNT)
    if world.site_spread:
        effects -= weights @ effects
        effects[VETERANS_SITE] = VETERANS_EFFECT
    slopes = 1 + world.slope_spread * generator.standard_normal(SITE_COUNT)
    skipped = {name: skip_form(weights, share, generator) for name, share in MISSING.items()}
    items = {key: generator.random(SITE_COUNT) < ITEM_SITES for key in ("phq9", "gad7", "pcl5")}
    names = tuple(f"site-{number:02d}" for number in range(1, SITE_COUNT + 1))
    return Sites(names, weights, effects, slopes, skipped, items)


def skip_form(
    weights: NDArray[np.float64], missing: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose sites whose form does not ask, until they make up their part of what is missing."""
    skipped = np.zeros(len(weights), dtype=bool)
    for site in generator.permutation(len(weights)):
        if weights[skipped].sum() + weights[site] <= BY_FORM * missing:
            skipped[site] = True
    return skipped
