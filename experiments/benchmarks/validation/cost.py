"""What a whole run costs: `fit` with its report, by profile, compared with a single fit."""

import tempfile
from dataclasses import dataclass
from time import perf_counter

from experiments.benchmarks.samples import STUDY, draw_courses
from experiments.simulator import find_world
from features.base.home import find_home
from features.records.columns import Columns
from training.candidates.registry import complete_study, make_candidates
from training.fit import run_study
from training.study.courses import prepare_design
from training.study.design import number_sites
from training.study.study import Study, read_study
from training.validation.evidence import count_bootstraps

_COURSES, _SEED = 5000, 7


@dataclass(frozen=True)
class Cost:
    """One run."""

    profile: str
    courses: int
    sites: int
    candidates: int
    bootstraps: int
    jobs: int
    seconds: float  # Of the whole run, on `jobs` processes
    fit: float  # Seconds of one fit of the chosen candidate, in one process


def measure_costs(jobs: int, courses: int = _COURSES, bootstraps: int = 200) -> list[Cost]:
    """Run the standard study on simulated patients, by the quick and by the full profile."""
    study = complete_study(read_study(STUDY))
    columns = draw_courses(find_world("default"), study, courses, _SEED)
    costs = []
    for profile in ("quick", "full"):
        settings = {"profile": profile, "bootstraps": bootstraps}
        validation = study.validation.model_copy(update=settings)
        part = study.model_copy(update={"validation": validation})
        costs.append(_measure_cost(part, columns, jobs))
    return costs


def _measure_cost(study: Study, columns: Columns, jobs: int) -> Cost:
    design = prepare_design(study, columns)
    with tempfile.TemporaryDirectory() as folder:
        start = perf_counter()
        chosen = run_study(design, find_home({"KETAMINE_RESPONSE_HOME": folder}), jobs)
        seconds = perf_counter() - start
    start = perf_counter()
    make_candidates()[chosen.comparison.chosen].fit(design, study.seed)
    fit = perf_counter() - start
    sites = len(number_sites(columns)[1])
    return Cost(
        study.validation.profile,
        design.size,
        sites,
        len(study.candidates),
        count_bootstraps(study),
        jobs,
        seconds,
        fit,
    )
