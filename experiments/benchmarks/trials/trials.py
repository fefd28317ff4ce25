"""The benchmark of real trials: every study of one, under every candidate, on held-out patients.

Nothing of a patient is kept: results hold measures and differences of whole trials.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import training
from experiments import trials
from experiments.benchmarks.methods.methods import find_version
from experiments.benchmarks.results import Result, Results
from features.base.arrays import Numbers
from features.base.commands import say
from features.base.errors import InputError, Problem, StudyError
from features.base.files import digest_sources, list_sources
from features.records.cohort import digest_cohort
from features.records.columns import Columns
from training.candidates import CANDIDATES, WITHOUT_OUTCOMES
from training.findings.comparison import BASE_RATE, compare
from training.measures.losses import compare_losses
from training.measures.performance import IntervalSettings, measure_candidate
from training.measures.predictions import Predictions
from training.study.design import Design, load_courses, make_design, number_sites
from training.study.split import EVENTS_A_FOLD, derive_seed, find_units, split_outer
from training.study.study import Study, read_study
from training.validation.runs import cross_validate

STUDIES = Path(__file__).parents[2] / "studies"
# Where each study's trial is found in a folder of trials; none for what comes with a package.
FILES: Mapping[str, tuple[str, ...]] = {
    "beat_the_blues": (),
    "beat_the_blues_after_week12": (),
    "claus_inpatient": ("claus_inpatient.csv",),
    "dia_antidepressant": ("dia_antidepressant.csv",),
    "dia_antidepressant_after_week2": ("dia_antidepressant.csv",),
    "enrichd_cbt": ("enrichd_cbt_bdi.csv",),
    "enrichd_cbt_after_acute": ("enrichd_cbt_bdi.csv",),
    "fdd_child_ptsd": ("fdd_child_ptsd_emdr_cbt.csv",),
    "help_detox": ("help_detox_cesd.csv",),
    "nimh_ketamine": ("ds005917", "openneuro-ds005917"),
    "nimh_ketamine_day10": ("ds005917", "openneuro-ds005917"),
    "panic_imipramine": ("panic_imipramine_pas.csv",),
}
MOST_FOLDS = 5
# Place of the seed of the choice made inside an outer fold.
CHOICE_SEED = 6
CHOICE_SOURCES = ("comparison.py", "parts.py", "study.py")


@dataclass(frozen=True)
class Plan:
    """How thoroughly a trial is asked.

    Parameters
    ----------
    nested
        Repeats in which the choice, too, is made anew inside each outer fold; it costs as much as
        half of ten repeats.
    """

    repeats: int = 10
    nested: int = 1
    resamples: int = 1000
    candidates: tuple[str, ...] = tuple(CANDIDATES)


QUICK = Plan(repeats=1, resamples=100, candidates=WITHOUT_OUTCOMES)


@dataclass(frozen=True)
class Task:
    """One study, patients or sites held out.

    Parameters
    ----------
    courses
        The study's courses, valid, those without an outcome included.
    """

    name: str
    hold_out: str
    study: Study
    courses: Columns
    plan: Plan

    @property
    def key(self) -> str:
        """Digest of all that the result depends on, the trial's own data included."""
        told = {
            "name": self.name,
            "hold_out": self.hold_out,
            "plan": asdict(self.plan),
            "study": self.study.model_dump(mode="json"),
            "data": digest_cohort(self.courses),
            "sources": tell_sources(),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]

    @cached_property
    def design(self) -> Design:
        """The courses that can be learned from."""
        return make_design(self.study, self.courses)


@cache
def tell_sources() -> str:
    """Compute the digest of the sources that results depend on: candidates, choice, readers."""
    paths = [Path(__file__), *list_sources(training, CHOICE_SOURCES)]
    paths += list_sources(trials, ["*.py", "*.toml"])
    return digest_sources(paths, {"ours": find_version(BASE_RATE)})


def list_studies() -> list[str]:
    """List the studies of real trials, by the name of their file."""
    return sorted(path.stem for path in STUDIES.glob("*.toml") if path.stem != "demo")


def choose_studies(only: str) -> list[str]:
    """Choose studies by name, all by default.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    known = list_studies()
    asked = [name.strip() for name in only.split(",")] if only else known
    if unknown := [name for name in asked if name not in known]:
        message = f"has no {', '.join(unknown)}; there are: {', '.join(known)}"
        raise InputError([Problem("--only", "category", message)])
    return asked


def list_tasks(names: list[str], folder: Path, plan: Plan) -> tuple[list[Task], dict[str, str]]:
    """List what can be done here, and why the rest cannot.

    Parameters
    ----------
    folder
        Where the trials' files are.
    """
    tasks, skipped = [], {}
    for name in names:
        try:
            tasks += list(open_study(name, folder, plan))
        except InputError as error:
            skipped[name] = "; ".join(problem.message for problem in error.problems)
    return tasks, skipped


def open_study(name: str, folder: Path, plan: Plan) -> Iterator[Task]:
    """Open a study's trial: with patients held out, and sites where there are two at least.

    Raises
    ------
    InputError
        If the trial is not on this machine, or has too few with and without the outcome.
    """
    found = [folder / file for file in FILES[name] if (folder / file).exists()]
    if FILES[name] and not found:
        raise InputError([Problem("--data", "exists", f"{FILES[name][0]} is not on this machine")])
    study = read_study(STUDIES / f"{name}.toml")
    courses = load_courses(study, found[0] if found else None)
    whole = make_design(study, courses)
    sites, names = number_sites(whole.columns)
    for hold_out in ("patient", "site"):
        if hold_out == "patient" or (len(names) > 1 and (sites >= 0).all()):
            yield Task(name, hold_out, divide(study, whole, hold_out, plan), courses, plan)


def divide(study: Study, design: Design, hold_out: str, plan: Plan) -> Study:
    """Set a study's division: five folds where events allow, else the most that can be made.

    Raises
    ------
    StudyError
        If not even two can.
    """
    rarer = min(design.events, design.size - design.events)
    enough = rarer >= EVENTS_A_FOLD * MOST_FOLDS
    changed = {"hold_out": hold_out, "repeats": plan.repeats, "resamples": plan.resamples}
    asked = [name for name in study.candidates if name in plan.candidates]
    for folds in range(MOST_FOLDS if enough else study.validation.folds, 1, -1):
        validation = study.validation.model_copy(update={**changed, "folds": folds})
        divided = study.model_copy(update={"validation": validation, "candidates": tuple(asked)})
        try:
            for repeat in range(plan.repeats):
                split_outer(divided, design, repeat)
        except StudyError:
            continue
        return divided
    message = f"the rarer outcome has {rarer}: no two folds can have {EVENTS_A_FOLD} of it each"
    raise StudyError([Problem("validation.folds", "events", message)], source=study.name)


def run_benchmark(
    tasks: list[Task], results: Results, jobs: int, again: bool = False
) -> list[Result]:
    """Do what has not been done yet, and return all results.

    Parameters
    ----------
    again
        Whether to do anew what has been done.
    """
    done = {} if again else results.read_latest()
    left = [task for task in tasks if task.key not in done]
    if len(left) < len(tasks):
        say(f"{len(tasks) - len(left)} of {len(tasks)} results are there already")
    for number, task in enumerate(left, 1):
        say(f"{number} of {len(left)}: {task.name}, {task.hold_out}s held out")
        results.add(run_task(task, jobs))
    known = results.read_latest()
    return [known[task.key] for task in tasks]


def run_task(task: Task, jobs: int) -> Result:
    """Test every candidate on one study's held-out courses, and the choice among them."""
    study, design = task.study, task.design
    held_out = cross_validate(study, design, CANDIDATES, jobs).held_out
    comparison = compare(study, design, held_out)
    served = comparison.chosen if comparison.beats_base_rate else BASE_RATE
    return {
        "key": task.key,
        "data": "real",
        "name": task.name,
        "outcome": study.outcome,
        "hold_out": task.hold_out,
        "folds": study.validation.folds,
        "repeats": study.validation.repeats,
        "courses": design.size,
        "events": design.events,
        "units": len(np.unique(find_units(study, design))),
        "candidates": {
            name: describe_held_out(task, said, held_out[BASE_RATE])
            for name, said in held_out.items()
        },
        "chosen": comparison.chosen,
        "served": served,
        "nested": run_nested(task, held_out, jobs),
        "published": compare_published(task),
    }


def describe_held_out(task: Task, predictions: Predictions, base: Predictions) -> dict[str, Any]:
    """Measure held-out predictions, and their differences to the base rate's."""
    study, validation = task.study, task.study.validation
    seed = derive_seed(study.seed, CHOICE_SEED)
    settings = IntervalSettings(validation.resamples, validation.level, seed)
    measures = measure_candidate(predictions, settings)
    return {
        **{name: measure.model_dump() for name, measure in measures.items()},
        **compute_gaps(predictions, base, find_units(study, task.design)),
    }


def compute_gaps(
    predictions: Predictions, base: Predictions, units: NDArray[np.int64]
) -> dict[str, Any]:
    """Compute the differences in log loss and Brier score, with standard errors over units."""
    losses = compare_losses(predictions.compute_losses(), base.compute_losses(), units)
    errors = compare_losses(compute_errors(predictions), compute_errors(base), units)
    return {"log_loss_gap": asdict(losses), "brier_gap": asdict(errors)}


def compute_errors(predictions: Predictions) -> Numbers:
    """Compute each course's squared error, averaged over repeats; ``[courses]``."""
    squared = (predictions.probability - predictions.outcome) ** 2
    errors: Numbers = predictions.by_repeat(squared).mean(axis=0)
    return errors


def run_nested(task: Task, held_out: Mapping[str, Predictions], jobs: int) -> dict[str, Any]:
    """Make the choice inside each outer fold, and measure what it says of that fold.

    What the chosen candidate says there is known from `held_out`: the folds and seeds are the same.

    Returns
    -------
    dict
        For ``chosen`` and ``served``, which is the base rate where nothing beat it there: how often
        each candidate it was, and its measures.
    """
    shape, rest = (task.plan.nested, task.design.size), (task.design.outcome, task.design.patients)
    base, folds = np.empty(shape), np.empty(shape, dtype=np.int64)
    log_odds = {part: np.empty(shape) for part in ("chosen", "served")}
    picked: dict[str, list[str]] = {part: [] for part in log_odds}
    by_repeat = {
        name: predictions.by_repeat(predictions.log_odds) for name, predictions in held_out.items()
    }
    for repeat in range(task.plan.nested):
        for number, fold in enumerate(split_outer(task.study, task.design, repeat)):
            names = choose_inside(task, fold.train, derive_seed(repeat, number), jobs)
            folds[repeat, fold.test] = number
            base[repeat, fold.test] = by_repeat[BASE_RATE][repeat, fold.test]
            for part, name in zip(log_odds, names, strict=True):
                picked[part].append(name)
                log_odds[part][repeat, fold.test] = by_repeat[name][repeat, fold.test]
    base_predictions = Predictions.from_repeats(base, folds, *rest)
    return {
        part: {
            "picked": {name: picked[part].count(name) for name in dict.fromkeys(picked[part])},
            **describe_held_out(
                task, Predictions.from_repeats(log_odds[part], folds, *rest), base_predictions
            ),
        }
        for part in log_odds
    }


def choose_inside(task: Task, rows: NDArray[np.int64], seed: int, jobs: int) -> tuple[str, str]:
    """Choose as `fit` does on some of the courses; return the choice, and what would be served."""
    part = task.design.select(rows)
    numbers = np.unique(part.patients, return_inverse=True)[1]
    design = replace(part, patients=numbers)
    plan = Plan(repeats=1, resamples=100, candidates=task.plan.candidates)
    try:
        study = divide(task.study, design, task.hold_out, plan)
    except StudyError:
        return task.study.candidates[0], BASE_RATE
    study = study.model_copy(update={"seed": derive_seed(study.seed, CHOICE_SEED, seed)})
    comparison = compare(study, design, cross_validate(study, design, CANDIDATES, jobs).held_out)
    served = comparison.chosen if comparison.beats_base_rate else BASE_RATE
    return comparison.chosen, served


def compare_published(task: Task) -> dict[str, Any] | None:
    """Compare the evidence with the published base rate, neither having seen any outcome.

    None for an update outcome, of which no evidence speaks.
    """
    target = task.study.parse_outcome()
    if target.checkpoint is not None:
        return None
    cohort = task.study.cohort.model_copy(update={"outcomes": "none-yet"})
    study = task.study.model_copy(update={"cohort": cohort})
    known = [name for name in task.courses.values if name != target.followup_field]
    blind = make_design(study, task.courses.keep(known))
    evidence, base = (predict_unlearned(name, blind, task.design) for name in WITHOUT_OUTCOMES)
    rate = float(base.probability[0])
    return {"base_rate": rate, **describe_held_out(task, evidence, base)}


def predict_unlearned(name: str, blind: Design, design: Design) -> Predictions:
    """Predict courses by a candidate that was fitted without any outcome."""
    equation = CANDIDATES[name].fit(blind, 0).equation
    return Predictions(
        equation.compute_log_odds(design.columns)[:, 0],
        design.outcome,
        design.patients,
        np.zeros(design.size, dtype=np.int64),
    )
