"""The plan of an equation: its terms arranged once, so that many rows meet them in a few steps.

Every feature counts from its centre, so that a missing one is 0 and moves nothing but its own term
for being missing. A row is then one column of numbers: deviations from the centres, marks of what
is missing, the mark of its site, and products. Its log-odds are that column times one matrix of
weights, in which a calibration that is a straight line is already contained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.matrix import Feature, MatrixPlan
from features.products import count_units, multiply_pairs
from features.terms import Numbers, Terms

# Weights that meet only zeros are left out where there are more rows than these; with fewer that
# costs more than it saves.
FEW_ROWS = 32


@dataclass(frozen=True)
class Rows:
    """What an equation reads of some rows; features in the plan's order.

    Parameters
    ----------
    matrix
        ``float32[features, rows]``, NaN where missing.
    missing
        ``bool[features, rows]``.
    deviations
        ``[features, rows]``: values from their centres, 0 where missing.
    units
        ``[features, rows]``: the same as products count them, NaN where missing.
    sites
        ``[sites + 1, rows]``: 1 at each row's site, the last for one that is not known; no lines
        where the equation knows no sites.
    """

    matrix: NDArray[np.float32]
    missing: NDArray[np.bool_]
    deviations: Numbers
    units: Numbers
    sites: Numbers

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
        ``[versions]``: log-odds where every value is at its centre.
    weights
        ``[inputs, versions]``: per unit of each of a row's numbers.
    trees
        ``[versions]``: weight of the boosted trees.
    bent
        Whether calibrations remain to be applied, because some are no straight lines.
    """

    def __init__(self, features: Sequence[Feature], sites: Sequence[str], terms: Terms) -> None:
        self.matrix = MatrixPlan(features)
        order = self.matrix.order
        self._read = [features[place].field for place in order]
        self.fields = list_fields(features, sites)
        self._sites = {site: place for place, site in enumerate(sites)}
        self._centre, self._scale = terms.centre[order, None], terms.scale[order, None]
        self._pairs = np.argsort(order)[terms.pairs]
        shift, below, above = terms.calibration.T
        self.bent = bool((below != above).any())
        slope, start = (1.0, 0.0) if self.bent else (above, shift)
        gaps = terms.missing - terms.present * terms.centre
        weights = np.hstack([terms.present[:, order], gaps[:, order], terms.sites, terms.products])
        self.weights: Numbers = np.ascontiguousarray(weights.T * slope)
        self.intercepts: Numbers = start + slope * (terms.intercept + terms.present @ terms.centre)
        self.trees: Numbers = slope * terms.trees

    def read(self, columns: Columns) -> Rows:
        """Read what the equation needs of some rows."""
        matrix = self.matrix.compute(columns).astype(np.float32)
        missing = np.isnan(matrix)
        deviations = matrix - self._centre
        np.copyto(deviations, 0.0, where=missing)
        units = count_units(matrix, self._centre, self._scale)
        return Rows(matrix, missing, deviations, units, self._mark_sites(columns))

    def _mark_sites(self, columns: Columns) -> Numbers:
        """Mark each row's site: a known one, or the last line where it is none of them."""
        if not self._sites:
            return np.empty((0, columns.size))
        last = len(self._sites)
        marks = np.zeros((last + 1, columns.size))
        names = columns.get_texts("site").tolist()
        marks[[self._sites.get(name, last) for name in names], np.arange(columns.size)] = 1.0
        return marks

    def sum_terms(self, rows: Rows, versions: slice) -> Numbers:
        """Sum the terms of some versions, trees aside, as ``[rows, versions]``."""
        parts = [rows.deviations, rows.missing, rows.sites]
        pairs, weights = self._pairs, self.weights[:, versions]
        if rows.size > FEW_ROWS:
            recorded = ~rows.missing.all(axis=1)
            possible = recorded[pairs].all(axis=1)
            sites = np.ones(len(rows.sites), dtype=bool)
            met = [recorded, rows.missing.any(axis=1), sites, possible]
            parts = [part[some] for part, some in zip(parts, met, strict=False)]
            pairs, weights = pairs[possible], weights[np.concatenate(met)]
        if len(pairs):
            parts.append(multiply_pairs(rows.units, pairs, axis=0))
        sums: Numbers = np.concatenate(parts).T @ weights
        sums += self.intercepts[versions]
        return sums

    def split_terms(self, rows: Rows) -> Numbers:
        """Split the sum of the model's own terms by feature, as ``[features, rows]``."""
        count = len(rows.missing)
        parts: Numbers = rows.deviations * self.weights[:count, :1]
        parts += rows.missing * self.weights[count : 2 * count, :1]
        if len(self._pairs):
            halves, squares = self._own_products
            units = np.where(rows.missing, 0.0, rows.units)
            parts += units * (halves @ units) - squares * ~rows.missing
        return parts

    def sum_by_field(self, parts: Numbers, rows: Rows) -> Numbers:
        """Sum what features add by their fields, and put the sites last; ``[fields, rows]``."""
        summed: Numbers = self._owners @ parts
        if not self._sites:
            return summed
        first = 2 * len(parts)
        effects = self.weights[first : first + len(rows.sites), 0]
        return np.vstack([summed, effects @ rows.sites])

    @cached_property
    def _own_products(self) -> tuple[Numbers, Numbers]:
        """Split the model's products evenly between their two features.

        Returns
        -------
        ndarray
            ``[features, features]``: times the units, and times a feature's own, its share of all
            its products, the 1 of squares not yet taken off.
        ndarray
            ``[features, 1]``: what is taken off for its square.
        """
        first, second = self._pairs.T
        weights = self.weights[len(self.weights) - len(first) :, 0]
        halves = np.zeros((len(self._centre), len(self._centre)))
        np.add.at(halves, (first, second), weights / 2)
        np.add.at(halves, (second, first), weights / 2)
        squares = np.zeros(len(self._centre))
        np.add.at(squares, first, np.where(first == second, weights, 0.0))
        return halves, squares[:, None]

    @cached_property
    def _owners(self) -> Numbers:
        """Mark each feature's field, ``[fields, features]``."""
        names = [name for name in self.fields if name != "site"]
        return np.array([[name == field for field in self._read] for name in names], dtype=float)
