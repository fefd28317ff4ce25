"""Inverse-probability weights, so that courses with follow-up represent those without.

A penalised logistic regression on baseline and site estimates how likely each course was to have
its outcome reported. The assumption, which no data can check: given these, follow-up does not
depend on the outcome. How far off that may be, :mod:`training.validation.attrition` shows.
"""

from dataclasses import replace

import numpy as np
from sklearn.linear_model import LogisticRegression

from features.base.arrays import Flags, Numbers
from training.study.design import Design, mark_sites, number_sites

# Assumed prior deviation of each coefficient, in log-odds per standard deviation.
_COEFFICIENT_SPREAD = 0.5
# Few courses with large weights would carry the whole estimate (Cole & Hernan, Am J Epidemiol
# 2008, on truncation).
_TRUNCATED = (0.01, 0.99)
_MAX_WEIGHT = 10.0


def weigh_courses(design: Design) -> Design:
    """Weight a design's courses for those that lack the outcome, if the study asks for it."""
    enrolled = design.enrolled
    if enrolled is None or not (design.study.attrition.weights and design.size):
        return design
    weights = compute_weights(fit_reporting(enrolled), enrolled.reported)
    return replace(design, given_weights=weights)


def fit_reporting(enrolled: Design) -> Numbers:
    """Fit how likely each course was to have its outcome reported; ``[courses]``."""
    if enrolled.reported.all():
        return np.ones(len(enrolled.reported))
    table = _make_table(enrolled)
    # C is the variance of the coefficients' normal prior.
    model = LogisticRegression(C=_COEFFICIENT_SPREAD**2, max_iter=1000)
    fitted: Numbers = model.fit(table, enrolled.reported).predict_proba(table)[:, 1]
    return fitted


def _make_table(enrolled: Design) -> Numbers:
    matrix = enrolled.matrix.astype(np.float64)
    units = (matrix - np.nanmean(matrix, axis=0)) / np.nanstd(matrix, axis=0)
    absent = np.isnan(matrix)
    # Features of one field are missing together, and one mark says it.
    marks = np.unique(absent[:, absent.any(axis=0)], axis=1)
    # The site counts here even if it is not among the study's features.
    sites = mark_sites(*number_sites(enrolled.columns))
    return np.hstack([np.nan_to_num(units), marks, sites]).astype(np.float64)


def compute_weights(probability: Numbers, reported: Flags) -> Numbers:
    """Compute stabilised inverse-probability weights of the reported courses.

    The share reported over the probability of being so, ``[courses]``, truncated at the 1st and
    99th percentile and at ten, and scaled to a mean of 1.

    >>> compute_weights(np.array([0.5, 0.25, 0.5]), np.array([True, True, False])).round(2)
    array([0.67, 1.33])
    """
    raw = reported.mean() / probability[reported]
    low, high = np.quantile(raw, _TRUNCATED)
    kept = np.clip(raw, low, min(high, _MAX_WEIGHT))
    weights: Numbers = kept / kept.mean()
    return weights


def count_effective(weights: Numbers) -> float:
    """Count the equally weighted courses that would be as informative (Kish, 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum())
