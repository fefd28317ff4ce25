"""Discrimination: the AUC and its standard error.

The variance is that of DeLong, DeLong and Clarke-Pearson (Biometrics 1988), computed by ranks in
O(n log n) as Sun and Xu do (IEEE Signal Processing Letters 2014). If patients have several
courses it is that of Obuchowski (Biometrics 1997), which is DeLong's if each has one.
"""

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from training.measures.intervals import (
    UNDEFINED,
    Estimated,
    Patients,
    correct_few,
    fill_weights,
    number_patients,
    sum_by_patient,
)


def estimate_auc(
    score: Numbers,
    outcome: Numbers,
    weights: Numbers | None = None,
    patients: Patients | None = None,
) -> Estimated:
    """Estimate the AUC: the probability that an event scores above a non-event.

    Parameters
    ----------
    score, outcome
        ``[courses]``; ties count half.
    weights
        How much each course counts, ``[courses]``; taken as known, not as numbers of copies.
    patients
        Number of each course's patient; None if each has one course.

    Returns
    -------
    Estimated
        NaN without pairs; the error is NaN if a class has fewer than two patients.
    """
    if np.ptp(outcome) == 0:
        return UNDEFINED
    each = fill_weights(weights, len(outcome))
    people = number_patients(patients, len(outcome))
    placements = place_courses(score, outcome, each)
    shares = [each * outcome, each * (1 - outcome)]
    auc = float(shares[0] @ placements / shares[0].sum())
    first, second = (
        sum_by_patient(share / share.sum() * (placements - auc), people) for share in shares
    )
    # A patient may have courses of both classes: Obuchowski's cross term accounts for that.
    variance = (
        correct_few(count_patients(people, shares[0])) * first @ first
        + correct_few(count_patients(people, shares[1])) * second @ second
        + correct_few(len(np.unique(people))) * 2 * (first @ second)
    )
    return Estimated(auc, float(np.sqrt(variance)))


def place_courses(score: Numbers, outcome: Numbers, weights: Numbers) -> Numbers:
    """Compute each course's placement: the share of the other class with which it is concordant.

    Ties count half.
    """
    # Fast path of comparing every event with every non-event, O(n log n) by ranks; equal by
    # ``test_a_hundred_thousand_courses_agree_with_wilcoxon``.
    values, ranks = np.unique(score, return_inverse=True)
    size = len(values)
    positive = np.bincount(ranks, weights * outcome, size)
    negative = np.bincount(ranks, weights * (1 - outcome), size)
    below = np.cumsum(negative) - negative / 2
    above = positive.sum() - np.cumsum(positive) + positive / 2
    placed: Numbers = np.where(
        outcome == 1, below[ranks] / negative.sum(), above[ranks] / positive.sum()
    )
    return placed


def count_patients(patients: Patients, share: Numbers) -> int:
    """Count the patients with a course of positive share."""
    return len(np.unique(patients[share > 0]))


def compute_grouped_auc(
    score: Numbers, outcome: Numbers, weights: Numbers, groups: NDArray[np.int64]
) -> Numbers:
    """Compute the AUC over pairs of the same group, in every weighted sample.

    Folds and sites have base rates of their own, which must not count for or against a ranking.

    Parameters
    ----------
    weights
        ``[samples, courses]``.

    Returns
    -------
    ndarray
        ``[samples]``; ties count half, NaN without pairs.
    """
    concordant, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for group in np.unique(groups):
        rows = groups == group
        right, every = count_pairs(score[rows], outcome[rows], weights[:, rows])
        concordant, pairs = concordant + right, pairs + every
    with np.errstate(invalid="ignore", divide="ignore"):
        auc: Numbers = concordant / pairs
    return auc


def count_pairs(score: Numbers, outcome: Numbers, weights: Numbers) -> tuple[Numbers, Numbers]:
    """Count pairs of an event and a non-event, and the concordant ones among them.

    Parameters
    ----------
    weights
        ``[samples, courses]``.

    Returns
    -------
    concordant, pairs
        ``[samples]`` each; ties count half.
    """
    values, ranks = np.unique(score, return_inverse=True)
    # Sums per distinct score, for all samples at once: courses are sorted once, not once per
    # sample.
    starts = np.searchsorted(np.sort(ranks), np.arange(len(values)))
    order = np.argsort(ranks, kind="stable")
    events = np.add.reduceat((weights * outcome)[:, order], starts, axis=1)
    non_events = np.add.reduceat((weights * (1 - outcome))[:, order], starts, axis=1)
    below = np.cumsum(non_events, axis=1) - non_events
    concordant = (events * (below + non_events / 2)).sum(axis=1)
    return concordant, events.sum(axis=1) * non_events.sum(axis=1)
