"""Sites: what treats whom where, and how well; the same for every cohort of a world."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.simulator.effects import ROUTES
from experiments.simulator.world import MISSING, World
from features.base.arrays import Flags, Numbers

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
BY_ITEMS = ("phq9", "gad7", "pcl5")


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
    routes
        ``[sites]``: position of the main route.
    habits
        ``[sites]``: how readily patients miss visits, in standard deviations.
    new
        Whether these are sites that nobody has learned from.
    """

    names: tuple[str, ...]
    weights: Numbers
    effects: Numbers
    slopes: Numbers
    skipped: dict[str, Flags]
    items: dict[str, Flags]
    routes: NDArray[np.int64]
    habits: Numbers
    new: bool = False


def make_sites(world: World) -> Sites:
    """Make the sites of a world."""
    generator = np.random.default_rng(world.seed)
    weights = generator.dirichlet(np.full(SITE_COUNT, 6.0))
    effects = world.site_spread * generator.standard_normal(SITE_COUNT)
    if world.site_spread and world.veterans:
        effects -= weights @ effects
        effects[VETERANS_SITE] = VETERANS_EFFECT
    slopes = 1 + world.slope_spread * generator.standard_normal(SITE_COUNT)
    skipped = {name: skip_form(weights, share, generator) for name, share in MISSING.items()}
    items = {key: generator.random(SITE_COUNT) < ITEM_SITES for key in BY_ITEMS}
    habits = np.random.default_rng(world.seed + 1).standard_normal(SITE_COUNT)
    names = name_sites("site", SITE_COUNT)
    routes = np.array([ROUTES.index(route) for route in MAIN_ROUTES])
    return Sites(names, weights, effects, slopes, skipped, items, routes, habits)


def draw_new_sites(world: World, count: int, seed: int) -> Sites:
    """Draw sites of a world beside its own twelve, from the distributions those came from.

    Parameters
    ----------
    seed
        Of these sites: the same seed gives the same ones.
    """
    generator = np.random.default_rng([world.seed, seed, count])
    share = {name: BY_FORM * missing for name, missing in MISSING.items()}
    main = [ROUTES.index(route) for route in MAIN_ROUTES]
    return Sites(
        names=name_sites("new", count),
        weights=generator.dirichlet(np.full(count, 6.0)),
        effects=world.site_spread * generator.standard_normal(count),
        slopes=1 + world.slope_spread * generator.standard_normal(count),
        skipped={name: generator.random(count) < part for name, part in share.items()},
        items={key: generator.random(count) < ITEM_SITES for key in BY_ITEMS},
        routes=generator.choice(main, size=count),
        habits=generator.standard_normal(count),
        new=True,
    )


def name_sites(stem: str, count: int) -> tuple[str, ...]:
    """Name sites by number."""
    return tuple(f"{stem}-{number:02d}" for number in range(1, count + 1))


def skip_form(weights: Numbers, missing: float, generator: np.random.Generator) -> Flags:
    """Choose sites whose form does not ask, until they make up their part of what is missing."""
    skipped = np.zeros(len(weights), dtype=bool)
    for site in generator.permutation(len(weights)):
        if weights[skipped].sum() + weights[site] <= BY_FORM * missing:
            skipped[site] = True
    return skipped
