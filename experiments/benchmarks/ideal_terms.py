"""Everything that could move the log-odds in any drawn world, as columns of one table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from experiments.simulator.attainable import complete_patients, list_known
from experiments.simulator.drawn import CROSSED, DECOYS, STEPPED, draw_plain_patients
from experiments.simulator.effects import PUBLISHED, ROUTES, Effect, Factor, Shape, make_main
from experiments.simulator.outcomes import DAYS_A_YEAR, DRIFT_FROM, draw_reference
from experiments.simulator.patients import Patients
from experiments.simulator.world import World
from features.columns import Columns
from features.fields import COHORT_FIELDS

Numbers = NDArray[np.float32]

MAINS = (*(effect.factors[0].unit for effect in PUBLISHED), *DECOYS)
PAIRS = tuple(combinations(range(len(CROSSED)), 2))
CURVED = ("age_decades", "bmi_sd")
# A drawn threshold is anywhere from the .3 to the .8 quantile; here it is the nearest of these.
QUANTILES = np.linspace(0.3, 0.8, 11)
# Of the reference population one patient in so many is enough for strengths and levels.
EVERY = 25
# Any world will do: they share a reference population, but for routes.
BLANK = World("blank", veterans=False, effects=tuple(make_main(unit, 1, 1) for unit in MAINS))


@dataclass(frozen=True)
class Universe:
    """The columns, and what the simulator takes from its reference population to scale them.

    In this order: a constant, main effects, squares, products of pairs, and steps, for each
    feature as many as there are quantiles.

    Parameters
    ----------
    terms
        The columns as the simulator's effects.
    mean, covariance
        ``[columns]`` and ``[columns, columns]``, in patients with depression treated
        intravenously, the only ones that sizes are scaled by.
    plain, mixed
        ``[patients, columns]``: some of these patients, and some with routes as they come.
    """

    terms: tuple[Effect, ...]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    plain: Numbers
    mixed: Numbers

    def measure(self, patients: Mapping[str, NDArray[np.float64]]) -> Numbers:
        """Express patients in all columns; ``float32[patients, columns]``."""
        return measure(self.terms, patients)


@dataclass(frozen=True)
class Courses:
    """What the ideal statistician sees of courses, outcomes apart.

    Parameters
    ----------
    known
        As the simulator names it, NaN where not recorded.
    site, route
        Positions; the site is -1 where it is none of the twelve.
    years
        Since the drift began.
    """

    known: Patients
    site: NDArray[np.int64]
    route: NDArray[np.int64]
    years: Numbers

    @property
    def size(self) -> int:
        """Number of courses."""
        return len(self.site)


@cache
def find_universe() -> Universe:
    """Find the columns, centred and scaled as the simulator does; the same every time."""
    patients = draw_plain_patients(BLANK)
    everyone = draw_reference(BLANK)
    depressed = {name: v[everyone["condition"] == 0][::EVERY] for name, v in everyone.items()}
    terms = tuple(list_terms(patients))
    plain = measure(terms, patients)
    covariance = np.cov(plain, rowvar=False)
    mean = plain.mean(axis=0, dtype=np.float64)
    return Universe(terms, mean, covariance, plain[::EVERY], measure(terms, depressed))


def list_terms(patients: Patients) -> Iterator[Effect]:
    """List what drawn worlds can have, but for the constant."""
    for unit in MAINS:
        yield make_main(unit, 1, 1)
    for unit in CURVED:
        yield Effect((Factor(unit, Shape.CURVE),), 1, 1)
    centres = [float(Factor(unit).measure(patients).mean()) for unit in CROSSED]
    for pair in PAIRS:
        yield Effect(tuple(Factor(CROSSED[n], Shape.LINE, centres[n]) for n in pair), 1, 1)
    for unit in STEPPED:
        for at in np.quantile(Factor(unit).measure(patients), QUANTILES):
            yield Effect((Factor(unit, Shape.STEP, float(at)),), 1, 1)


def measure(terms: tuple[Effect, ...], patients: Mapping[str, NDArray[np.float64]]) -> Numbers:
    """Express patients in a constant and each term; ``float32[patients, columns]``."""
    units = {unit: Factor(unit).measure(patients) for unit in {*MAINS, *CROSSED, *STEPPED}}
    table = np.ones((len(patients["age"]), 1 + len(terms)), dtype=np.float32)
    for place, term in enumerate(terms, 1):
        for factor in term.factors:
            values = units[factor.unit]
            if factor.shape is Shape.STEP:
                table[:, place] *= values >= factor.at
            else:
                moved = values - factor.at
                table[:, place] *= moved**2 if factor.shape is Shape.CURVE else moved
    return table


def read_courses(columns: Columns, site_names: tuple[str, ...]) -> Courses:
    """Read courses of patients with depression as the simulator names things."""
    names = {name: columns.get_numbers(name) for name in COHORT_FIELDS if name in columns.values}
    totals = {key: columns.get_numbers(key) for key in ("phq9", "gad7", "pcl5", "madrs")}
    routes = np.array([ROUTES.index(route) for route in COHORT_FIELDS["route"].categories])
    site = np.array([find_place(name, site_names) for name in columns.get_texts("site")])
    route = routes[columns.get_numbers("route").astype(int)]
    days = columns.get_numbers("assessed_on")
    never_missing = {
        "condition": np.zeros(columns.size),
        "route": route.astype(float),
        "site": site.astype(float),
        "assessed_on": days,
    }
    known = list_known(names, totals, never_missing)
    years = ((days - DRIFT_FROM) / DAYS_A_YEAR).astype(np.float32)
    return Courses(known, site.astype(int), route, years)


def find_place(name: str, names: tuple[str, ...]) -> int:
    """Find the position of a name; -1 where it is none of them."""
    return names.index(name) if name in names else -1


def complete(courses: Courses, sweeps: int, seed: list[int]) -> Iterator[Numbers]:
    """Complete all courses, each time twice, and express them; ``[2 * courses, columns]``."""
    universe = find_universe()
    generator = np.random.default_rng(seed)
    for patients in complete_patients(BLANK, courses.known, sweeps, generator):
        yield universe.measure(patients)
