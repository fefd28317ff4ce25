"""What is not recorded: by the site's form, at random given what is known, and not at random."""

import numpy as np
from scipy import optimize

from experiments.simulator.patients import Patients
from experiments.simulator.sites import Sites
from experiments.simulator.world import MISSING, World
from features.base.arrays import Flags, Numbers
from features.model.prediction import compute_probability

# Of what is missing beside the forms, three quarters depend on severity and age, one on the value.
AT_RANDOM = 0.75
SEVERITY_PULL, AGE_PULL, VALUE_PULL = 0.6, -0.3, 0.8
SITE_PULL = 0.5
VISITS = {"day1": 0.55, "acute": 1.0, "week12": 1.4}


def standardise(values: Numbers) -> Numbers:
    """Centre and scale; a constant stays 0."""
    spread = float(values.std()) or 1.0
    return (values - float(values.mean())) / spread


def draw_missing(pull: Numbers, share: float, generator: np.random.Generator) -> Flags:
    """Draw a share of rows, more of those with the stronger pull."""
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
    """Draw which baseline fields are missing for whom."""
    site = patients["site"].astype(int)
    known = SEVERITY_PULL * standardise(patients["phq9"]) + AGE_PULL * standardise(patients["age"])
    lost = {}
    for name, share in MISSING.items():
        skipped = sites.skipped[name][site]
        rest = max(0.0, (share - skipped.mean()) / max(1 - skipped.mean(), 1e-9))
        values = patients["female" if name == "sex" else name]
        own = VALUE_PULL * standardise(values)
        at_random = draw_missing(known, AT_RANDOM * rest, generator)
        not_at_random = draw_missing(own, (1 - AT_RANDOM) * rest, generator)
        lost[name] = skipped | at_random | not_at_random
    lost["diastolic"] = lost["systolic"]  # one cuff, two numbers
    keep_primary(lost, patients)
    return lost


def keep_primary(lost: dict[str, Flags], patients: Patients) -> None:
    """Give back the PCL-5 of patients treated for PTSD: no clinic treats it unmeasured."""
    lost["pcl5"] = lost["pcl5"] & (patients["condition"] != 2)


def lose_followups(
    world: World, sites: Sites, patients: Patients, responded: Flags, generator: np.random.Generator
) -> dict[str, Flags]:
    """Draw who misses which visit: by site, severity and age, and by response where it matters."""
    pull = (
        SITE_PULL * sites.habits[patients["site"].astype(int)]
        + 0.3 * standardise(patients["phq9"])
        - 0.2 * standardise(patients["age"])
        - np.log(world.responder_odds) * responded
    )
    return {
        visit: draw_missing(pull, min(0.95, world.outcome_missing * factor), generator)
        for visit, factor in VISITS.items()
    }
