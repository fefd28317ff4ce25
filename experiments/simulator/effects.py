"""Effects on the log-odds of response, as terms of a world.

The published ones are shrunk for non-replication; a drawn world has its own sizes and more terms.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from types import MappingProxyType

import numpy as np

from experiments.simulator.published import EFFECT_SIZES
from features.base.arrays import Numbers

Scale = Callable[[Numbers], Numbers]

ROUTES = ("iv", "intranasal", "im", "sublingual", "sc", "oral")


def _is_route(route: str, routes: Numbers) -> Numbers:
    return np.where(routes == ROUTES.index(route), 1.0, 0.0)


# Whose value is 0 or 1; from `female` on without a published effect.
_FLAGS = (
    *("family_alcohol_use_disorder", "heavy_drinking", "failed_ect", "anxiety_comorbid"),
    *("ptsd_comorbid", "suicide_attempt", "chronic_pain"),
    *("female", "bipolar", "personality_disorder", "alcohol_use_disorder"),
)
# What effects are counted in: a patient's field, and how it becomes a unit.
UNITS: Mapping[str, tuple[str, Scale]] = MappingProxyType(
    {
        "bmi_sd": ("bmi", lambda bmi: (np.log(bmi) - 3.32) / 0.22),
        "benzodiazepine_above_8_mg": ("benzodiazepine_mg", lambda dose: (dose > 8).astype(float)),
        "failed_antidepressants_beyond_2": (
            "failed_antidepressants",
            lambda failed: np.clip(failed - 2, 0, 6),
        ),
        "log_episode_sd": ("episode_months", lambda months: (np.log(months) - 3.0) / 1.3),
        "phq9_sd": ("phq9", lambda total: (total - 17) / 5),
        "age_decades": ("age", lambda age: (age - 45) / 10),
        "age_from_65": ("age", lambda age: (age >= 65).astype(float)),
        "ace_sd": ("ace_score", lambda score: (score - 2.4) / 2.3),
        "expectancy_sd": ("expectancy", lambda score: (score - 7) / 2),
        # Without a published effect.
        "systolic_sd": ("systolic", lambda pressure: (pressure - 126) / 14),
        "gad7_sd": ("gad7", lambda total: (total - 13) / 5.5),
        "pcl5_sd": ("pcl5", lambda total: (total - 27) / 17),
        **{f"route_{route}": ("route", partial(_is_route, route)) for route in ROUTES[1:]},
        **{flag: (flag, np.asarray) for flag in _FLAGS},
    }
)


class Shape(Enum):
    """How a factor depends on its unit: linear, step or quadratic."""

    LINE = "line"
    STEP = "step"
    CURVE = "curve"


@dataclass(frozen=True)
class Factor:
    """One unit, shaped."""

    unit: str  # One of ``UNITS``
    shape: Shape = Shape.LINE
    # In the unit: where a line crosses 0, where a step lies, where a parabola has its vertex
    at: float = 0.0

    @property
    def field(self) -> str:
        """The patient's field."""
        return UNITS[self.unit][0]

    def measure(self, patients: Mapping[str, Numbers]) -> Numbers:
        """Express patients in this factor; ``float64[patients]``."""
        values = UNITS[self.unit][1](patients[self.field])
        if self.shape is Shape.STEP:
            return (values >= self.at).astype(float)
        moved = values - self.at
        return moved**2 if self.shape is Shape.CURVE else moved


@dataclass(frozen=True)
class Effect:
    """One term: a size times the product of its factors."""

    factors: tuple[Factor, ...]
    # day1, later: log-odds per unit, on the first day and at every later horizon
    day1: float
    later: float

    def measure(self, patients: Mapping[str, Numbers]) -> Numbers:
        """Express patients in the units of this effect; ``float64[patients]``."""
        first, *others = (factor.measure(patients) for factor in self.factors)
        for other in others:
            first = first * other
        return first

    def choose_size(self, horizon: str) -> float:
        """Choose the size that holds at a horizon."""
        return self.day1 if horizon == "day1" else self.later


def make_main(unit: str, day1: float, later: float) -> Effect:
    """Make a linear effect of one unit."""
    return Effect((Factor(unit),), day1, later)


PUBLISHED = tuple(make_main(unit, day1, later) for unit, (day1, later) in EFFECT_SIZES.items())


def combine_effects(
    effects: tuple[Effect, ...], patients: Mapping[str, Numbers], horizon: str
) -> Numbers:
    """Add up the effects on each patient's log-odds; ``float64[patients]``."""
    terms = [effect.choose_size(horizon) * effect.measure(patients) for effect in effects]
    moved: Numbers = np.sum(terms, axis=0)
    return moved
