"""The equation: from validated columns to log-odds, split by field on request.

A model gives the log-odds of the outcome as ::

    intercept + sum over features of (present times value, or missing where the value is missing)
              + sum over pairs of features of (weight times product, 0 where either is missing)
              + effect of the site, where it is known + weight times trees

and calibrates them (:mod:`features.calibration`).

A product counts both features from their centres in their scales; a square has 1 taken off, so that
it is 0 on average.

The same numbers exist once for the model and once for each of its re-developments on resampled
patients; their spread is the interval.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.calibration import calibrate_log_odds, find_steepness
from features.columns import Columns
from features.errors import ArtifactError
from features.matrix import Feature, build_matrix
from features.terms import LINEAR, Numbers, Terms
from features.trees import predict_contributions, predict_margin

MODEL_ALONE = slice(0, 1)
ALL_VERSIONS = slice(None)
MOST_UNITS = 3.0


@dataclass(frozen=True)
class Explanation:
    """Contributions to the log-odds; each row's, with its intercept, sum to its log-odds.

    Parameters
    ----------
    intercept
        ``[rows]``.
    fields
        What each contribution belongs to, the site last where the equation knows sites.
    contributions
        ``[rows, fields]``.
    """

    intercept: Numbers
    fields: tuple[str, ...]
    contributions: Numbers


@dataclass(frozen=True)
class Equation:
    """Everything that turns columns into log-odds.

    Parameters
    ----------
    sites
        Names of the sites that have an effect of their own.
    boosters
        Boosted trees, one for each version of `terms`, or none at all.

    Raises
    ------
    ArtifactError
        If the parts do not belong together.
    """

    features: tuple[Feature, ...]
    sites: tuple[str, ...]
    terms: Terms
    boosters: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self.terms.check(len(self.features), len(self.sites))
        if self.boosters and len(self.boosters) != len(self.terms.intercept):
            raise ArtifactError("trees and terms do not belong together")

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields that the equation reads, the site last."""
        fields = dict.fromkeys(feature.field for feature in self.features)
        return (*fields, "site") if self.sites else tuple(fields)

    def compute_log_odds(self, columns: Columns, versions: slice = MODEL_ALONE) -> Numbers:
        """Compute log-odds as ``[rows, versions]``; by default of the model itself alone."""
        terms, matrix = self.terms, build_matrix(columns, self.features)
        values, absent = split_missing(matrix)
        log_odds = values @ terms.present[versions].T + absent @ terms.missing[versions].T
        log_odds += terms.intercept[versions]
        log_odds += self._mark_sites(columns) @ terms.sites[versions].T
        if len(terms.pairs):
            log_odds += self._multiply_pairs(matrix) @ terms.products[versions].T
        if self.boosters:
            margins = [predict_margin(booster, matrix) for booster in self.boosters[versions]]
            log_odds += np.column_stack(margins) * terms.trees[versions]
        return calibrate_log_odds(log_odds, terms.calibration[versions])

    def select_version(self, version: int) -> "Equation":
        """Return one version as a model of its own."""
        chosen = slice(version, version + 1)
        names = (*LINEAR, "calibration")
        kept = {name: getattr(self.terms, name)[chosen] for name in names}
        return replace(self, terms=replace(self.terms, **kept), boosters=self.boosters[chosen])

    def explain(self, columns: Columns) -> Explanation:
        """Split the model's log-odds by field.

        A calibration that is no straight line scales all contributions of a patient alike.
        """
        terms, matrix = self.terms, build_matrix(columns, self.features)
        values, absent = split_missing(matrix)
        reference = terms.centre * terms.present[0]
        parts = values * terms.present[0] + absent * terms.missing[0] - reference
        intercept = np.full(columns.size, terms.intercept[0] + reference.sum())
        if len(terms.pairs):
            parts += self._share_products(matrix)
        if self.boosters:
            shares = predict_contributions(self.boosters[0], matrix) * terms.trees[0]
            parts, intercept = parts + shares[:, :-1], intercept + shares[:, -1]
        summed = self._sum_by_field(parts, self._mark_sites(columns) @ terms.sites[0])
        calibration = terms.calibration[0]
        steepness = find_steepness(intercept + summed.sum(axis=1), intercept, calibration)
        start = calibrate_log_odds(intercept[:, None], calibration[None, :])[:, 0]
        return Explanation(start, self.fields, summed * steepness[:, None])

    def _multiply_pairs(self, matrix: NDArray[np.float32]) -> Numbers:
        return multiply_pairs(
            count_units(matrix, self.terms.centre, self.terms.scale), self.terms.pairs
        )

    def _share_products(self, matrix: NDArray[np.float32]) -> Numbers:
        """Split each product of the model evenly between its two features."""
        terms = self.terms
        halves = self._multiply_pairs(matrix) * (terms.products[0] / 2)
        shared = np.zeros(matrix.shape)
        for side in terms.pairs.T:
            np.add.at(shared.T, side, halves.T)
        return shared

    def _mark_sites(self, columns: Columns) -> Numbers:
        """Mark each row's site: a known one, or the last column where it is none of them."""
        if not self.sites:
            return np.zeros((columns.size, 0))
        marks = np.zeros((columns.size, len(self.sites) + 1))
        places = {site: place for place, site in enumerate(self.sites)}
        for row, site in enumerate(columns.get_texts("site")):
            marks[row, places.get(site, -1)] = 1.0
        return marks

    def _sum_by_field(self, parts: Numbers, site: Numbers) -> Numbers:
        summed = np.zeros((len(parts), len(self.fields)))
        for place, feature in enumerate(self.features):
            summed[:, self.fields.index(feature.field)] += parts[:, place]
        if self.sites:
            summed[:, -1] = site
        return summed


def split_missing(matrix: NDArray[np.float32]) -> tuple[Numbers, Numbers]:
    """Split a matrix into values, 0 where missing, and marks, 1 where missing.

    Examples
    --------
    >>> split_missing(np.array([[2.0, np.nan]], dtype=np.float32))
    (array([[2., 0.]]), array([[0., 1.]]))
    """
    absent = np.isnan(matrix)
    return np.where(absent, np.float32(0), matrix).astype(np.float64), absent.astype(np.float64)


def count_units(matrix: NDArray[np.float32], centre: Numbers, scale: Numbers) -> Numbers:
    """Count features from their centres in their scales, as products take them.

    At most three either way: a product of two rare values would say more than anybody knows.

    Examples
    --------
    >>> count_units(np.array([[17.0, 90.0]]), np.array([12.0, 28.0]), np.array([5.0, 6.0]))
    array([[1., 3.]])
    """
    units: Numbers = np.clip((matrix - centre) / scale, -MOST_UNITS, MOST_UNITS)
    return units


def multiply_pairs(units: Numbers, pairs: NDArray[np.int64]) -> Numbers:
    """Multiply pairs of features in their units, as ``[rows, products]``; 0 where one is missing.

    Examples
    --------
    >>> multiply_pairs(np.array([[3.0, 2.0], [3.0, np.nan]]), np.array([[0, 1], [0, 0]]))
    array([[6., 8.],
           [0., 8.]])
    """
    first, second = pairs.T
    products: Numbers = units.take(first, axis=1)
    products *= units.take(second, axis=1)
    products -= first == second
    products[np.isnan(products)] = 0
    return products
