"""Decision curves: net benefit of treating by the model over thresholds (Vickers and Elkin, 2006).

A threshold is the lowest probability of response at which treatment is thought worthwhile: its odds
are how many responses one treatment without response costs. Net benefit is the proportion treated
who respond, minus the proportion treated who do not times those odds. An estimate is prognosis if
treated: net benefit assumes that responders would not respond untreated, so it favours treatment.
"""

from dataclasses import dataclass

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from training.measures.bootstrap import IntervalSettings, resample, summarise_draws
from training.measures.predictions import Predictions

# Rounded: multiples of 0.05 are not exact, and reports print them.
THRESHOLDS = tuple(np.round(np.arange(0.20, 0.601, 0.05), 2).tolist())


@dataclass(frozen=True)
class DecisionPoint:
    """Net benefit of treating by the model at one threshold.

    Parameters
    ----------
    treated
        Proportion of courses whose estimate reaches the threshold.
    benefit
        Net benefit per course.
    treat_all
        That of treating every patient; that of treating none is 0.
    standardised
        Net benefit divided by the base rate, which is its maximum.
    gain
        Net benefit minus the better of treating all and treating none.
    """

    threshold: float
    treated: float
    benefit: Measure
    treat_all: Measure
    standardised: Measure
    gain: Measure


def compute_benefits(
    probability: Numbers, outcome: Numbers, thresholds: Numbers, weights: Numbers
) -> Numbers:
    """Compute net benefit at every threshold in every weighted sample.

    Parameters
    ----------
    probability, outcome
        ``[courses]``; treated are those with a probability of at least the threshold.
    thresholds
        Above 0 and below 1.
    weights
        ``[samples, courses]``.

    Returns
    -------
    ndarray
        ``[samples, thresholds]``.
    """
    # The odds of the threshold are what one treatment without response costs, in responses.
    odds = thresholds / (1 - thresholds)
    treated = probability[:, None] >= thresholds
    worth = treated * (outcome[:, None] - (1 - outcome[:, None]) * odds)
    benefits: Numbers = weights @ worth / weights.sum(axis=1, keepdims=True)
    return benefits


def measure_decisions(
    predictions: Predictions,
    settings: IntervalSettings,
    thresholds: tuple[float, ...] = THRESHOLDS,
) -> list[DecisionPoint]:
    """Measure the decision curve, with percentile intervals over resampled patients."""
    probability, outcome, at = predictions.probability, predictions.outcome, np.array(thresholds)

    def compute(weights: Numbers) -> Numbers:
        # ``[samples, 4, thresholds]``, in the order of :class:`DecisionPoint`: all four of the same
        # samples, so that gain and benefit agree.
        benefit = compute_benefits(probability, outcome, at, weights)
        treat_all = compute_benefits(np.ones_like(probability), outcome, at, weights)
        share = (weights @ outcome / weights.sum(axis=1))[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            standardised = np.where(share > 0, benefit / share, np.nan)
        gain = benefit - np.maximum(treat_all, 0)
        return np.stack([benefit, treat_all, standardised, gain], axis=1)

    each = predictions.weights_or_ones
    whole = compute(each[None, :])[0]
    drawn = resample(compute, predictions, settings)
    treated = each @ (probability[:, None] >= at) / each.sum()
    return [
        DecisionPoint(
            threshold,
            float(treated[index]),
            *(
                summarise_draws(float(whole[kind, index]), drawn[:, kind, index], settings.level)
                for kind in range(4)
            ),
        )
        for index, threshold in enumerate(thresholds)
    ]
