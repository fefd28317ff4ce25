"""The worlds: five named ones, and a drawn one for every number.

Drawn worlds are more varied than any prior allows for: the literature may hold or hardly hold,
every size departs from it, one published sign is wrong, and there are unpublished effects. Every
spread here is P, chosen and not from evidence.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

import numpy as np
from scipy import optimize

from experiments.simulator.effects import (
    PUBLISHED,
    ROUTES,
    Effect,
    Factor,
    Shape,
    combine_effects,
    make_main,
)
from experiments.simulator.outcomes import draw_reference, solve_level
from experiments.simulator.patients import Patients
from experiments.simulator.published import TARGETS
from experiments.simulator.world import World
from features.base.arrays import Numbers
from features.base.errors import InputError, Problem
from features.model.prediction import compute_probability
from training.candidates.evidence.published import EFFECTS as EVIDENCE

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
_DRAWN = re.compile(r"world-(\d{1,9})")

# Of the common factor on published sizes: 1 on average, and never negative.
_LITERATURE_SPREAD = 0.6
# Sizes depart from it by a quarter more than the evidence table of training allows for.
_WIDER = 1.25
_DECOY_SPREAD = 0.10
_SHIFT_SPREAD = 0.25
# Share of variance of the nonlinear and interaction terms: on such data trees have rarely beaten
# linear models, so it is the smaller part.
_UNKNOWN_SHARES = (0.10, 0.25)
_AUCS = (0.62, 0.74)
_SITE_SPREADS = (0.35, 0.70)
_DRIFT, _DRIFT_SPREAD = -0.08, 0.05
# Upper end of the search for the strength that gives an AUC; none in use comes near it.
_STRONGEST = 20.0

# The features of the evidence table that the published effects are about, in the same units.
_EVIDENCED = {
    "bmi_sd": "bmi",
    "benzodiazepine_above_8_mg": "benzodiazepine_from_8_mg",
    "log_episode_sd": "log_episode_months",
    "phq9_sd": "phq9",
    "age_decades": "age",
    "ace_sd": "ace_score",
    "expectancy_sd": "expectancy",
}
DECOYS = (
    *("female", "bipolar", "personality_disorder", "alcohol_use_disorder"),
    *("systolic_sd", "gad7_sd", "pcl5_sd"),
    *(f"route_{route}" for route in ROUTES[1:]),
)
_CROSSED = (
    *("age_decades", "bmi_sd", "phq9_sd", "gad7_sd", "ace_sd", "log_episode_sd", "expectancy_sd"),
    *("failed_antidepressants_beyond_2", "benzodiazepine_above_8_mg", "female"),
    *("anxiety_comorbid", "ptsd_comorbid", "family_alcohol_use_disorder"),
)
_STEPPED = (
    *("age_decades", "bmi_sd", "phq9_sd", "gad7_sd", "ace_sd", "log_episode_sd", "expectancy_sd"),
    "systolic_sd",
)


def find_world(name: str) -> World:
    """Find a world by name: one of ``WORLDS``, or ``world-17`` for the one drawn from seed 17.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if drawn := _DRAWN.fullmatch(name):
        return draw_world(int(drawn[1]))
    if name not in WORLDS:
        message = f"must be one of: {', '.join(WORLDS)}, or world-0, world-1, …"
        raise InputError([Problem("--world", "category", message)])
    return WORLDS[name]


@cache
def draw_world(seed: int) -> World:
    """Draw a world: its effects and their common strength, its sites and its drift.

    The strength is such that with everything known, within one site, intravenous depression
    has an AUC drawn from 0.62 to 0.74.
    """
    generator = np.random.default_rng(seed)
    blank = World(f"world-{seed}", veterans=False, seed=int(generator.integers(2**31)))
    patients = draw_plain_patients(blank)
    known = (*draw_published(generator), *_draw_decoys(generator))
    effects = (*known, *_draw_unknown(known, patients, generator))
    moved = combine_effects(effects, patients, "acute")
    return replace(
        blank,
        effects=effects,
        shifts=tuple((_SHIFT_SPREAD * generator.standard_normal(3)).tolist()),
        strength=_solve_strength(moved, generator.uniform(*_AUCS)),
        site_spread=float(generator.uniform(*_SITE_SPREADS)),
        drift=float(generator.normal(_DRIFT, _DRIFT_SPREAD)),
    )


def draw_plain_patients(world: World) -> Patients:
    """Draw patients with depression, all treated intravenously."""
    population = draw_reference(world)
    depressed = population["condition"] == 0
    patients = {name: values[depressed] for name, values in population.items()}
    return patients | {"route": np.full(depressed.sum(), float(ROUTES.index("iv")))}


def draw_published(generator: np.random.Generator) -> Iterator[Effect]:
    """Draw the size of each published effect; one of them has the wrong sign."""
    factor = max(0.0, generator.normal(1, _LITERATURE_SPREAD))
    departures = generator.standard_normal(len(PUBLISHED))
    wrong = generator.integers(len(PUBLISHED))
    for index, effect in enumerate(PUBLISHED):
        departure = _WIDER * get_evidence_spread(effect) * departures[index]
        day1 = float(factor * effect.day1 + departure)
        later = float(factor * effect.later + departure)
        if index == wrong:
            day1, later = _turn_sign(effect.day1, day1), _turn_sign(effect.later, later)
        yield replace(effect, day1=day1, later=later)


def get_evidence_spread(effect: Effect) -> float:
    """Return the evidence table's spread of a published effect, in the same unit."""
    unit = effect.factors[0].unit
    return EVIDENCE[_EVIDENCED.get(unit, unit)].spread


def _turn_sign(published: float, drawn: float) -> float:
    # The sign that was not published, and at least the published size.
    return float(-np.sign(published) * max(abs(published), abs(drawn)))


def _draw_decoys(generator: np.random.Generator) -> Iterator[Effect]:
    for unit in DECOYS:
        size = float(_DECOY_SPREAD * generator.standard_normal())
        yield make_main(unit, size, size)


def _draw_unknown(
    known: tuple[Effect, ...], patients: Patients, generator: np.random.Generator
) -> tuple[Effect, ...]:
    terms = [
        *_draw_interactions(patients, generator),
        *_draw_steps(patients, generator),
        (Factor("age_decades", Shape.CURVE, float(generator.uniform(-1, 1.5))),),
        (Factor("bmi_sd", Shape.CURVE, float(generator.uniform(-1, 1))),),
    ]
    signs = generator.choice([-1, 1], size=len(terms)) * generator.uniform(0.5, 1, len(terms))
    raw = [Effect(factors, 1.0, 1.0) for factors in terms]
    sizes = [sign / effect.measure(patients).std() for sign, effect in zip(signs, raw, strict=True)]
    unscaled = tuple(
        Effect(factors, size, size) for factors, size in zip(terms, sizes, strict=True)
    )
    scale = _solve_share(
        combine_effects(known, patients, "acute"),
        combine_effects(unscaled, patients, "acute"),
        generator.uniform(*_UNKNOWN_SHARES),
    )
    return tuple(
        Effect(effect.factors, scale * effect.day1, scale * effect.later) for effect in unscaled
    )


def _draw_interactions(
    patients: Patients, generator: np.random.Generator
) -> Iterator[tuple[Factor, ...]]:
    # Two or three pairs, centred so that they add no main effects.
    for _ in range(generator.integers(2, 4)):
        pair = generator.choice(_CROSSED, size=2, replace=False).tolist()
        centres = [float(Factor(unit).measure(patients).mean()) for unit in pair]
        yield tuple(Factor(unit, Shape.LINE, at) for unit, at in zip(pair, centres, strict=True))


def _draw_steps(patients: Patients, generator: np.random.Generator) -> Iterator[tuple[Factor, ...]]:
    # One or two thresholds, on different features.
    count = generator.integers(1, 3)
    for unit in generator.choice(_STEPPED, size=count, replace=False).tolist():
        values = Factor(unit).measure(patients)
        yield (Factor(unit, Shape.STEP, float(np.quantile(values, generator.uniform(0.3, 0.8)))),)


def _solve_share(known: Numbers, unknown: Numbers, share: float) -> float:
    # The factor on the unknown part that gives it this share of the variance of the sum: a root of
    # a quadratic, since the two parts are correlated.
    (known_variance, together), (_, unknown_variance) = np.cov(known, unknown)
    roots = np.roots(
        [unknown_variance * (1 - share), -2 * share * together, -share * known_variance]
    )
    return float(roots.max())  # the product of the two is negative: one is positive


def _solve_strength(moved: Numbers, auc: float) -> float:
    return float(
        optimize.brentq(lambda strength: compute_oracle_auc(strength * moved) - auc, 0, _STRONGEST)
    )


def compute_oracle_auc(moved: Numbers) -> float:
    """Compute the expected AUC of the true probabilities themselves."""
    target = TARGETS["depression", "acute"][ROUTES.index("iv")]
    probability = np.sort(compute_probability(moved + solve_level(moved, target)))
    misses = 1 - probability
    lower = np.cumsum(misses) - misses / 2  # ties count half
    return float(probability @ lower / (probability.sum() * misses.sum()))
