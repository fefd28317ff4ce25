"""Worlds drawn from a seed: what holds in them is wider than what anybody wrote down beforehand.

The literature may hold or hardly hold, every size departs from it, one published sign is wrong,
and there are effects that nobody published. Every spread here is P.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

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
from experiments.simulator.world import TARGETS, World
from features.base.arrays import Numbers
from features.model.prediction import compute_probability
from training.candidates.evidence.published import EFFECTS as EVIDENCE

# What the literature is worth, on the whole: as published on average, and never less than nothing.
LITERATURE_SPREAD = 0.6
# Sizes depart from it by a quarter more than the evidence table of training allows for.
WIDER = 1.25
DECOY_SPREAD = 0.10
SHIFT_SPREAD = 0.25
# On such data trees have rarely beaten lines, so what is not a line is the smaller part.
UNKNOWN_SHARES = (0.10, 0.25)
AUCS = (0.62, 0.74)
SITE_SPREADS = (0.35, 0.70)
DRIFT, DRIFT_SPREAD = -0.08, 0.05
STRONGEST = 20.0

# The features of the evidence table that the published effects are about, in the same units.
EVIDENCED = {
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
CROSSED = (
    *("age_decades", "bmi_sd", "phq9_sd", "gad7_sd", "ace_sd", "log_episode_sd", "expectancy_sd"),
    *("failed_antidepressants_beyond_2", "benzodiazepine_above_8_mg", "female"),
    *("anxiety_comorbid", "ptsd_comorbid", "family_alcohol_use_disorder"),
)
STEPPED = (
    *("age_decades", "bmi_sd", "phq9_sd", "gad7_sd", "ace_sd", "log_episode_sd", "expectancy_sd"),
    "systolic_sd",
)


@cache
def draw_world(seed: int) -> World:
    """Draw a world: its effects, how strong they are together, its sites and its drift.

    The strength is such that with everything known, within one site, intravenous depression
    has an AUC drawn from .62 to .74.
    """
    generator = np.random.default_rng(seed)
    blank = World(f"world-{seed}", veterans=False, seed=int(generator.integers(2**31)))
    patients = draw_plain_patients(blank)
    known = (*draw_published(generator), *draw_decoys(generator))
    effects = (*known, *draw_unknown(known, patients, generator))
    moved = combine_effects(effects, patients, "acute")
    return replace(
        blank,
        effects=effects,
        shifts=tuple((SHIFT_SPREAD * generator.standard_normal(3)).tolist()),
        strength=solve_strength(moved, generator.uniform(*AUCS)),
        site_spread=float(generator.uniform(*SITE_SPREADS)),
        drift=float(generator.normal(DRIFT, DRIFT_SPREAD)),
    )


def draw_plain_patients(world: World) -> Patients:
    """Draw patients with depression, all treated intravenously."""
    everyone = draw_reference(world)
    depressed = everyone["condition"] == 0
    patients = {name: values[depressed] for name, values in everyone.items()}
    return patients | {"route": np.full(depressed.sum(), float(ROUTES.index("iv")))}


def draw_published(generator: np.random.Generator) -> Iterator[Effect]:
    """Draw the size of each published effect; one of them has the wrong sign."""
    factor = max(0.0, generator.normal(1, LITERATURE_SPREAD))
    departures = generator.standard_normal(len(PUBLISHED))
    wrong = generator.integers(len(PUBLISHED))
    for place, effect in enumerate(PUBLISHED):
        departure = WIDER * find_spread(effect) * departures[place]
        day1 = float(factor * effect.day1 + departure)
        later = float(factor * effect.later + departure)
        if place == wrong:
            day1, later = turn(effect.day1, day1), turn(effect.later, later)
        yield replace(effect, day1=day1, later=later)


def find_spread(effect: Effect) -> float:
    """Find how far the evidence table takes a published effect to vary, in the same unit."""
    unit = effect.factors[0].unit
    return EVIDENCE[EVIDENCED.get(unit, unit)].spread


def turn(published: float, drawn: float) -> float:
    """Give a size the sign that was not published, and at least the size that was."""
    return float(-np.sign(published) * max(abs(published), abs(drawn)))


def draw_decoys(generator: np.random.Generator) -> Iterator[Effect]:
    """Draw small effects of what is said to have none."""
    for unit in DECOYS:
        size = float(DECOY_SPREAD * generator.standard_normal())
        yield make_main(unit, size, size)


def draw_unknown(
    known: tuple[Effect, ...], patients: Patients, generator: np.random.Generator
) -> tuple[Effect, ...]:
    """Draw effects that nobody published, and give them their share of the variance."""
    terms = [
        *draw_interactions(patients, generator),
        *draw_steps(patients, generator),
        (Factor("age_decades", Shape.CURVE, float(generator.uniform(-1, 1.5))),),
        (Factor("bmi_sd", Shape.CURVE, float(generator.uniform(-1, 1))),),
    ]
    signs = generator.choice([-1, 1], size=len(terms)) * generator.uniform(0.5, 1, len(terms))
    raw = [Effect(factors, 1.0, 1.0) for factors in terms]
    sizes = [sign / effect.measure(patients).std() for sign, effect in zip(signs, raw, strict=True)]
    unscaled = tuple(
        Effect(factors, size, size) for factors, size in zip(terms, sizes, strict=True)
    )
    scale = solve_share(
        combine_effects(known, patients, "acute"),
        combine_effects(unscaled, patients, "acute"),
        generator.uniform(*UNKNOWN_SHARES),
    )
    return tuple(Effect(one.factors, scale * one.day1, scale * one.later) for one in unscaled)


def draw_interactions(
    patients: Patients, generator: np.random.Generator
) -> Iterator[tuple[Factor, ...]]:
    """Draw two or three pairs of features, centred so that the features alone have no part."""
    for _ in range(generator.integers(2, 4)):
        pair = generator.choice(CROSSED, size=2, replace=False).tolist()
        centres = [float(Factor(unit).measure(patients).mean()) for unit in pair]
        yield tuple(Factor(unit, Shape.LINE, at) for unit, at in zip(pair, centres, strict=True))


def draw_steps(patients: Patients, generator: np.random.Generator) -> Iterator[tuple[Factor, ...]]:
    """Draw one or two thresholds, on different features."""
    count = generator.integers(1, 3)
    for unit in generator.choice(STEPPED, size=count, replace=False).tolist():
        values = Factor(unit).measure(patients)
        yield (Factor(unit, Shape.STEP, float(np.quantile(values, generator.uniform(0.3, 0.8)))),)


def solve_share(known: Numbers, unknown: Numbers, share: float) -> float:
    """Solve for the factor that gives the unknown part its share of the variance of the sum."""
    (known_variance, together), (_, unknown_variance) = np.cov(known, unknown)
    roots = np.roots(
        [unknown_variance * (1 - share), -2 * share * together, -share * known_variance]
    )
    return float(roots.max())  # the product of the two is negative: one is positive


def solve_strength(moved: Numbers, auc: float) -> float:
    """Solve for the strength at which an oracle ranks patients with that AUC."""
    return float(
        optimize.brentq(lambda strength: rank_oracle(strength * moved) - auc, 0, STRONGEST)
    )


def rank_oracle(moved: Numbers) -> float:
    """Compute the AUC to expect of the true probabilities themselves."""
    target = TARGETS["depression", "acute"][ROUTES.index("iv")]
    probability = np.sort(compute_probability(moved + solve_level(moved, target)))
    misses = 1 - probability
    lower = np.cumsum(misses) - misses / 2  # a patient against another just like him: half
    return float(probability @ lower / (probability.sum() * misses.sum()))
