"""Splits and bootstrap samples that keep what belongs together together."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from training.study.design import Design

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """One division into courses to learn from and courses to be tested on."""

    train: Rows
    test: Rows


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

    Parameters
    ----------
    outcome, units
        ``[courses]``: 0 or 1, and the number of what must stay together. The order of courses does
        not matter, only the order of these numbers.
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


def derive_seed(*parts: int) -> int:
    """Derive a seed from a study's seed and the place in the run where it is used.

    Examples
    --------
    >>> derive_seed(1, 0) == derive_seed(1, 0), derive_seed(1, 0) == derive_seed(1, 1)
    (True, False)
    """
    # SeedSequence mixes its parts: neighbouring numbers give unrelated streams.
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def draw_patients(design: Design, generator: np.random.Generator) -> Rows:
    """Draw as many patients as there are, with replacement, until both classes are among them.

    Returns
    -------
    ndarray
        ``[courses drawn]``: all courses of each patient drawn, as often as the patient.
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
