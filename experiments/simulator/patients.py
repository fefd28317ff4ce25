"""Patients before the first dose: a Gaussian copula with the published marginals."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.simulator.sites import MAIN_ROUTES, Sites
from experiments.simulator.world import (
    CONDITIONS,
    INTAKE_LOWS,
    LATENTS,
    ROUTES,
    SHARES,
    TOTALS,
    correlate,
)
from features.instruments import INSTRUMENTS

Numbers = NDArray[np.float64]
# Complete values of every patient by name: field names, and `condition`, `route` and `site` as
# positions.
Patients = dict[str, Numbers]

OTHER_ROUTE = 0.15
FIRST_DAY, LAST_DAY = np.datetime64("2021-01-01"), np.datetime64("2026-06-30")


def make_patients(sites: Sites, count: int, generator: np.random.Generator) -> Patients:
    """Draw patients with everything known of them."""
    normal = generator.standard_normal((count, len(LATENTS))) @ np.linalg.cholesky(correlate()).T
    latent = dict(zip(LATENTS, normal.T, strict=True))
    condition = generator.choice(len(CONDITIONS), size=count, p=[share for _, share in CONDITIONS])
    site = generator.choice(len(sites.names), size=count, p=sites.weights)
    days = (LAST_DAY - FIRST_DAY).astype(int)
    return {
        "condition": condition.astype(float),
        "site": site.astype(float),
        "assessed_on": generator.integers(0, days, size=count) + FIRST_DAY.astype(float),
        **make_numbers(latent),
        **make_totals(latent, condition),
        **make_flags(latent),
        **make_regimen(site, generator),
    }


def make_numbers(latent: Mapping[str, Numbers]) -> Patients:
    """Turn latent variables into measurements and counts."""
    share = {name: stats.norm.cdf(values) for name, values in latent.items()}
    negative_binomial = stats.nbinom(2.2, 2.2 / (2.2 + 2.9))
    childhood = stats.nbinom(1.5, 1.5 / (1.5 + 2.5))
    takes = share["benzodiazepine_mg"] > 0.6
    within = np.clip((share["benzodiazepine_mg"] - 0.6) / 0.4, 1e-9, 1 - 1e-9)
    dose = np.exp(np.log(8) + 0.8 * stats.norm.ppf(within))
    return {
        "age": np.round(draw_between(latent["age"], 45, 14.5, 18, 85)),
        "bmi": np.clip(np.round(np.exp(3.32 + 0.22 * latent["bmi"]), 1), 15, 70),
        "systolic": np.round(draw_between(latent["systolic"], 126, 14, 95, 200)),
        "diastolic": np.round(draw_between(latent["diastolic"], 79, 9, 50, 94)),
        "failed_antidepressants": 1
        + np.minimum(negative_binomial.ppf(share["failed_antidepressants"]), 19),
        "episode_months": np.clip(np.round(np.exp(3.0 + 1.3 * latent["episode_months"])), 1, 600),
        "benzodiazepine_mg": np.where(takes, np.clip(np.round(2 * dose) / 2, 0.5, 120), 0.0),
        "ace_score": np.minimum(childhood.ppf(share["ace_score"]), 10),
        "expectancy": np.round(draw_between(latent["expectancy"], 7, 2, 0, 10)),
    }


def make_totals(latent: Mapping[str, Numbers], condition: NDArray[np.int64]) -> Patients:
    """Turn latent severities into totals, each condition with its own mean and spread."""
    totals = {}
    for key, moments in TOTALS.items():
        mean, spread = np.array(moments)[condition].T
        lows = [INTAKE_LOWS.get((key, place), 0) for place in range(len(CONDITIONS))]
        high = INSTRUMENTS[key].high
        drawn = draw_between(latent[key], mean, spread, np.array(lows)[condition], high)
        totals[key] = np.round(drawn)
    return totals


def make_flags(latent: Mapping[str, Numbers]) -> Patients:
    """Turn latent variables into true-or-false fields of the published shares."""
    return {
        name: (latent[name] > stats.norm.ppf(1 - share)).astype(float)
        for name, share in SHARES.items()
    }


def make_regimen(site: NDArray[np.int64], generator: np.random.Generator) -> Patients:
    """Draw each patient's route: mostly the site's own."""
    main = np.array([ROUTES.index(route) for route in MAIN_ROUTES])[site]
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
    start, stop = stats.norm.cdf((low - mean) / spread), stats.norm.cdf((high - mean) / spread)
    share = start + stats.norm.cdf(latent) * (stop - start)
    drawn: Numbers = mean + spread * stats.norm.ppf(np.clip(share, 1e-12, 1 - 1e-12))
    return np.clip(drawn, low, high)
