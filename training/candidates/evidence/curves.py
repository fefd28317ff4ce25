"""Nonlinear and interaction terms, a few of which may count: squares, products and steps.

They are selected by a spike-and-slab prior, sampled by Gibbs: each of several hundred terms is
either exactly 0 (spike) or has a normal prior (slab). The likelihood is taken as normal around the
fit without any of them, which is accurate for small terms. The share of terms in the slab is itself
unknown, with a beta prior.
"""

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
# Sweeps until the chain, which starts with all terms at 0, has forgotten its start; and the largest
# share of terms that may be in at a time, or the draws would no longer be sparse.
_BURN_IN = 40
_MAX_INCLUSION = 0.5
# Strength of the beta prior of the share in the slab: as if this many terms had been seen before.
_SURE = 4.0


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


def draw_terms(
    gradient: Numbers,
    curvature: Numbers,
    slab: float,
    expected: float,
    count: int,
    generator: np.random.Generator,
) -> Numbers:
    """Draw the terms' coefficients from their posterior; ``float64[count, terms]``, mostly 0.

    Parameters
    ----------
    gradient, curvature
        Of the log-likelihood with all terms at 0, ``[terms]``, and its negative Hessian there,
        ``[terms, terms]``, other coefficients eliminated.
    slab
        Prior standard deviation of a coefficient that is not 0.
    expected
        How many coefficients are expected not to be 0.
    """
    size = len(gradient)
    if not size:
        return np.zeros((count, 0))
    coefficients, slope = np.zeros(size), gradient.copy()
    variance = 1 / (np.diag(curvature) + slab**-2.0)
    # The Occam factor: how much narrower than its prior a term's posterior is.
    volume = np.log(variance / slab**2) / 2
    inclusion, kept = expected / size, []
    for sweep in range(_BURN_IN + count):
        prior = np.log(inclusion / (1 - inclusion)) + volume
        _visit_terms(coefficients, slope, curvature, variance, prior, generator)
        number = np.count_nonzero(coefficients)
        drawn = generator.beta(_SURE + number, _SURE * size / expected + size - number)
        inclusion = min(float(drawn), _MAX_INCLUSION)
        if sweep >= _BURN_IN:
            kept.append(coefficients.copy())
    return np.array(kept)


def _visit_terms(
    coefficients: Numbers,
    slope: Numbers,
    curvature: Numbers,
    variance: Numbers,
    prior: Numbers,
    generator: np.random.Generator,
) -> None:
    # Fast path of visiting the terms one by one in random order: random numbers are drawn for all
    # beforehand, so that terms which are 0 and stay 0 can be skipped; exact by
    # ``test_inclusion_agrees_with_bayes_factors``. Updates coefficients and slope in place;
    # `prior` is the log-odds that a term is not 0, before its own gradient is considered.
    size = len(coefficients)
    # A term is in if its log-odds exceed those of a uniform number, which must not be 0.
    needed = -np.log(1 / generator.uniform(1e-300, 1, size) - 1)
    noise = np.sqrt(variance) * generator.standard_normal(size)
    order, start = generator.permutation(size), 0
    # The slope beyond which a term at 0 leaves it; terms that are not at 0 are always visited.
    reach = np.sqrt(2 * np.maximum(needed - prior, 0) / variance)
    reach[(needed < prior) | (coefficients != 0)] = -1.0
    reach = reach[order]
    while start < size:
        # Most terms stay at 0, which leaves the slopes as they are: skip to the next that changes.
        changes = np.abs(slope[order[start:]]) > reach[start:]
        skipped = int(changes.argmax())
        if not changes[skipped]:
            break
        term, start = order[start + skipped], start + skipped + 1
        before = coefficients[term]
        gradient = slope[term] + curvature[term, term] * before
        mean = variance[term] * gradient
        after = mean + noise[term] if prior[term] + mean * gradient / 2 > needed[term] else 0.0
        slope -= curvature[term] * (after - before)
        coefficients[term] = after
