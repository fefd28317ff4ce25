"""Performance by subgroup, with groups hidden that are so small that patients could be identified.

A table is withheld row by row. If a row's counts are hidden, so are those of the smallest
others, until what is hidden together is large enough: otherwise totals, known from elsewhere, would
give them away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from features.base.arrays import Flags, Numbers, Texts
from features.model.card import Measure
from training.measures.calibration_curve import estimate_ratio
from training.measures.discrimination import count_patients, estimate_auc
from training.measures.intervals import (
    LOG,
    LOGIT,
    Estimated,
    Patients,
    fill_weights,
    number_patients,
)

TOO_FEW = "too few"
HIDDEN = "hidden: its counts would give away another row's"
_UNKNOWN = "unknown"
# The power by convention: see `detectable`.
_POWER = 0.8
AGES = (18, 30, 45, 60, 75)


@dataclass(frozen=True)
class Limits:
    """What a row needs. All assumed.

    Parameters
    ----------
    cell
        Patients with the outcome, and without, below which counts are hidden.
    courses, events
        Courses, and courses of either class, below which nothing is measured.
    ranked
        Courses of either class below which no AUC is given.
    """

    cell: int = 10
    courses: int = 30
    events: int = 10
    ranked: int = 20


LIMITS = Limits()


@dataclass(frozen=True)
class Subgroup:
    """One subgroup.

    Parameters
    ----------
    grouping, name
        Such as `sex` and `female`.
    courses, events
        None if hidden.
    estimate
        Mean of the estimates; None, like all that follows, if there are too few courses.
    ratio
        Observed over expected.
    detectable
        How many times that of all others its ratio would have to be, or be a part of, to be seen
        with a power of 80%: larger differences than this would probably have shown, smaller ones
        may well be there.
    note
        Why something is missing; empty if nothing is.
    """

    grouping: str
    name: str
    courses: int | None
    events: int | None
    estimate: float | None = None
    ratio: Measure | None = None
    auc: Measure | None = None
    detectable: float | None = None
    note: str = ""


def tabulate_subgroups(
    probability: Numbers,
    outcome: Numbers,
    groupings: Mapping[str, NDArray[Any]],
    level: float,
    weights: Numbers | None = None,
    patients: Patients | None = None,
    limits: Limits = LIMITS,
) -> list[Subgroup]:
    """Tabulate performance by subgroup.

    Parameters
    ----------
    groupings
        For each, such as `sex`, each course's label; None, NaN or nothing for unknown.
    weights
        They move estimates, ratios and AUCs; counts are of courses.

    Returns
    -------
    list of Subgroup
        In the order of the groupings, and by name within.
    """
    courses = Courses(probability, outcome, weights, number_patients(patients, len(outcome)))
    rows: list[Subgroup] = []
    for grouping, labels in groupings.items():
        names = _name_labels(labels)
        parts = {name: names == name for name in sorted(set(names.tolist()))}
        measured = [courses.measure(grouping, *part, level, limits) for part in parts.items()]
        hidden = hide_small([courses._count_people(part) for part in parts.values()], limits.cell)
        rows += [withhold(row) if hide else row for row, hide in zip(measured, hidden, strict=True)]
    return rows


@dataclass(frozen=True)
class Courses:
    """Predictions and outcomes of courses, ``[courses]`` each."""

    probability: Numbers
    outcome: Numbers
    weights: Numbers | None
    patients: Patients

    def _count_people(self, rows: Flags) -> tuple[int, int]:
        share = self.outcome[rows]
        people = self.patients[rows]
        return count_patients(people, share), count_patients(people, 1 - share)

    def measure(
        self, grouping: str, name: str, rows: Flags, level: float, limits: Limits
    ) -> Subgroup:
        """Measure one subgroup; only counts if there are too few courses."""
        count, events = int(rows.sum()), int(self.outcome[rows].sum())
        row = Subgroup(grouping, name, count, events)
        rarer = min(events, count - events)
        if count < limits.courses or rarer < limits.events:
            return replace(row, note=TOO_FEW)
        each = fill_weights(self.weights, len(self.outcome))[rows]
        few_to_rank = rarer < limits.ranked
        return replace(
            row,
            estimate=float(np.average(self.probability[rows], weights=each)),
            ratio=self._find_ratio(rows).make_interval(level, LOG),
            auc=None if few_to_rank else self._find_auc(rows).make_interval(level, LOGIT),
            detectable=_find_detectable(self._find_ratio(rows), self._find_ratio(~rows), level),
            note="too few for an AUC" if few_to_rank else "",
        )

    def _find_ratio(self, rows: Flags) -> Estimated:
        return estimate_ratio(self.probability[rows], self.outcome[rows], *self._count(rows))

    def _find_auc(self, rows: Flags) -> Estimated:
        return estimate_auc(self.probability[rows], self.outcome[rows], *self._count(rows))

    def _count(self, rows: Flags) -> tuple[Numbers | None, Patients]:
        weights = None if self.weights is None else self.weights[rows]
        return weights, np.unique(self.patients[rows], return_inverse=True)[1]


def _name_labels(labels: NDArray[Any]) -> NDArray[np.str_]:
    """Name each course's subgroup; None, NaN and nothing are unknown.

    >>> _name_labels(np.array(["iv", None, "", float("nan")], dtype=object)).tolist()
    ['iv', 'unknown', 'unknown', 'unknown']
    """
    return np.array(
        [
            # Only NaN differs from itself.
            _UNKNOWN if label is None or label == "" or label != label else str(label)
            for label in labels.tolist()
        ]
    )


def hide_small(people: Sequence[tuple[int, int]], cell: int) -> list[bool]:
    """Return which rows of a grouping to hide.

    Parameters
    ----------
    people
        For each row, patients with the outcome and patients without.

    Examples
    --------
    >>> hide_small([(40, 50), (2, 1), (20, 30)], 10)  # 2 and 1 would follow from the others
    [False, True, True]
    >>> hide_small([(40, 50), (20, 30)], 10)
    [False, False]
    """
    hidden = [min(pair) < cell for pair in people]
    # The smallest first: hiding them loses least.
    smallest_first = sorted(range(len(people)), key=lambda index: sum(people[index]))
    for index in smallest_first:
        # Hidden rows can be summed by subtraction from known totals: their sum must be large, too.
        together = np.array([pair for pair, hide in zip(people, hidden, strict=True) if hide])
        if not len(together) or together.sum(axis=0).min() >= cell:
            break
        hidden[index] = True
    return hidden


def withhold(row: Subgroup) -> Subgroup:
    """Withhold a row's counts and all that would give them away."""
    return Subgroup(row.grouping, row.name, None, None, note=row.note or HIDDEN)


def _find_detectable(ratio: Estimated, other: Estimated, level: float) -> float | None:
    """Compute the smallest detectable ratio of two ratios.

    >>> round(_find_detectable(Estimated(1.0, 0.15), Estimated(1.0, 0.2), 0.95), 2)  # e^(2.8 x .25)
    2.01
    """
    error = np.hypot(ratio.move(LOG).error, other.move(LOG).error)
    if not np.isfinite(error):
        return None
    # The usual formula of power, on the log scale: 1.96 + 0.84 standard errors at 95% and 80%.
    reach = stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(_POWER)
    return float(np.exp(reach * error))


def band_numbers(values: Numbers, lows: Sequence[float] = AGES) -> Texts:
    """Label numbers by band; None if unknown or below the first.

    Parameters
    ----------
    lows
        The lowest whole number of each band: ages, or an instrument's severity bands.

    Examples
    --------
    >>> band_numbers(np.array([17.0, 18, 44.5, 80, np.nan])).tolist()
    [None, '18 to 29', '30 to 44', '75 and more', None]
    """
    names = [f"{low} to {high - 1}" for low, high in pairwise(lows)]
    labels = np.array([None, *names, f"{lows[-1]} and more"], dtype=object)
    # NaN sorts above all, so it is put below.
    known = np.nan_to_num(values, nan=-np.inf)
    banded: Texts = labels[np.searchsorted(lows, known, side="right")]
    return banded
