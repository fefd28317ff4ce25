"""Sparse selection of terms by a spike-and-slab prior, sampled by Gibbs.

Each of several hundred terms is either exactly 0 (spike) or has a normal prior (slab). The
likelihood is taken as normal around the fit without any of them, which is accurate for small terms.
The share of terms in the slab is itself unknown, with a beta prior.
"""

import numpy as np

from features.base.arrays import Numbers

# Sweeps until the chain, which starts with all terms at 0, has forgotten its start; and the largest
# share of terms that may be in at a time, or the draws would no longer be sparse.
_BURN_IN = 40
_MAX_INCLUSION = 0.5
# Strength of the beta prior of the share in the slab: as if this many terms had been seen before.
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
        ``[terms]``: of the log-likelihood with all terms at 0.
    curvature
        ``[terms, terms]``: its negative Hessian there, other coefficients eliminated.
    slab
        Prior standard deviation of a coefficient that is not 0.
    expected
        How many coefficients are expected not to be 0.

    Returns
    -------
    ndarray
        ``float64[count, terms]``, mostly 0.
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
