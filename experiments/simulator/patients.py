"""Patients before the first dose: a Gaussian copula with the published marginals."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from experiments.simulator.effects import ROUTES
from experiments.simulator.sites import Sites
from experiments.simulator.world import (
    CONDITIONS,
    INTAKE_LOWS,
    LATENTS,
    SHARES,
    TOTALS,
    correlate,
)
from features.base.arrays import Numbers
from features.dictionary.dictionary import load_dictionary

# Complete values of every patient by name: field names, and `condition`, `route` and `site` as
# positions.
Patients = dict[str, Numbers]
Measure = Callable[[Numbers], Numbers]

OTHER_ROUTE = 0.15
FIRST_DAY, LAST_DAY = np.datetime64("2021-01-01"), np.datetime64("2026-06-30")


def make_patients(sites: Sites, count: int, generator: np.random.Generator) -> Patients:
    """Draw patients with everything known of them."""
    normal = generator.standard_normal((count, len(LATENTS))) @ np.linalg.cholesky(correlate()).T
    condition = generator.choice(len(CONDITIONS), size=count, p=[share for _, share in CONDITIONS])
    site = generator.choice(len(sites.names), size=count, p=sites.weights)
    days = (LAST_DAY - FIRST_DAY).astype(int)
    return {
        "condition": condition.astype(float),
        "site": site.astype(float),
        "assessed_on": generator.integers(0, days, size=count) + FIRST_DAY.astype(float),
        **{
            name: measure_field(name, latent, condition)
            for name, latent in zip(LATENTS, normal.T, strict=True)
        },
        **make_regimen(sites, site, generator),
    }


def measure_field(name: str, latent: Numbers, condition: NDArray[np.int64]) -> Numbers:
    """Turn the latent variable of a field into its value, never falling as the latent rises.

    Parameters
    ----------
    latent, condition
        ``[patients]``: standard normal, and position of the condition.
    """
    if name in TOTALS:
        return measure_total(name, latent, condition)
    if name in SHARES:
        flag: Numbers = (latent > special.ndtri(1 - SHARES[name])).astype(float)
        return flag
    return MEASURES[name](latent)


def measure_total(key: str, latent: Numbers, condition: NDArray[np.int64]) -> Numbers:
    """Turn a latent severity into a total, each condition with its own mean and spread."""
    mean, spread = np.array(TOTALS[key])[condition].T
    lows = [INTAKE_LOWS.get((key, place), 0) for place in range(len(CONDITIONS))]
    high = load_dictionary().instruments[key].high
    return np.round(draw_between(latent, mean, spread, np.array(lows)[condition], high))


def measure_between(mean: float, spread: float, low: float, high: float) -> Measure:
    """Make a measurement in whole numbers, normal within its range."""
    return lambda latent: np.round(draw_between(latent, mean, spread, low, high))


def measure_bmi(latent: Numbers) -> Numbers:
    """Weigh patients; kg/m² to one decimal."""
    return np.clip(np.round(np.exp(3.32 + 0.22 * latent), 1), 15, 70)


def measure_episode(latent: Numbers) -> Numbers:
    """Time the episode, in whole months."""
    return np.clip(np.round(np.exp(3.0 + 1.3 * latent)), 1, 600)


def measure_benzodiazepine(latent: Numbers) -> Numbers:
    """Dose benzodiazepines: none for 60 %, else mg of diazepam a day by halves."""
    share = special.ndtr(latent)
    within = np.clip((share - 0.6) / 0.4, 1e-9, 1 - 1e-9)
    dose = np.exp(np.log(8) + 0.8 * special.ndtri(within))
    return np.where(share > 0.6, np.clip(np.round(2 * dose) / 2, 0.5, 120), 0.0)


def measure_count(shape: float, mean: float, first: int, high: int) -> Measure:
    """Make a count from `first` to `high`, negative binomial above the first."""
    numbers = np.arange(high - first)
    limits = stats.nbinom.cdf(numbers, shape, shape / (shape + mean))
    return lambda latent: first + np.searchsorted(limits, special.ndtr(latent)).astype(float)


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "age": measure_between(45, 14.5, 18, 85),
        "bmi": measure_bmi,
        "systolic": measure_between(126, 14, 95, 200),
        "diastolic": measure_between(79, 9, 50, 94),
        "failed_antidepressants": measure_count(2.2, 2.9, first=1, high=20),
        "episode_months": measure_episode,
        "benzodiazepine_mg": measure_benzodiazepine,
        "ace_score": measure_count(1.5, 2.5, first=0, high=10),
        "expectancy": measure_between(7, 2, 0, 10),
    }
)


def make_regimen(sites: Sites, site: NDArray[np.int64], generator: np.random.Generator) -> Patients:
    """Draw each patient's route: mostly the site's own."""
    main = sites.routes[site]
    other = generator.choice(len(ROUTES), size=len(site), p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
    return {"route": np.where(generator.random(len(site)) < OTHER_ROUTE, other, main).astype(float)}


def draw_between(
    latent: Numbers,
    mean: Numbers | float,
    spread: Numbers | float,
    low: Numbers | float,
    high: float,
) -> Numbers:
    """Map a latent normal variable to a normal one truncated to a range."""
    start, stop = special.ndtr((low - mean) / spread), special.ndtr((high - mean) / spread)
    share = start + special.ndtr(latent) * (stop - start)
    drawn: Numbers = mean + spread * special.ndtri(np.clip(share, 1e-12, 1 - 1e-12))
    return np.clip(drawn, low, high)
