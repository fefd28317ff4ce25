"""The attainable probability: the best possible estimate from the recorded fields.

The true probability of a course is averaged over the possible values of its missing fields, given
the recorded ones. No model can do better, except by using missingness itself: that some values are
missing because of what they are (10% of all missing values) is ignored. A total derived from
incomplete items counts as recorded.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import special

from experiments.simulator.copula import compute_intervals, draw_latents
from experiments.simulator.effects import combine_effects
from experiments.simulator.outcomes import (
    PRIMARY,
    compute_drift,
    compute_nominal_edge,
    lookup_levels,
    pick_primary,
)
from experiments.simulator.patients import Patients, measure_field
from experiments.simulator.published import LATENTS
from experiments.simulator.sites import Sites
from experiments.simulator.world import World
from features.base.arrays import Numbers
from features.base.commands import track
from features.model.prediction import compute_probability

_CHUNK = 2_000
# Nodes of the Gauss-Hermite rule over sites: exact to five decimals for the spreads in use.
_NODES = 9


def compute_attainable(
    world: World, sites: Sites, known: Patients, draws: int = 300, seed: int = 0
) -> tuple[Numbers, Numbers]:
    """Compute the probability of acute response given the recorded fields alone.

    Response is on the condition's own instrument, judged against the recorded total or, if there
    is none, the true one. With 300 draws the Monte Carlo standard error of a probability
    is 0.003 on average and below 0.01.

    Parameters
    ----------
    known
        ``[patients]`` for each of ``LATENTS``, NaN if not recorded; and, never missing,
        `condition`, `route` and `site` as positions and `assessed_on` in days.
    draws
        Of the missing fields of each patient.
    seed
        Of the draws.

    Returns
    -------
    tuple
        ``float64[patients]`` twice: with the effects of the patient's site known, and with those
        of a new site, integrated out. At new sites both are the latter.
    """
    count = len(known["site"])
    starts = range(0, count, _CHUNK)
    chunks = track(starts, len(starts), "attainable probabilities") if len(starts) > 1 else starts
    # The 1 keeps these draws apart from the patients' own, whose generator has the seed alone.
    parts = [
        _average_draws(world, sites, _take_rows(known, start), draws, [seed, 1, start])
        for start in chunks
    ]
    at_site, at_new_site = np.concatenate(parts, axis=1)
    return (at_new_site if sites.new else at_site), at_new_site


def _take_rows(known: Patients, start: int) -> Patients:
    return {name: values[start : start + _CHUNK] for name, values in known.items()}


def _average_draws(
    world: World, sites: Sites, known: Patients, draws: int, seed: list[int]
) -> Numbers:
    # ``float64[2, patients]``: with the site's effects known, and integrated out. Every patient is
    # there twice, as draw_latents mirrors its draws.
    twice = {name: np.tile(values, 2) for name, values in known.items()}
    level = _compute_level(world, twice)
    site = twice["site"].astype(int)
    effect, slope = sites.effects[site], sites.slopes[site]
    total, sweeps = np.zeros((2, len(site))), -(-draws // 2)
    for patients in _complete_patients(world, known, sweeps, np.random.default_rng(seed)):
        moved = world.strength * combine_effects(world.effects, patients, "acute")
        total[0] += compute_probability(level + effect + slope * moved)
        total[1] += integrate_sites(world, level, moved)
    average: Numbers = total.reshape(2, 2, -1).mean(axis=1) / sweeps
    return average


def _compute_level(world: World, known: Patients) -> Numbers:
    # Log-odds of response before the effects of patient and site.
    levels = {
        key: lookup_levels(world, known, key, "acute") - compute_nominal_edge(key)
        for key in PRIMARY
    }
    return pick_primary(levels, known["condition"]) + compute_drift(world, known)


def _complete_patients(
    world: World, known: Patients, sweeps: int, generator: np.random.Generator
) -> Iterator[Patients]:
    # Fills in what is missing and has an effect in this world, for all patients twice over.
    needed = {factor.field for effect in world.effects for factor in effect.factors}
    lows, highs = compute_intervals(known)
    patients = {name: np.tile(values, 2) for name, values in known.items()}
    condition = patients["condition"].astype(int)
    missing = {
        index: np.flatnonzero(np.isnan(patients[name]))
        for index, name in enumerate(LATENTS)
        if name in needed
    }
    for latent in draw_latents(lows, highs, sweeps, generator):
        for index, rows in missing.items():
            name = LATENTS[index]
            patients[name][rows] = measure_field(name, latent[index, rows], condition[rows])
        yield patients


def integrate_sites(world: World, level: Numbers, moved: Numbers) -> Numbers:
    """Compute the mean probability over the distribution of sites."""
    nodes, weights = special.roots_hermitenorm(_NODES)
    spread = np.hypot(world.site_spread, world.slope_spread * moved)
    average: Numbers = np.zeros_like(moved)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        average += weight * compute_probability(level + moved + node * spread)
    return average


def list_known(
    recorded: Mapping[str, Numbers], totals: Mapping[str, Numbers], patients: Patients
) -> Patients:
    """List each patient's recorded values by the simulator's names.

    Parameters
    ----------
    recorded, totals
        Columns of the cohort, and totals recorded or derived from items.
    patients
        For what is never missing: `condition`, `route`, `site` and `assessed_on`.
    """
    known = {name: patients[name] for name in ("condition", "route", "site", "assessed_on")}
    known |= {name: recorded[name] for name in LATENTS if name in recorded}
    return known | dict(totals) | {"female": 1 - recorded["sex"]}  # female is the first category
