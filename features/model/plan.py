"""The plan of an equation: its terms arranged once as a matrix of weights.

Features are centred, so that a missing one is 0 and only its missingness indicator counts. A row
becomes one vector: deviations, missingness indicators, site indicators, products. Its log-odds are
that vector times the weights, which already contain a linear calibration.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Indices, Numbers
from features.model.matrix import Feature, MatrixPlan
from features.model.terms import Terms, limit_units
from features.records.columns import Columns

Singles = NDArray[np.float32]

# With more rows than this, weights of inputs that are 0 in every row are left out; with fewer,
# finding them costs more than it saves.
FEW_ROWS = 32
# Largest relative error of one rounding to single precision.
ROUNDING = float(np.finfo(np.float32).eps) / 2


class Rows(NamedTuple):
    """What an equation reads of some rows, each array ``[…, rows]``."""

    # As `MatrixPlan.compute` gives them.
    values: Numbers
    missing: Flags
    # What the weights multiply, and which of the plan's inputs these are; all others are 0.
    inputs: Numbers
    chosen: slice | Indices

    def select(self, kept: Flags) -> "Rows":
        """Keep some rows."""
        inputs = self.inputs[:, kept]
        return Rows(self.values[:, kept], self.missing[:, kept], inputs, self.chosen)


class Plan:
    """The plan of an equation, for all its versions."""

    def __init__(self, features: Sequence[Feature], sites: Sequence[str], terms: Terms) -> None:
        self.matrix = MatrixPlan(features)
        # What contributions belong to, the site last if the equation knows sites.
        fields = tuple(dict.fromkeys(feature.field for feature in features))
        self.fields = (*fields, "site") if sites else fields
        order = self.matrix.order
        self._read = [features[index].field for index in order]
        self._sites = {site: index for index, site in enumerate(sites)}
        self._lines = np.arange(len(sites) + 1)[:, None] if sites else np.empty((0, 1))
        self._centre, self._scale = terms.centre[order, None], terms.scale[order, None]
        self._first, self._second = (np.argsort(order)[side] for side in terms.pairs.T)
        shift, below, above = terms.calibration.T
        # Whether calibrations remain to be applied, because some are not linear.
        self.bent = bool((below != above).any())
        slope, start = (1.0, 0.0) if self.bent else (above, shift)
        # Squares have 1 subtracted; the intercept holds that, and a missing feature takes it back.
        squares = self._sum_squares(terms.products)
        gaps = (terms.missing - terms.present * terms.centre)[:, order] + squares
        # `[inputs, versions]`: deviations, missingness indicators, site indicators, products.
        weights = np.hstack([terms.present[:, order], gaps, terms.sites, terms.products])
        self.weights: Numbers = np.ascontiguousarray(weights.T * slope)
        # `[versions]`: log-odds of a row of zeros.
        starts = terms.intercept + terms.present @ terms.centre - squares.sum(axis=1)
        self.intercepts: Numbers = start + slope * starts
        self.trees: Numbers = slope * terms.trees

    # `[versions, features]`: the weights of each feature's square.
    def _sum_squares(self, products: Numbers) -> Numbers:
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
        sites, first, second = self._find_sites(columns), self._first, self._second
        # Fast path of the lines below, which leave out inputs that are 0 in every row.
        if columns.size <= FEW_ROWS:
            products = units.take(first, axis=0) * units.take(second, axis=0)
            inputs = np.concatenate([deviations, missing, sites, products])
            return Rows(values, missing, inputs, slice(None))
        recorded, absent = (np.logical_or.reduce(marks, axis=1) for marks in (~missing, missing))
        possible = recorded[first] & recorded[second]
        products = units.take(first[possible], axis=0) * units.take(second[possible], axis=0)
        inputs = np.concatenate([deviations[recorded], missing[absent], sites, products])
        met = np.concatenate([recorded, absent, np.ones(len(sites), dtype=bool), possible])
        return Rows(values, missing, inputs, np.flatnonzero(met))

    # ``[sites + 1, rows]``; the last line is for unknown sites.
    def _find_sites(self, columns: Columns) -> Flags:
        last, names = len(self._sites), columns.get_texts("site").tolist()
        marks: Flags = self._lines == np.array([self._sites.get(name, last) for name in names])
        return marks

    def sum_terms(self, rows: Rows, versions: slice, block_rows: int) -> Iterator[Numbers]:
        """Sum the terms of some versions, trees aside, as ``[rows, versions]`` block by block."""
        weights = self.weights[:, versions][rows.chosen]
        for start in range(0, max(rows.inputs.shape[1], 1), block_rows):
            sums: Numbers = rows.inputs[:, start : start + block_rows].T @ weights
            sums += self.intercepts[versions]
            yield sums

    def sum_roughly(self, rows: Rows) -> tuple[Singles, Numbers]:
        """Sum the terms of all re-developments in single precision: half the time of `sum_terms`.

        Returns ``float32[rows, versions - 1]``, and each row's error bound: n roundings of the sum
        of n absolute products (Higham, Accuracy and Stability of Numerical Algorithms, 2002, 3.1),
        plus 4 for both factors and the intercept.
        """
        # Fast path of sum_terms for brief estimates; within the bound by
        # tests/features/model/test_response_model.py.
        weights, starts, largest = self._rough
        sums: Singles = rows.inputs.astype(np.float32).T @ weights[rows.chosen]
        sums += starts
        reach = np.abs(rows.inputs).T @ largest[rows.chosen] + np.abs(starts).max()
        return sums, ROUNDING * (len(rows.inputs) + 4) * reach

    @cached_property
    def _rough(self) -> tuple[Singles, Singles, Numbers]:
        weights, starts = self.weights[:, 1:], self.intercepts[1:]
        return weights.astype(np.float32), starts.astype(np.float32), np.abs(weights).max(axis=1)

    def split_terms(self, rows: Rows) -> tuple[float, Numbers]:
        """Split the sum of the model's own terms.

        Returns the log-odds with every feature at its centre, and the contribution of each field,
        ``[fields, rows]``.
        """
        shares, squares = self._shares
        added: Numbers = shares[:, rows.chosen] @ rows.inputs
        added -= squares
        return float(self.intercepts[0] + squares.sum()), added

    # ``[fields, inputs]``, a product's weight halved between its two features; and ``[fields, 1]``,
    # the weights of the 1 that squares have subtracted.
    @cached_property
    def _shares(self) -> tuple[Numbers, Numbers]:
        own, sites, owners = self.weights[:, 0], len(self._lines), self.owners
        halves = (owners[:, self._first] + owners[:, self._second]) / 2
        marks = np.zeros((len(self.fields), sites))
        marks[-1:] = 1.0
        weights = own[len(own) - len(self._first) :]
        squares = owners @ self._sum_squares(weights[None, :]).T
        return np.hstack([owners, owners, marks, halves]) * own, squares

    @cached_property
    def owners(self) -> Numbers:
        """Mark each feature's field, ``[fields, features]``."""
        marks = [[name == read for read in self._read] for name in self.fields]
        return np.array(marks, dtype=float).reshape(len(self.fields), len(self._read))
