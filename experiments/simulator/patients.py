"""Patients before the first dose: a Gaussian copula with the published marginals."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from experiments.simulator.effects import ROUTES
from experiments.simulator.published import (
    CONDITIONS,
    INTAKE_LOWS,
    LATENTS,
    SHARES,
    TOTALS,
    make_correlations,
)
from experiments.simulator.sites import Sites
from features.base.arrays import Numbers
from features.dictionary.dictionary import load_dictionary

# Complete values of every patient, by field name; `condition`, `route` and `site` as indices.
Patients = dict[str, Numbers]
Measure = Callable[[Numbers], Numbers]

_OTHER_ROUTE = 0.15
_FIRST_DAY, _LAST_DAY = np.datetime64("2021-01-01"), np.datetime64("2026-06-30")


def make_patients(sites: Sites, count: int, generator: np.random.Generator) -> Patients:
    """Draw patients with complete values."""
    normal = (
        generator.standard_normal((count, len(LATENTS))) @ np.linalg.cholesky(make_correlations()).T
    )
    condition = generator.choice(len(CONDITIONS), size=count, p=[share for _, share in CONDITIONS])
    site = generator.choice(len(sites.names), size=count, p=sites.weights)
    days = (_LAST_DAY - _FIRST_DAY).astype(int)
    return {
        "condition": condition.astype(float),
        "site": site.astype(float),
        "assessed_on": generator.integers(0, days, size=count) + _FIRST_DAY.astype(float),
        **{
            name: measure_field(name, latent, condition)
            for name, latent in zip(LATENTS, normal.T, strict=True)
        },
        **_make_regimen(sites, site, generator),
    }


def measure_field(name: str, latent: Numbers, condition: NDArray[np.int64]) -> Numbers:
    """Turn the latent variable of a field into its value, a nondecreasing function of it.

    Parameters
    ----------
    latent, condition
        ``[patients]``: standard normal, and index of the condition.
    """
    if name in TOTALS:
        return _measure_total(name, latent, condition)
    if name in SHARES:
        flag: Numbers = (latent > special.ndtri(1 - SHARES[name])).astype(float)
        return flag
    return _MEASURES[name](latent)


def _measure_total(key: str, latent: Numbers, condition: NDArray[np.int64]) -> Numbers:
    mean, spread = np.array(TOTALS[key])[condition].T
    lows = [INTAKE_LOWS.get((key, index), 0) for index in range(len(CONDITIONS))]
    high = load_dictionary().instruments[key].high
    return np.round(_truncate(latent, mean, spread, np.array(lows)[condition], high))


def _measure_benzodiazepine(latent: Numbers) -> Numbers:
    # 60% take none, the others mg of diazepam per day by halves.
    share = special.ndtr(latent)
    within = np.clip((share - 0.6) / 0.4, 1e-9, 1 - 1e-9)
    dose = np.exp(np.log(8) + 0.8 * special.ndtri(within))
    return np.where(share > 0.6, np.clip(np.round(2 * dose) / 2, 0.5, 120), 0.0)


def _measure_count(shape: float, mean: float, first: int, high: int) -> Measure:
    # Negative binomial above the first.
    numbers = np.arange(high - first)
    limits = stats.nbinom.cdf(numbers, shape, shape / (shape + mean))
    return lambda latent: first + np.searchsorted(limits, special.ndtr(latent)).astype(float)


_MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "age": lambda latent: np.round(_truncate(latent, 45, 14.5, 18, 85)),
        "bmi": lambda latent: np.clip(np.round(np.exp(3.32 + 0.22 * latent), 1), 15, 70),
        "systolic": lambda latent: np.round(_truncate(latent, 126, 14, 95, 200)),
        "diastolic": lambda latent: np.round(_truncate(latent, 79, 9, 50, 94)),
        "failed_antidepressants": _measure_count(2.2, 2.9, first=1, high=20),
        "episode_months": lambda latent: np.clip(np.round(np.exp(3.0 + 1.3 * latent)), 1, 600),
        "benzodiazepine_mg": _measure_benzodiazepine,
        "ace_score": _measure_count(1.5, 2.5, first=0, high=10),
        "expectancy": lambda latent: np.round(_truncate(latent, 7, 2, 0, 10)),
    }
)


def _make_regimen(
    sites: Sites, site: NDArray[np.int64], generator: np.random.Generator
) -> Patients:
    main = sites.routes[site]
    other = generator.choice(len(ROUTES), size=len(site), p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
    return {
        "route": np.where(generator.random(len(site)) < _OTHER_ROUTE, other, main).astype(float)
    }


def _truncate(
    latent: Numbers,
    mean: Numbers | float,
    spread: Numbers | float,
    low: Numbers | float,
    high: float,
) -> Numbers:
    # The normal distribution truncated to a range, by quantiles.
    start, stop = special.ndtr((low - mean) / spread), special.ndtr((high - mean) / spread)
    share = start + special.ndtr(latent) * (stop - start)
    drawn: Numbers = mean + spread * special.ndtri(np.clip(share, 1e-12, 1 - 1e-12))
    return np.clip(drawn, low, high)
