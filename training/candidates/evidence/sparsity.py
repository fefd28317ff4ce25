"""Few of many: which of several hundred further terms belong in a regression.

Each term is either out, at exactly 0, or in, with a normal prior (spike and slab). The likelihood
is taken as normal around the fit without any of them, which holds for small terms. Gibbs sampling
visits one term after the other; how many belong in is itself unknown.
"""

import numpy as np

from features.base.arrays import Numbers

_BURN_IN = 40
_MOST_LIKELY = 0.5
# How sure the expected number is: so many terms are taken to have been seen before.
_SURE = 4.0


def draw_terms(
    gradient: Numbers,
    curvature: Numbers,
    slab: float,
    expected: float,
    count: int,
    generator: np.random.Generator,
) -> Numbers:
    """Draw the terms' coefficients from their posterior.

    Parameters
    ----------
    gradient
        ``[terms]``: slope of the log-likelihood at 0, everything else at its best.
    curvature
        ``[terms, terms]``: its curvature there, what the other coefficients take up removed.
    slab
        Standard deviation of a coefficient that is in.
    expected
        How many are expected to be in.

    Returns
    -------
    ndarray
        ``float64[count, terms]``, mostly 0.
    """
    size = len(gradient)
    if not size:
        return np.zeros((count, 0))
    coefficients, slope = np.zeros(size), gradient.copy()
    own = np.diag(curvature)
    variance = 1 / (own + slab**-2.0)
    volume = np.log(variance / slab**2) / 2
    inclusion, kept = expected / size, []
    for sweep in range(_BURN_IN + count):
        prior = np.log(inclusion / (1 - inclusion)) + volume
        _visit_terms(coefficients, slope, curvature, variance, prior, generator)
        number = np.count_nonzero(coefficients)
        drawn = generator.beta(_SURE + number, _SURE * size / expected + size - number)
        inclusion = min(float(drawn), _MOST_LIKELY)
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
    """Draw every coefficient once, given all others; updates coefficients and slope in place.

    Parameters
    ----------
    prior
        Log-odds that a term is in, before its own gradient is looked at.
    """
    size = len(coefficients)
    needed = -np.log(1 / generator.uniform(1e-300, 1, size) - 1)
    noise = np.sqrt(variance) * generator.standard_normal(size)
    order, place = generator.permutation(size), 0
    # The slope beyond which a term that is out comes in; those that are in are always visited.
    reach = np.sqrt(2 * np.maximum(needed - prior, 0) / variance)
    reach[(needed < prior) | (coefficients != 0)] = -1.0
    reach = reach[order]
    while place < size:
        # Most terms are out and stay out, which leaves the slopes as they are: they are passed by.
        changes = np.abs(slope[order[place:]]) > reach[place:]
        ahead = int(changes.argmax())
        if not changes[ahead]:
            break
        term, place = order[place + ahead], place + ahead + 1
        before = coefficients[term]
        pull = slope[term] + curvature[term, term] * before
        mean = variance[term] * pull
        after = mean + noise[term] if prior[term] + mean * pull / 2 > needed[term] else 0.0
        slope -= curvature[term] * (after - before)
        coefficients[term] = after
