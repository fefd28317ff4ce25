"""Candidates: what turns a design into an equation, and what they share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.base.errors import Problem
from features.model.calibration import IDENTITY
from features.model.card import PublishedFacts
from features.model.equation import Equation
from features.model.terms import Terms
from training.candidates.tuning import UNTUNED, Tuning, TuningTrial
from training.measures.logistic import logit
from training.measures.losses import compute_log_loss
from training.study.design import Design
from training.study.split import Fold

Settings = Mapping[str, float]


@dataclass(frozen=True)
class Fit:
    """A fitted candidate.

    Parameters
    ----------
    settings
        What the fit chose by cross-validation within its own courses: penalties, depth, rounds,
        calibration. A refit on other courses takes them as given.
    inner
        Each course's log loss on the inner folds, which are the same for all candidates: fitted and
        calibrated on the other folds. ``[courses]``, NaN if in no fold's test; None without folds.
    """

    equation: Equation
    settings: Settings
    inner: Numbers | None = None
    posterior: "Posterior | None" = None
    trials: tuple[TuningTrial, ...] = ()


class Posterior(Protocol):
    """A candidate's uncertainty if its model is right."""

    def draw(self, count: int, generator: np.random.Generator) -> Equation:
        """Draw versions of the equation, before calibration."""

    def redevelop(self, rows: NDArray[np.int64], seed: int) -> Equation:
        """Refit the equation on resampled courses, with the same terms."""


class Candidate(ABC):
    """A kind of model that a study compares; :mod:`training.candidates.registry` finds subclasses.

    Attributes
    ----------
    name
        In studies.
    label
        In reports and figures.
    colour
        In figures, ``#rrggbb``.
    preference
        Of candidates within one standard error of the best, the one with the lowest is chosen.
    needs_outcomes
        Whether it cannot be fitted before any course has its outcome.
    has_posterior
        Whether its fits have a posterior; intervals of the others come from bootstrap refits alone.
    source
        Of a published equation, its citation.

    Parameters
    ----------
    tuning
        How settings are searched, for those that search any.
    """

    name: str
    label: str
    colour: str
    preference: int = 90
    needs_outcomes: bool = True
    has_posterior: ClassVar[bool] = False
    source: str = ""

    def __init__(self, tuning: Tuning = UNTUNED) -> None:
        self.tuning = tuning

    def find_problems(self, design: Design) -> list[Problem]:
        """Find what would stop a fit to a study's courses, before anything is logged."""
        return []

    @abstractmethod
    def fit(self, design: Design, seed: int) -> Fit:
        """Choose settings within the design and fit; must not use any course beyond it."""

    @abstractmethod
    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Fit with settings chosen before, on resampled courses.

        The equation has the same features in the same order at every refit of the same settings:
        the refits become versions of one equation.
        """

    def redevelop(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Refit on resampled courses, for the intervals of estimates."""
        return self.refit(design, settings, seed)

    @property
    def required(self) -> tuple[str, ...]:
        """Fields without which its models give no estimate."""
        return ()

    def cite(self, equation: Equation) -> PublishedFacts | None:
        """Return the publication that the equation is from; None if it was fitted here."""
        return None

    def describe_interval(self, courses: int) -> str:
        """Describe the versions that an estimate's interval spans, given the courses with outcomes.

        To follow a number, such as `200`.
        """
        if not courses:
            return "draws from published evidence"
        if self.has_posterior:
            return "posterior draws, widened by bootstrap refits"
        return "bootstrap refits (sampling error alone)"


def make_equation(
    design: Design,
    intercept: float,
    present: Numbers,
    missing: Numbers,
    sites: Numbers | None = None,
    trees: tuple[Any, float] | None = None,
) -> Equation:
    """Assemble an equation of one version.

    Parameters
    ----------
    present, missing, sites
        ``[features]``, ``[features]`` and ``[sites]``.
    trees
        Booster and its weight.
    """
    # The last effect is that of a site not seen in training: 0 here, drawn by posteriors and
    # refits.
    known = np.zeros(len(design.site_names)) if sites is None else sites
    effects = np.append(known, 0.0) if design.site_names else known
    booster, weight = trees or (None, 0.0)
    terms = Terms(
        intercept=np.array([intercept]),
        present=present[None, :],
        missing=missing[None, :],
        sites=effects[None, :],
        trees=np.array([weight]),
        centre=design.centre,
        scale=np.ones(len(design.features)),
        pairs=np.empty((0, 2), dtype=np.int64),
        products=np.empty((1, 0)),
        calibration=np.array([IDENTITY]),
    )
    boosters = () if booster is None else (booster,)
    return Equation(design.features, design.site_names, terms, boosters)


def make_constant(design: Design) -> Equation:
    """Assemble the equation that predicts the base rate for every patient."""
    blank = np.zeros(len(design.features))
    return make_equation(design, float(_compute_base_log_odds(design)), blank, blank)


def cross_base_rate(design: Design, folds: Sequence[Fold]) -> Numbers | None:
    """Compute each course's log loss by the base rate of the other inner folds, ``[courses]``."""
    if not folds:
        return None
    losses = np.full(design.size, np.nan)
    for fold in folds:
        log_odds = _compute_base_log_odds(design.select(fold.train))
        losses[fold.test] = compute_log_loss(np.array(log_odds), design.outcome[fold.test])
    return losses


def _compute_base_log_odds(design: Design) -> float:
    # Resampled courses may all be of one class, the cohort itself never is: half a course is added
    # to each class, so that the log-odds are finite.
    rate = float(np.average(design.outcome, weights=design.weights))
    if design.events in (0, design.size):
        rate = (design.events + 0.5) / (design.size + 1)
    return float(logit(np.array(rate)))
