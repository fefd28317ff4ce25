"""Recalibration of a model for another cohort, and the same by folds."""

from dataclasses import replace

import numpy as np

from features.base.arrays import Indices, Numbers
from features.model.equation import Equation
from training.measures.closed_test import run_closed_test
from training.study.split import split_stratified

# Ten folds: each proposal comes from nearly as many patients as the final one.
_FOLDS = 10


def recalibrate(equation: Equation, intercept: float, slope: float) -> Equation:
    """Recalibrate a model and all its versions on top of their own calibration."""
    # Exact: a + b x (intercept, below, above) is (a + b intercept, b below, b above).
    calibration = slope * equation.terms.calibration + np.array([intercept, 0.0, 0.0])
    return replace(equation, terms=replace(equation.terms, calibration=calibration))


def cross_recalibrate(
    log_odds: Numbers, outcome: Numbers, patients: Indices, seed: int
) -> tuple[Numbers, Indices]:
    """Recalibrate each of ten folds by the closed test on the patients of the others.

    The test itself is repeated: a fold is left as it is if the others need no recalibration.

    Parameters
    ----------
    log_odds
        ``[courses, versions]``, the model itself first; it alone is tested.

    Returns
    -------
    log_odds, folds
        Recalibrated on the other folds; and the fold in which each course was held out.
    """
    count = min(_FOLDS, count_smaller_class(outcome, patients))
    recalibrated, folds = log_odds.copy(), np.zeros(len(outcome), dtype=np.int64)
    for number, fold in enumerate(split_stratified(outcome, patients, count, seed)):
        proposal = run_closed_test(log_odds[fold.train, 0], outcome[fold.train])
        recalibrated[fold.test] = proposal.intercept + proposal.slope * log_odds[fold.test]
        folds[fold.test] = number
    return recalibrated, folds


def count_smaller_class(outcome: Numbers, patients: Indices) -> int:
    """Count the patients with a course of the smaller outcome class."""
    return min(len(np.unique(patients[outcome == event])) for event in (0, 1))
