"""Expected scores: each course counts as both outcomes, weighted by its attainable probability.

No outcome is drawn, so chance in the tested courses' outcomes blurs no comparison.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.base.arrays import Numbers
from features.model.prediction import Prediction
from features.records.columns import Columns
from training.measures.discrimination import count_pairs
from training.measures.logistic import fit_intercept_slope, logit

Scores = Mapping[str, float | None]

THIRDS = ("low", "middle", "high")
# Probabilities are clipped to this, so that one certain and wrong estimate costs much, yet not all.
MIN_PROBABILITY = 1e-6


@dataclass(frozen=True)
class Sample:
    """Test courses."""

    columns: Columns
    # ``[courses]``: the best possible probability; a course counts as both outcomes, weighted by
    # it. At a new site its effect is integrated out
    attainable: Numbers
    at_site: Numbers  # ``[courses]``: the same with the site's effect known, new or not


def score_prediction(prediction: Prediction, sample: Sample) -> Scores:
    """Score a method's prediction of a sample."""
    estimate = np.clip(prediction.probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    intercept, slope = _calibrate(logit(estimate), sample.attainable)
    return {
        "log_loss": compute_expected_loss(estimate, sample.attainable),
        "attainable": compute_expected_loss(sample.attainable, sample.attainable),
        "auc": _compute_expected_auc(logit(estimate), sample.attainable),
        "auc_attainable": _compute_expected_auc(logit(sample.attainable), sample.attainable),
        "intercept": intercept,
        "slope": slope,
        **_compute_coverage(prediction, sample.at_site, "coverage"),
        **_compute_coverage(prediction, sample.attainable, "coverage_of_mean_site"),
    }


def compute_expected_loss(estimate: Numbers, truth: Numbers) -> float:
    """Compute the expected log loss if outcomes follow the true probabilities.

    Examples
    --------
    >>> round(compute_expected_loss(np.array([0.5, 0.5]), np.array([0.1, 0.7])), 3)
    0.693
    """
    return float(-np.mean(truth * np.log(estimate) + (1 - truth) * np.log1p(-estimate)))


def _compute_expected_auc(log_odds: Numbers, truth: Numbers) -> float:
    """Compute the expected AUC.

    Examples
    --------
    >>> _compute_expected_auc(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    1.0
    """
    concordant, pairs = count_pairs(*_count_both_outcomes(log_odds, truth))
    return float(concordant[0] / pairs[0])


def _calibrate(log_odds: Numbers, truth: Numbers) -> tuple[float | None, float | None]:
    if np.ptp(log_odds) < 1e-9:  # a constant prediction has no slope
        return None, None
    intercept, slope = fit_intercept_slope(*_count_both_outcomes(log_odds, truth))[0]
    return (None, None) if np.isnan(slope) else (float(intercept), float(slope))


def _count_both_outcomes(log_odds: Numbers, truth: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    outcome = np.repeat([1.0, 0.0], len(truth))
    return np.tile(log_odds, 2), outcome, np.concatenate([truth, 1 - truth])[None, :]


def _compute_coverage(prediction: Prediction, truth: Numbers, name: str) -> Scores:
    """Share of intervals that hold the truth: of all, and by third of effective sample size."""
    if np.isnan(prediction.low).any():
        return {name: None, **{f"{name}_{third}": None for third in THIRDS}}
    covered = (prediction.low <= truth) & (truth <= prediction.high)
    order = np.argsort(prediction.effective_sample_size, kind="stable")
    parts = np.array_split(covered[order], len(THIRDS))
    shares = {f"{name}_{third}": float(p.mean()) for third, p in zip(THIRDS, parts, strict=True)}
    return {name: float(covered.mean()), **shares}
