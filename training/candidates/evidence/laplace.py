"""Bayesian logistic regression: the posterior by Laplace's approximation, averaged over priors.

A normal prior for each coefficient; where its spread is not known, several priors are tried, and
each counts by its own prior weight times the likelihood of the courses under it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import log_ndtr

from features.base.arrays import Numbers
from training.candidates.evidence.ordinal import Likelihood

MOST_STEPS, MOST_HALVINGS = 100, 30
# Log-likelihood, in nats, below which a step is the last.
SETTLED = 1e-4
# Curvature is computed anew once the courses' weights have moved by this share.
_MOVED = 0.02
# Standard deviations below 0 from which a coefficient is clearly negative.
_CLEARLY = 1.0


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
    thresholds
        Of the grades of an ordinal outcome, at the mode.
    """

    mode: Numbers
    factor: Numbers
    evidence: float
    thresholds: Numbers = field(default_factory=lambda: np.empty(0))

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
    """Curvature of the log-likelihood by coefficients, kept while it hardly moves."""

    table: Numbers
    spread: Numbers | None = None
    matrix: Numbers | None = None

    def find(self, spread: Numbers) -> Numbers:
        """Compute the curvature where each course's is this, or near enough."""
        if self.matrix is None or self.spread is None or _has_moved(self.spread, spread):
            self.spread = spread
            rooted = self.table * np.sqrt(spread)[:, None]
            self.matrix = rooted.T @ rooted  # the same array twice: half the work
        return self.matrix


def _has_moved(before: Numbers, after: Numbers) -> bool:
    """Tell whether weights have moved by more than is worth ignoring."""
    return bool(np.abs(after - before).sum() > _MOVED * before.sum())


def mix_posteriors(
    table: Numbers,
    likelihood: Likelihood,
    priors: Sequence[Prior],
    positive: int | None = None,
) -> Mixture:
    """Find the posterior under each prior, and how much each counts.

    Parameters
    ----------
    table
        ``[courses, coefficients]``.
    likelihood
        What the courses say of their log-odds.
    priors
        Neighbours in the sequence should be alike: each search starts where the last one ended.
    positive
        Place of a coefficient that cannot be negative: a prior counts for as little as is left of
        its posterior above 0, and for nothing where the courses would have it clearly below.
    """
    curvature, start = Curvature(table), (priors[0].mean, likelihood.place_thresholds())
    found: list[Posterior] = []
    for prior in priors:
        found.append(find_posterior(table, likelihood, prior, start, curvature))
        start = found[-1].mode, found[-1].thresholds
    evidence = np.array([posterior.evidence for posterior in found])
    if positive is not None:
        evidence += [
            _weigh_above(after, positive)
            - log_ndtr(before.mean[positive] / before.deviation[positive])
            for before, after in zip(priors, found, strict=True)
        ]
    shares = np.exp(evidence - evidence.max())
    return Mixture(tuple(found), shares / shares.sum())


def _weigh_above(posterior: Posterior, place: int) -> float:
    """Compute the logarithm of how much of a coefficient's posterior is above 0."""
    distance = posterior.mode[place] / posterior.find_deviation(place)
    return float(log_ndtr(distance)) if distance > -_CLEARLY else -np.inf


def find_posterior(
    table: Numbers,
    likelihood: Likelihood,
    prior: Prior,
    start: tuple[Numbers, Numbers],
    curvature: Curvature,
) -> Posterior:
    """Climb to the posterior's mode by Newton steps, and measure its width there.

    The thresholds of an ordinal outcome climb along; the width is that of the coefficients with
    the thresholds unknown.
    """
    precision = prior.deviation**-2.0

    def measure(mode: Numbers, thresholds: Numbers) -> tuple[float, Numbers]:
        log_odds = table @ mode
        height = likelihood.measure(log_odds, thresholds)
        return float(height - precision @ (mode - prior.mean) ** 2 / 2), log_odds

    (mode, thresholds), (height, log_odds) = start, measure(*start)
    for _ in range(MOST_STEPS):
        found = likelihood.inform(log_odds, thresholds)
        mixed, taken = found.relate(table)
        gradient = table.T @ found.slope - precision * (mode - prior.mean)
        factor = _factorise(curvature.find(found.spread) - mixed @ taken.T, precision)
        step = cho_solve((factor, True), gradient - taken @ found.pull)
        aside = np.linalg.solve(found.bend, found.pull - mixed.T @ step)
        before = height
        for _ in range(MOST_HALVINGS):
            height, log_odds = measure(mode + step, thresholds + aside)
            if height >= before:
                break
            step, aside = step / 2, aside / 2
        mode, thresholds = mode + step, thresholds + aside
        if height - before < SETTLED:
            break
    volume = np.log(precision).sum() / 2 - np.log(np.diag(factor)).sum()
    volume -= np.linalg.slogdet(found.bend).logabsdet / 2
    return Posterior(mode, factor, height + float(volume) + prior.weight, thresholds)


def _factorise(curvature: Numbers, precision: Numbers) -> Numbers:
    """Factorise curvature plus the prior's precision."""
    whole = curvature.copy()
    whole[np.diag_indices_from(whole)] += precision
    factor: Numbers = cholesky(whole, lower=True, check_finite=False)
    return factor
