"""Performance: every measure of what was said of some courses, with intervals over patients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Numbers
from features.model.card import Measure
from features.model.response_model import compute_probability
from training.measures.calibration_curve import (
    ERRORS,
    estimate_intercept,
    estimate_ratio,
    estimate_slope,
    measure_curve,
)
from training.measures.discrimination import estimate_auc
from training.measures.evaluate import HeldOut, count_within, divide_pairs
from training.measures.intervals import LOG, LOGIT, Estimated, resample, summarise_draws
from training.measures.logistic import fit_intercept, fit_intercept_slope
from training.measures.overall import OVERALL, compute_overall, measure_overall

Patients = NDArray[np.int64]

MEASURES = ("auc", *OVERALL, "ratio", "intercept", "slope")
# Each resample of the curve is a regression of its own; its distances need no more.
CURVE_RESAMPLES = 200
# Estimates nearer than this rank nobody: they have neither slope nor curve.
ALIKE = 1e-9


@dataclass(frozen=True)
class Said:
    """What was said of courses, and what came of them; all ``[courses]``.

    Parameters
    ----------
    groups
        Courses are ranked against those of their own group alone: a fold, a site.
    weights
        How much each course counts; None where all count alike.
    """

    log_odds: Numbers
    outcome: Numbers
    patients: Patients
    groups: NDArray[np.int64]
    weights: Numbers | None = None

    @property
    def probability(self) -> Numbers:
        """Estimates, ``[courses]``."""
        return compute_probability(self.log_odds)

    @property
    def ranks_nobody(self) -> bool:
        """Whether all of a group were given the same."""
        return all(
            np.ptp(self.log_odds[self.groups == group]) < ALIKE for group in np.unique(self.groups)
        )

    def select(self, rows: Flags) -> "Said":
        """Keep some courses; patients are numbered anew."""
        return Said(
            self.log_odds[rows],
            self.outcome[rows],
            np.unique(self.patients[rows], return_inverse=True)[1],
            self.groups[rows],
            None if self.weights is None else self.weights[rows],
        )


@dataclass(frozen=True)
class Effort:
    """How intervals are made: bootstrap samples, level, seed."""

    samples: int
    level: float
    seed: int


def flatten_repeats(
    held_out: HeldOut, outcome: Numbers, patients: Patients, weights: Numbers | None
) -> Said:
    """Put the repeats of a cross-validation one after the other; a patient stays one patient."""
    repeats = len(held_out.log_odds)
    folds = held_out.folds + (held_out.folds.max() + 1) * np.arange(repeats)[:, None]
    return Said(
        held_out.log_odds.ravel(),
        np.tile(outcome, repeats),
        np.tile(patients, repeats),
        folds.ravel(),
        None if weights is None else np.tile(weights, repeats),
    )


def measure_performance(said: Said, effort: Effort) -> dict[str, Measure]:
    """Measure everything; None for what is not defined."""
    overall = measure_overall(
        said.probability,
        said.outcome,
        said.patients,
        effort.samples,
        effort.level,
        effort.seed,
        said.weights,
    )
    return {"auc": measure_auc(said, effort), **overall, **measure_calibration(said, effort)}


def measure_auc(said: Said, effort: Effort) -> Measure:
    """Measure the AUC within groups.

    Of a single group the interval is DeLong's or Obuchowski's, of several by the bootstrap.
    """
    if np.ptp(said.groups) == 0:
        found = estimate_auc(said.probability, said.outcome, said.weights, said.patients)
        return found.make_interval(effort.level, LOGIT)

    def compute(drawn: Numbers) -> Numbers:
        return compute_auc(said.log_odds, said.outcome, drawn, said.groups)

    each = np.ones(len(said.outcome)) if said.weights is None else said.weights
    value = float(compute(each[None, :])[0])
    drawn = resample(compute, said.patients, effort.samples, effort.seed, said.weights)
    return summarise_draws(value, drawn, effort.level)


def measure_calibration(said: Said, effort: Effort) -> dict[str, Measure]:
    """Measure observed over expected, intercept, slope, and the curve's distances."""
    rest = (said.outcome, said.weights, said.patients)
    found = {
        "ratio": estimate_ratio(said.probability, *rest).make_interval(effort.level, LOG),
        "intercept": estimate_intercept(said.log_odds, *rest).make_interval(effort.level),
    }
    if said.ranks_nobody:
        return found | dict.fromkeys(("slope", *ERRORS), Measure(value=None))
    found["slope"] = slope_of(said).make_interval(effort.level)
    samples = min(effort.samples, CURVE_RESAMPLES)
    return found | measure_curve(
        said.probability,
        said.outcome,
        said.patients,
        samples,
        effort.level,
        effort.seed,
        said.weights,
    )


def slope_of(said: Said) -> Estimated:
    """Estimate the calibration slope."""
    return estimate_slope(said.log_odds, said.outcome, said.weights, said.patients)


def compute_auc(
    log_odds: Numbers, outcome: Numbers, weights: Numbers, groups: NDArray[np.int64]
) -> Numbers:
    """Compute the AUC within groups in every weighted sample; ``[samples]``, NaN without pairs."""
    return divide_pairs(*count_within(log_odds, outcome, weights, groups))


def compute_performance(log_odds: Numbers, outcome: Numbers, weights: Numbers) -> Numbers:
    """Compute every measure but the curve's distances in every weighted sample.

    Returns
    -------
    ndarray
        ``[samples, measures]`` in the order of :data:`MEASURES`; NaN where not defined.
    """
    probability = compute_probability(log_odds)
    alone = np.zeros(len(outcome), dtype=np.int64)
    auc = compute_auc(log_odds, outcome, weights, alone)
    overall = compute_overall(probability, outcome, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (weights @ outcome) / (weights @ probability)
    intercept = fit_intercept(log_odds, outcome, weights)
    slope = np.full(len(weights), np.nan)
    if np.ptp(log_odds) >= ALIKE:
        slope = fit_intercept_slope(log_odds, outcome, weights)[:, 1]
    return np.column_stack([auc, overall, ratio, intercept, slope])
