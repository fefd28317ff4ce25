"""Bayesian regression by Laplace's approximation, averaged over priors.

Each coefficient has a normal prior. If its spread is not known, several priors are tried, and each
counts by its own prior weight times the likelihood of the courses under it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import log_ndtr

from features.base.arrays import Numbers
from training.candidates.evidence.ordinal import Likelihood

# Newton's method takes 5 to 10 steps; the bounds only stop a search that cannot converge.
_MAX_STEPS, _MAX_HALVINGS = 100, 30
# A step that gains less log-likelihood (nats) is the last. Priors' shares then err by 1e-4 at most.
_CONVERGED = 1e-4
# The Hessian takes most of the time, and Newton's steps converge with an old one too: it is
# computed again once the courses' weights have moved by this share.
_STALE = 0.02
# Standard deviations below 0 from which a coefficient is clearly negative.
_CLEARLY_NEGATIVE = 1.0


@dataclass(frozen=True)
class Prior:
    """Independent normal priors, ``[coefficients]``, and the logarithm of their prior weight."""

    mean: Numbers
    deviation: Numbers
    weight: float = 0.0


@dataclass(frozen=True)
class Posterior:
    """A normal posterior.

    Parameters
    ----------
    factor
        Lower Cholesky factor of its precision.
    evidence
        Logarithm of the courses' marginal likelihood under the prior, plus the prior's weight.
    thresholds
        Of an ordinal outcome, at the mode.
    """

    mode: Numbers
    factor: Numbers
    evidence: float
    thresholds: Numbers = field(default_factory=lambda: np.empty(0))

    def compute_deviation(self, index: int) -> float:
        """Compute the standard deviation of one coefficient."""
        unit = np.zeros(len(self.mode))
        unit[index] = 1.0
        return float(np.linalg.norm(solve_triangular(self.factor, unit, lower=True)))


@dataclass(frozen=True)
class Mixture:
    """Posteriors under several priors, and how much each counts; shares sum to 1."""

    posteriors: tuple[Posterior, ...]
    shares: Numbers

    @property
    def likeliest(self) -> int:
        """Index of the prior that counts most."""
        return int(self.shares.argmax())

    @property
    def mean(self) -> Numbers:
        """Mean coefficients."""
        modes = [posterior.mode for posterior in self.posteriors]
        return np.average(modes, axis=0, weights=self.shares)

    def draw(self, count: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], Numbers]:
        """Draw the index of a prior, ``[count]``, and coefficients, ``[count, coefficients]``."""
        numbers = generator.choice(len(self.shares), size=count, p=self.shares)
        drawn = generator.standard_normal((count, len(self.posteriors[0].mode)))
        for number in np.unique(numbers):
            posterior, rows = self.posteriors[number], numbers == number
            # With the precision LL', the inverse of L' turns standard normals into draws of the
            # posterior.
            moves = solve_triangular(posterior.factor.T, drawn[rows].T, lower=False).T
            drawn[rows] = posterior.mode + moves
        return numbers, drawn


@dataclass
class HessianCache:
    """Negative Hessian of the log-likelihood by coefficients, reused while weights hardly move.

    Fast path of ``table.T @ (spread[:, None] * table)``; equal, but for the search's tolerance, by
    ``test_shared_hessian_changes_nothing_that_matters``.
    """

    table: Numbers
    spread: Numbers | None = None
    matrix: Numbers | None = None

    def compute(self, spread: Numbers) -> Numbers:
        """Compute it for courses' negative second derivatives, ``[courses]``, or near enough."""
        if self.matrix is None or self.spread is None or _has_moved(self.spread, spread):
            self.spread = spread
            rooted = self.table * np.sqrt(spread)[:, None]
            # The product of an array with itself: BLAS computes one half of it.
            self.matrix = rooted.T @ rooted
        return self.matrix


def _has_moved(before: Numbers, after: Numbers) -> bool:
    return bool(np.abs(after - before).sum() > _STALE * before.sum())


def mix_posteriors(
    table: Numbers,
    likelihood: Likelihood,
    priors: Sequence[Prior],
    positive: int | None = None,
) -> Mixture:
    """Compute the posterior under each prior, and how much each counts.

    Parameters
    ----------
    table
        ``[courses, coefficients]``.
    priors
        Neighbours in the sequence should be similar: each search starts where the last one ended.
    positive
        Index of a coefficient that cannot be negative. A prior then counts by the part of its
        posterior above 0, and not at all if the courses would have the coefficient clearly below.
    """
    cache, start = HessianCache(table), (priors[0].mean, likelihood.start_thresholds())
    posteriors: list[Posterior] = []
    for prior in priors:
        posteriors.append(find_posterior(table, likelihood, prior, start, cache))
        start = posteriors[-1].mode, posteriors[-1].thresholds
    evidence = np.array([posterior.evidence for posterior in posteriors])
    if positive is not None:
        # Truncated at 0, the evidence changes by the posterior's mass above 0 over the prior's.
        evidence += [
            _compute_log_positive(posterior, positive)
            - log_ndtr(prior.mean[positive] / prior.deviation[positive])
            for prior, posterior in zip(priors, posteriors, strict=True)
        ]
    # Relative to the largest: the exponentials themselves would underflow.
    shares = np.exp(evidence - evidence.max())
    return Mixture(tuple(posteriors), shares / shares.sum())


def _compute_log_positive(posterior: Posterior, index: int) -> float:
    distance = posterior.mode[index] / posterior.compute_deviation(index)
    return float(log_ndtr(distance)) if distance > -_CLEARLY_NEGATIVE else -np.inf


def find_posterior(
    table: Numbers,
    likelihood: Likelihood,
    prior: Prior,
    start: tuple[Numbers, Numbers],
    cache: HessianCache,
) -> Posterior:
    """Find the posterior's mode by Newton's method, and its precision there.

    The search starts at coefficients and thresholds. The thresholds of an ordinal outcome are
    estimated too; the precision is that of the coefficients with the thresholds unknown.
    """
    precision = prior.deviation**-2.0

    def compute(mode: Numbers, thresholds: Numbers) -> tuple[float, Numbers]:
        log_odds = table @ mode
        log_likelihood = likelihood.compute(log_odds, thresholds)
        return float(log_likelihood - precision @ (mode - prior.mean) ** 2 / 2), log_odds

    (mode, thresholds), (height, log_odds) = start, compute(*start)
    for _ in range(_MAX_STEPS):
        derivatives = likelihood.differentiate(log_odds, thresholds)
        mixed, solved = derivatives.eliminate_thresholds(table)
        gradient = table.T @ derivatives.gradient - precision * (mode - prior.mean)
        factor = _factorise(cache.compute(derivatives.spread) - mixed @ solved.T, precision)
        step = cho_solve((factor, True), gradient - solved @ derivatives.threshold_gradient)
        threshold_step = np.linalg.solve(
            derivatives.threshold_hessian, derivatives.threshold_gradient - mixed.T @ step
        )
        before = height
        # A full step may overshoot, or put thresholds out of order: minus infinity, so it is
        # halved.
        for _ in range(_MAX_HALVINGS):
            height, log_odds = compute(mode + step, thresholds + threshold_step)
            if height >= before:
                break
            step, threshold_step = step / 2, threshold_step / 2
        mode, thresholds = mode + step, thresholds + threshold_step
        if height - before < _CONVERGED:
            break
    # Laplace: half the logarithm of the prior's over the posterior's precision.
    volume = np.log(precision).sum() / 2 - np.log(np.diag(factor)).sum()
    volume -= np.linalg.slogdet(derivatives.threshold_hessian).logabsdet / 2
    return Posterior(mode, factor, height + float(volume) + prior.weight, thresholds)


def _factorise(hessian: Numbers, precision: Numbers) -> Numbers:
    total = hessian.copy()
    total[np.diag_indices_from(total)] += precision
    factor: Numbers = cholesky(total, lower=True, check_finite=False)
    return factor
