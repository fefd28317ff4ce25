"""Optimism: how much better a model performs on the courses it was fitted on than on others.

The procedure is repeated on bootstrap samples of patients. The performance of each bootstrap model
on its own sample, minus that on the original sample, is its optimism; the mean is subtracted from
the model's apparent performance (Harrell, Regression Modeling Strategies, 2015, 5.3.4). Outcomes
are as recorded, as Harrell has them, or redrawn from the model. If redrawn, the original sample is
judged by the probabilities that they were drawn from, which are known, and not by another draw.

The slope is a scale: halving all log-odds doubles it, so its optimism is a factor. The distances of
the calibration curve cannot be corrected in this way: those of a shrunken model are largest on its
own sample.

A procedure that estimates nothing, or only the level of a published equation, has no optimism of
what it does not estimate.

The interval is that of the apparent performance, shifted: it reflects the sampling error of the
courses tested on, not that of the procedure (Noma et al., Stat Med 2021, on what that leaves out).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from features.model.prediction import compute_probability
from training.measures.intervals import make_measure
from training.measures.performance import MEASURES, compute_performance
from training.measures.predictions import CONSTANT
from training.study.design import Design
from training.validation.procedure import UnitResult
from training.validation.redrawing import Redrawing
from training.validation.units import Unit

# The slope's optimism is a factor; that of every other measure, a new one too, is a difference.
_ADDITIVE = tuple(name for name in MEASURES if name != "slope")


@dataclass(frozen=True)
class BootstrapRefits:
    """The procedure on bootstrap samples.

    Parameters
    ----------
    log_odds
        ``[refits, courses]`` of the original sample.
    on_sample, on_original
        ``[refits, measures]``: performance on the refit's own sample, and on the original one; in
        the order of :data:`training.measures.performance.MEASURES`.
    """

    selected: tuple[str, ...]
    log_odds: Numbers
    on_sample: Numbers
    on_original: Numbers

    @property
    def is_fixed(self) -> bool:
        """Whether all refits predict the same, as an equation used as published does."""
        return len(self.log_odds) > 1 and float(np.ptp(self.log_odds, axis=0).max()) < CONSTANT

    @property
    def is_shifted(self) -> bool:
        """Whether refits differ by a constant alone, and predictions are not constant themselves.

        Then neither ranking nor slope was estimated: what they differ by between samples is
        sampling error, not optimism.
        """
        deviations = self.log_odds - self.log_odds.mean(axis=1, keepdims=True)
        alike = len(deviations) > 1 and float(np.ptp(deviations, axis=0).max()) < CONSTANT
        return alike and float(np.ptp(deviations)) > CONSTANT

    @property
    def optimism(self) -> dict[str, float]:
        """Mean optimism of each of :data:`_ADDITIVE`; NaN if no refit has both."""
        if self.is_fixed:
            return dict.fromkeys(_ADDITIVE, 0.0)
        mean = _average_defined(self.on_sample - self.on_original)
        optimism = {name: float(mean[MEASURES.index(name)]) for name in _ADDITIVE}
        return optimism | {"auc": 0.0} if self.is_shifted else optimism

    @property
    def shrinkage(self) -> float:
        """Mean ratio of the slope on the original sample to that on the own; NaN without any."""
        if self.is_shifted:
            return 1.0
        slope = MEASURES.index("slope")
        own, original = self.on_sample[:, slope], self.on_original[:, slope]
        with np.errstate(divide="ignore", invalid="ignore"):
            # A slope of 0 or below has no meaningful ratio: that refit is left out.
            ratio = np.where(own > 0, original / own, np.nan)
        return float(_average_defined(ratio[:, None])[0])


def measure_refits(
    design: Design, results: Iterable[tuple[Unit, UnitResult]], redrawing: Redrawing | None = None
) -> BootstrapRefits:
    """Measure each refit on its own sample and on the original one."""
    selected, log_odds, on_sample, on_original = [], [], [], []
    for unit, result in results:
        predicted = result.selected_log_odds
        if redrawing is None:
            own, original = _measure_recorded(design, unit, predicted)
        else:
            own, original = _measure_redrawn(design, unit, predicted, redrawing)
        selected.append(result.selected)
        log_odds.append(predicted)
        on_sample.append(own)
        on_original.append(original)
    return BootstrapRefits(
        tuple(selected), np.array(log_odds), np.array(on_sample), np.array(on_original)
    )


def _measure_recorded(design: Design, unit: Unit, log_odds: Numbers) -> Numbers:
    # Both samples are weights of the same courses, so that one call measures both.
    drawn = np.bincount(unit.train, minlength=design.size)
    weights = np.stack([design.weights * drawn, design.weights])
    return compute_performance(log_odds, design.outcome, weights)


def _measure_redrawn(
    design: Design, unit: Unit, log_odds: Numbers, redrawing: Redrawing
) -> tuple[Numbers, Numbers]:
    drawn = redrawing.redraw(design, unit.train, unit.seed)
    (own,) = compute_performance(log_odds[unit.train], drawn.outcome, drawn.weights[None, :])
    # Each course of the original sample counts as both outcomes, by its true probability.
    true, both = compute_probability(redrawing.log_odds), np.repeat([1.0, 0.0], design.size)
    weights = np.concatenate([true, 1 - true]) * np.tile(design.weights, 2)
    (original,) = compute_performance(np.tile(log_odds, 2), both, weights[None, :])
    return own, original


def _average_defined(values: Numbers) -> Numbers:
    defined = np.isfinite(values)
    count = defined.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, np.where(defined, values, 0).sum(axis=0) / count, np.nan)


def correct_optimism(
    apparent: Mapping[str, Measure], refits: BootstrapRefits
) -> dict[str, Measure]:
    """Subtract the optimism from the apparent performance.

    Returns
    -------
    dict
        Each of :data:`_ADDITIVE` and the slope; without a value if the model or all refits have
        none.
    """
    corrected = {
        name: _map_measure(apparent[name], 1.0, -optimism)
        for name, optimism in refits.optimism.items()
    }
    return corrected | {"slope": _map_measure(apparent["slope"], refits.shrinkage, 0.0)}


def _map_measure(measure: Measure, factor: float, shift: float) -> Measure:
    if measure.value is None:
        return measure
    value, low, high = (
        np.nan if end is None else factor * end + shift
        for end in (measure.value, measure.low, measure.high)
    )
    return make_measure(value, low, high)
