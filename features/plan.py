"""The plan of an equation: its terms arranged once, so that many rows meet them in a few steps.

Every feature counts from its centre, so that a missing one is 0 and moves nothing but its own term
for being missing. A row is then one column of numbers: deviations from the centres, marks of what
is missing, the mark of its site, and products. Its log-odds are that column times one matrix of
weights, in which a calibration that is a straight line is already contained.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.matrix import Feature, MatrixPlan
from features.products import limit_units
from features.terms import Numbers, Terms

# Weights that meet only zeros are left out where there are more rows than these; with fewer that
# costs more than it saves.
FEW_ROWS = 32


class Rows(NamedTuple):
    """What an equation reads of some rows; features in the plan's order.

    Parameters
    ----------
    values
        ``[features, rows]``, whatever it may be where missing.
    missing
        ``bool[features, rows]``.
    deviations, units
        ``[features, rows]``: values from their centres, as they are and as products count them; 0
        where missing.
    sites
        ``bool[sites + 1, rows]``: each row's site, the last for one that is not known; no lines
        where the equation knows no sites.
    """

    values: Numbers
    missing: NDArray[np.bool_]
    deviations: Numbers
    units: Numbers
    sites: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.missing.shape[1]


def list_fields(features: Sequence[Feature], sites: Sequence[str]) -> tuple[str, ...]:
    """List the fields that an equation reads, the site last."""
    fields = dict.fromkeys(feature.field for feature in features)
    return (*fields, "site") if sites else tuple(fields)


class Plan:
    """The plan of an equation, for all its versions.

    Parameters
    ----------
    matrix
        How the features are computed.
    fields
        What contributions belong to, the site last where the equation knows sites.
    intercepts
        ``[versions]``: log-odds of a row of zeros.
    weights
        ``[inputs, versions]``: per unit of each of a row's numbers.
    trees
        ``[versions]``: weight of the boosted trees.
    bent
        Whether calibrations remain to be applied, because some are no straight lines.
    """

    def __init__(self, features: Sequence[Feature], sites: Sequence[str], terms: Terms) -> None:
        self.matrix = MatrixPlan(features)
        self.fields = list_fields(features, sites)
        order = self.matrix.order
        self._read = [features[place].field for place in order]
        self._sites = {site: place for place, site in enumerate(sites)}
        self._lines = np.arange(len(sites) + 1)[:, None] if sites else np.empty((0, 1))
        self._centre, self._scale = terms.centre[order, None], terms.scale[order, None]
        self._first, self._second = (np.argsort(order)[side] for side in terms.pairs.T)
        shift, below, above = terms.calibration.T
        self.bent = bool((below != above).any())
        slope, start = (1.0, 0.0) if self.bent else (above, shift)
        # A missing feature takes back the 1 that its square has less, which no row else lacks.
        squares = self._sum_squares(terms.products)
        gaps = (terms.missing - terms.present * terms.centre)[:, order] + squares
        weights = np.hstack([terms.present[:, order], gaps, terms.sites, terms.products])
        self.weights: Numbers = np.ascontiguousarray(weights.T * slope)
        starts = terms.intercept + terms.present @ terms.centre - squares.sum(axis=1)
        self.intercepts: Numbers = start + slope * starts
        self.trees: Numbers = slope * terms.trees

    def _sum_squares(self, products: Numbers) -> Numbers:
        """Sum the weights of each feature's square, ``[versions, features]``."""
        squares = np.zeros((len(products), len(self._centre)))
        same = np.flatnonzero(self._first == self._second)
        np.add.at(squares.T, self._first[same], products.T[same])
        return squares

    def read(self, columns: Columns) -> Rows:
        """Read what the equation needs of some rows."""
        values, missing = self.matrix.compute(columns)
        # Models are fitted on the matrix as it is stored, in single precision.
        deviations = values.astype(np.float32) - self._centre
        np.copyto(deviations, 0.0, where=missing)
        units = limit_units(deviations / self._scale)
        return Rows(values, missing, deviations, units, self._find_sites(columns))

    def _find_sites(self, columns: Columns) -> NDArray[np.bool_]:
        """Mark each row's site: a known one, or the last line where it is none of them."""
        last, names = len(self._sites), columns.get_texts("site").tolist()
        found: NDArray[np.bool_]
        found = self._lines == np.array([self._sites.get(name, last) for name in names])
        return found

    def sum_terms(self, rows: Rows, versions: slice, most: int) -> Iterator[Numbers]:
        """Sum the terms of some versions, trees aside.

        Parameters
        ----------
        most
            Rows that are summed together.

        Yields
        ------
        ndarray
            ``[rows, versions]``.
        """
        parts = [rows.deviations, rows.missing, rows.sites]
        first, second, weights = self._first, self._second, self.weights[:, versions]
        if rows.size > FEW_ROWS:
            recorded = ~rows.missing.all(axis=1)
            possible = recorded[first] & recorded[second]
            sites = np.ones(len(rows.sites), dtype=bool)
            met = [recorded, rows.missing.any(axis=1), sites, possible]
            parts = [part[some] for part, some in zip(parts, met, strict=False)]
            first, second, weights = first[possible], second[possible], weights[np.concatenate(met)]
        products = rows.units.take(first, axis=0)
        products *= rows.units.take(second, axis=0)
        inputs = np.concatenate([*parts, products])
        for start in range(0, max(rows.size, 1), most):
            sums: Numbers = inputs[:, start : start + most].T @ weights
            sums += self.intercepts[versions]
            yield sums

    def split_terms(self, rows: Rows) -> tuple[float, Numbers]:
        """Split the sum of the model's own terms.

        Returns
        -------
        float
            Log-odds where every feature is at its centre.
        ndarray
            What each feature adds, ``[features, rows]``.
        """
        count = len(rows.missing)
        present, gaps = self.weights[:count, :1], self.weights[count : 2 * count, :1]
        halves, squares = self._own_products
        parts: Numbers = rows.deviations * present
        parts += rows.missing * gaps - squares
        parts += rows.units * (halves @ rows.units)
        return float(self.intercepts[0] + squares.sum()), parts

    def sum_by_field(self, parts: Numbers, rows: Rows) -> Numbers:
        """Sum what features add by their fields, and put the sites last; ``[fields, rows]``."""
        summed = np.empty((len(self.fields), rows.size))
        np.matmul(self._owners, parts, out=summed[: len(self._owners)])
        if self._sites:
            first = 2 * len(parts)
            summed[-1] = self.weights[first : first + len(rows.sites), 0] @ rows.sites
        return summed

    @cached_property
    def _own_products(self) -> tuple[Numbers, Numbers]:
        """Split the model's products evenly between their two features.

        Returns
        -------
        ndarray
            ``[features, features]``: times the units, and times a feature's own, its share.
        ndarray
            ``[features, 1]``: what its square has less.
        """
        weights = self.weights[len(self.weights) - len(self._first) :, 0]
        halves = np.zeros((len(self._centre), len(self._centre)))
        np.add.at(halves, (self._first, self._second), weights / 2)
        np.add.at(halves, (self._second, self._first), weights / 2)
        return halves, self._sum_squares(weights[None, :]).T

    @cached_property
    def _owners(self) -> Numbers:
        """Mark each feature's field, ``[fields, features]``."""
        names = [name for name in self.fields if name != "site"]
        return np.array([[name == field for field in self._read] for name in names], dtype=float)
