"""Worlds, and their sites: everything that does not depend on a cohort's seed."""

from dataclasses import dataclass

import numpy as np

from experiments.simulator.effects import PUBLISHED, ROUTES, Effect
from experiments.simulator.published import MISSING
from experiments.simulator.sites import Sites
from features.base.arrays import Flags, Numbers

_SITE_COUNT = 12
VETERANS_SITE = 7
# The veterans' clinics report 26% response, others 45%.
_VETERANS_EFFECT = float(np.log(0.26 / 0.74) - np.log(0.45 / 0.55))
_MAIN_ROUTES = (
    *("iv", "iv", "intranasal", "iv", "sublingual", "iv"),
    *("im", "iv", "intranasal", "iv", "sublingual", "sc"),
)
# Share of missing values that are missing because the site's form does not ask.
BY_FORM = 0.6
_ITEM_SITES = 0.5
_BY_ITEMS = ("phq9", "gad7", "pcl5")


@dataclass(frozen=True)
class World:
    """One world."""

    name: str
    # Factor on all effects; 1.3 gives an oracle AUC of about 0.70 with the published ones
    strength: float = 1.3
    # site_spread, slope_spread: standard deviations over sites of the base rate, in log-odds, and
    # of the strength
    site_spread: float = 0.5
    slope_spread: float = 0.15
    drift: float = -0.08  # Log-odds per year, from 2024
    flat: bool = False  # Whether every condition, route and horizon has the same base rate
    outcome_missing: float = 0.45  # Share of courses without the acute follow-up
    responder_odds: float = 1.0  # Odds ratio of follow-up, responders against non-responders
    seed: int = 12  # Of the world's sites
    effects: tuple[Effect, ...] = PUBLISHED  # On the log-odds of response
    # Log-odds by which each condition differs from its published share of responders
    shifts: tuple[float, ...] = (0.0, 0.0, 0.0)
    # Whether one site is like the veterans' clinics and the others are centred; else all sites are
    # plain draws from their distribution
    veterans: bool = True


def make_sites(world: World) -> Sites:
    """Make the sites of a world."""
    generator = np.random.default_rng(world.seed)
    weights = generator.dirichlet(np.full(_SITE_COUNT, 6.0))
    effects = world.site_spread * generator.standard_normal(_SITE_COUNT)
    if world.site_spread and world.veterans:
        effects -= weights @ effects
        effects[VETERANS_SITE] = _VETERANS_EFFECT
    slopes = 1 + world.slope_spread * generator.standard_normal(_SITE_COUNT)
    skipped = {name: _skip_form(weights, share, generator) for name, share in MISSING.items()}
    items = {key: generator.random(_SITE_COUNT) < _ITEM_SITES for key in _BY_ITEMS}
    habits = np.random.default_rng(world.seed + 1).standard_normal(_SITE_COUNT)
    names = _name_sites("site", _SITE_COUNT)
    routes = np.array([ROUTES.index(route) for route in _MAIN_ROUTES])
    return Sites(names, weights, effects, slopes, skipped, items, routes, habits)


def draw_new_sites(world: World, count: int, seed: int) -> Sites:
    """Draw further sites of a world, from the distributions of its own twelve.

    Parameters
    ----------
    seed
        Of these sites: the same seed gives the same ones.
    """
    generator = np.random.default_rng([world.seed, seed, count])
    share = {name: BY_FORM * missing for name, missing in MISSING.items()}
    main = [ROUTES.index(route) for route in _MAIN_ROUTES]
    return Sites(
        names=_name_sites("new", count),
        weights=generator.dirichlet(np.full(count, 6.0)),
        effects=world.site_spread * generator.standard_normal(count),
        slopes=1 + world.slope_spread * generator.standard_normal(count),
        skipped={name: generator.random(count) < part for name, part in share.items()},
        items={key: generator.random(count) < _ITEM_SITES for key in _BY_ITEMS},
        routes=generator.choice(main, size=count),
        habits=generator.standard_normal(count),
        new=True,
    )


def _name_sites(stem: str, count: int) -> tuple[str, ...]:
    return tuple(f"{stem}-{number:02d}" for number in range(1, count + 1))


def _skip_form(weights: Numbers, missing: float, generator: np.random.Generator) -> Flags:
    # Sites whose form does not ask, until they make up their share of the missing values.
    skipped = np.zeros(len(weights), dtype=bool)
    for site in generator.permutation(len(weights)):
        if weights[skipped].sum() + weights[site] <= BY_FORM * missing:
            skipped[site] = True
    return skipped
