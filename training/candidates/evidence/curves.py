"""Nonlinear and interaction terms, a few of which may count: squares, products and steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.dictionary.field import Kind
from features.model.matrix import Feature, build_matrix
from features.model.terms import count_units, multiply_pairs
from training.candidates.evidence.literature import Literature
from training.study.design import Design, average_recorded

# Squares and products are tried of this many features, the most recorded: 32 give 528 terms.
_MAX_PAIRED = 32
# Quantiles at which steps are tried, and the smallest share of courses on either side of one.
_QUANTILES = (0.2, 0.4, 0.6, 0.8)
_MIN_SHARE = 0.05
# With no more values than this, most of the steps would coincide.
_MIN_LEVELS = 6


@dataclass(frozen=True)
class Curves:
    """Terms beyond linear ones; pairs first, then steps.

    Parameters
    ----------
    pairs
        ``int64[pairs, 2]``: indices of the features that are multiplied.
    steps
        Features that are 1 from a threshold upwards.
    shares
        ``[steps]``: share of courses from each threshold upwards.
    """

    pairs: NDArray[np.int64]
    steps: tuple[Feature, ...]
    shares: Numbers

    @property
    def scale(self) -> Numbers:
        """Standard deviation of each step, ``[steps]``."""
        deviation: Numbers = np.sqrt(self.shares * (1 - self.shares))
        return deviation

    def make_table(self, design: Design, literature: Literature) -> Numbers:
        """Make the table of terms, ``[courses, terms]``: of about unit deviation, 0 if missing."""
        units = count_units(design.matrix, literature.centre, literature.scale)
        steps = (build_matrix(design.columns, self.steps) - self.shares) / self.scale
        return np.hstack([multiply_pairs(units, self.pairs), np.nan_to_num(steps)])


def list_curves(design: Design) -> Curves:
    """List the squares, products and steps that a design allows for."""
    if not design.size:
        return Curves(np.empty((0, 2), dtype=np.int64), (), np.empty(0))
    steps = tuple(dict.fromkeys(_list_steps(design)))
    shares = average_recorded(build_matrix(design.columns, steps))
    kept = (shares > _MIN_SHARE) & (shares < 1 - _MIN_SHARE)
    chosen = tuple(step for step, keep in zip(steps, kept, strict=True) if keep)
    return Curves(_list_pairs(design), chosen, shares[kept])


def _list_pairs(design: Design) -> NDArray[np.int64]:
    # The square of a feature with two values is that feature again, and products of one field's
    # features bend what its squares and steps bend already.
    recorded = (~np.isnan(design.matrix)).sum(axis=0)
    # Categories and dates do not measure the patient: their products mean nothing.
    measured = [
        index
        for index, feature in enumerate(design.features)
        if feature.transform not in ("level", "years")
    ]
    chosen = sorted(sorted(measured, key=lambda index: -recorded[index])[:_MAX_PAIRED])
    squares = [(index, index) for index in chosen if _count_levels(design, index) > 2]
    products = [
        (first, second)
        for first, second in combinations(chosen, 2)
        if design.features[first].field != design.features[second].field
    ]
    return np.array([*squares, *products], dtype=np.int64).reshape(-1, 2)


def _count_levels(design: Design, index: int) -> int:
    values = design.matrix[:, index]
    return len(np.unique(values[~np.isnan(values)]))


def _list_steps(design: Design) -> Iterator[Feature]:
    # Rounded to the field's step, so that thresholds read like clinical ones.
    for index, feature in enumerate(design.features):
        field = design.columns.dictionary.cohort_fields[feature.field]
        plain = feature.transform in ("value", "log1p") and feature.reference is None
        if plain and field.kind is not Kind.FLAG and _count_levels(design, index) > _MIN_LEVELS:
            values = design.columns.get_numbers(feature.field)
            for limit in np.nanquantile(values, _QUANTILES):
                at = float(np.round(limit / field.step) * field.step)
                name = f"{feature.field}_from_{at:g}"
                yield Feature(name=name, field=field.name, transform="above", parameter=at)
