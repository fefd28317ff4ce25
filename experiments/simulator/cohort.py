"""Simulated cohorts as files: what a clinic would have recorded, and separately the truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from experiments.simulator.attainable import compute_attainable, list_known
from experiments.simulator.effects import ROUTES
from experiments.simulator.items import make_items
from experiments.simulator.missingness import lose_baseline, lose_followups
from experiments.simulator.outcomes import (
    PRIMARY,
    Followup,
    compute_truth,
    make_followups,
    pick_primary,
)
from experiments.simulator.patients import Patients, make_patients
from experiments.simulator.published import CONDITIONS, ITEM_MISSING, MISSING
from experiments.simulator.sites import Sites
from experiments.simulator.world import World, draw_new_sites, make_sites
from experiments.simulator.worlds import find_world
from features.base.arrays import Flags, Numbers
from features.dictionary.dictionary import load_dictionary
from features.records.scoring import prorate_total
from features.records.writing import make_array

_BUILT_IN = load_dictionary()
_LABEL = "SIMULATED"
_TOTAL_KEYS = (*PRIMARY, "madrs")
_PLANNED = ("route", "agent", "dose_mg_kg", "dose_mg", "sessions", "weeks", "setting")
# By route; P.
_REGIMENS: dict[str, tuple[str, float, float, float, float, str]] = {
    "iv": ("ketamine", 0.5, np.nan, 6, 3, "clinic"),
    "intranasal": ("esketamine", np.nan, 84, 8, 4, "clinic"),
    "im": ("ketamine", 0.75, np.nan, 6, 3, "clinic"),
    "sublingual": ("ketamine", np.nan, 350, 8, 4, "home"),
    "sc": ("ketamine", 0.6, np.nan, 6, 3, "clinic"),
    "oral": ("ketamine", 1.0, np.nan, 8, 4, "home"),
}


@dataclass(frozen=True)
class Simulation:
    """A simulated cohort and its truth."""

    cohort: Any  # Arrow table with the registry's columns
    # Arrow table: patient, the outcome of the condition's own instrument, its true probability with
    # everything known (`probability`) and, if requested, given the recorded fields alone: at the
    # patient's site (`probability_observed`) and at a new one (`probability_new_site`)
    truth: Any


def simulate(
    world: World,
    count: int,
    seed: int,
    intake: bool = False,
    sites: Sites | None = None,
    draws: int = 0,
) -> Simulation:
    """Simulate a cohort.

    Parameters
    ----------
    seed
        Of the patients; the sites are the world's. Cohorts of one seed share patients, at
        whatever sites.
    intake
        Whether the patients are at intake, without any follow-up.
    sites
        Where they are treated; by default at the world's own twelve sites.
    draws
        Of the missing values, for the attainable probabilities in the truth; 0 leaves them out.
    """
    generator = np.random.default_rng(seed)
    sites = make_sites(world) if sites is None else sites
    patients = make_patients(sites, count, generator)
    followups = list(make_followups(world, sites, patients, generator))
    lost = lose_baseline(sites, patients, generator)
    recorded = _record_baseline(sites, patients, lost, generator)
    totals = _get_totals(recorded)
    # Response is judged against the recorded total or, if there is none, the true one.
    baseline = {
        key: np.where(np.isnan(total), patients[key], total) for key, total in totals.items()
    }
    acute = {part.instrument: part for part in followups if part.horizon == "acute"}
    truth = _describe_truth(patients, acute, baseline)
    if draws:
        known = list_known(recorded, totals, patients)
        probabilities = compute_attainable(world, sites, known, draws, seed)
        truth |= zip(("probability_observed", "probability_new_site"), probabilities, strict=True)
    if not intake:
        responded = _flag_responders(patients, acute, baseline)
        missed = lose_followups(world, sites, patients, responded, generator)
        recorded |= _record_followups(followups, patients, lost, missed)
    identity = _identify(sites, patients, seed)
    keys = {name: identity[name] for name in ("patient_id", "simulated")}
    return Simulation(_label_table(identity | recorded), _label_table(keys | truth))


def simulate_world(
    name: str, count: int, seed: int, new_sites: int = 0, intake: bool = False, draws: int = 0
) -> Simulation:
    """Simulate a cohort of a world by its name, as :func:`simulate` does.

    Parameters
    ----------
    new_sites
        How many sites to draw and treat at, instead of the world's own.
    """
    world = find_world(name)
    sites = draw_new_sites(world, new_sites, seed) if new_sites else None
    return simulate(world, count, seed, intake, sites, draws)


def _identify(sites: Sites, patients: Patients, seed: int) -> dict[str, Any]:
    count = len(patients["age"])
    names = np.array(sites.names, dtype=object)
    return {
        "patient_id": np.array([f"SIM-{seed}-{n:07d}" for n in range(1, count + 1)], dtype=object),
        "site": names[patients["site"].astype(int)],
        "assessed_on": patients["assessed_on"],
        "simulated": np.ones(count),
    }


def _record_baseline(
    sites: Sites, patients: Patients, lost: dict[str, Any], generator: np.random.Generator
) -> dict[str, Any]:
    recorded = {
        name: values for name, values in patients.items() if name in _BUILT_IN.cohort_fields
    }
    recorded["sex"] = 1 - patients["female"]  # female is the first category
    for name in ("site", "assessed_on"):
        recorded.pop(name)
    recorded |= _plan_regimen(patients)
    for name in MISSING:
        recorded[name] = np.where(lost[name], np.nan, recorded[name])
    for key in PRIMARY:
        items = make_items(_BUILT_IN.instruments[key], patients[key], generator)
        by_items = sites.items[key][patients["site"].astype(int)]
        recorded |= _record_items(key, items, recorded[key], by_items, generator)
    # No patient is admitted without a score: one that has none gets the PHQ-9 back.
    derived = _get_totals(recorded).values()
    unmeasured = np.logical_and.reduce([np.isnan(total) for total in derived])
    recorded["phq9"] = np.where(unmeasured, patients["phq9"], recorded["phq9"])
    return recorded


def _record_items(
    key: str,
    items: Numbers,
    total: Numbers,
    by_items: Flags,
    generator: np.random.Generator,
) -> dict[str, Numbers]:
    kept = by_items & ~np.isnan(total)
    dropped = generator.random(items.shape) < ITEM_MISSING
    shown = np.where(kept[:, None] & ~dropped, items, np.nan)
    names = _BUILT_IN.instruments[key].item_fields
    return {key: np.where(by_items, np.nan, total), **dict(zip(names, shown.T, strict=True))}


def _plan_regimen(patients: Patients) -> dict[str, Any]:
    by_route = zip(*((route, *_REGIMENS[route]) for route in ROUTES), strict=True)
    planned = {}
    for name, values in zip(_PLANNED, by_route, strict=True):
        categories = _BUILT_IN.cohort_fields[name].categories
        codes = [categories.index(value) for value in values] if categories else values
        planned[name] = np.array(codes, dtype=float)[patients["route"].astype(int)]
    return planned


def _get_totals(recorded: dict[str, Any]) -> dict[str, Numbers]:
    # Recorded, or derived from items; NaN if there is neither.
    totals = {}
    for key in _TOTAL_KEYS:
        instrument, total = _BUILT_IN.instruments[key], recorded[key]
        if instrument.item_fields[0] in recorded:
            items = np.column_stack([recorded[name] for name in instrument.item_fields])
            total = np.where(np.isnan(total), prorate_total(instrument, items), total)
        totals[key] = total
    return totals


def _describe_truth(
    patients: Patients, acute: dict[str, Followup], baseline: dict[str, Numbers]
) -> dict[str, Any]:
    # Of response on the condition's own instrument at the end of the series.
    by_key = {key: compute_truth(acute[key], patients[key], baseline[key]) for key in PRIMARY}
    outcomes = np.array([f"{key}.acute.response" for key in PRIMARY], dtype=object)
    return {
        "outcome": outcomes[patients["condition"].astype(int)],
        "probability": pick_primary(by_key, patients["condition"]),
    }


def _flag_responders(
    patients: Patients, acute: dict[str, Followup], baseline: dict[str, Numbers]
) -> Flags:
    met = {
        key: _BUILT_IN.instruments[key].has_responded(baseline[key], acute[key].score)
        for key in PRIMARY
    }
    return pick_primary(met, patients["condition"]).astype(bool)


def _record_followups(
    followups: list[Followup], patients: Patients, lost: dict[str, Any], missed: dict[str, Any]
) -> dict[str, Numbers]:
    # Visits that were kept, on instruments recorded at baseline.
    not_ptsd = patients["condition"] != CONDITIONS.index(("ptsd", 0.15))
    recorded = {}
    for followup in followups:
        absent = missed[followup.horizon] | lost[followup.instrument]
        if followup.instrument == "pcl5":
            absent = absent | not_ptsd
        recorded[followup.field] = np.where(absent, np.nan, followup.score)
    return recorded


def _label_table(columns: dict[str, Any]) -> Any:
    ordered = [name for name in _BUILT_IN.cohort_fields if name in columns]
    ordered += [name for name in columns if name not in _BUILT_IN.cohort_fields]
    arrays = {
        name: make_array(_BUILT_IN.cohort_fields.get(name), columns[name]) for name in ordered
    }
    return pa.table(arrays).replace_schema_metadata({"data": _LABEL})
