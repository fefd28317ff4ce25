"""Measures of performance on courses not learned from, with intervals over resampled patients.

Log loss and Brier score judge the probabilities, AUC the ranking within each fold (base rates that
differ between folds must not count against anyone), intercept and slope the calibration: 0 and 1
are perfect, a slope below 1 means estimates too extreme.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.model.card import Measure
from features.model.response_model import compute_probability
from training.measures.intervals import resample, summarise_draws
from training.measures.logistic import fit_intercept, fit_intercept_slope

MEASURES = ("log_loss", "brier", "auc", "intercept", "slope")


@dataclass(frozen=True)
class HeldOut:
    """What a candidate said of every course when it had not learned from it.

    Parameters
    ----------
    log_odds
        ``[repeats, courses]``.
    folds
        ``[repeats, courses]``: the fold in which each course was held out.
    """

    log_odds: Numbers
    folds: NDArray[np.int64]

    @property
    def ranks_nobody(self) -> bool:
        """Whether everyone in a fold got the same: such a candidate has no slope."""
        return all(
            np.ptp(log_odds[folds == fold]) < 1e-9
            for log_odds, folds in zip(self.log_odds, self.folds, strict=True)
            for fold in np.unique(folds)
        )


def compute_log_loss(log_odds: Numbers, outcome: Numbers) -> Numbers:
    """Compute the log loss of log-odds, each against its outcome; shapes as NumPy broadcasts them.

    Examples
    --------
    >>> compute_log_loss(np.zeros(2), np.array([1.0, 0.0])).round(3)
    array([0.693, 0.693])
    """
    losses: Numbers = np.logaddexp(0, np.where(outcome == 1, -log_odds, log_odds))
    return losses


def compute_losses(held_out: HeldOut, outcome: Numbers) -> Numbers:
    """Compute each course's log loss, averaged over repeats; ``[courses]``."""
    losses: Numbers = compute_log_loss(held_out.log_odds, outcome).mean(axis=0)
    return losses


def count_pairs(log_odds: Numbers, outcome: Numbers, weights: Numbers) -> tuple[Numbers, Numbers]:
    """Count pairs of one course with the outcome and one without, and those ranked right.

    Parameters
    ----------
    weights
        ``[samples, courses]``.

    Returns
    -------
    concordant, pairs
        ``[samples]`` each; ties count half.

    Examples
    --------
    >>> count_pairs(np.array([1.0, 2, 2]), np.array([0.0, 1, 0]), np.ones((1, 3)))
    (array([1.5]), array([2.]))
    """
    values, places = np.unique(log_odds, return_inverse=True)
    starts = np.searchsorted(np.sort(places), np.arange(len(values)))
    order = np.argsort(places, kind="stable")
    positive = np.add.reduceat((weights * outcome)[:, order], starts, axis=1)
    negative = np.add.reduceat((weights * (1 - outcome))[:, order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    concordant = (positive * (below + negative / 2)).sum(axis=1)
    return concordant, positive.sum(axis=1) * negative.sum(axis=1)


def compute_auc(held_out: HeldOut, outcome: Numbers, weights: Numbers) -> Numbers:
    """Compute the AUC within folds, over all repeats; ``[samples]``, NaN without pairs."""
    counted = [
        count_within(log_odds, outcome, weights, folds)
        for log_odds, folds in zip(held_out.log_odds, held_out.folds, strict=True)
    ]
    concordant, pairs = np.sum(counted, axis=0)
    return divide_pairs(concordant, pairs)


def count_within(
    log_odds: Numbers, outcome: Numbers, weights: Numbers, groups: NDArray[np.int64]
) -> tuple[Numbers, Numbers]:
    """Count pairs, and those ranked right, of two courses of the same group; ``[samples]`` each."""
    concordant, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for group in np.unique(groups):
        rows = groups == group
        right, every = count_pairs(log_odds[rows], outcome[rows], weights[:, rows])
        concordant, pairs = concordant + right, pairs + every
    return concordant, pairs


def divide_pairs(concordant: Numbers, pairs: Numbers) -> Numbers:
    """Divide pairs ranked right by all pairs; NaN without pairs."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Numbers = concordant / pairs
    return share


def compute_measures(held_out: HeldOut, outcome: Numbers, weights: Numbers) -> dict[str, Numbers]:
    """Compute every measure in every weighted sample.

    Returns
    -------
    dict
        For each of :data:`MEASURES`, ``[samples]``; NaN where it is not defined.
    """
    total = weights.sum(axis=1)
    errors = (compute_probability(held_out.log_odds) - outcome) ** 2
    intercepts, slopes = compute_calibration(held_out, outcome, weights)
    return {
        "log_loss": weights @ compute_losses(held_out, outcome) / total,
        "brier": weights @ errors.mean(axis=0) / total,
        "auc": compute_auc(held_out, outcome, weights),
        "intercept": intercepts,
        "slope": slopes,
    }


def compute_calibration(
    held_out: HeldOut, outcome: Numbers, weights: Numbers
) -> tuple[Numbers, Numbers]:
    """Compute calibration in the large and slope over all repeats together; ``[samples]`` each."""
    repeats = len(held_out.log_odds)
    log_odds, outcomes = held_out.log_odds.ravel(), np.tile(outcome, repeats)
    tiled = np.tile(weights, repeats)
    intercepts = fit_intercept(log_odds, outcomes, tiled)
    if held_out.ranks_nobody:
        return intercepts, np.full(len(weights), np.nan)
    return intercepts, fit_intercept_slope(log_odds, outcomes, tiled)[:, 1]


def measure(
    held_out: HeldOut,
    outcome: Numbers,
    patients: NDArray[np.int64],
    samples: int,
    level: float,
    seed: int,
    counted: Numbers | None = None,
) -> dict[str, Measure]:
    """Measure performance, with percentile intervals over resampled patients.

    Parameters
    ----------
    counted
        How much each course counts, ``[courses]``; None where all count alike.
    """
    each = np.ones(len(outcome)) if counted is None else counted

    def compute(weights: Numbers) -> Numbers:
        found = compute_measures(held_out, outcome, weights)
        return np.column_stack([found[name] for name in MEASURES])

    whole = compute(each[None, :])[0]
    drawn = resample(compute, patients, samples, seed, counted, len(held_out.log_odds))
    return {
        name: summarise_draws(float(value), found, level)
        for name, value, found in zip(MEASURES, whole, drawn.T, strict=True)
    }


@dataclass(frozen=True)
class Difference:
    """Mean difference in log loss between two candidates, on the same held-out courses.

    Parameters
    ----------
    error
        Standard error, over patients.
    """

    mean: float
    error: float


def compare_losses(
    losses: Numbers,
    others: Numbers,
    patients: NDArray[np.int64],
    weights: Numbers | None = None,
) -> Difference:
    """Compare losses course by course; negative where the first is better.

    Parameters
    ----------
    weights
        How much each course counts, ``[courses]``; None where all count alike.

    Examples
    --------
    >>> gap = compare_losses(np.array([0.5, 0.8]), np.array([0.6, 0.6]), np.array([0, 1]))
    >>> round(gap.mean, 3), round(gap.error, 3)
    (0.05, 0.15)
    """
    gap = losses - others
    counted = np.ones(len(gap)) if weights is None else weights
    mean = np.average(gap, weights=counted)
    count = int(patients.max()) + 1
    sums = np.bincount(patients, weights=counted * (gap - mean), minlength=count)
    correction = count / max(count - 1, 1)
    return Difference(
        round(float(mean), 15), float(np.sqrt(correction * (sums**2).sum()) / counted.sum())
    )


def choose_candidate(
    losses: Mapping[str, Numbers],
    patients: NDArray[np.int64],
    weights: Numbers | None = None,
) -> tuple[str, dict[str, Difference]]:
    """Choose by the one-standard-error rule.

    Of all candidates within one standard error of the lowest log loss, the first in the order of
    preference is chosen.

    Parameters
    ----------
    losses
        Each candidate's losses, in the order of preference.
    weights
        How much each course counts, ``[courses]``; None where all count alike.

    Returns
    -------
    str
        The chosen one.
    dict
        Each candidate's difference to the best.
    """
    best = min(losses, key=lambda name: np.average(losses[name], weights=weights))
    to_best = {
        name: compare_losses(loss, losses[best], patients, weights) for name, loss in losses.items()
    }
    within = [name for name, gap in to_best.items() if gap.mean <= gap.error]
    return within[0], to_best
