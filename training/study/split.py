"""Splits and bootstrap samples that keep what belongs together together.

Every fold of a study's comparison must be informative: at least two events and two non-events.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.base.arrays import Numbers
from features.base.errors import Problem, StudyError
from training.study.design import UNKNOWN_SITE, Design, number_sites
from training.study.seeds import derive_seed
from training.study.study import Study

Rows = NDArray[np.int64]
# An AUC of a fold has a standard error only with two patients of either class.
MIN_CLASS_PER_FOLD = 2
# A deal of few large sites may leave a fold without events; another shuffle may not.
_SHUFFLES = 20


@dataclass(frozen=True)
class Fold:
    """One division into courses to learn from and courses to be tested on."""

    train: Rows
    test: Rows


def split_outer(design: Design, repeat: int) -> list[Fold]:
    """Split for one repeat of a study's comparison: patients held out, or whole sites.

    Raises
    ------
    StudyError
        If a fold would hold fewer than two events, or fewer than two non-events.
    """
    study, units = design.study, number_units(design)
    count = study.validation.folds
    if problems := [*_check_units(study, len(np.unique(units))), *_check_classes(design)]:
        raise StudyError(problems, source=study.name)
    for shuffle in range(_SHUFFLES):
        seed = derive_seed(study.seed, repeat, shuffle)
        folds = list(split_stratified(design.outcome, units, count, seed))
        if all(has_both_classes(design, fold.test) for fold in folds):
            return folds
    raise StudyError([_describe_uneven_units(design, units)], source=study.name)


def number_units(design: Design) -> Rows:
    """Give a number to what must stay together, ``[courses]``.

    Patients; or, if sites are held out, sites, joined if a patient was treated at both.
    """
    study = design.study
    if study.validation.hold_out == "patient":
        return design.patients
    sites, names = number_sites(design.columns)
    if len(names) < 2 or (sites == UNKNOWN_SITE).any():
        message = "holding out sites needs the site of every course, and at least two sites"
        raise StudyError([Problem("validation.hold_out", "site", message)], source=study.name)
    return join_groups(design.patients, sites)


def join_groups(first: Rows, second: Rows) -> Rows:
    """Give a number to each connected part of two groupings, ``[courses]``.

    >>> join_groups(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]))
    array([0, 0, 0, 1])
    """
    # Both groupings are nodes of one graph, and each course links its two.
    width = int(first.max()) + 1
    nodes = width + int(second.max()) + 1
    links = coo_array((np.ones(len(first)), (first, second + width)), shape=(nodes, nodes))
    parts = connected_components(links, directed=False)[1][first]
    return np.unique(parts, return_inverse=True)[1].astype(np.int64)


def has_both_classes(design: Design, rows: Rows) -> bool:
    """Return whether there are at least two events and two non-events among some courses."""
    events = design.outcome[rows].sum()
    return bool(min(events, len(rows) - events) >= MIN_CLASS_PER_FOLD)


def _check_units(study: Study, units: int) -> Iterator[Problem]:
    folds, noun = study.validation.folds, study.validation.hold_out
    if units >= folds:
        return
    advice = f"{units} {noun}s make at most {units} folds"
    if units < 2:
        shared = ", or of sites that share patients" if noun == "site" else ""
        advice = f"all courses are of one {noun}{shared}"
    yield Problem("validation.folds", noun, f"{folds} folds need as many {noun}s: {advice}")


# Both classes have enough courses, but in too few patients or sites to be divided.
def _describe_uneven_units(design: Design, units: Rows) -> Problem:
    noun, count = design.study.validation.hold_out, design.study.validation.folds
    having = min(len(np.unique(units[design.outcome == known])) for known in (0, 1))
    message = (
        f"no division of the {noun}s into {count} folds leaves {MIN_CLASS_PER_FOLD} events and "
        f"{MIN_CLASS_PER_FOLD} non-events in each: one class is in {having} of the "
        f"{len(np.unique(units))} {noun}s; ask for fewer folds"
    )
    return Problem("validation.folds", noun, message)


def _check_classes(design: Design) -> Iterator[Problem]:
    folds = design.study.validation.folds
    smaller_class = min(design.events, design.size - design.events)
    if smaller_class >= MIN_CLASS_PER_FOLD * folds:
        return
    allowed = smaller_class // MIN_CLASS_PER_FOLD
    advice = f"at most {allowed}" if allowed >= 2 else "none are possible: collect more outcomes"
    message = (
        f"{folds} folds need {MIN_CLASS_PER_FOLD} events and {MIN_CLASS_PER_FOLD} non-events each; "
        f"the smaller class has {smaller_class} ({advice})"
    )
    yield Problem("validation.folds", "events", message)


def split_inner(design: Design, seed: int) -> list[Fold]:
    """Split what a candidate learns from, to choose its settings; empty if there is too little.

    Patients stay together; only folds whose training part has both classes are kept.
    """
    count = min(design.inner_folds, design.events, design.size - design.events)
    if count < 2:
        return []
    folds = split_stratified(design.outcome, design.patients, count, seed)
    kept = [fold for fold in folds if np.ptp(design.outcome[fold.train]) > 0 and len(fold.test)]
    return kept if len(kept) >= 2 else []


def split_stratified(outcome: Numbers, units: Rows, folds: int, seed: int) -> Iterator[Fold]:
    """Split units so that folds have about equal shares of events and of non-events.

    The order of courses does not matter, only that of the units' numbers, ``[courses]``.
    """
    numbers = np.unique(units, return_inverse=True)[1]
    counts = np.zeros((numbers.max() + 1, 2), dtype=np.int64)
    np.add.at(counts, (numbers, outcome.astype(np.int64)), 1)
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    # The largest first: what they leave uneven, the small ones level out.
    order = shuffled[np.argsort(-counts[shuffled].sum(axis=1), kind="stable")]
    dealt_to = np.empty(len(counts), dtype=np.int64)
    dealt_to[order] = _deal_units(counts[order], folds)
    for fold in range(folds):
        held_out = dealt_to[numbers] == fold
        yield Fold(np.flatnonzero(~held_out), np.flatnonzero(held_out))


def _deal_units(counts: NDArray[np.int64], folds: int) -> list[int]:
    # Each class counts by its share of the whole, so the rarer one weighs more. Ties go to the fold
    # with the fewest courses, then to the first.
    # Shares are compared as whole numbers, so that ties are ties on every machine.
    of_class = counts.sum(axis=0)[::-1] ** 2
    dealt = np.zeros((folds, 2), dtype=np.int64)
    dealt_to = []
    for unit in counts:
        # Proportional to what the sum of the folds' squared shares would grow by.
        growth = dealt @ (unit * of_class)
        fold = int(np.lexsort((dealt.sum(axis=1), growth))[0])
        dealt[fold] += unit
        dealt_to.append(fold)
    return dealt_to


def draw_patients(design: Design, generator: np.random.Generator) -> Rows:
    """Draw as many patients as there are, with replacement, until both classes are among them.

    Returns all courses of each patient drawn, as often as the patient, ``[courses drawn]``.
    """
    # Sorted by patient, so that the courses of each are one slice.
    order = np.argsort(design.patients, kind="stable")
    starts = np.searchsorted(design.patients[order], np.arange(design.patients.max() + 2))
    patients = len(starts) - 1
    while True:
        drawn = generator.integers(patients, size=patients)
        rows = np.concatenate([order[starts[patient] : starts[patient + 1]] for patient in drawn])
        if np.ptp(design.outcome[rows]) > 0:
            return rows
