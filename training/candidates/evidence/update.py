"""Bayesian logistic regression that starts from the literature, and lets the data move it.

The log-odds of a course are ::

    base rate + effect of its site
    + discount x what the literature says of its features
    + departures from the literature, feature by feature
    + a few nonlinear and interaction terms that no study published

The discount is 0 if the literature does not apply at all, and 1 if it applies as published. It is
estimated, and so are the spreads of departures and of sites: several values are tried, and each
counts by the marginal likelihood of the courses under it. A missing value takes its mean. The
outcome is ordinal: see :mod:`training.candidates.evidence.ordinal`.
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
from training.candidates.evidence.curves import Curves, draw_terms, list_curves
from training.candidates.evidence.laplace import Mixture, Prior, mix_posteriors
from training.candidates.evidence.literature import (
    BaseRatePrior,
    Literature,
    expect_base_rate,
    read_literature,
)
from training.candidates.evidence.ordinal import Likelihood, categorise_courses
from training.candidates.evidence.published import SITE_SPREAD
from training.study.design import Design, mark_sites

# Assumed: effects are rarely replicated in full. On simulated worlds 0.7 did better than 1 with 60
# and with 250 courses.
_DISCOUNT, _DISCOUNT_SPREAD = 0.7, 0.5
# Prior probability that the literature applies to any degree; else its discount is 0.
_HOLDS = 0.75
# A prior deviation of 0 has no precision; this is 0 for all purposes.
_MIN_DEVIATION = 1e-4
# Spreads tried: of departures as multiples of the declared spreads, and between sites.
_DEPARTURES = (0.1, 0.5, 1.2, 2.4)
# Half-normal prior of the multiple: departures about as large as declared are expected.
_DEPARTURE_SPREAD = 1.0
_SITES = (0.03, 0.25, 0.5, 0.9)
# Prior probability that sites differ at all, and the standard deviation of the logarithm of the
# between-site spread around the published one: a factor of 1.8.
_DIFFER, _SITE_DOUBT = 0.85, 0.6
# Nonlinear and interaction terms: how many are expected to count, and the standard deviation of
# their log-odds per standard deviation. Set on simulated worlds.
_EXPECTED_CURVES, _CURVE_SPREAD = 6.0, 0.12
# The mean of as many draws is known to a tenth of their standard deviation.
_DRAWS = 120
# The variance of draws is averaged over at most this many courses; more change the third digit.
_ENOUGH_TO_AVERAGE = 1000


@dataclass(frozen=True)
class _PriorSetting:
    # Standard deviations of departures (in units of the declared spreads) and between sites,
    # whether the literature applies at all (`holds`), and the logarithm of their prior probability,
    # but for a constant.
    holds: bool
    departures: float
    sites: float
    weight: float


@dataclass(frozen=True)
class Update:
    """The literature, updated by courses.

    Parameters
    ----------
    mixture
        Posterior of the coefficients without curves, in the order of :func:`make_table`.
    curve_draws
        ``[draws, curves]``: posterior draws of the curves' coefficients.
    adjustment
        ``[coefficients, curves]``: what other coefficients lose per unit of each curve.
    """

    design: Design
    literature: Literature
    prior_settings: tuple[_PriorSetting, ...]
    mixture: Mixture
    curves: Curves
    curve_draws: Numbers
    adjustment: Numbers

    @cached_property
    def mean(self) -> Equation:
        """The equation with mean coefficients, an unseen site's effect taken as 0."""
        curved = self.curve_draws.mean(axis=0)[None, :]
        return _write_equation(
            self, self.mixture.mean - curved @ self.adjustment.T, curved, np.zeros(1)
        )

    @cached_property
    def equation(self) -> Equation:
        """The mean, shrunk to even odds as far as the posterior mean of probabilities is."""
        treated = self.design.described
        if not treated.size:
            return self.mean
        rows = np.arange(0, treated.size, 1 + treated.size // _ENOUGH_TO_AVERAGE)
        # A seed of its own: the same posterior must give the same equation.
        draws = self.draw(_DRAWS, np.random.default_rng(0))
        log_odds = draws.compute_log_odds(treated.columns.select(rows), ALL_VERSIONS)
        factor, terms = compute_shrinkage(log_odds), self.mean.terms
        shrunk = {name: factor * getattr(terms, name) for name in LINEAR}
        return replace(self.mean, terms=replace(terms, **shrunk))

    def draw(self, count: int, generator: np.random.Generator) -> Equation:
        """Draw equations from the posterior, with a new site's effect in each."""
        numbers, coefficients = self.mixture.draw(count, generator)
        curved = self.curve_draws[generator.integers(len(self.curve_draws), size=count)]
        spreads = np.array([setting.sites for setting in self.prior_settings])[numbers]
        unseen = spreads * generator.standard_normal(count)
        return _write_equation(self, coefficients - curved @ self.adjustment.T, curved, unseen)

    def redevelop(self, rows: NDArray[np.int64], seed: int) -> Equation:
        """Compute the mean again on resampled courses, its curves and centres fixed."""
        return update_literature(self.design.select(rows), seed, self).mean

    def summarise(self) -> Settings:
        """Summarise what was estimated of the literature as a whole."""
        discount, shares = 1 + len(self.design.site_names), self.mixture.shares
        return {
            "discount": float(np.maximum(self.mixture.mean[discount], 0)),
            "departures": float(shares @ [setting.departures for setting in self.prior_settings]),
            "site_spread": float(shares @ [setting.sites for setting in self.prior_settings]),
            "curves": float(np.count_nonzero(self.curve_draws, axis=1).mean()),
            "grades": float(len(self.mixture.posteriors[0].thresholds) + 2),
        }


def update_literature(design: Design, seed: int, held: Update | None = None) -> Update:
    """Update the literature by the courses of a design.

    With centres, units and curves of an update that is held, if there is one.
    """
    literature = held.literature if held else read_literature(design)
    prior_settings = tuple(_list_prior_settings(design))
    table, base = make_table(design, literature), expect_base_rate(design)
    priors = [_make_prior(design, setting, base) for setting in prior_settings]
    discount = 1 + len(design.site_names)
    categories = categorise_courses(design.outcome, design.improvement)
    likelihood = Likelihood(categories, design.effective_weights)
    mixture = mix_posteriors(table, likelihood, priors, discount)
    curves = held.curves if held else list_curves(design)
    curved, prior = curves.make_table(design, literature), priors[mixture.likeliest]
    draws = _draw_curves(likelihood, table, curved, mixture, prior, seed)
    return Update(design, literature, prior_settings, mixture, curves, *draws)


def _list_prior_settings(design: Design) -> Iterator[_PriorSetting]:
    sites = _weigh_sites() if design.site_names else {0.0: 0.0}
    for holds, departures, (site, weight) in product((True, False), _DEPARTURES, sites.items()):
        weight += np.log(_HOLDS if holds else 1 - _HOLDS)
        weight -= (departures / _DEPARTURE_SPREAD) ** 2 / 2
        yield _PriorSetting(holds, departures, site, float(weight))


def _weigh_sites() -> dict[float, float]:
    # The first stands for sites that do not differ: small, since a spread of 0 has no precision.
    same, *different = _SITES
    density = -((np.log(np.array(different) / SITE_SPREAD) / _SITE_DOUBT) ** 2) / 2
    weights = np.log(_DIFFER) + density - np.logaddexp.reduce(density)
    return {same: float(np.log(1 - _DIFFER)), **dict(zip(different, weights.tolist(), strict=True))}


def make_table(design: Design, literature: Literature) -> Numbers:
    """Make the table of coefficients' multipliers, ``[courses, coefficients]``.

    In this order: base rate, sites, discount, departures.
    """
    # A missing value takes its mean and so contributes nothing.
    values = np.nan_to_num(design.matrix - literature.centre)
    marks = mark_sites(design.sites, design.site_names)
    known = (values @ literature.size)[:, None]
    return np.hstack([np.ones((design.size, 1)), marks, known, values * literature.spread])


def _make_prior(design: Design, setting: _PriorSetting, base: BaseRatePrior) -> Prior:
    sites, features = len(design.site_names), len(design.features)
    mean = np.zeros(2 + sites + features)
    mean[0], mean[1 + sites] = base.log_odds, _DISCOUNT * setting.holds
    # The spread of a clinic's base rate is that of the sites' mean and of its own effect together.
    spread = np.sqrt(base.spread**2 - SITE_SPREAD**2) if sites else base.spread
    deviation = np.repeat(
        [spread, setting.sites, _DISCOUNT_SPREAD * setting.holds, setting.departures],
        [1, sites, 1, features],
    )
    return Prior(mean, np.maximum(deviation, _MIN_DEVIATION), setting.weight)


def _draw_curves(
    likelihood: Likelihood,
    table: Numbers,
    curved: Numbers,
    mixture: Mixture,
    prior: Prior,
    seed: int,
) -> tuple[Numbers, Numbers]:
    # The likelihood is taken as normal around the fit without curves; the other coefficients and
    # the thresholds are eliminated from the curves' Hessian by Schur complements, so that only the
    # curves are sampled. Returns ``[draws, curves]`` and ``[coefficients, curves]``.
    likeliest = mixture.posteriors[mixture.likeliest]
    derivatives = likelihood.differentiate(table @ mixture.mean, likeliest.thresholds)
    mixed, _ = derivatives.eliminate_thresholds(table)
    curve_mixed, curve_solved = derivatives.eliminate_thresholds(curved)
    cross = (table * derivatives.spread[:, None]).T @ curved - mixed @ curve_solved.T
    adjustment = cho_solve((likeliest.factor, True), cross)
    prior_gradient = (mixture.mean - prior.mean) * prior.deviation**-2.0
    gradient = table.T @ derivatives.gradient - prior_gradient
    # The product of an array with itself: BLAS computes one half of it.
    rooted = curved * np.sqrt(derivatives.spread)[:, None]
    draws = draw_terms(
        curved.T @ derivatives.gradient - adjustment.T @ gradient,
        rooted.T @ rooted - curve_mixed @ curve_solved.T - cross.T @ adjustment,
        _CURVE_SPREAD,
        # With few curves, no more than a tenth of them is expected to count.
        min(_EXPECTED_CURVES, curved.shape[1] / 10),
        _DRAWS,
        np.random.default_rng(seed),
    )
    return draws, adjustment


def compute_shrinkage(log_odds: Numbers) -> float:
    """Compute the factor from the log-odds of the mean to those of the mean probability.

    MacKay's approximation (1992), with the variance of log-odds ``[courses, draws]`` averaged over
    courses.
    """
    return float(1 / np.sqrt(1 + np.pi / 8 * log_odds.var(axis=1).mean()))


def _write_equation(
    update: Update, coefficients: Numbers, curved: Numbers, unseen: Numbers
) -> Equation:
    design, literature, curves = update.design, update.literature, update.curves
    ends = np.cumsum([1, len(design.site_names), 1])
    base, known, discount, departures = np.split(coefficients, ends, axis=1)
    products, steps = np.split(curved, [len(curves.pairs)], axis=1)
    # Draws below 0 would turn the literature round: it does not apply at all then.
    lines = np.maximum(discount, 0) * literature.size + departures * literature.spread
    present = np.hstack([lines, steps / curves.scale])
    centre = np.append(literature.centre, curves.shares)
    # Contributions are counted from the mean, at which a missing value is put.
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
