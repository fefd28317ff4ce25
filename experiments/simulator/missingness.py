"""Missing values: by the site's form, at random given the recorded ones, and not at random."""

import numpy as np
from scipy import optimize

from experiments.simulator.patients import Patients
from experiments.simulator.published import MISSING
from experiments.simulator.sites import Sites
from experiments.simulator.world import World
from features.base.arrays import Flags, Numbers
from features.model.prediction import compute_probability

# Of what is missing although the form asks, three quarters depend on severity and age (missing at
# random), one quarter on the value itself (not at random).
_AT_RANDOM = 0.75
_SEVERITY_PULL, _AGE_PULL, _VALUE_PULL = 0.6, -0.3, 0.8
_SITE_PULL = 0.5
_VISITS = {"day1": 0.55, "acute": 1.0, "week12": 1.4}


def _standardise(values: Numbers) -> Numbers:
    spread = float(values.std()) or 1.0  # a constant stays 0
    return (values - float(values.mean())) / spread


def _draw_rows(pull: Numbers, share: float, generator: np.random.Generator) -> Flags:
    if share <= 0:
        return np.zeros(len(pull), dtype=bool)

    def miss(level: float) -> float:
        return float(compute_probability(level + pull).mean() - share)

    level = optimize.brentq(miss, -30, 30)
    drawn: Flags = generator.random(len(pull)) < compute_probability(level + pull)
    return drawn


def lose_baseline(
    sites: Sites, patients: Patients, generator: np.random.Generator
) -> dict[str, Flags]:
    """Draw which baseline fields are missing, by patient."""
    site = patients["site"].astype(int)
    known = _SEVERITY_PULL * _standardise(patients["phq9"]) + _AGE_PULL * _standardise(
        patients["age"]
    )
    lost = {}
    for name, share in MISSING.items():
        skipped = sites.skipped[name][site]
        rest = max(0.0, (share - skipped.mean()) / max(1 - skipped.mean(), 1e-9))
        values = patients["female" if name == "sex" else name]
        own = _VALUE_PULL * _standardise(values)
        at_random = _draw_rows(known, _AT_RANDOM * rest, generator)
        not_at_random = _draw_rows(own, (1 - _AT_RANDOM) * rest, generator)
        lost[name] = skipped | at_random | not_at_random
    lost["diastolic"] = lost["systolic"]  # one cuff, two numbers
    lost["pcl5"] &= patients["condition"] != 2  # no clinic treats PTSD unmeasured
    return lost


def lose_followups(
    world: World, sites: Sites, patients: Patients, responded: Flags, generator: np.random.Generator
) -> dict[str, Flags]:
    """Draw missed visits: by site, severity and age, and by response if the world says so."""
    pull = (
        _SITE_PULL * sites.habits[patients["site"].astype(int)]
        + 0.3 * _standardise(patients["phq9"])
        - 0.2 * _standardise(patients["age"])
        - np.log(world.responder_odds) * responded
    )
    return {
        visit: _draw_rows(pull, min(0.95, world.outcome_missing * factor), generator)
        for visit, factor in _VISITS.items()
    }
