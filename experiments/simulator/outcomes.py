"""Outcomes: latent improvement, the scores that follow from it, and the truth behind them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from experiments.simulator.effects import ROUTES, combine_effects
from experiments.simulator.patients import Patients, make_patients
from experiments.simulator.sites import Sites, make_sites
from experiments.simulator.world import (
    CONDITIONS,
    MADRS_ESKETAMINE_ACUTE,
    SPREADS,
    TARGETS,
    World,
)
from features.base.arrays import Numbers
from features.dictionary.dictionary import load_dictionary
from features.model.prediction import compute_probability

REFERENCE_PATIENTS, REFERENCE_SEED = 30_000, 2026
FLAT_TARGET = 0.45
WORST, BEST = -0.6, 1.0
DAYS_A_YEAR = 365.25
DRIFT_FROM = (np.datetime64("2024-01-01") - np.datetime64("1970-01-01")).astype(int)
PRIMARY = ("phq9", "gad7", "pcl5")

# Latent noise of each follow-up; correlations .45, .6 and .45 are published, the others P.
FOLLOWUPS = (
    ("phq9", "acute"),
    ("gad7", "acute"),
    ("pcl5", "acute"),
    ("madrs", "acute"),
    ("madrs", "day1"),
    ("phq9", "week12"),
    ("gad7", "week12"),
)
NOISE = np.array(
    [
        [1.00, 0.60, 0.45, 0.85, 0.45, 0.60, 0.40],
        [0.60, 1.00, 0.45, 0.55, 0.35, 0.40, 0.60],
        [0.45, 0.45, 1.00, 0.45, 0.30, 0.35, 0.35],
        [0.85, 0.55, 0.45, 1.00, 0.50, 0.55, 0.40],
        [0.45, 0.35, 0.30, 0.50, 1.00, 0.35, 0.30],
        [0.60, 0.40, 0.35, 0.55, 0.35, 1.00, 0.60],
        [0.40, 0.60, 0.35, 0.40, 0.30, 0.60, 1.00],
    ]
)


@dataclass(frozen=True)
class Followup:
    """One follow-up score of every patient, and the truth about it.

    Parameters
    ----------
    linear
        ``[patients]``: latent improvement without its noise.
    score
        ``[patients]``: the total that follows.
    """

    instrument: str
    horizon: str
    linear: Numbers
    score: Numbers

    @property
    def field(self) -> str:
        """Cohort column."""
        return f"{self.instrument}_{self.horizon}"


def compute_linear(
    world: World, sites: Sites, patients: Patients, instrument: str, horizon: str
) -> Numbers:
    """Compute latent improvement without its noise."""
    site = patients["site"].astype(int)
    strength = world.strength * sites.slopes[site]
    linear: Numbers = (
        lookup_levels(world, patients, instrument, horizon)
        + sites.effects[site]
        + compute_drift(world, patients)
        + strength * combine_effects(world.effects, patients, horizon)
    )
    return linear


def compute_drift(world: World, patients: Patients) -> Numbers:
    """Compute how far the log-odds have drifted by each patient's date."""
    years: Numbers = (patients["assessed_on"] - DRIFT_FROM) / DAYS_A_YEAR
    return world.drift * years


def lookup_levels(world: World, patients: Patients, instrument: str, horizon: str) -> Numbers:
    """Look up the level of each patient's condition and route."""
    levels = np.array(calibrate_levels(world, instrument, horizon))
    levels = levels + np.array(world.shifts)[:, None]
    found: Numbers = levels[patients["condition"].astype(int), patients["route"].astype(int)]
    return found


@cache
def calibrate_levels(world: World, instrument: str, horizon: str) -> tuple[tuple[float, ...], ...]:
    """Find the level of each condition and route that gives its published share of responders.

    Done on a reference population of the world, so that no cohort's seed enters.
    """
    everyone = draw_reference(world)
    moved = world.strength * combine_effects(world.effects, everyone, horizon)
    edge = find_nominal_edge(instrument)
    found = []
    for place, (condition, _) in enumerate(CONDITIONS):
        above_edge = moved[everyone["condition"] == place] - edge
        targets = list_targets(world, condition, instrument, horizon)
        found.append(tuple(solve_level(above_edge, target) for target in targets))
    return tuple(found)


@lru_cache(maxsize=1)
def draw_reference(world: World) -> Patients:
    """Draw a world's reference population, the same every time."""
    generator = np.random.default_rng(REFERENCE_SEED)
    return make_patients(make_sites(world), REFERENCE_PATIENTS, generator)


def list_targets(world: World, condition: str, instrument: str, horizon: str) -> tuple[float, ...]:
    """List the share of responders by route."""
    targets = list(TARGETS[condition, horizon])
    if (instrument, horizon, condition) == ("madrs", "acute", "depression"):
        targets[ROUTES.index("intranasal")] = MADRS_ESKETAMINE_ACUTE
    return (FLAT_TARGET,) * len(ROUTES) if world.flat else tuple(targets)


def solve_level(above_edge: Numbers, target: float) -> float:
    """Solve for the level at which the mean probability is the target."""

    def miss(level: float) -> float:
        return float(compute_probability(above_edge + level).mean() - target)

    reach = 20.0
    while miss(-reach) > 0 or miss(reach) < 0:  # some drawn worlds have very sure patients
        reach *= 2
    return float(optimize.brentq(miss, -reach, reach))


def find_edge(instrument: str, baseline: Numbers, recorded: Numbers) -> Numbers:
    """Find the latent improvement from which a score counts as response.

    Parameters
    ----------
    baseline, recorded
        The true total, from which the follow-up falls, and the one on record, against which
        response is judged.
    """
    percent = load_dictionary().instruments[instrument].response_percent
    most = np.floor((100 - percent) * recorded / 100 + 1e-9)
    fall = 1 - (most + 0.5) / np.maximum(baseline, 1)
    return (fall - 0.5) / SPREADS[instrument]


def level_rounding(instrument: str, baseline: Numbers) -> Numbers:
    """Find by how much rounding makes a total easier to bring down than its neighbours.

    Half of 18 is 9 and half of 17 is 8: without levelling, even totals would respond more often,
    in a null world too.
    """
    return find_edge(instrument, baseline, baseline) - find_nominal_edge(instrument)


def find_nominal_edge(instrument: str) -> float:
    """Find the latent improvement that is a response, rounding apart."""
    return (load_dictionary().instruments[instrument].response_percent / 100 - 0.5) / SPREADS[
        instrument
    ]


def make_followups(
    world: World, sites: Sites, patients: Patients, generator: np.random.Generator
) -> Iterator[Followup]:
    """Draw every follow-up score of every patient."""
    count = len(patients["age"])
    normal = generator.standard_normal((count, len(FOLLOWUPS))) @ np.linalg.cholesky(NOISE).T
    noise = stats.logistic.ppf(np.clip(stats.norm.cdf(normal), 1e-12, 1 - 1e-12))
    for place, (instrument, horizon) in enumerate(FOLLOWUPS):
        linear = compute_linear(world, sites, patients, instrument, horizon)
        baseline = patients[instrument]
        latent = linear + noise[:, place] + level_rounding(instrument, baseline)
        fall = np.clip(0.5 + SPREADS[instrument] * latent, WORST, BEST)
        score = np.floor(baseline * (1 - fall) + 0.5)
        yield Followup(
            instrument,
            horizon,
            linear,
            np.clip(score, 0, load_dictionary().instruments[instrument].high),
        )


def compute_truth(followup: Followup, baseline: Numbers, recorded: Numbers) -> Numbers:
    """Compute each patient's true probability of response, everything known."""
    edge = find_edge(followup.instrument, baseline, recorded)
    return compute_probability(
        followup.linear + level_rounding(followup.instrument, baseline) - edge
    )


def pick_primary(values: Mapping[str, NDArray[Any]], condition: Numbers) -> NDArray[Any]:
    """Pick, for each patient, the value of the condition's own instrument."""
    return np.choose(condition.astype(int), [values[key] for key in PRIMARY])
