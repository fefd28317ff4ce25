"""Runs of units: spread over processes, and taken from the store where they are there already."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import delayed
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.base.commands import track
from training.candidates.base import Candidate
from training.measures.predictions import Predictions
from training.study.design import Design
from training.study.study import Study
from training.validation.procedure import Contest, Procedure, UnitResult
from training.validation.redrawing import Redrawing
from training.validation.resample import spread
from training.validation.store import Store
from training.validation.units import Unit, list_folds

NOTHING_KEPT = Store()


@dataclass(frozen=True)
class CrossValidation:
    """Held-out predictions of every course, by repeats of a cross-validation.

    Parameters
    ----------
    held_out
        By each candidate.
    nested
        By the whole procedure: in each fold by the candidate that the other folds selected.
    picked
        How many folds selected each candidate.
    """

    held_out: Mapping[str, Predictions]
    nested: Predictions
    picked: Mapping[str, int]


def run_units(
    procedure: Procedure,
    design: Design,
    units: Sequence[Unit],
    store: Store,
    jobs: int,
    label: str,
    redrawing: Redrawing | None = None,
) -> Iterator[tuple[Unit, UnitResult]]:
    """Run units that have not been run yet; all answers, in the units' order.

    Parameters
    ----------
    redrawing
        Of the outcomes that units learn from; None for those recorded.
    """
    found = {unit.key: store.read(unit.key) for unit in units}
    left = [unit for unit in units if found[unit.key] is None]
    tasks = (delayed(run_unit)(procedure, design, unit, store, redrawing) for unit in left)
    found |= dict(track(spread(jobs, tasks), len(left), label))
    for unit in units:
        answer = found[unit.key]
        if answer is not None:
            yield unit, answer


def run_unit(
    procedure: Procedure,
    design: Design,
    unit: Unit,
    store: Store = NOTHING_KEPT,
    redrawing: Redrawing | None = None,
) -> tuple[str, UnitResult]:
    """Run one unit and keep what it said."""
    answer = procedure.answer(teach(design, unit, redrawing), design.select(unit.test), unit.seed)
    store.add(unit.key, answer)
    return unit.key, answer


def teach(design: Design, unit: Unit, redrawing: Redrawing | None) -> Design:
    """Select the courses that a unit learns from, with their outcomes."""
    if redrawing is None:
        return design.select(unit.train)
    return redrawing.redraw(design, unit.train, unit.seed)


def cross_validate(
    study: Study,
    design: Design,
    candidates: Mapping[str, Candidate],
    jobs: int,
    store: Store = NOTHING_KEPT,
) -> CrossValidation:
    """Test every candidate of a study on held-out courses, and the choice among them.

    Everything that a candidate fits or chooses, it does inside the other folds.

    Parameters
    ----------
    candidates
        By name; those that the study does not compare are left out.
    """
    repeats = list_folds(study, design)
    contest = Contest({name: candidates[name] for name in study.candidates})
    units = [unit for folds in repeats for unit in folds]
    found = run_units(contest, design, units, store, jobs, "cross-validation")
    answers = {unit.key: answer for unit, answer in found}
    numbers = number_folds(repeats, design.size)
    rest = (design.outcome, design.patients, design.given_weights)

    def collect(name: str | None = None) -> Predictions:
        log_odds = gather_log_odds(repeats, answers, design.size, name)
        return Predictions.from_repeats(log_odds, numbers, *rest)

    selected = [answer.selected for answer in answers.values()]
    return CrossValidation(
        {name: collect(name) for name in study.candidates},
        collect(),
        {name: selected.count(name) for name in study.candidates},
    )


def gather_log_odds(
    repeats: Sequence[Sequence[Unit]],
    answers: Mapping[str, UnitResult],
    size: int,
    name: str | None = None,
) -> Numbers:
    """Gather held-out log-odds by one candidate, or by the one that each fold selected.

    Returns
    -------
    ndarray
        ``[repeats, courses]``.
    """
    log_odds = np.full((len(repeats), size), np.nan)
    for repeat, folds in enumerate(repeats):
        for unit in folds:
            answer = answers[unit.key]
            log_odds[repeat, unit.test] = answer.log_odds[name or answer.selected]
    return log_odds


def number_folds(repeats: Sequence[Sequence[Unit]], size: int) -> NDArray[np.int64]:
    """Count up the fold in which each course was held out; ``[repeats, courses]``."""
    numbers = np.zeros((len(repeats), size), dtype=np.int64)
    for repeat, folds in enumerate(repeats):
        for number, unit in enumerate(folds):
            numbers[repeat, unit.test] = number
    return numbers
