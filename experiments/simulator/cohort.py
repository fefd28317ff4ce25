"""Simulated cohorts as files: what a clinic would have recorded, and separately the truth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet

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
from experiments.simulator.world import World, make_sites
from features.base.arrays import Flags, Numbers
from features.base.errors import InputError, Problem
from features.base.files import open_atomic
from features.dictionary.dictionary import load_dictionary
from features.dictionary.field import Kind
from features.records.scoring import prorate_total

_BUILT_IN = load_dictionary()
_LABEL = "SIMULATED"
_TOTAL_KEYS = (*PRIMARY, "madrs")
# Planned by route: agent, mg/kg, mg, sessions, weeks, setting. P.
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
    totals = {key: _get_baseline(key, recorded, patients) for key in _TOTAL_KEYS}
    truth = _describe_truth(patients, followups, totals)
    if draws:
        known = list_known(recorded, _get_totals(recorded), patients)
        truth |= _describe_attainable(world, sites, known, draws, seed)
    if not intake:
        responded = _flag_responders(followups, patients, totals)
        missed = lose_followups(world, sites, patients, responded, generator)
        recorded |= _record_followups(followups, patients, lost, missed)
    identity = _identify(sites, patients, seed)
    keys = {name: identity[name] for name in ("patient_id", "simulated")}
    return Simulation(_label_table(identity | recorded), _label_table(keys | truth))


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
    agents, by_weight, fixed, sessions, weeks, settings = zip(
        *(_REGIMENS[route] for route in ROUTES), strict=True
    )
    route = patients["route"].astype(int)
    positions = {
        "agent": [_BUILT_IN.cohort_fields["agent"].categories.index(agent) for agent in agents],
        "route": [_BUILT_IN.cohort_fields["route"].categories.index(route) for route in ROUTES],
        "setting": [
            _BUILT_IN.cohort_fields["setting"].categories.index(setting) for setting in settings
        ],
        "dose_mg_kg": by_weight,
        "dose_mg": fixed,
        "sessions": sessions,
        "weeks": weeks,
    }
    return {name: np.array(values, dtype=float)[route] for name, values in positions.items()}


def _get_total(key: str, recorded: dict[str, Any]) -> Numbers:
    # The recorded total, or the one derived from items; NaN if there is neither.
    total: Numbers = recorded[key]
    names = _BUILT_IN.instruments[key].item_fields
    if names[0] not in recorded:
        return total
    items = np.column_stack([recorded[name] for name in names])
    return np.where(np.isnan(total), prorate_total(_BUILT_IN.instruments[key], items), total)


def _get_totals(recorded: dict[str, Any]) -> dict[str, Numbers]:
    return {key: _get_total(key, recorded) for key in _TOTAL_KEYS}


def _get_baseline(key: str, recorded: dict[str, Any], patients: Patients) -> Numbers:
    # Response is judged against the recorded total or, if there is none, the true one.
    total = _get_total(key, recorded)
    return np.where(np.isnan(total), patients[key], total)


def _describe_truth(
    patients: Patients, followups: list[Followup], totals: dict[str, Numbers]
) -> dict[str, Any]:
    # Of response on the condition's own instrument at the end of the series.
    by_key = {
        acute.instrument: compute_truth(acute, patients[acute.instrument], totals[acute.instrument])
        for acute in followups
        if acute.horizon == "acute"
    }
    outcomes = np.array([f"{key}.acute.response" for key in PRIMARY], dtype=object)
    return {
        "outcome": outcomes[patients["condition"].astype(int)],
        "probability": pick_primary(by_key, patients["condition"]),
    }


def _describe_attainable(
    world: World, sites: Sites, known: Patients, draws: int, seed: int
) -> dict[str, Numbers]:
    at_site, at_new_site = compute_attainable(world, sites, known, draws, seed)
    return {"probability_observed": at_site, "probability_new_site": at_new_site}


def _flag_responders(
    followups: list[Followup], patients: Patients, totals: dict[str, Numbers]
) -> Flags:
    met = {
        acute.instrument: load_dictionary()
        .instruments[acute.instrument]
        .has_responded(totals[acute.instrument], acute.score)
        for acute in followups
        if acute.horizon == "acute"
    }
    return pick_primary({key: met[key] for key in PRIMARY}, patients["condition"]).astype(bool)


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
    arrays = {name: _make_array(name, columns[name]) for name in ordered}
    return pa.table(arrays).replace_schema_metadata({"data": _LABEL})


def _make_array(name: str, values: Any) -> Any:
    field = _BUILT_IN.cohort_fields.get(name)
    if values.dtype == object or field is None:
        return pa.array(values.tolist())
    missing = np.isnan(values)
    if field.kind is Kind.CATEGORY:
        words = np.array(field.categories, dtype=object)
        texts = words[np.where(missing, 0, values).astype(int)]
        return pa.array(texts, pa.string(), mask=missing)
    if field.kind is Kind.FLAG:
        return pa.array(np.where(missing, 0, values).astype(bool), mask=missing)
    if field.kind is Kind.DATE:
        return pa.array(values.astype(int).astype("datetime64[D]"), pa.date32())
    if field.kind is Kind.INTEGER:
        return pa.array(np.where(missing, 0, values).astype(np.int64), mask=missing)
    return pa.array(values, mask=missing)


def write_simulation(table: Any, path: Path) -> None:
    """Write a simulated table atomically, as Parquet or CSV by the path's ending.

    Raises
    ------
    InputError
        If the ending is neither.
    """
    writers = {".parquet": parquet.write_table, ".csv": csv.write_csv}
    if path.suffix not in writers:
        problem = Problem("--out", "format", f"must end in one of: {', '.join(writers)}")
        raise InputError([problem])
    with open_atomic(path) as file:
        writers[path.suffix](table, file)
