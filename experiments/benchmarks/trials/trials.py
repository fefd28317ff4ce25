"""The benchmark of real trials: every study of one, under every candidate, on held-out patients.

Results hold measures and differences of whole trials, nothing of a patient.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from experiments.benchmarks.results import Result, Results, complete_results
from experiments.benchmarks.trials.tasks import (
    CANDIDATES,
    WITHOUT_OUTCOMES,
    TrialPlan,
    TrialTask,
    divide_study,
)
from features.base.arrays import Indices, Numbers
from features.base.commands import say
from features.base.errors import StudyError
from training.candidates.registry import BASE_RATE
from training.findings.comparison import compare
from training.measures.bootstrap import IntervalSettings
from training.measures.losses import compare_losses
from training.measures.performance import measure_candidate
from training.measures.predictions import Predictions
from training.study.courses import prepare_design
from training.study.design import Design
from training.study.parts import MEASURE_LEVEL
from training.study.seeds import derive_seed
from training.study.split import number_units, split_outer
from training.validation.runs import cross_validate

# Which of the seeds derived for a choice inside an outer fold.
_CHOICE_SEED = 6


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
    held_out = cross_validate(design, CANDIDATES, jobs).held_out
    comparison = compare(design, held_out)
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
        "units": len(np.unique(number_units(design))),
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
    seed, units = derive_seed(study.seed, _CHOICE_SEED), number_units(task.design)
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
        for number, fold in enumerate(split_outer(task.design, repeat)):
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
        study = divide_study(design, task.hold_out, plan)
    except StudyError:
        return task.study.candidates[0], BASE_RATE
    seeded = study.model_copy(update={"seed": derive_seed(study.seed, _CHOICE_SEED, seed)})
    design = replace(design, study=seeded)
    comparison = compare(design, cross_validate(design, CANDIDATES, jobs).held_out)
    return comparison.chosen, comparison.chosen if comparison.beats_base_rate else BASE_RATE


# Neither is fitted on any outcome. The evidence table has nothing on early scores, so update
# outcomes have no such comparison.
def _compare_published(task: TrialTask) -> dict[str, Any] | None:
    target = task.study.parse_outcome()
    if target.checkpoint is not None:
        return None
    cohort = task.study.cohort.model_copy(update={"outcomes": "none-yet"})
    study = task.study.model_copy(update={"cohort": cohort})
    known = [name for name in task.courses.values if name != target.followup_field]
    blind = prepare_design(study, task.courses.keep(known))
    evidence, base = (_predict_blind(name, blind, task.design) for name in WITHOUT_OUTCOMES)
    rate = float(base.probability[0])
    return {"base_rate": rate, **_score_held_out(task, evidence, base)}


def _predict_blind(name: str, blind: Design, design: Design) -> Predictions:
    log_odds = CANDIDATES[name].fit(blind, 0).equation.compute_log_odds(design.columns)[:, 0]
    one_fold = np.zeros(design.size, dtype=np.int64)
    return Predictions(log_odds, design.outcome, design.patients, one_fold)
