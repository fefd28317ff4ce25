"""Splits: folds that keep a patient's courses together, or a site's patients.

Every fold must be able to say something: at least two courses with the outcome and two without.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.base.arrays import Numbers
from features.base.errors import Problem, StudyError
from training.study.design import UNKNOWN_SITE, Design, number_sites
from training.study.study import Study

EVENTS_A_FOLD = 2
SHUFFLES = 20
# Shares nearer than this count as equal, as they do for NumPy.
CLOSE, CLOSEST = 1e-5, 1e-8

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
    folds = min(design.inner_folds, rarest)
    if folds < 2:
        return []
    found = split_stratified(design.outcome, design.patients, folds, seed)
    kept = [fold for fold in found if np.ptp(design.outcome[fold.train]) > 0 and len(fold.test)]
    return kept if len(kept) >= 2 else []


def split_stratified(outcome: Numbers, units: Rows, folds: int, seed: int) -> Iterator[Fold]:
    """Split units so that every fold has about the same share of events.

    The folds are those of scikit-learn's ``StratifiedGroupKFold``, found ten times faster: with
    NumPy, the deviation of five numbers, which it takes for every unit and fold, is mostly waiting.
    """
    numbers = np.unique(units, return_inverse=True)[1]
    classes = np.unique(outcome, return_inverse=True)[1]
    counts = np.zeros((numbers.max() + 1, 2))
    np.add.at(counts, (numbers, classes), 1)
    order = np.arange(len(counts))
    np.random.RandomState(seed).shuffle(order)
    uneven = np.argsort(-np.std(counts[order], axis=1), kind="stable")
    chosen = np.empty(len(counts), dtype=np.int64)
    chosen[order[uneven]] = deal_units(counts[order[uneven]], folds)
    for fold in range(folds):
        held = chosen[numbers] == fold
        yield Fold(np.flatnonzero(~held), np.flatnonzero(held))


def deal_units(counts: Numbers, folds: int) -> list[int]:
    """Deal units out one by one, each to the fold that leaves shares of both classes most even.

    Of equals, to the one with the fewest courses.

    Parameters
    ----------
    counts
        ``[units, 2]``: courses without and with the outcome.
    """
    totals = counts.sum(axis=0).tolist()
    dealt = [[0.0] * folds for _ in totals]
    now, chosen = [0.0 for _ in totals], []
    for unit in counts.tolist():
        best, least, fewest, after = 0, inf, inf, now
        for fold in range(folds):
            uneven = [
                measure_unevenness([*one[:fold], one[fold] + more, *one[fold + 1 :]], total)
                if more
                else same
                for one, more, total, same in zip(dealt, unit, totals, now, strict=True)
            ]
            mean, size = sum(uneven) / len(uneven), sum(one[fold] for one in dealt)
            close = abs(mean - least) <= CLOSEST + CLOSE * least
            if mean < least or (close and size < fewest):
                best, least, fewest, after = fold, mean, size, uneven
        for one, more in zip(dealt, unit, strict=True):
            one[best] += more
        now = after
        chosen.append(best)
    return chosen


def measure_unevenness(dealt: list[float], total: float) -> float:
    """Measure the standard deviation of folds' shares, rounded as NumPy rounds it.

    Ties are decided by the last digit, so that sums are taken in order.
    """
    folds, whole, squares = len(dealt), 0.0, 0.0
    shares = [one / total for one in dealt]
    for share in shares:
        whole += share
    mean = whole / folds
    for share in shares:
        squares += (share - mean) * (share - mean)
    return sqrt(squares / folds)


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
