"""The worlds: five named ones, and a drawn one for every number."""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from experiments.simulator.drawn import draw_world
from experiments.simulator.world import World
from features.base.errors import InputError, Problem

_DEFAULT = World("default")
WORLDS: Mapping[str, World] = MappingProxyType(
    {
        world.name: world
        for world in (
            _DEFAULT,
            replace(_DEFAULT, name="weak", strength=1.0),
            replace(_DEFAULT, name="strong", strength=1.6),
            replace(_DEFAULT, name="stress", outcome_missing=0.70, responder_odds=2.2),
            World("null", strength=0.0, site_spread=0.0, slope_spread=0.0, drift=0.0, flat=True),
        )
    }
)
DRAWN = re.compile(r"world-(\d{1,9})")


def find_world(name: str) -> World:
    """Find a world by name: one of ``WORLDS``, or ``world-17`` for the one drawn from seed 17.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if drawn := DRAWN.fullmatch(name):
        return draw_world(int(drawn[1]))
    if name not in WORLDS:
        message = f"must be one of: {', '.join(WORLDS)}, or world-0, world-1, …"
        raise InputError([Problem("--world", "category", message)])
    return WORLDS[name]
