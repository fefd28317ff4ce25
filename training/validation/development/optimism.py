"""Optimism: how much better a model looks on the courses it learned from than on others.

The procedure is repeated on resampled patients; what each version reaches on its own sample, less
what it reaches on the courses at hand, is its optimism. The mean is taken from the model's own
apparent performance (Harrell, Regression Modeling Strategies, 2015, 5.3.4). Outcomes are those
recorded, as Harrell has them, or drawn anew from the model; then the courses at hand are judged by
the probabilities that were drawn from, not by one more draw.

The slope is a scale: to shrink all log-odds by half doubles it, on the own sample and on others. So
its optimism is a factor. A model without shrinkage has an apparent slope of 1, and nothing differs
from the difference that others take. The curve's distances cannot be corrected so: those of a
shrunken model are largest on its own sample.

The interval is that of the apparent performance, moved as far: it holds the sampling error of the
courses tested on, not that of the procedure (Noma et al., Stat Med 2021, on what that leaves out).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from training.measures.intervals import make_measure
from training.measures.performance import MEASURES, compute_performance
from training.study.design import Design
from training.validation.procedure import UnitResult
from training.validation.redrawing import Redrawing
from training.validation.units import Unit, count_drawn

# Measures whose optimism is a difference.
ADDED = ("auc", "log_loss", "brier", "scaled_brier", "ratio", "intercept")


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
        order of :data:`training.measures.performance.MEASURES`.
    """

    picked: tuple[str, ...]
    log_odds: Numbers
    own: Numbers
    others: Numbers

    @property
    def optimism(self) -> dict[str, float]:
        """Mean optimism of each of :data:`ADDED`; NaN where no version has both."""
        mean = average_defined(self.own - self.others)
        return {name: float(mean[MEASURES.index(name)]) for name in ADDED}

    @property
    def shrinkage(self) -> float:
        """Mean of the slope on the courses at hand over that on the own sample; NaN without."""
        place = MEASURES.index("slope")
        own, others = self.own[:, place], self.others[:, place]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(own > 0, others / own, np.nan)
        return float(average_defined(ratio[:, None])[0])


def gather_versions(
    design: Design, found: Iterable[tuple[Unit, UnitResult]], redrawing: Redrawing | None = None
) -> Redeveloped:
    """Measure what each version says of its own sample and of the courses at hand.

    Parameters
    ----------
    redrawing
        Of the outcomes in samples; None where they were those recorded.
    """
    picked, said, own, others = [], [], [], []
    for unit, answer in found:
        reached = (
            measure_cases(design, unit, answer.selected_log_odds)
            if redrawing is None
            else measure_redrawn(design, unit, answer.selected_log_odds, redrawing)
        )
        picked.append(answer.selected)
        said.append(answer.selected_log_odds)
        own.append(reached[0])
        others.append(reached[1])
    return Redeveloped(tuple(picked), np.array(said), np.array(own), np.array(others))


def measure_cases(design: Design, unit: Unit, log_odds: Numbers) -> Numbers:
    """Measure on a sample with outcomes as recorded, and on the courses at hand."""
    weights = np.stack([design.weights * count_drawn(unit, design.size), design.weights])
    return compute_performance(log_odds, design.outcome, weights)


def measure_redrawn(
    design: Design, unit: Unit, log_odds: Numbers, redrawing: Redrawing
) -> tuple[Numbers, Numbers]:
    """Measure on a sample with outcomes drawn anew, and on the courses at hand.

    Of those the truth is known: each counts as both outcomes, by its true probability.
    """
    drawn = redrawing.redraw(design, unit.train, unit.seed)
    (own,) = compute_performance(log_odds[unit.train], drawn.outcome, drawn.weights[None, :])
    true, both = redrawing.probability, np.repeat([1.0, 0.0], design.size)
    weights = np.concatenate([true, 1 - true]) * np.tile(design.weights, 2)
    (others,) = compute_performance(np.tile(log_odds, 2), both, weights[None, :])
    return own, others


def average_defined(values: Numbers) -> Numbers:
    """Average each column over what is defined; NaN where nothing is."""
    defined = np.isfinite(values)
    count = defined.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, np.where(defined, values, 0).sum(axis=0) / count, np.nan)


def correct_optimism(apparent: Mapping[str, Measure], versions: Redeveloped) -> dict[str, Measure]:
    """Take the optimism from the apparent performance.

    Returns
    -------
    dict
        Each of :data:`ADDED` and the slope; None where the model or all versions have none.
    """
    moved = {
        name: map_measure(apparent[name], 1.0, -optimism)
        for name, optimism in versions.optimism.items()
    }
    return moved | {"slope": map_measure(apparent["slope"], versions.shrinkage, 0.0)}


def map_measure(found: Measure, factor: float, added: float) -> Measure:
    """Multiply a measure and its interval, and add to them."""
    if found.value is None:
        return found
    value, low, high = (
        np.nan if end is None else factor * end + added
        for end in (found.value, found.low, found.high)
    )
    return make_measure(value, low, high)
