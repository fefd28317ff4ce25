"""Bayesian logistic regression: the posterior by Laplace's approximation, averaged over priors.

A normal prior for each coefficient; where its spread is not known, several priors are tried, and
each counts by its own prior weight times the likelihood of the courses under it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import log_ndtr

from features.response_model import compute_probability

Numbers = NDArray[np.float64]

MOST_STEPS, MOST_HALVINGS = 100, 30
# Log-likelihood, in nats, below which a step is the last.
SETTLED = 1e-4
# Curvature is computed anew once the courses' weights have moved by this share.
MOVED = 0.02
# Standard deviations below 0 from which a coefficient is clearly negative.
CLEARLY = 1.0


@dataclass(frozen=True)
class Prior:
    """Independent normal priors, ``[coefficients]`` each.

    Parameters
    ----------
    weight
        Logarithm of how much this prior is believed beside others.
    """

    mean: Numbers
    deviation: Numbers
    weight: float = 0.0


@dataclass(frozen=True)
class Posterior:
    """A normal posterior.

    Parameters
    ----------
    mode
        ``[coefficients]``.
    factor
        Lower Cholesky factor of its precision.
    evidence
        Logarithm of the courses' likelihood under the prior, plus the prior's weight.
    """

    mode: Numbers
    factor: Numbers
    evidence: float

    def find_deviation(self, place: int) -> float:
        """Find the standard deviation of one coefficient."""
        unit = np.zeros(len(self.mode))
        unit[place] = 1.0
        return float(np.linalg.norm(solve_triangular(self.factor, unit, lower=True)))


@dataclass(frozen=True)
class Mixture:
    """Posteriors under several priors, and how much each counts; shares sum to 1."""

    posteriors: tuple[Posterior, ...]
    shares: Numbers

    @property
    def likeliest(self) -> int:
        """Which prior counts most."""
        return int(self.shares.argmax())

    @property
    def mean(self) -> Numbers:
        """Mean coefficients."""
        return np.average([one.mode for one in self.posteriors], axis=0, weights=self.shares)

    def draw(self, count: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], Numbers]:
        """Draw which prior it is, ``[count]``, and coefficients, ``[count, coefficients]``."""
        numbers = generator.choice(len(self.shares), size=count, p=self.shares)
        drawn = generator.standard_normal((count, len(self.posteriors[0].mode)))
        for number in np.unique(numbers):
            one, rows = self.posteriors[number], numbers == number
            drawn[rows] = one.mode + solve_triangular(one.factor.T, drawn[rows].T, lower=False).T
        return numbers, drawn


@dataclass
class Curvature:
    """Curvature of the log-likelihood, kept while the courses' weights hardly move."""

    table: Numbers
    weights: Numbers
    spread: Numbers | None = None
    matrix: Numbers | None = None

    def find(self, expected: Numbers) -> Numbers:
        """Compute the curvature where these probabilities are expected, or near enough."""
        spread = self.weights * expected * (1 - expected)
        if self.matrix is None or self.spread is None or has_moved(self.spread, spread):
            self.spread = spread
            rooted = self.table * np.sqrt(spread)[:, None]
            self.matrix = rooted.T @ rooted  # the same array twice: half the work
        return self.matrix


def has_moved(before: Numbers, after: Numbers) -> bool:
    """Tell whether weights have moved by more than is worth ignoring."""
    return bool(np.abs(after - before).sum() > MOVED * before.sum())


def mix_posteriors(
    table: Numbers,
    outcome: Numbers,
    weights: Numbers,
    priors: Sequence[Prior],
    positive: int | None = None,
) -> Mixture:
    """Find the posterior under each prior, and how much each counts.

    Parameters
    ----------
    table
        ``[courses, coefficients]``.
    outcome, weights
        ``[courses]``; outcomes are 0 or 1.
    priors
        Neighbours in the sequence should be alike: each search starts where the last one ended.
    positive
        Place of a coefficient that cannot be negative: a prior counts for as little as is left of
        its posterior above 0, and for nothing where the courses would have it clearly below.
    """
    curvature, start = Curvature(table, weights), priors[0].mean
    found: list[Posterior] = []
    for prior in priors:
        found.append(find_posterior(table, outcome, weights, prior, start, curvature))
        start = found[-1].mode
    evidence = np.array([posterior.evidence for posterior in found])
    if positive is not None:
        evidence += [
            weigh_above(after, positive)
            - log_ndtr(before.mean[positive] / before.deviation[positive])
            for before, after in zip(priors, found, strict=True)
        ]
    shares = np.exp(evidence - evidence.max())
    return Mixture(tuple(found), shares / shares.sum())


def weigh_above(posterior: Posterior, place: int) -> float:
    """Compute the logarithm of how much of a coefficient's posterior is above 0."""
    distance = posterior.mode[place] / posterior.find_deviation(place)
    return float(log_ndtr(distance)) if distance > -CLEARLY else -np.inf


def find_posterior(
    table: Numbers,
    outcome: Numbers,
    weights: Numbers,
    prior: Prior,
    start: Numbers,
    curvature: Curvature,
) -> Posterior:
    """Climb to the posterior's mode by Newton steps, and measure its width there."""
    precision = prior.deviation**-2.0

    def measure(mode: Numbers) -> tuple[float, Numbers]:
        log_odds = table @ mode
        likelihood = weights @ (outcome * log_odds - np.logaddexp(0, log_odds))
        return float(likelihood - precision @ (mode - prior.mean) ** 2 / 2), log_odds

    mode, (height, log_odds) = start, measure(start)
    for _ in range(MOST_STEPS):
        expected = compute_probability(log_odds)
        gradient = table.T @ (weights * (outcome - expected)) - precision * (mode - prior.mean)
        factor = factorise(curvature.find(expected), precision)
        step, before = cho_solve((factor, True), gradient), height
        for _ in range(MOST_HALVINGS):
            height, log_odds = measure(mode + step)
            if height >= before:
                break
            step = step / 2
        mode = mode + step
        if height - before < SETTLED:
            break
    volume = np.log(precision).sum() / 2 - np.log(np.diag(factor)).sum()
    return Posterior(mode, factor, height + float(volume) + prior.weight)


def factorise(curvature: Numbers, precision: Numbers) -> Numbers:
    """Factorise curvature plus the prior's precision."""
    whole = curvature.copy()
    whole[np.diag_indices_from(whole)] += precision
    factor: Numbers = cholesky(whole, lower=True, check_finite=False)
    return factor
