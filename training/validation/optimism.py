"""Optimism: how much better a model looks on the courses it learned from than on others.

Harrell's bootstrap (Regression Modeling Strategies, 2015, 5.3.4): the procedure is repeated on
resampled patients; what each version reaches on its own sample, less what it reaches on the courses
at hand, is its optimism. The mean is taken from the model's own apparent performance. The interval
is that of apparent performance over the samples, moved as far (Noma et al., Stat Med 2021).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.contract import Measure
from training.design import Design
from training.measures.intervals import summarise_draws
from training.validation.performance import MEASURES, compute_performance
from training.validation.procedure import Answer
from training.validation.units import Unit, count_drawn

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Redeveloped:
    """What re-developments on bootstrap samples reached.

    Parameters
    ----------
    picked
        The candidate that each chose.
    log_odds
        ``[versions, courses]``: of the courses at hand.
    own, others
        ``[versions, measures]``: on the version's own sample, and on the courses at hand; in the
        order of :data:`training.validation.performance.MEASURES`.
    """

    picked: tuple[str, ...]
    log_odds: Numbers
    own: Numbers
    others: Numbers

    @property
    def optimism(self) -> Numbers:
        """Mean optimism, ``[measures]``; NaN where no version has both."""
        return average_defined(self.own - self.others)


def gather_versions(design: Design, found: Iterable[tuple[Unit, Answer]]) -> Redeveloped:
    """Measure what each version says of its own sample and of the courses at hand."""
    picked, said, own, others = [], [], [], []
    for unit, answer in found:
        log_odds = answer.said
        weights = np.stack([design.weights * count_drawn(unit, design.size), design.weights])
        reached = compute_performance(log_odds, design.outcome, weights)
        picked.append(answer.picked)
        said.append(log_odds)
        own.append(reached[0])
        others.append(reached[1])
    return Redeveloped(tuple(picked), np.array(said), np.array(own), np.array(others))


def average_defined(values: Numbers) -> Numbers:
    """Average each column over what is defined; NaN where nothing is."""
    defined = np.isfinite(values)
    count = defined.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, np.where(defined, values, 0).sum(axis=0) / count, np.nan)


def correct_optimism(apparent: Numbers, versions: Redeveloped, level: float) -> dict[str, Measure]:
    """Take the optimism from the apparent performance.

    Parameters
    ----------
    apparent
        ``[measures]``.

    Returns
    -------
    dict
        Each measure; None where the model or all versions have none.
    """
    corrected = apparent - versions.optimism
    moved = versions.own - versions.optimism
    return {
        name: summarise_draws(float(value), drawn, level)
        for name, value, drawn in zip(MEASURES, corrected, moved.T, strict=True)
    }
