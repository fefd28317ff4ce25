"""Scores to expect: each course counts as both outcomes, by the attainable probability.

No outcome is drawn, so that chance in the tested courses' outcomes blurs no comparison.
"""

from collections.abc import Mapping

import numpy as np

from experiments.benchmarks.samples import Sample
from features.base.arrays import Numbers
from features.model.response_model import Prediction
from training.measures.discrimination import count_pairs
from training.measures.logistic import fit_intercept_slope, logit

Scores = Mapping[str, float | None]

THIRDS = ("low", "middle", "high")
# Log-odds are kept within these, so that one sure and wrong estimate costs much, yet not all.
SUREST = 1e-6


def score(said: Prediction, sample: Sample) -> Scores:
    """Score what a method said of a sample."""
    estimate = np.clip(said.probability, SUREST, 1 - SUREST)
    intercept, slope = calibrate(logit(estimate), sample.attainable)
    return {
        "log_loss": compute_loss(estimate, sample.attainable),
        "attainable": compute_loss(sample.attainable, sample.attainable),
        "auc": rank(logit(estimate), sample.attainable),
        "auc_attainable": rank(logit(sample.attainable), sample.attainable),
        "intercept": intercept,
        "slope": slope,
        **count_covered(said, sample.at_site, "coverage"),
        **count_covered(said, sample.attainable, "coverage_of_mean_site"),
    }


def compute_loss(estimate: Numbers, truth: Numbers) -> float:
    """Compute the log loss to expect.

    Examples
    --------
    >>> round(compute_loss(np.array([0.5, 0.5]), np.array([0.1, 0.7])), 3)
    0.693
    """
    return float(-np.mean(truth * np.log(estimate) + (1 - truth) * np.log1p(-estimate)))


def rank(log_odds: Numbers, truth: Numbers) -> float:
    """Compute the AUC to expect.

    Examples
    --------
    >>> rank(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    1.0
    """
    right, pairs = count_pairs(*weigh_outcomes(log_odds, truth))
    return float(right[0] / pairs[0])


def calibrate(log_odds: Numbers, truth: Numbers) -> tuple[float | None, float | None]:
    """Find calibration intercept and slope to expect; None where everybody is told the same."""
    if np.ptp(log_odds) < 1e-9:
        return None, None
    intercept, slope = fit_intercept_slope(*weigh_outcomes(log_odds, truth))[0]
    return (None, None) if np.isnan(slope) else (float(intercept), float(slope))


def weigh_outcomes(log_odds: Numbers, truth: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Let each course have both outcomes; return log-odds, outcomes and their weights."""
    outcome = np.repeat([1.0, 0.0], len(truth))
    return np.tile(log_odds, 2), outcome, np.concatenate([truth, 1 - truth])[None, :]


def count_covered(said: Prediction, truth: Numbers, name: str) -> Scores:
    """Count intervals that hold the true probability: of all courses, and by how much is known.

    Thirds are of the effective sample size.
    """
    if np.isnan(said.low).any():
        return {name: None, **{f"{name}_{third}": None for third in THIRDS}}
    covered = (said.low <= truth) & (truth <= said.high)
    order = np.argsort(said.effective_sample_size, kind="stable")
    parts = np.array_split(covered[order], len(THIRDS))
    shares = {f"{name}_{third}": float(p.mean()) for third, p in zip(THIRDS, parts, strict=True)}
    return {name: float(covered.mean()), **shares}
