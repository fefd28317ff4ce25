"""Bayesian logistic regression that starts from the literature, and lets the data move it.

The log-odds of a course are ::

    base rate + effect of its site
    + discount x what the literature says of its features
    + departures from the literature, feature by feature
    + squares and products of features

The discount is 0 where the literature does not hold at all, and 1 where it holds as published. It
is learned from the courses, and so is how far departures, squares and sites may go: several spreads
are tried, and each counts by how likely it makes the courses. What is missing takes its mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from features.equation import Equation, multiply_pairs
from features.field import Group, Kind
from features.fields import COHORT_FIELDS
from features.matrix import Feature
from features.outcome import Outcome
from features.terms import Terms
from training.candidates.base import Fit, Settings, find_centre
from training.design import Design
from training.evidence import (
    BASE_RATE_SPREAD,
    EARLY_SPREAD,
    EFFECTS,
    ROUTE_SPREAD,
    SITE_SPREAD,
    UNKNOWN_SPREAD,
    find_base_rate,
)
from training.laplace import Mixture, Prior, mix_posteriors
from training.recalibration import logit

Numbers = NDArray[np.float64]

DISCOUNT, DISCOUNT_SPREAD = 1.0, 0.5
# That the literature holds to some degree at all; else its discount is 0.
HOLDS = 0.75
NOTHING = 1e-4
# What is tried: departures as multiples of the declared spreads, variance of all products together,
# and the spread of sites.
DEPARTURES = (0.08, 0.4, 1.2)
CURVED = (0.0, 0.05)
SITES = (0.03, 0.25, 0.5, 0.9)
# Fewer courses than this cannot tell how a feature is spread; the literature's cohorts do.
FEWEST_TO_SCALE = 20
# Per standard deviation of the outcome's own baseline total, as published for the PHQ-9.
SEVERITY_SIZE, SEVERITY_SPREAD = -0.10, 0.12
# Fields whose squares and products are tried; products grow with the square of it.
MOST_PAIRED = 24
# Products are left out where less than this speaks for them.
LEAST_CURVED = 0.01


@dataclass(frozen=True)
class Literature:
    """What is known of each feature beforehand; ``[features]`` each.

    Parameters
    ----------
    size, spread
        Log-odds for one unit of the feature, and how far it may be off.
    centre, scale
        Mean and standard deviation of the feature.
    pairs
        ``int64[products, 2]``: squares and products that may count.
    """

    size: Numbers
    spread: Numbers
    centre: Numbers
    scale: Numbers
    pairs: NDArray[np.int64]


@dataclass(frozen=True)
class Belief:
    """One way to see the courses: whether the literature holds, and how far things may go."""

    holds: bool
    departures: float
    curved: float
    sites: float
    weight: float


@dataclass(frozen=True)
class Update:
    """What the courses have made of the literature.

    Parameters
    ----------
    mixture
        Posterior of the coefficients, in the order of :func:`make_table`.
    """

    design: Design
    literature: Literature
    beliefs: tuple[Belief, ...]
    mixture: Mixture

    @property
    def curved(self) -> float:
        """How much speaks for squares and products."""
        return float(self.mixture.shares @ [belief.curved > 0 for belief in self.beliefs])

    @property
    def equation(self) -> Equation:
        """The equation with mean coefficients, an unseen site taken as the mean of all."""
        return write_equation(self, self.mixture.mean[None, :], np.zeros(1))

    def draw(self, count: int, generator: np.random.Generator) -> Equation:
        """Draw equations from the posterior, with a new site's effect in each."""
        numbers, coefficients = self.mixture.draw(count, generator)
        spreads = np.array([belief.sites for belief in self.beliefs])[numbers]
        return write_equation(self, coefficients, spreads * generator.standard_normal(count))

    def summarise(self) -> Settings:
        """Say what was learned of the literature as a whole."""
        place = 1 + len(self.design.site_names)
        shares = self.mixture.shares
        return {
            "discount": float(np.maximum(self.mixture.mean[place], 0)),
            "departures": float(shares @ [belief.departures for belief in self.beliefs]),
            "site_spread": float(shares @ [belief.sites for belief in self.beliefs]),
            "curved": self.curved,
        }


class EvidencePrior:
    """Starts from published effects and base rates; answers with no patient at all."""

    name = "evidence_prior"
    label = "published evidence, updated"

    def fit(self, design: Design, seed: int) -> Fit:
        """Find the posterior; there is nothing to tune."""
        update = self.update(design)
        return Fit(update.equation, update.summarise(), update)

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Find the posterior again."""
        return self.update(design).equation

    def update(self, design: Design) -> Update:
        """Update the literature; products that nothing speaks for are left out."""
        literature = read_literature(design)
        update = mix_beliefs(design, literature)
        if len(literature.pairs) and update.curved < LEAST_CURVED:
            return mix_beliefs(design, replace(literature, pairs=literature.pairs[:0]))
        return update


def read_literature(design: Design) -> Literature:
    """Look up what is known of each feature of a design."""
    centre, scale = measure_features(design)
    size, spread = np.zeros(len(scale)), np.zeros(len(scale))
    for place, feature in enumerate(design.features):
        size[place], spread[place] = look_up(design.target, feature, scale[place])
    return Literature(size, spread, centre, np.where(scale > 0, scale, 1), list_pairs(design))


def look_up(target: Outcome, feature: Feature, scale: float) -> tuple[float, float]:
    """Look up the log-odds for one unit of a feature, and how far they may be off.

    Nothing is known of a feature without a scale: it takes no part.
    """
    if feature.field == "route":
        return compare_route(target, feature), ROUTE_SPREAD
    if feature.name in EFFECTS:
        effect = EFFECTS[feature.name]
        return effect.size(target.horizon.key), effect.spread / effect.unit
    if scale == 0:
        return 0.0, 0.0
    if feature.name == target.instrument.key:
        return SEVERITY_SIZE / scale, SEVERITY_SPREAD / scale
    early = COHORT_FIELDS[feature.field].group is Group.FOLLOWUP
    return 0.0, (EARLY_SPREAD if early else UNKNOWN_SPREAD) / scale


def compare_route(target: Outcome, feature: Feature) -> float:
    """Look up how a route's base rate differs from that of all, in log-odds."""
    route = COHORT_FIELDS["route"].categories[int(feature.parameter)]
    condition = target.instrument.measures
    rates = [find_base_rate(target, condition, one) for one in (route, "")]
    return float(np.diff(logit(np.array(rates[::-1])))[0])


def measure_features(design: Design) -> tuple[Numbers, Numbers]:
    """Measure mean and standard deviation of each feature, as published where courses are few.

    Returns
    -------
    tuple
        Each ``[features]``; the deviation is 0 where it is not known.
    """
    recorded = ~np.isnan(design.matrix)
    counts = recorded.sum(axis=0)
    centre = find_centre(design)
    squares = np.where(recorded, (design.matrix - centre) ** 2, 0).sum(axis=0)
    scale = np.sqrt(squares / np.maximum(counts, 1))
    for place in np.flatnonzero(counts < FEWEST_TO_SCALE):
        known = EFFECTS.get(design.features[place].name)
        centre[place], scale[place] = (known.mean, known.deviation) if known else (0.0, 0.0)
    return centre, scale


def list_pairs(design: Design) -> NDArray[np.int64]:
    """List squares and products of the fields' first features, of the most recorded fields."""
    first = {feature.field: place for place, feature in reversed([*enumerate(design.features)])}
    kinds = {field: COHORT_FIELDS[field].kind for field in first}
    places = [first[field] for field in first if kinds[field] is not Kind.CATEGORY]
    recorded = (~np.isnan(design.matrix)).sum(axis=0)
    chosen = sorted(sorted(places, key=lambda place: -recorded[place])[:MOST_PAIRED])
    fields = [design.features[place].field for place in chosen]
    squares = [(p, p) for p, f in zip(chosen, fields, strict=True) if kinds[f] is not Kind.FLAG]
    return np.array([*squares, *combinations(chosen, 2)], dtype=np.int64).reshape(-1, 2)


def list_beliefs(design: Design, literature: Literature) -> Iterator[Belief]:
    """List the ways to see the courses that are tried, neighbours alike."""
    sites = SITES if design.site_names else (0.0,)
    curved = CURVED if len(literature.pairs) and design.size else (0.0,)
    for holds, departures, one_curved in product((True, False), DEPARTURES, curved):
        for site in sites:
            believed = np.log(HOLDS if holds else 1 - HOLDS) - site**2 / (2 * SITE_SPREAD**2)
            yield Belief(holds, departures, one_curved, site, float(believed))


def mix_beliefs(design: Design, literature: Literature) -> Update:
    """Find what the courses say under each belief, and how likely each makes them."""
    beliefs = tuple(list_beliefs(design, literature))
    table = make_table(design, literature)
    base = expect_base_rate(design)
    priors = [make_prior(design, literature, belief, base) for belief in beliefs]
    mixture = mix_posteriors(table, design.outcome, np.ones(design.size), priors)
    return Update(design, literature, beliefs, mixture)


def make_table(design: Design, literature: Literature) -> Numbers:
    """Make the table of coefficients' multipliers: ``[courses, coefficients]``.

    In this order: base rate, sites, discount, departures, squares and products.
    """
    units = (design.matrix - literature.centre) / literature.scale
    values = np.nan_to_num(design.matrix - literature.centre)
    marks = np.equal.outer(design.sites, np.arange(len(design.site_names))).astype(float)
    ones = np.ones((design.size, 1))
    known = (values @ literature.size)[:, None]
    products = multiply_pairs(units, literature.pairs)
    return np.hstack([ones, marks, known, values * literature.spread, products])


def make_prior(design: Design, literature: Literature, belief: Belief, base: float) -> Prior:
    """Make the prior of each coefficient under a belief."""
    sites, features, pairs = len(design.site_names), len(design.features), len(literature.pairs)
    mean = np.zeros(2 + sites + features + pairs)
    mean[0], mean[1 + sites] = base, DISCOUNT * belief.holds
    curved = np.sqrt(belief.curved / max(pairs, 1))
    deviation = np.repeat(
        [BASE_RATE_SPREAD, belief.sites, DISCOUNT_SPREAD * belief.holds, belief.departures, curved],
        [1, sites, 1, features, pairs],
    )
    return Prior(mean, np.maximum(deviation, NOTHING), belief.weight)


def expect_base_rate(design: Design) -> float:
    """Compute the log-odds that the literature expects of these courses, or of any."""
    measured = design.target.instrument.measures
    if not design.size:
        return float(logit(np.array(find_base_rate(design.target, measured))))
    conditions, routes = (
        (*COHORT_FIELDS[name].categories, missing)
        for name, missing in (("condition", measured), ("route", ""))
    )
    pairs = [
        (conditions[int(condition)], routes[int(route)])
        for condition, route in zip(
            *(np.nan_to_num(design.columns.get_numbers(n), nan=-1) for n in ("condition", "route")),
            strict=True,
        )
    ]
    rates = {pair: find_base_rate(design.target, *pair) for pair in set(pairs)}
    return float(np.mean(logit(np.array([rates[pair] for pair in pairs]))))


def write_equation(update: Update, coefficients: Numbers, unseen: Numbers) -> Equation:
    """Write coefficients, ``[versions, …]`` each, as an equation."""
    design, literature = update.design, update.literature
    sites, features = len(design.site_names), len(design.features)
    ends = np.cumsum([1, sites, 1, features])
    base, known, discount, departures, products = np.split(coefficients, ends, axis=1)
    present = np.maximum(discount, 0) * literature.size + departures * literature.spread
    terms = Terms(
        intercept=base[:, 0] - present @ literature.centre,
        present=present,
        missing=present * literature.centre,
        sites=np.column_stack([known, unseen]) if sites else known,
        trees=np.zeros(len(coefficients)),
        centre=literature.centre,
        scale=literature.scale,
        pairs=literature.pairs,
        products=products,
    )
    return Equation(design.features, design.site_names, terms)
