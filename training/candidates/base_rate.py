"""The base rate: the same probability for every patient, which other candidates must beat."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.model.equation import Equation
from features.model.terms import stack_terms
from training.candidates.base import (
    Candidate,
    Fit,
    Settings,
    cross_base_rate,
    make_constant,
    make_equation,
)
from training.candidates.evidence.literature import expect_base_rate
from training.study.design import Design
from training.study.split import split_inner


@dataclass(frozen=True)
class _PublishedRate:
    # A clinic's base rate before any of its outcomes is known. `spread` is the standard deviation
    # of clinics' base rates around the published one, in log-odds.
    equation: Equation
    spread: float

    def draw(self, count: int, generator: np.random.Generator) -> Equation:
        terms = stack_terms([self.equation.terms] * count)
        moved = terms.intercept + self.spread * generator.standard_normal(count)
        return replace(self.equation, terms=replace(terms, intercept=moved))

    def redevelop(self, rows: NDArray[np.int64], seed: int) -> Equation:
        # There is no course to resample.
        return self.equation


class BaseRate(Candidate):
    """Predicts the proportion with the event for every patient; always compared.

    It uses no field at all. Without any course it is the published proportion.
    """

    name = "base_rate"
    label = "base rate"
    colour = "#767676"
    # The last: it is chosen only if it is clearly the best.
    preference = 100
    needs_outcomes = False

    def fit(self, design: Design, seed: int) -> Fit:
        """Count, and on the inner folds too."""
        equation = self.refit(design, {}, seed)
        inner = cross_base_rate(design, split_inner(design, seed))
        if design.size:
            return Fit(equation, {}, inner, None)
        return Fit(equation, {}, inner, _PublishedRate(equation, expect_base_rate(design).spread))

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Count again."""
        # No field and no site: its equation asks nothing of a patient.
        matrix = design.matrix[:, :0]
        blank = replace(design, features=(), matrix=matrix, site_names=(), enrolled=None)
        if design.size:
            return make_constant(blank)
        return make_equation(blank, expect_base_rate(design).log_odds, np.zeros(0), np.zeros(0))
