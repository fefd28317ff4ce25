"""Effects on the log-odds of response, as terms of a world.

The published ones are shrunk for non-replication; a drawn world has its own sizes and more terms.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import numpy as np

from experiments.simulator.published import EFFECT_SIZES
from features.base.arrays import Numbers

Scale = Callable[[Numbers], Numbers]

ROUTES = ("iv", "intranasal", "im", "sublingual", "sc", "oral")


def _scale(centre: float, step: float) -> Scale:
    return lambda values: (values - centre) / step


def _scale_log(centre: float, step: float) -> Scale:
    return lambda values: (np.log(values) - centre) / step


def _mark_above(limit: float) -> Scale:
    return lambda values: (values > limit).astype(float)


def _mark_from(limit: float) -> Scale:
    return lambda values: (values >= limit).astype(float)


def _mark_route(route: str) -> Scale:
    return lambda values: (values == ROUTES.index(route)).astype(float)


def _count_beyond_2(values: Numbers) -> Numbers:
    # Antidepressants that failed after the second, up to the eighth.
    counted: Numbers = np.clip(values - 2, 0, 6)
    return counted


def _identity(values: Numbers) -> Numbers:
    return values


# What effects are counted in: a patient's field, and how it becomes a unit.
UNITS: Mapping[str, tuple[str, Scale]] = MappingProxyType(
    {
        "bmi_sd": ("bmi", _scale_log(3.32, 0.22)),
        "family_alcohol_use_disorder": ("family_alcohol_use_disorder", _identity),
        "heavy_drinking": ("heavy_drinking", _identity),
        "benzodiazepine_above_8_mg": ("benzodiazepine_mg", _mark_above(8)),
        "failed_antidepressants_beyond_2": ("failed_antidepressants", _count_beyond_2),
        "failed_ect": ("failed_ect", _identity),
        "log_episode_sd": ("episode_months", _scale_log(3.0, 1.3)),
        "phq9_sd": ("phq9", _scale(17, 5)),
        "age_decades": ("age", _scale(45, 10)),
        "age_from_65": ("age", _mark_from(65)),
        "anxiety_comorbid": ("anxiety_comorbid", _identity),
        "ace_sd": ("ace_score", _scale(2.4, 2.3)),
        "ptsd_comorbid": ("ptsd_comorbid", _identity),
        "suicide_attempt": ("suicide_attempt", _identity),
        "chronic_pain": ("chronic_pain", _identity),
        "expectancy_sd": ("expectancy", _scale(7, 2)),
        # Decoys: no published effect.
        "female": ("female", _identity),
        "bipolar": ("bipolar", _identity),
        "personality_disorder": ("personality_disorder", _identity),
        "alcohol_use_disorder": ("alcohol_use_disorder", _identity),
        "systolic_sd": ("systolic", _scale(126, 14)),
        "gad7_sd": ("gad7", _scale(13, 5.5)),
        "pcl5_sd": ("pcl5", _scale(27, 17)),
        **{f"route_{route}": ("route", _mark_route(route)) for route in ROUTES[1:]},
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
