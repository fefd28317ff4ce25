"""Proportional-odds likelihood of outcomes graded by how far the criterion was met or missed.

Event or non-event discards most of what a follow-up score says: a near miss counts like a
deterioration. So courses are put into ordered categories, some of non-events and some of events::

    log-odds of category k or higher = log-odds of the event - threshold k

where the threshold of the event itself is 0 (McCullagh, 1980). With one category per class this is
logistic regression. The probability of a category between two thresholds is the product of two
logistic probabilities, "this category or higher" and "below the next", and of a factor that depends
on the two thresholds alone; so gradient and Hessian are those of logistic regression plus the
factor's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.special import expit, log_expit, logit

from features.base.arrays import Numbers

# Categories of a class: one per this many courses, up to a maximum. More add little: those with
# proportions p hold 1 - sum(p**3) of the information (Whitehead, 1993), so that ten of equal size
# hold 99% of it, and the two classes 75%.
_COURSES_PER_CATEGORY, _MAX_CATEGORIES = 10, 5


@dataclass(frozen=True)
class Categories:
    """The ordered category of each course, ``int64[courses]``; events have `cut` or higher."""

    numbers: NDArray[np.int64]
    count: int
    cut: int

    @property
    def free(self) -> NDArray[np.int64]:
        """Indices of the thresholds that are not 0 by definition, among all ``count - 1``."""
        return np.delete(np.arange(self.count - 1), self.cut - 1)


def categorise_courses(outcome: Numbers, improvement: Numbers) -> Categories:
    """Put courses into ordered categories by the score that the outcome dichotomises.

    >>> categorise_courses(np.array([0.0, 1, 1]), np.array([0.1, 0.5, 0.9])).numbers
    array([0, 1, 1])
    """
    is_event = outcome > 0
    edges = [_find_edges(improvement[rows]) for rows in (~is_event, is_event)]
    lower, upper = (np.searchsorted(side, improvement, side="right") for side in edges)
    cut = len(edges[0]) + 1
    numbers = np.where(is_event, cut + upper, lower)
    return Categories(numbers, cut + len(edges[1]) + 1, cut)


def _find_edges(values: Numbers) -> Numbers:
    # Many courses may share one score: equal edges are merged, so that no category is empty.
    count = min(len(values) // _COURSES_PER_CATEGORY, _MAX_CATEGORIES)
    if count < 2:
        return np.empty(0)
    edges = np.quantile(values, np.arange(1, count) / count, method="inverted_cdf")
    unique: Numbers = np.unique(edges[edges > values.min()])
    return unique


@dataclass(frozen=True)
class Likelihood:
    """Likelihood of courses' categories, by their log-odds and the free thresholds."""

    categories: Categories
    weights: Numbers

    def start_thresholds(self) -> Numbers:
        """Return the maximum-likelihood thresholds of equal log-odds, where a search starts.

        Half a course is added to each category: resampled courses may all be of one class.
        """
        categories = self.categories
        counts = 0.5 + np.bincount(categories.numbers, self.weights, categories.count)
        log_odds = logit(np.cumsum(counts[::-1])[::-1][1:] / counts.sum())
        thresholds: Numbers = log_odds[categories.cut - 1] - log_odds[categories.free]
        return thresholds

    def compute(self, log_odds: Numbers, thresholds: Numbers) -> float:
        """Compute the log-likelihood; minus infinity if the thresholds are out of order."""
        ends = self._pad(thresholds)
        gaps = np.diff(ends)
        if (gaps <= 0).any():
            return -np.inf
        upper, lower = self._relate_to_thresholds(log_odds, ends)
        # By expm1, which is exact for narrow gaps; an infinite gap has a factor of 1.
        factor = np.log(-np.expm1(-gaps))[self.categories.numbers]
        return float(self.weights @ (log_expit(upper) + log_expit(-lower) + factor))

    def differentiate(self, log_odds: Numbers, thresholds: Numbers) -> "Derivatives":
        """Compute gradient and negative Hessian of the log-likelihood."""
        numbers, count, ends = self.categories.numbers, self.categories.count, self._pad(thresholds)
        upper, lower = (expit(values) for values in self._relate_to_thresholds(log_odds, ends))
        own, following = (self.weights * values * (1 - values) for values in (upper, lower))
        mixed, rows = np.zeros((len(numbers), count + 1)), np.arange(len(numbers))
        mixed[rows, numbers], mixed[rows, numbers + 1] = -own, -following
        factor_gradient, factor_hessian = self._differentiate_factor(ends)
        gradient = factor_gradient
        gradient += np.bincount(numbers + 1, self.weights * lower, count + 1)
        gradient -= np.bincount(numbers, self.weights * (1 - upper), count + 1)
        hessian = factor_hessian - np.diag(mixed.sum(axis=0))
        # The two infinite ends and the event's own threshold do not move.
        free = 1 + self.categories.free
        return Derivatives(
            self.weights * (1 - upper - lower),
            own + following,
            gradient[free],
            mixed[:, free],
            hessian[free][:, free],
        )

    def _differentiate_factor(self, ends: Numbers) -> tuple[Numbers, Numbers]:
        # Of ``log(1 - exp(-gap))``, by the thresholds on either side of each gap.
        count = self.categories.count
        courses = np.bincount(self.categories.numbers, self.weights, count)
        gradient, hessian = np.zeros(count + 1), np.zeros((count + 1, count + 1))
        # The outermost gaps are infinite: their factor is 1.
        for index in range(1, count - 1):
            sides, gap = [index, index + 1], ends[index + 1] - ends[index]
            gradient[sides] += courses[index] / np.expm1(gap) * np.array([-1, 1])
            curvature = courses[index] / (4 * np.sinh(gap / 2) ** 2)
            hessian[np.ix_(sides, sides)] += curvature * np.array([[1, -1], [-1, 1]])
        return gradient, hessian

    def _pad(self, thresholds: Numbers) -> Numbers:
        # The two infinite ends spare the first and the last category a case of their own.
        index = self.categories.cut - 1
        return np.concatenate([[-np.inf], thresholds[:index], [0.0], thresholds[index:], [np.inf]])

    def _relate_to_thresholds(self, log_odds: Numbers, ends: Numbers) -> tuple[Numbers, Numbers]:
        numbers = self.categories.numbers
        return log_odds - ends[numbers], log_odds - ends[numbers + 1]


@dataclass(frozen=True)
class Derivatives:
    """Gradient and negative Hessian of a log-likelihood.

    Parameters
    ----------
    gradient, spread
        First and negative second derivative by each course's log-odds, ``[courses]``.
    threshold_gradient
        ``[thresholds]``: the free ones.
    mixed
        Negative second derivatives by log-odds and thresholds, ``[courses, thresholds]``.
    threshold_hessian
        Negative, ``[thresholds, thresholds]``.
    """

    gradient: Numbers
    spread: Numbers
    threshold_gradient: Numbers
    mixed: Numbers
    threshold_hessian: Numbers

    def eliminate_thresholds(self, table: Numbers) -> tuple[Numbers, Numbers]:
        """Compute what it takes to profile the thresholds out of the coefficients' Hessian.

        Returns
        -------
        mixed, solved
            ``[coefficients, thresholds]`` each: the mixed negative Hessian, and the same times the
            inverse of the thresholds' own. ``mixed @ solved.T`` is the information that is lost
            because the thresholds are estimated too (the Schur complement).
        """
        mixed = table.T @ self.mixed
        if not len(self.threshold_hessian):
            return mixed, mixed
        factor = cholesky(self.threshold_hessian, lower=True)
        solved: Numbers = cho_solve((factor, True), mixed.T).T
        return mixed, solved
