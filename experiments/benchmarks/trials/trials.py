"""The benchmark of real trials: every study of one, under every candidate, on held-out patients.

Results hold measures and differences of whole trials, nothing of a patient.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from experiments import trials
from experiments.benchmarks.methods.methods import digest_method
from experiments.benchmarks.results import Result, Results, complete_results, make_key, parse_names
from features.base.arrays import Indices, Numbers
from features.base.commands import say
from features.base.errors import InputError, Problem, StudyError
from features.base.files import digest_sources, list_sources
from features.records.cohort import digest_cohort
from features.records.columns import Columns
from training.candidates.registry import BASE_RATE, complete_study, list_candidates, make_candidates
from training.findings.comparison import compare
from training.measures.losses import compare_losses
from training.measures.performance import IntervalSettings, measure_candidate
from training.measures.predictions import Predictions
from training.study.courses import load_courses, make_design
from training.study.design import Design, number_sites
from training.study.outer_split import MIN_CLASS_PER_FOLD, number_units, split_outer
from training.study.parts import MEASURE_LEVEL
from training.study.split import derive_seed
from training.study.study import Study, read_study
from training.validation.runs import cross_validate

CANDIDATES = make_candidates()
WITHOUT_OUTCOMES = tuple(
    name for name, candidate in list_candidates().items() if not candidate.needs_outcomes
)

STUDIES = Path(__file__).parents[2] / "studies"
# Names of each study's files in a folder of trials; none for data that come with a package.
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
_MAX_FOLDS = 5
# Which of the seeds derived for a choice inside an outer fold.
_CHOICE_SEED = 6


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
        return make_design(self.study, self.courses)


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
    courses = load_courses(study, paths[0] if paths else None)
    design = make_design(study, courses)
    sites, names = number_sites(design.columns)
    for hold_out in ("patient", "site"):
        if hold_out == "patient" or (len(names) > 1 and (sites >= 0).all()):
            divided = _divide(study, design, hold_out, plan)
            yield TrialTask(name, hold_out, divided, courses, plan)


def _divide(study: Study, design: Design, hold_out: str, plan: TrialPlan) -> Study:
    """Set the folds: five if events allow, else as many as possible; StudyError if below two."""
    smaller_class = min(design.events, design.size - design.events)
    enough = smaller_class >= MIN_CLASS_PER_FOLD * _MAX_FOLDS
    changed = {"hold_out": hold_out, "repeats": plan.repeats, "resamples": plan.resamples}
    offered = tuple(name for name in study.candidates if name in plan.candidates)
    for folds in range(_MAX_FOLDS if enough else study.validation.folds, 1, -1):
        validation = study.validation.model_copy(update={**changed, "folds": folds})
        divided = study.model_copy(update={"validation": validation, "candidates": offered})
        try:
            for repeat in range(plan.repeats):
                split_outer(divided, design, repeat)
        except StudyError:
            continue
        return divided
    message = (
        f"the smaller outcome class has {smaller_class}: no two folds can have "
        f"{MIN_CLASS_PER_FOLD} each"
    )
    raise StudyError([Problem("validation.folds", "events", message)], source=study.name)


def run_trials(
    tasks: list[TrialTask], results: Results, jobs: int, again: bool = False
) -> list[Result]:
    """Test the candidates; results that are there already are kept unless ``again``."""

    def run(indices: list[int]) -> Iterable[Result]:
        for number, index in enumerate(indices, 1):
            task = tasks[index]
            say(f"{number} of {len(indices)}: {task.name}, {task.hold_out}s held out")
            yield run_trial(task, jobs)

    return complete_results(results, [task.key for task in tasks], run, again)


def run_trial(task: TrialTask, jobs: int) -> Result:
    """Test every candidate on one study's held-out courses, and the choice among them."""
    study, design = task.study, task.design
    held_out = cross_validate(study, design, CANDIDATES, jobs).held_out
    comparison = compare(study, design, held_out)
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
        "units": len(np.unique(number_units(study, design))),
        "candidates": {
            name: _score_held_out(task, predictions, held_out[BASE_RATE])
            for name, predictions in held_out.items()
        },
        "chosen": comparison.chosen,
        "served": comparison.chosen if comparison.beats_base_rate else BASE_RATE,
        "nested": run_nested(task, held_out, jobs),
        "published": _compare_published(task),
    }


def _score_held_out(task: TrialTask, predictions: Predictions, base: Predictions) -> dict[str, Any]:
    """Measures, and differences from the base rate with standard errors over units."""
    study = task.study
    seed, units = derive_seed(study.seed, _CHOICE_SEED), number_units(study, task.design)
    settings = IntervalSettings(study.validation.resamples, MEASURE_LEVEL, seed)
    measures = measure_candidate(predictions, settings)
    losses = compare_losses(predictions.compute_losses(), base.compute_losses(), units)
    errors = compare_losses(_compute_errors(predictions), _compute_errors(base), units)
    return {
        **{name: part.model_dump() for name, part in measures.items()},
        "log_loss_gap": asdict(losses),
        "brier_gap": asdict(errors),
    }


def _compute_errors(predictions: Predictions) -> Numbers:
    squared = (predictions.probability - predictions.outcome) ** 2
    errors: Numbers = predictions.by_repeat(squared).mean(axis=0)
    return errors


def run_nested(task: TrialTask, held_out: Mapping[str, Predictions], jobs: int) -> dict[str, Any]:
    """Repeat the choice inside each outer fold, and score its predictions of that fold.

    The selected candidate's predictions there are in `held_out`: the folds and seeds are the same.

    Returns
    -------
    dict
        For ``chosen``, and for ``served``, which is the base rate unless something beat it there:
        how often it was each candidate, and its measures.
    """
    shape, rest = (task.plan.nested, task.design.size), (task.design.outcome, task.design.patients)
    base, folds = np.empty(shape), np.empty(shape, dtype=np.int64)
    log_odds = {part: np.empty(shape) for part in ("chosen", "served")}
    selected: dict[str, list[str]] = {part: [] for part in log_odds}
    by_repeat = {name: part.by_repeat(part.log_odds) for name, part in held_out.items()}
    for repeat in range(task.plan.nested):
        for number, fold in enumerate(split_outer(task.study, task.design, repeat)):
            names = choose_inside(task, fold.train, derive_seed(repeat, number), jobs)
            folds[repeat, fold.test] = number
            base[repeat, fold.test] = by_repeat[BASE_RATE][repeat, fold.test]
            for part, name in zip(log_odds, names, strict=True):
                selected[part].append(name)
                log_odds[part][repeat, fold.test] = by_repeat[name][repeat, fold.test]
    base_rate = Predictions.from_repeats(base, folds, *rest)
    return {
        part: {
            "picked": {name: names.count(name) for name in dict.fromkeys(names)},
            **_score_held_out(
                task, Predictions.from_repeats(log_odds[part], folds, *rest), base_rate
            ),
        }
        for part, names in selected.items()
    }


def choose_inside(task: TrialTask, rows: Indices, seed: int, jobs: int) -> tuple[str, str]:
    """Choose as `fit` does on some of the courses; return the choice, and what would be served."""
    part = task.design.select(rows)
    numbers = np.unique(part.patients, return_inverse=True)[1]
    design = replace(part, patients=numbers)
    plan = TrialPlan(repeats=1, resamples=100, candidates=task.plan.candidates)
    try:
        study = _divide(task.study, design, task.hold_out, plan)
    except StudyError:
        return task.study.candidates[0], BASE_RATE
    study = study.model_copy(update={"seed": derive_seed(study.seed, _CHOICE_SEED, seed)})
    comparison = compare(study, design, cross_validate(study, design, CANDIDATES, jobs).held_out)
    return comparison.chosen, comparison.chosen if comparison.beats_base_rate else BASE_RATE


def _compare_published(task: TrialTask) -> dict[str, Any] | None:
    """Compare the evidence with the published base rate, neither fitted on any outcome.

    Update outcomes have none: the evidence table has nothing on early scores.
    """
    target = task.study.parse_outcome()
    if target.checkpoint is not None:
        return None
    cohort = task.study.cohort.model_copy(update={"outcomes": "none-yet"})
    study = task.study.model_copy(update={"cohort": cohort})
    known = [name for name in task.courses.values if name != target.followup_field]
    blind = make_design(study, task.courses.keep(known))
    evidence, base = (_predict_blind(name, blind, task.design) for name in WITHOUT_OUTCOMES)
    rate = float(base.probability[0])
    return {"base_rate": rate, **_score_held_out(task, evidence, base)}


def _predict_blind(name: str, blind: Design, design: Design) -> Predictions:
    log_odds = CANDIDATES[name].fit(blind, 0).equation.compute_log_odds(design.columns)[:, 0]
    one_fold = np.zeros(design.size, dtype=np.int64)
    return Predictions(log_odds, design.outcome, design.patients, one_fold)
