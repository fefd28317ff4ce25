"""Our candidate, told what nobody can know of a clinic: what its not knowing costs.

No study can set these; only about drawn worlds is there somebody to tell them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np

from experiments.benchmarks.bound_prior import measure_worlds
from experiments.simulator.drawn import EVIDENCED
from experiments.simulator.effects import PUBLISHED
from experiments.simulator.world import World
from training.candidates import literature, update
from training.evidence import EFFECTS, SITE_SPREAD, Effect


@contextmanager
def tell_constants() -> Iterator[None]:
    """Tell it how drawn worlds are spread about the published figures."""
    discount, routes, levels = measure_worlds()
    with (
        patch.multiple(
            update,
            DISCOUNT=float(discount.mean()),
            DISCOUNT_SPREAD=float(discount.std()),
            BASE_RATE_SPREAD=float(np.hypot(levels.std(), SITE_SPREAD)),
        ),
        patch.object(literature, "ROUTE_SPREAD", float(routes.std())),
    ):
        yield


@contextmanager
def tell_signs(world: World) -> Iterator[None]:
    """Tell it which published signs do not hold in a world."""
    turned = {name: turn(EFFECTS[name]) for name in list_turned(world)}
    with patch.object(literature, "EFFECTS", {**EFFECTS, **turned}):
        yield


def list_turned(world: World) -> Iterator[str]:
    """List the features whose effect in a drawn world has not the published sign."""
    for published, drawn in zip(PUBLISHED, world.effects, strict=False):
        if published.later * drawn.later < 0:
            unit = published.factors[0].unit
            yield EVIDENCED.get(unit, unit)


def turn(effect: Effect) -> Effect:
    """Give an effect the other sign."""
    return replace(effect, first_day=-effect.first_day, later=-effect.later)
