"""Performance at each site, fitted on the others, and what to expect at a new site."""

import numpy as np

from training.findings.findings import AcrossSites, SiteFacts
from training.measures.intervals import Estimated
from training.measures.predictions import Predictions
from training.measures.sites import SCALES, estimate_site, pool
from training.measures.subgroups import (
    HIDDEN,
    MIN_PATIENTS,
    TOO_FEW,
    count_class_patients,
    hide_small,
)


def measure_across_sites(
    predictions: Predictions, names: tuple[str, ...], level: float
) -> AcrossSites:
    """Measure every site, and pool them.

    Parameters
    ----------
    predictions
        Of courses at sites that were held out; the groups are positions in `names`.
    """
    by_site = {
        names[site]: predictions.select(predictions.groups == site)
        for site in np.unique(predictions.groups)
    }
    estimates = {name: estimate_site(site) for name, site in by_site.items()}
    hidden = hide_small([count_class_patients(site) for site in by_site.values()])
    sites = [
        _describe_site(name, by_site[name], estimates[name], level, hide)
        for name, hide in zip(by_site, hidden, strict=True)
    ]
    pooled = {
        measure: pool([site[measure] for site in estimates.values() if site], scale, level)
        for measure, scale in SCALES.items()
    }
    return AcrossSites(
        sites=tuple(sites),
        pooled={name: facts for name, facts in pooled.items() if facts is not None},
    )


def _describe_site(
    name: str, predictions: Predictions, estimates: dict[str, Estimated], level: float, hide: bool
) -> SiteFacts:
    # Small counts, and whatever would reveal them by subtraction, are withheld with their measures.
    if hide:
        small = not estimates or min(count_class_patients(predictions)) < MIN_PATIENTS
        return SiteFacts(name=name, courses=None, events=None, note=TOO_FEW if small else HIDDEN)
    measures = {
        measure: estimate.make_interval(level, SCALES[measure])
        for measure, estimate in estimates.items()
    }
    events = int(predictions.outcome.sum())
    return SiteFacts(name=name, courses=predictions.size, events=events, measures=measures)
