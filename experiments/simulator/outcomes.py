"""Outcomes: latent improvement, the follow-up scores it gives, and their true probabilities."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from experiments.simulator.effects import ROUTES, combine_effects
from experiments.simulator.patients import Patients, make_patients
from experiments.simulator.published import CONDITIONS, MADRS_ESKETAMINE_ACUTE, SPREADS, TARGETS
from experiments.simulator.sites import Sites
from experiments.simulator.world import World, make_sites
from features.base.arrays import Numbers
from features.dictionary.dictionary import load_dictionary
from features.dictionary.horizon import DAYS_PER_YEAR
from features.model.prediction import compute_probability

_INSTRUMENTS = load_dictionary().instruments
# So many that a mean probability has a standard error below 0.003.
_REFERENCE_PATIENTS, _REFERENCE_SEED = 30_000, 2026
_FLAT_TARGET = 0.45
# Share of baseline by which a total can rise and fall.
_WORST, _BEST = -0.6, 1.0
_DRIFT_FROM = (np.datetime64("2024-01-01") - np.datetime64("1970-01-01")).astype(int)
PRIMARY = ("phq9", "gad7", "pcl5")

# Correlations of the follow-ups' latent noise; 0.45, 0.60 and 0.45 are published, the others P.
_FOLLOWUPS = (
    ("phq9", "acute"),
    ("gad7", "acute"),
    ("pcl5", "acute"),
    ("madrs", "acute"),
    ("madrs", "day1"),
    ("phq9", "week12"),
    ("gad7", "week12"),
)
_NOISE = np.array(
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
    """One follow-up score of every patient, with its expected improvement."""

    instrument: str
    horizon: str
    linear: Numbers  # ``[patients]``: latent improvement without its noise
    score: Numbers  # ``[patients]``: the total at follow-up

    @property
    def field(self) -> str:
        """Cohort column."""
        return f"{self.instrument}_{self.horizon}"


def _compute_improvement(
    world: World, sites: Sites, patients: Patients, instrument: str, horizon: str
) -> Numbers:
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
    """Compute the drift of the log-odds by each patient's date."""
    years: Numbers = (patients["assessed_on"] - _DRIFT_FROM) / DAYS_PER_YEAR
    return world.drift * years


def lookup_levels(world: World, patients: Patients, instrument: str, horizon: str) -> Numbers:
    """Look up the level of each patient's condition and route."""
    levels = np.array(_calibrate_levels(world, instrument, horizon))
    levels = levels + np.array(world.shifts)[:, None]
    chosen: Numbers = levels[patients["condition"].astype(int), patients["route"].astype(int)]
    return chosen


# Solved for on a reference population of the world, so that no cohort's seed enters.
@cache
def _calibrate_levels(world: World, instrument: str, horizon: str) -> tuple[tuple[float, ...], ...]:
    patients = draw_reference(world)
    moved = world.strength * combine_effects(world.effects, patients, horizon)
    edge = compute_nominal_edge(instrument)
    levels = []
    for index, (condition, _) in enumerate(CONDITIONS):
        above_edge = moved[patients["condition"] == index] - edge
        targets = _list_targets(world, condition, instrument, horizon)
        levels.append(tuple(solve_level(above_edge, target) for target in targets))
    return tuple(levels)


@lru_cache(maxsize=1)
def draw_reference(world: World) -> Patients:
    """Draw a world's reference population, the same every time."""
    generator = np.random.default_rng(_REFERENCE_SEED)
    return make_patients(make_sites(world), _REFERENCE_PATIENTS, generator)


def _list_targets(world: World, condition: str, instrument: str, horizon: str) -> tuple[float, ...]:
    targets = list(TARGETS[condition, horizon])
    if (instrument, horizon, condition) == ("madrs", "acute", "depression"):
        targets[ROUTES.index("intranasal")] = MADRS_ESKETAMINE_ACUTE
    return (_FLAT_TARGET,) * len(ROUTES) if world.flat else tuple(targets)


def solve_level(above_edge: Numbers, target: float) -> float:
    """Solve for the level at which the mean probability is the target."""

    def exceed(level: float) -> float:
        return float(compute_probability(above_edge + level).mean() - target)

    reach = 20.0
    while exceed(-reach) > 0 or exceed(reach) < 0:  # drawn worlds can have extreme patients
        reach *= 2
    return float(optimize.brentq(exceed, -reach, reach))


# The follow-up falls from the true total, and response is judged against the recorded one.
def _compute_edge(instrument: str, baseline: Numbers, recorded: Numbers) -> Numbers:
    percent = _INSTRUMENTS[instrument].response_percent
    most = np.floor((100 - percent) * recorded / 100 + 1e-9)
    fall = 1 - (most + 0.5) / np.maximum(baseline, 1)
    return (fall - 0.5) / SPREADS[instrument]


# Half of 18 is 9, and of 17 it is 8: without this shift, even totals would respond more often, in
# a null world too.
def _compute_rounding_shift(instrument: str, baseline: Numbers) -> Numbers:
    return _compute_edge(instrument, baseline, baseline) - compute_nominal_edge(instrument)


def compute_nominal_edge(instrument: str) -> float:
    """Compute the latent improvement that is a response, without rounding."""
    return (_INSTRUMENTS[instrument].response_percent / 100 - 0.5) / SPREADS[instrument]


def make_followups(
    world: World, sites: Sites, patients: Patients, generator: np.random.Generator
) -> Iterator[Followup]:
    """Draw every follow-up score of every patient."""
    count = len(patients["age"])
    normal = generator.standard_normal((count, len(_FOLLOWUPS))) @ np.linalg.cholesky(_NOISE).T
    noise = stats.logistic.ppf(np.clip(stats.norm.cdf(normal), 1e-12, 1 - 1e-12))
    for index, (instrument, horizon) in enumerate(_FOLLOWUPS):
        linear = _compute_improvement(world, sites, patients, instrument, horizon)
        baseline = patients[instrument]
        latent = linear + noise[:, index] + _compute_rounding_shift(instrument, baseline)
        fall = np.clip(0.5 + SPREADS[instrument] * latent, _WORST, _BEST)
        score = np.floor(baseline * (1 - fall) + 0.5)
        yield Followup(
            instrument,
            horizon,
            linear,
            np.clip(score, 0, _INSTRUMENTS[instrument].high),
        )


def compute_truth(followup: Followup, baseline: Numbers, recorded: Numbers) -> Numbers:
    """Compute each patient's true probability of response if everything is known."""
    edge = _compute_edge(followup.instrument, baseline, recorded)
    return compute_probability(
        followup.linear + _compute_rounding_shift(followup.instrument, baseline) - edge
    )


def pick_primary(values: Mapping[str, NDArray[Any]], condition: Numbers) -> NDArray[Any]:
    """Pick, for each patient, the value of the condition's own instrument."""
    return np.choose(condition.astype(int), [values[key] for key in PRIMARY])
