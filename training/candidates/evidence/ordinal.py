"""Ordinal outcomes: how far a criterion was met or missed, by proportional odds.

Yes or no throws away most of what a follow-up score tells: who just missed response counts like
who grew worse. So courses are put into grades, some below the criterion and some above, and ::

    log-odds of at least grade k = log-odds of the outcome - threshold k

where the threshold of the outcome itself is 0 (McCullagh, 1980). With one grade on either side this
is logistic regression. A course in between answers two questions of yes or no, "at least this
grade" and "at least the next"; the likelihood is that of both answers, and of a factor that only
the two thresholds enter.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.special import expit, log_expit, logit

from features.base.arrays import Numbers

# Grades on one side of the criterion: one for so many courses, and so many at the most. More hardly
# tell more: grades with shares p hold 1 - sum(p**3) of what can be told (Whitehead, 1993), so that
# ten of one size hold 99 % of it, and yes or no 75 %.
_COURSES_A_GRADE, _MOST_GRADES = 10, 5


@dataclass(frozen=True)
class Grades:
    """The grade of each course.

    Parameters
    ----------
    numbers
        ``int64[courses]``, from 0.
    count
        Number of grades.
    cut
        The first grade that has the outcome, at least 1 and below `count`.
    """

    numbers: NDArray[np.int64]
    count: int
    cut: int

    @property
    def free(self) -> NDArray[np.int64]:
        """Places of the thresholds that are not 0 by definition, among all ``count - 1``."""
        return np.delete(np.arange(self.count - 1), self.cut - 1)


def grade_courses(outcome: Numbers, improvement: Numbers) -> Grades:
    """Put courses into grades by what the outcome is cut from.

    Parameters
    ----------
    outcome
        ``[courses]``, 0 or 1.
    improvement
        ``[courses]``, higher is better.

    Examples
    --------
    >>> grade_courses(np.array([0.0, 1, 1]), np.array([0.1, 0.5, 0.9])).numbers
    array([0, 1, 1])
    """
    above = outcome > 0
    edges = [_find_edges(improvement[side]) for side in (~above, above)]
    lower, upper = (np.searchsorted(side, improvement, side="right") for side in edges)
    cut = len(edges[0]) + 1
    return Grades(np.where(above, cut + upper, lower), cut + len(edges[1]) + 1, cut)


def _find_edges(values: Numbers) -> Numbers:
    """Find the values from which the next grade begins; no grade is left empty."""
    count = min(len(values) // _COURSES_A_GRADE, _MOST_GRADES)
    if count < 2:
        return np.empty(0)
    edges = np.quantile(values, np.arange(1, count) / count, method="inverted_cdf")
    unique: Numbers = np.unique(edges[edges > values.min()])
    return unique


@dataclass(frozen=True)
class Likelihood:
    """What courses in grades say of log-odds and thresholds.

    Parameters
    ----------
    weights
        How much each course counts, ``[courses]``.
    """

    grades: Grades
    weights: Numbers

    def place_thresholds(self) -> Numbers:
        """Place the free thresholds where they would be if all courses were alike.

        Each grade is given half a course more, as resampled courses may all be on one side.
        """
        counts = 0.5 + np.bincount(self.grades.numbers, self.weights, self.grades.count)
        reached = logit(np.cumsum(counts[::-1])[::-1][1:] / counts.sum())
        thresholds: Numbers = reached[self.grades.cut - 1] - reached[self.grades.free]
        return thresholds

    def measure(self, log_odds: Numbers, thresholds: Numbers) -> float:
        """Compute the log-likelihood; minus infinity where thresholds are out of order."""
        ends = self._pad(thresholds)
        gaps = np.diff(ends)
        if (gaps <= 0).any():
            return -np.inf
        upper, lower = self._split(log_odds, ends)
        factor = np.log(-np.expm1(-gaps))[self.grades.numbers]
        return float(self.weights @ (log_expit(upper) + log_expit(-lower) + factor))

    def inform(self, log_odds: Numbers, thresholds: Numbers) -> "_Information":
        """Find slope and curvature of the log-likelihood."""
        numbers, count, ends = self.grades.numbers, self.grades.count, self._pad(thresholds)
        upper, lower = (expit(one) for one in self._split(log_odds, ends))
        own, after = (self.weights * one * (1 - one) for one in (upper, lower))
        marks, rows = np.zeros((len(numbers), count + 1)), np.arange(len(numbers))
        marks[rows, numbers], marks[rows, numbers + 1] = -own, -after
        up, down = self.weights * lower, self.weights * (1 - upper)
        push, stiffness = self._push_apart(ends)
        pull = (
            push + np.bincount(numbers + 1, up, count + 1) - np.bincount(numbers, down, count + 1)
        )
        bend = stiffness - np.diag(marks.sum(axis=0))
        free = 1 + self.grades.free
        slope = self.weights * (1 - upper - lower)
        return _Information(slope, own + after, pull[free], marks[:, free], bend[free][:, free])

    def _push_apart(self, ends: Numbers) -> tuple[Numbers, Numbers]:
        """How courses push the thresholds on either side of their grade apart: slope, curvature."""
        count = self.grades.count
        crowd = np.bincount(self.grades.numbers, self.weights, count)
        push, stiffness = np.zeros(count + 1), np.zeros((count + 1, count + 1))
        for place in range(1, count - 1):
            both, gap = [place, place + 1], ends[place + 1] - ends[place]
            push[both] += crowd[place] / np.expm1(gap) * np.array([-1, 1])
            stiff = crowd[place] / (4 * np.sinh(gap / 2) ** 2)
            stiffness[np.ix_(both, both)] += stiff * np.array([[1, -1], [-1, 1]])
        return push, stiffness

    def _pad(self, thresholds: Numbers) -> Numbers:
        """All thresholds, with the outcome's own and the two ends."""
        place = self.grades.cut - 1
        return np.concatenate([[-np.inf], thresholds[:place], [0.0], thresholds[place:], [np.inf]])

    def _split(self, log_odds: Numbers, ends: Numbers) -> tuple[Numbers, Numbers]:
        """Log-odds of reaching each course's own grade, and the next."""
        numbers = self.grades.numbers
        return log_odds - ends[numbers], log_odds - ends[numbers + 1]


@dataclass(frozen=True)
class _Information:
    """Slope and curvature of a log-likelihood; curvature is counted downwards.

    Parameters
    ----------
    slope, spread
        By the log-odds of each course, ``[courses]``.
    pull
        Slope by the free thresholds, ``[thresholds]``.
    marks
        Mixed curvature, ``[courses, thresholds]``.
    bend
        Curvature by the free thresholds, ``[thresholds, thresholds]``.
    """

    slope: Numbers
    spread: Numbers
    pull: Numbers
    marks: Numbers
    bend: Numbers

    def relate(self, table: Numbers) -> tuple[Numbers, Numbers]:
        """Find the mixed curvature of coefficients and thresholds, and what it takes away.

        Returns
        -------
        tuple
            ``[coefficients, thresholds]``: the mixed curvature, and the same times the inverse of
            the thresholds' own, so that the one times the other's transpose is how much less is
            known of coefficients as thresholds are not known.
        """
        mixed = table.T @ self.marks
        if not len(self.bend):
            return mixed, mixed
        solved: Numbers = cho_solve((cholesky(self.bend, lower=True), True), mixed.T).T
        return mixed, solved
