"""Each site by what the others taught, and what to expect at the next one."""

import numpy as np

from features.base.arrays import Flags
from features.model.card import Measure
from training.findings.findings import AcrossSites, SiteFacts
from training.measures.discrimination import count_patients
from training.measures.intervals import Estimated
from training.measures.predictions import Predictions
from training.measures.sites import SCALES, estimate_sites, pool
from training.measures.subgroups import HIDDEN, LIMITS, TOO_FEW, hide_small


def measure_across_sites(
    predictions: Predictions, names: tuple[str, ...], level: float
) -> AcrossSites:
    """Measure every site, and pool them.

    Parameters
    ----------
    predictions
        Of courses at sites that were held out; the groups are positions in `names`.
    """
    places = np.unique(predictions.groups)
    estimates = {
        place: estimate_site(predictions.select(predictions.groups == place)) for place in places
    }
    hidden = hide_small([count_people(predictions, place) for place in places], LIMITS.cell)
    sites = [
        describe_site(predictions, int(place), names[place], estimates[place], level, hide)
        for place, hide in zip(places, hidden, strict=True)
    ]
    pooled = {
        measure: pool([found[measure] for found in estimates.values() if found], scale, level)
        for measure, scale in SCALES.items()
    }
    return AcrossSites(
        sites=tuple(sites),
        pooled={name: found for name, found in pooled.items() if found is not None},
    )


def estimate_site(predictions: Predictions) -> dict[str, Estimated]:
    """Estimate one site's measures; none where it has too few courses of either class."""
    found = estimate_sites(
        predictions.probability,
        predictions.outcome,
        predictions.groups,
        predictions.weights,
        predictions.patients,
    )
    return {name: values[0] for name, values in found.items() if values}


def count_people(predictions: Predictions, place: int) -> tuple[int, int]:
    """Count a site's patients that have a course with the outcome, and those with one without."""
    rows = predictions.groups == place
    people, outcome = predictions.patients[rows], predictions.outcome[rows]
    return count_patients(people, outcome), count_patients(people, 1 - outcome)


def describe_site(
    predictions: Predictions,
    place: int,
    name: str,
    found: dict[str, Estimated],
    level: float,
    hide: bool,
) -> SiteFacts:
    """Describe one site; nothing of one whose counts are hidden."""
    rows: Flags = predictions.groups == place
    if hide:
        small = not found or min(count_people(predictions, place)) < LIMITS.cell
        return SiteFacts(name=name, courses=None, events=None, note=TOO_FEW if small else HIDDEN)
    measures: dict[str, Measure] = {
        measure: one.make_interval(level, SCALES[measure]) for measure, one in found.items()
    }
    courses, events = int(rows.sum()), int(predictions.outcome[rows].sum())
    return SiteFacts(name=name, courses=courses, events=events, measures=measures)
