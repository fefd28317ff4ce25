"""The real trials that can be tested here: their studies, files and folds."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from experiments import trials
from experiments.benchmarks.methods.methods import digest_method
from experiments.benchmarks.results import make_key, parse_names
from features.base.errors import InputError, Problem, StudyError
from features.base.files import digest_sources, list_sources
from features.records.cohort import digest_cohort
from features.records.columns import Columns
from training.candidates.registry import BASE_RATE, complete_study, list_candidates, make_candidates
from training.study.courses import load_design, prepare_design
from training.study.design import Design, number_sites
from training.study.split import MIN_CLASS_PER_FOLD, split_outer
from training.study.study import Study, read_study

CANDIDATES = make_candidates()
WITHOUT_OUTCOMES = tuple(
    name for name, candidate in list_candidates().items() if not candidate.needs_outcomes
)

STUDIES = Path(__file__).parents[2] / "studies"
# Names of each study's files in a folder of trials; empty for data that come with a package.
FILES: Mapping[str, tuple[str, ...]] = {
    "beat_the_blues": (),
    "beat_the_blues_after_week12": (),
    "claus_inpatient": ("claus_inpatient.csv",),
    "dia_antidepressant": ("dia_antidepressant.csv",),
    "dia_antidepressant_after_week2": ("dia_antidepressant.csv",),
    "enrichd_cbt": ("enrichd_cbt_bdi.csv",),
    "enrichd_cbt_after_acute": ("enrichd_cbt_bdi.csv",),
    "fdd_child_ptsd": ("fdd_child_ptsd_emdr_cbt.csv",),
    "fink_running": ("ds003799", "openneuro-ds003799"),
    "help_detox": ("help_detox_cesd.csv",),
    "nimh_ketamine": ("ds005917", "openneuro-ds005917"),
    "nimh_ketamine_day10": ("ds005917", "openneuro-ds005917"),
    "panic_imipramine": ("panic_imipramine_pas.csv",),
    "reisby_imipramine": ("reisby.csv",),
}
_MAX_FOLDS = 5


@dataclass(frozen=True)
class TrialPlan:
    """How thoroughly a trial is tested."""

    repeats: int = 10
    # Repeats in which the choice, too, is repeated inside each outer fold; each costs as much as
    # half of ten repeats
    nested: int = 1
    resamples: int = 1000
    candidates: tuple[str, ...] = tuple(CANDIDATES)


QUICK = TrialPlan(repeats=1, resamples=100, candidates=WITHOUT_OUTCOMES)


@dataclass(frozen=True)
class TrialTask:
    """One study, with patients or sites held out."""

    name: str
    hold_out: str
    study: Study
    courses: Columns  # The study's valid courses, whether or not their outcome is known
    plan: TrialPlan

    @property
    def key(self) -> str:
        """Digest of everything that the result depends on, the trial's own data included."""
        return make_key(
            {
                "name": self.name,
                "hold_out": self.hold_out,
                "plan": asdict(self.plan),
                "study": self.study.model_dump(mode="json"),
                "data": digest_cohort(self.courses),
                "sources": _digest_sources(),
            }
        )

    @cached_property
    def design(self) -> Design:
        """The courses with a known outcome."""
        return prepare_design(self.study, self.courses)


@cache
def _digest_sources() -> str:
    paths = [Path(__file__), *list_sources(trials, ["*.py", "*.toml"])]
    return digest_sources(paths, {"ours": digest_method(BASE_RATE)})


def list_studies() -> list[str]:
    """List the studies of real trials, by the name of their file."""
    return sorted(path.stem for path in STUDIES.glob("*.toml") if path.stem != "demo")


def list_trial_tasks(
    only: str, folder: Path, plan: TrialPlan
) -> tuple[list[TrialTask], dict[str, str]]:
    """List what can be done here, and why the rest cannot.

    Parameters
    ----------
    only
        Studies by name; all if it is empty.
    folder
        With the trials' files.

    Raises
    ------
    InputError
        If a name is unknown.
    """
    tasks, skipped = [], {}
    for name in parse_names(only, list_studies()):
        try:
            tasks += list(open_study(name, folder, plan))
        except InputError as error:
            skipped[name] = "; ".join(problem.message for problem in error.problems)
    return tasks, skipped


def open_study(name: str, folder: Path, plan: TrialPlan) -> Iterator[TrialTask]:
    """Open a study's trial, with patients held out and, if it has several, sites.

    Raises
    ------
    InputError
        If the trial is not on this machine, or has too few events or non-events.
    """
    paths = [folder / file for file in FILES[name] if (folder / file).exists()]
    if FILES[name] and not paths:
        raise InputError([Problem("--data", "exists", f"{FILES[name][0]} is not on this machine")])
    study = complete_study(read_study(STUDIES / f"{name}.toml"))
    design = load_design(study, paths[0] if paths else None)
    sites, names = number_sites(design.columns)
    for hold_out in ("patient", "site"):
        if hold_out == "patient" or (len(names) > 1 and (sites >= 0).all()):
            divided = divide_study(design, hold_out, plan)
            yield TrialTask(name, hold_out, divided, design.courses, plan)


def divide_study(design: Design, hold_out: str, plan: TrialPlan) -> Study:
    """Set a study's folds: five if events allow, else as many as possible.

    Raises
    ------
    StudyError
        If not even two are possible.
    """
    study, smaller_class = design.study, min(design.events, design.size - design.events)
    enough = smaller_class >= MIN_CLASS_PER_FOLD * _MAX_FOLDS
    changed = {"hold_out": hold_out, "repeats": plan.repeats, "resamples": plan.resamples}
    offered = tuple(name for name in study.candidates if name in plan.candidates)
    for folds in range(_MAX_FOLDS if enough else study.validation.folds, 1, -1):
        validation = study.validation.model_copy(update={**changed, "folds": folds})
        divided = study.model_copy(update={"validation": validation, "candidates": offered})
        try:
            for repeat in range(plan.repeats):
                split_outer(replace(design, study=divided), repeat)
        except StudyError:
            continue
        return divided
    message = (
        f"the smaller outcome class has {smaller_class}: no two folds can have "
        f"{MIN_CLASS_PER_FOLD} each"
    )
    raise StudyError([Problem("validation.folds", "events", message)], source=study.name)
