"""What lines through features miss: squares, products and steps, a few of which may count."""

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

# Features whose squares and products are tried, the most recorded ones.
MOST_PAIRED = 32
# Where steps are tried, and the least share of courses on either side of one.
QUANTILES = (0.2, 0.4, 0.6, 0.8)
FEWEST_BEYOND = 0.05
FEWEST_LEVELS = 6


@dataclass(frozen=True)
class Curves:
    """Terms beyond lines; pairs first, then steps.

    Parameters
    ----------
    pairs
        ``int64[pairs, 2]``: places of the features that are multiplied.
    steps
        Features that are 1 from a threshold upwards.
    shares
        ``[steps]``: share of courses beyond each threshold.
    """

    pairs: NDArray[np.int64]
    steps: tuple[Feature, ...]
    shares: Numbers

    @property
    def size(self) -> int:
        """Number of terms."""
        return len(self.pairs) + len(self.steps)

    @property
    def scale(self) -> Numbers:
        """Standard deviation of each step, ``[steps]``."""
        deviation: Numbers = np.sqrt(self.shares * (1 - self.shares))
        return deviation

    def make_table(self, design: Design, literature: Literature) -> Numbers:
        """Make the table of terms, ``[courses, terms]``: of about unit spread, 0 if missing."""
        units = count_units(design.matrix, literature.centre, literature.scale)
        steps = (build_matrix(design.columns, self.steps) - self.shares) / self.scale
        return np.hstack([multiply_pairs(units, self.pairs), np.nan_to_num(steps)])


def list_curves(design: Design) -> Curves:
    """List the squares, products and steps that a design allows for."""
    if not design.size:
        return Curves(np.empty((0, 2), dtype=np.int64), (), np.empty(0))
    steps = tuple(dict.fromkeys(list_steps(design)))
    shares = average_recorded(build_matrix(design.columns, steps))
    kept = (shares > FEWEST_BEYOND) & (shares < 1 - FEWEST_BEYOND)
    chosen = tuple(step for step, keep in zip(steps, kept, strict=True) if keep)
    return Curves(list_pairs(design), chosen, shares[kept])


def list_pairs(design: Design) -> NDArray[np.int64]:
    """List squares of features with more than two values, and products of different fields."""
    recorded = (~np.isnan(design.matrix)).sum(axis=0)
    places = [place for place, feature in enumerate(design.features) if is_measured(feature)]
    chosen = sorted(sorted(places, key=lambda place: -recorded[place])[:MOST_PAIRED])
    squares = [(place, place) for place in chosen if count_levels(design, place) > 2]
    products = [
        (first, second)
        for first, second in combinations(chosen, 2)
        if design.features[first].field != design.features[second].field
    ]
    return np.array([*squares, *products], dtype=np.int64).reshape(-1, 2)


def is_measured(feature: Feature) -> bool:
    """Tell whether a feature is a measure of the patient, and neither a category nor a date."""
    return feature.transform not in ("level", "years")


def count_levels(design: Design, place: int) -> int:
    """Count the values of a feature, up to what counts as many."""
    values = design.matrix[:, place]
    return len(np.unique(values[~np.isnan(values)]))


def list_steps(design: Design) -> Iterator[Feature]:
    """List steps at the quantiles of each field with many values, rounded to the field's step."""
    for place, feature in enumerate(design.features):
        field = design.columns.dictionary.cohort_fields[feature.field]
        plain = feature.transform in ("value", "log1p") and feature.reference is None
        if plain and field.kind is not Kind.FLAG and count_levels(design, place) > FEWEST_LEVELS:
            values = design.columns.get_numbers(feature.field)
            for limit in np.nanquantile(values, QUANTILES):
                at = float(np.round(limit / field.step) * field.step)
                name = f"{feature.field}_from_{at:g}"
                yield Feature(name=name, field=field.name, transform="above", parameter=at)
