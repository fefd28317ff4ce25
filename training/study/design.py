"""Designs: the courses of a study that a candidate learns from, as arrays."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Numbers
from features.dictionary.outcome import Outcome
from features.intake.account import Account
from features.model.matrix import Feature
from features.records.columns import Columns
from training.study.conditions import Exclusion
from training.study.study import Study

# No index of a site, so that a course without one has no site effect.
UNKNOWN_SITE = -1


# By identity: arrays have no single truth value, and a design can then be the key of a cache.
@dataclass(frozen=True, eq=False)
class Design:
    """Courses with a known outcome. Two designs are equal if they are the same object.

    Parameters
    ----------
    study
        What is asked of the courses.
    courses
        All of the study's courses, whatever is known of them.
    matrix
        ``float32[courses, features]``.
    outcome
        ``float64[courses]``, 0 or 1.
    improvement
        The score that the outcome dichotomises, ``float64[courses]``; higher is better.
    patients
        ``int64[courses]``: the same number for all courses of a patient.
    sites
        ``int64[courses]``: index in `site_names`, -1 if the site is unknown. Empty names mean
        that the site is not a feature of the study.
    target
        What the outcome is.
    given_weights
        How much each course counts, ``float64[courses]``; None if all are equally weighted.
    enrolled
        All courses with the baseline total that the outcome needs, those without a follow-up too;
        their outcomes are NaN. If no outcome is known yet, means and spreads of features come from
        them.
    inner_folds
        Maximal number of folds into which a fit splits the courses to choose its settings.
    excluded
        Courses of the cohort that are not in `courses`, by reason.
    account
        Of the exports that the cohort was made of; None if that is not known.
    """

    study: Study
    courses: Columns
    columns: Columns
    features: tuple[Feature, ...]
    matrix: NDArray[np.float32]
    outcome: Numbers
    improvement: Numbers
    patients: NDArray[np.int64]
    sites: NDArray[np.int64]
    site_names: tuple[str, ...]
    target: Outcome
    given_weights: Numbers | None = None
    enrolled: "Design | None" = None
    inner_folds: int = 5
    excluded: tuple[Exclusion, ...] = ()
    account: Account | None = None

    @property
    def described(self) -> "Design":
        """The courses that describe who is treated: with outcomes, or else awaiting them."""
        return self.enrolled if self.enrolled and self.study.awaits_outcomes else self

    @property
    def severity(self) -> int | None:
        """Index of the outcome's own baseline total among the features; None if it is not one."""
        names = [feature.name for feature in self.features]
        key = self.target.instrument.key
        return names.index(key) if key in names else None

    @property
    def reported(self) -> Flags:
        """Which courses have their outcome reported; all but for `enrolled`."""
        return ~np.isnan(self.outcome)

    @property
    def centre(self) -> Numbers:
        """Mean of each feature, from which contributions are counted; ``[features]``."""
        return average_recorded(self.described.matrix)

    @property
    def size(self) -> int:
        """Number of courses."""
        return len(self.outcome)

    @property
    def events(self) -> int:
        """Number of events."""
        return int(self.outcome.sum())

    @property
    def weights(self) -> Numbers:
        """How much each course counts, ``float64[courses]``; ones if all are equally weighted."""
        return np.ones(self.size) if self.given_weights is None else self.given_weights

    @property
    def effective_weights(self) -> Numbers:
        """The weights scaled to sum to the effective number of courses (Kish, 1965).

        For methods that estimate their own uncertainty: uneven weights are less informative.
        """
        if self.given_weights is None:
            return self.weights
        squared = (self.given_weights**2).sum()
        scaled: Numbers = self.given_weights * (self.given_weights.sum() / squared)
        return scaled

    def select(self, rows: NDArray[Any]) -> "Design":
        """Keep some courses, repeated ones included."""
        return replace(
            self,
            columns=self.columns.select(rows),
            matrix=self.matrix[rows],
            outcome=self.outcome[rows],
            improvement=self.improvement[rows],
            patients=self.patients[rows],
            sites=self.sites[rows],
            given_weights=None if self.given_weights is None else self.given_weights[rows],
        )


def average_recorded(matrix: NDArray[np.float32]) -> Numbers:
    """Average the recorded values of each column; 0 if there are none."""
    recorded = ~np.isnan(matrix)
    # In double precision: a sum of thousands of single-precision values would lose digits.
    total = np.where(recorded, matrix, 0).sum(axis=0, dtype=np.float64)
    average: Numbers = total / np.maximum(recorded.sum(axis=0), 1)
    return average


def is_simulated(columns: Columns) -> bool:
    """Return whether any course comes from a simulator."""
    return bool((columns.get_numbers("simulated") == 1).any())


def number_sites(columns: Columns) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Give each site a number, by name; -1 if it is unknown."""
    texts = columns.get_texts("site")
    # Sorted, so that numbers do not depend on the order of rows.
    names = tuple(sorted({text for text in texts if text is not None}))
    numbers_of = {name: number for number, name in enumerate(names)}
    numbers = [numbers_of.get(text, UNKNOWN_SITE) for text in texts]
    return np.array(numbers, dtype=np.int64), names


def mark_sites(sites: NDArray[np.int64], names: tuple[str, ...]) -> Numbers:
    """Mark each course's site, ``[courses, sites]``: zeros if it is unknown."""
    return np.equal.outer(sites, np.arange(len(names))).astype(np.float64)
