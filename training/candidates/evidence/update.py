"""Bayesian logistic regression that starts from the literature, and lets the data move it.

The log-odds of a course are ::

    base rate + effect of its site
    + discount x what the literature says of its features
    + departures from the literature, feature by feature
    + a few squares, products and steps that nobody published

The discount is 0 where the literature does not hold at all, and 1 where it holds as published. It
is learned from the courses, and so is how far departures and sites may go: several spreads are
tried, and each counts by how likely it makes the courses. What is missing takes its mean. Courses
tell how far the criterion was met or missed, see :mod:`training.candidates.evidence.ordinal`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from features.base.arrays import Numbers
from features.model.calibration import IDENTITY
from features.model.equation import ALL_VERSIONS, Equation
from features.model.terms import LINEAR, Terms
from training.candidates.base import Settings
from training.candidates.evidence.curves import Curves, list_curves
from training.candidates.evidence.laplace import Mixture, Prior, mix_posteriors
from training.candidates.evidence.literature import (
    BaseRatePrior,
    Literature,
    expect_base_rate,
    read_literature,
)
from training.candidates.evidence.ordinal import Likelihood, categorise_courses
from training.candidates.evidence.published import SITE_SPREAD
from training.candidates.evidence.sparsity import draw_terms
from training.study.design import Design, mark_sites

# Chosen: effects rarely hold up in full elsewhere. On drawn worlds .7 did better than 1 with 60 and
# 250 courses.
_DISCOUNT, _DISCOUNT_SPREAD = 0.7, 0.5
# That the literature holds to some degree at all; else its discount is 0.
_HOLDS = 0.75
_NOTHING = 1e-4
# What is tried: departures as multiples of the declared spreads, and the spread of sites.
_DEPARTURES = (0.1, 0.5, 1.2, 2.4)
_DEPARTURE_SPREAD = 1.0
_SITES = (0.03, 0.25, 0.5, 0.9)
# That sites differ at all; if so, by the published spread, give or take a factor of 1.8.
_DIFFER, _SITE_DOUBT = 0.85, 0.6
# Squares, products and steps: how many are expected, and how large in log-odds a deviation.
_EXPECTED_CURVES, _CURVE_SPREAD = 6.0, 0.12
_DRAWS = 120
# Courses over which the spread of the draws is averaged, at the most.
_ENOUGH_TO_AVERAGE = 1000


@dataclass(frozen=True)
class _Belief:
    """One way to see the courses.

    Parameters
    ----------
    holds
        Whether the literature holds to any degree.
    departures, sites
        How far features' effects and sites may go.
    weight
        Logarithm of how much is believed of it beforehand.
    """

    holds: bool
    departures: float
    sites: float
    weight: float


@dataclass(frozen=True)
class Update:
    """What the courses have made of the literature.

    Parameters
    ----------
    mixture
        Posterior of the coefficients without curves, in the order of :func:`make_table`.
    drawn
        ``[draws, curves]``: their coefficients.
    taken
        ``[coefficients, curves]``: what the others give up for one unit of each curve.
    """

    design: Design
    literature: Literature
    beliefs: tuple[_Belief, ...]
    mixture: Mixture
    curves: Curves
    drawn: Numbers
    taken: Numbers

    @cached_property
    def mean(self) -> Equation:
        """The equation with mean coefficients, an unseen site taken as the mean of all."""
        curved = self.drawn.mean(axis=0)[None, :]
        return _write_equation(self, self.mixture.mean - curved @ self.taken.T, curved, np.zeros(1))

    @cached_property
    def equation(self) -> Equation:
        """The mean, shrunk towards even odds as the mean of the posterior's probabilities is."""
        treated = self.design.described
        if not treated.size:
            return self.mean
        some = np.arange(0, treated.size, 1 + treated.size // _ENOUGH_TO_AVERAGE)
        drawn = self.draw(_DRAWS, np.random.default_rng(0))
        log_odds = drawn.compute_log_odds(treated.columns.select(some), ALL_VERSIONS)
        return _shrink_equation(self.mean, find_shrinkage(log_odds))

    def draw(self, count: int, generator: np.random.Generator) -> Equation:
        """Draw equations from the posterior, with a new site's effect in each."""
        numbers, coefficients = self.mixture.draw(count, generator)
        curved = self.drawn[generator.integers(len(self.drawn), size=count)]
        spreads = np.array([belief.sites for belief in self.beliefs])[numbers]
        unseen = spreads * generator.standard_normal(count)
        return _write_equation(self, coefficients - curved @ self.taken.T, curved, unseen)

    def redevelop(self, rows: NDArray[np.int64], seed: int) -> Equation:
        """Find the mean again on resampled courses, its curves and centres held."""
        return update_literature(self.design.select(rows), seed, self).mean

    def summarise(self) -> Settings:
        """Say what was learned of the literature as a whole."""
        place = 1 + len(self.design.site_names)
        shares = self.mixture.shares
        return {
            "discount": float(np.maximum(self.mixture.mean[place], 0)),
            "departures": float(shares @ [belief.departures for belief in self.beliefs]),
            "site_spread": float(shares @ [belief.sites for belief in self.beliefs]),
            "curves": float(np.count_nonzero(self.drawn, axis=1).mean()),
            "grades": float(len(self.mixture.posteriors[0].thresholds) + 2),
        }


def update_literature(design: Design, seed: int, held: Update | None = None) -> Update:
    """Find what the courses say under each belief, how likely each makes them, and the curves.

    Parameters
    ----------
    held
        Where features are counted from, in which units, and which curves there may be, as on the
        courses that these were drawn from; None to find them anew.
    """
    literature = held.literature if held else read_literature(design)
    beliefs = tuple(_list_beliefs(design))
    table, base = make_table(design, literature), expect_base_rate(design)
    priors = [_make_prior(design, belief, base) for belief in beliefs]
    discount = 1 + len(design.site_names)
    grades = categorise_courses(design.outcome, design.improvement)
    likelihood = Likelihood(grades, design.effective_weights)
    mixture = mix_posteriors(table, likelihood, priors, discount)
    curves = held.curves if held else list_curves(design)
    curved, prior = curves.make_table(design, literature), priors[mixture.likeliest]
    drawn, taken = draw_curves(likelihood, table, curved, mixture, prior, seed)
    return Update(design, literature, beliefs, mixture, curves, drawn, taken)


def _list_beliefs(design: Design) -> Iterator[_Belief]:
    """List the ways to see the courses that are tried."""
    sites = _weigh_sites() if design.site_names else {0.0: 0.0}
    for holds, departures, (site, weight) in product((True, False), _DEPARTURES, sites.items()):
        believed = np.log(_HOLDS if holds else 1 - _HOLDS)
        believed += weight - (departures / _DEPARTURE_SPREAD) ** 2 / 2
        yield _Belief(holds, departures, site, float(believed))


def _weigh_sites() -> dict[float, float]:
    """Weigh each spread of sites beforehand; logarithms of shares.

    Examples
    --------
    >>> {site: round(float(np.exp(weight)), 2) for site, weight in _weigh_sites().items()}
    {0.03: 0.15, 0.25: 0.18, 0.5: 0.4, 0.9: 0.27}
    """
    none, *some = _SITES
    apart = -((np.log(np.array(some) / SITE_SPREAD) / _SITE_DOUBT) ** 2) / 2
    weights = np.log(_DIFFER) + apart - np.logaddexp.reduce(apart)
    return {none: float(np.log(1 - _DIFFER)), **dict(zip(some, weights.tolist(), strict=True))}


def make_table(design: Design, literature: Literature) -> Numbers:
    """Make the table of coefficients' multipliers: ``[courses, coefficients]``.

    In this order: base rate, sites, discount, departures.
    """
    values = np.nan_to_num(design.matrix - literature.centre)
    marks = mark_sites(design.sites, design.site_names)
    known = (values @ literature.size)[:, None]
    return np.hstack([np.ones((design.size, 1)), marks, known, values * literature.spread])


def _make_prior(design: Design, belief: _Belief, base: BaseRatePrior) -> Prior:
    """Make the prior of each coefficient under a belief."""
    sites, features = len(design.site_names), len(design.features)
    mean = np.zeros(2 + sites + features)
    mean[0], mean[1 + sites] = base.log_odds, _DISCOUNT * belief.holds
    # A clinic's base rate is as far off as the sites' mean and the site's own effect together.
    spread = np.sqrt(base.spread**2 - SITE_SPREAD**2) if sites else base.spread
    deviation = np.repeat(
        [spread, belief.sites, _DISCOUNT_SPREAD * belief.holds, belief.departures],
        [1, sites, 1, features],
    )
    return Prior(mean, np.maximum(deviation, _NOTHING), belief.weight)


def draw_curves(
    likelihood: Likelihood,
    table: Numbers,
    curved: Numbers,
    mixture: Mixture,
    prior: Prior,
    seed: int,
) -> tuple[Numbers, Numbers]:
    """Draw which curves there are, and find what the other coefficients give up for them.

    Returns
    -------
    tuple
        ``[draws, curves]`` and ``[coefficients, curves]``.
    """
    likeliest = mixture.posteriors[mixture.likeliest]
    found = likelihood.differentiate(table @ mixture.mean, likeliest.thresholds)
    (mixed, _), (known, unknown) = (
        found.eliminate_thresholds(table),
        found.eliminate_thresholds(curved),
    )
    together = (table * found.spread[:, None]).T @ curved - mixed @ unknown.T
    taken = cho_solve((likeliest.factor, True), together)
    gradient = table.T @ found.gradient - (mixture.mean - prior.mean) * prior.deviation**-2.0
    # The same array twice: half the work.
    rooted = curved * np.sqrt(found.spread)[:, None]
    drawn = draw_terms(
        curved.T @ found.gradient - taken.T @ gradient,
        rooted.T @ rooted - known @ unknown.T - together.T @ taken,
        _CURVE_SPREAD,
        min(_EXPECTED_CURVES, curved.shape[1] / 10),
        _DRAWS,
        np.random.default_rng(seed),
    )
    return drawn, taken


def find_shrinkage(log_odds: Numbers) -> float:
    """Find the factor that turns the log-odds of the mean into those of the mean probability.

    The approximation of MacKay (1992), with the variance averaged over courses.

    Parameters
    ----------
    log_odds
        ``[courses, draws]``.
    """
    return float(1 / np.sqrt(1 + np.pi / 8 * log_odds.var(axis=1).mean()))


def _shrink_equation(equation: Equation, factor: float) -> Equation:
    """Multiply all log-odds of an equation."""
    terms = equation.terms
    shrunk = {name: factor * getattr(terms, name) for name in LINEAR}
    return replace(equation, terms=replace(terms, **shrunk))


def _write_equation(
    update: Update, coefficients: Numbers, curved: Numbers, unseen: Numbers
) -> Equation:
    """Write coefficients, ``[versions, …]`` each, as an equation."""
    design, literature, curves = update.design, update.literature, update.curves
    ends = np.cumsum([1, len(design.site_names), 1])
    base, known, discount, departures = np.split(coefficients, ends, axis=1)
    products, steps = np.split(curved, [len(curves.pairs)], axis=1)
    lines = np.maximum(discount, 0) * literature.size + departures * literature.spread
    present = np.hstack([lines, steps / curves.scale])
    centre = np.append(literature.centre, curves.shares)
    terms = Terms(
        intercept=base[:, 0] - present @ centre,
        present=present,
        missing=present * centre,
        sites=np.column_stack([known, unseen]) if design.site_names else known,
        trees=np.zeros(len(coefficients)),
        centre=centre,
        scale=np.append(literature.scale, np.ones(len(curves.steps))),
        pairs=curves.pairs,
        products=products,
        calibration=np.tile(IDENTITY, (len(coefficients), 1)),
    )
    return Equation((*design.features, *curves.steps), design.site_names, terms)
