"""Splits: folds that keep a patient's courses together, or a site's patients.

Every fold must be able to say something: at least two courses with the outcome and two without.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from features.errors import Problem, StudyError
from training.design import UNKNOWN_SITE, Design, number_sites
from training.study import Study

EVENTS_A_FOLD = 2
MOST_INNER_FOLDS = 5
SHUFFLES = 20

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """One division into courses to learn from and courses to be tested on."""

    train: Rows
    test: Rows


def split_outer(study: Study, design: Design, repeat: int) -> list[Fold]:
    """Split for one repeat of the comparison.

    Raises
    ------
    StudyError
        If a fold would hold fewer than two courses with the outcome, or two without.
    """
    units = find_units(study, design)
    folds = study.validation.folds
    rarest = min(design.events, design.size - design.events)
    if rarest < EVENTS_A_FOLD * folds or len(np.unique(units)) < folds:
        raise StudyError([_describe_shortage(folds, rarest)], source=study.name)
    for shuffle in range(SHUFFLES):
        seed = derive_seed(study.seed, repeat, shuffle)
        found = list(split_stratified(design.outcome, units, folds, seed))
        if all(_is_informative(design, fold) for fold in found):
            return found
    raise StudyError([_describe_shortage(folds, rarest)], source=study.name)


def find_units(study: Study, design: Design) -> Rows:
    """Give a number to what must stay together.

    Patients; or, where sites are held out, sites, joined where one patient was treated at two.
    """
    if study.validation.hold_out == "patient":
        return design.patients
    sites, names = number_sites(design.columns)
    if len(names) < 2 or (sites == UNKNOWN_SITE).any():
        message = "holding out sites needs the site of every course, and two sites at least"
        raise StudyError([Problem("validation.hold_out", "site", message)], source=study.name)
    return join_groups(design.patients, sites)


def join_groups(first: Rows, second: Rows) -> Rows:
    """Give a number to each connected part of two groupings.

    Examples
    --------
    >>> join_groups(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]))
    array([0, 0, 0, 1])
    """
    width = int(first.max()) + 1
    nodes = width + int(second.max()) + 1
    links = coo_array((np.ones(len(first)), (first, second + width)), shape=(nodes, nodes))
    parts = connected_components(links, directed=False)[1][first]
    return np.unique(parts, return_inverse=True)[1].astype(np.int64)


def split_inner(design: Design, seed: int) -> list[Fold]:
    """Split what a candidate learns from, to choose its settings; empty where it is too little.

    Patients stay together; only folds whose learning part has both outcomes are kept.
    """
    rarest = min(design.events, design.size - design.events)
    folds = min(MOST_INNER_FOLDS, rarest)
    if folds < 2:
        return []
    found = split_stratified(design.outcome, design.patients, folds, seed)
    kept = [fold for fold in found if np.ptp(design.outcome[fold.train]) > 0 and len(fold.test)]
    return kept if len(kept) >= 2 else []


def split_stratified(
    outcome: NDArray[np.float64], units: Rows, folds: int, seed: int
) -> Iterator[Fold]:
    """Split units so that every fold has about the same share of events."""
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    blank = np.zeros(len(outcome))
    for train, test in splitter.split(blank, outcome.astype(int), units):
        yield Fold(train, test)


def derive_seed(*parts: int) -> int:
    """Derive a seed from a study's seed and the place where it is used.

    Examples
    --------
    >>> derive_seed(1, 0) == derive_seed(1, 0), derive_seed(1, 0) == derive_seed(1, 1)
    (True, False)
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _is_informative(design: Design, fold: Fold) -> bool:
    events = design.outcome[fold.test].sum()
    return bool(min(events, len(fold.test) - events) >= EVENTS_A_FOLD)


def _describe_shortage(folds: int, rarest: int) -> Problem:
    allowed = rarest // EVENTS_A_FOLD
    advice = f"at most {allowed}" if allowed >= 2 else "none are possible: collect more outcomes"
    message = (
        f"{folds} folds need {EVENTS_A_FOLD} courses with and without the outcome in each; "
        f"the rarer of the two has {rarest} ({advice})"
    )
    return Problem("validation.folds", "events", message)


def draw_patients(design: Design, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many patients as there are, with replacement, until both outcomes are among them."""
    order = np.argsort(design.patients, kind="stable")
    starts = np.searchsorted(design.patients[order], np.arange(design.patients.max() + 2))
    while True:
        drawn = generator.integers(len(starts) - 1, size=len(starts) - 1)
        rows = np.concatenate([order[starts[one] : starts[one + 1]] for one in drawn])
        if np.ptp(design.outcome[rows]) > 0:
            return rows
