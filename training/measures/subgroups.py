"""Performance by subgroup, with groups hidden that are so small that patients could be identified.

A table is withheld row by row. If a row's counts are hidden, so are those of the smallest
others, until what is hidden together is large enough: otherwise totals, known from elsewhere, would
give them away.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from features.base.arrays import Flags, Numbers, Texts
from features.dictionary.instrument import Instrument
from features.model.card import Measure
from features.records.columns import Columns
from training.measures.calibration_curve import estimate_ratio
from training.measures.discrimination import count_patients, estimate_auc
from training.measures.intervals import LOG, LOGIT, Estimated, find_reach
from training.measures.predictions import Predictions

TOO_FEW = "too few"
HIDDEN = "hidden: its counts would give away another row's"
_UNKNOWN = "unknown"
_NO_ROUTE = "none"
# The power by convention: see `detectable`.
_POWER = 0.8
# All assumed. Patients with the outcome, and without, below which counts are hidden; courses, and
# courses of either class, below which nothing is measured; the same for an AUC.
MIN_PATIENTS, _MIN_COURSES, _MIN_CLASS, _MIN_RANKED = 10, 30, 10, 20
_AGES = (18, 30, 45, 60, 75)
_CATEGORIES = ("sex", "condition", "route")


@dataclass(frozen=True)
class Subgroup:
    """One subgroup, such as `female` of the grouping `sex`.

    Parameters
    ----------
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
    predictions: Predictions, groupings: Mapping[str, NDArray[Any]], level: float
) -> list[Subgroup]:
    """Tabulate performance by subgroup.

    Parameters
    ----------
    predictions
        Of a single repeat. Weights move estimates, ratios and AUCs; counts are of courses.
    groupings
        For each, such as `sex`, each course's label; None, NaN or nothing for unknown.

    Returns
    -------
    list of Subgroup
        In the order of the groupings, and by name within.
    """
    rows: list[Subgroup] = []
    for grouping, labels in groupings.items():
        names = _name_labels(labels)
        parts = {name: names == name for name in sorted(set(names.tolist()))}
        people = [count_class_patients(predictions.select(part)) for part in parts.values()]
        for (name, part), hide in zip(parts.items(), hide_small(people), strict=True):
            row = _measure_subgroup(grouping, name, predictions, part, level)
            if hide:
                row = Subgroup(grouping, name, None, None, note=row.note or HIDDEN)
            rows.append(row)
    return rows


def count_class_patients(predictions: Predictions) -> tuple[int, int]:
    """Count the patients with an event, and those with a non-event."""
    patients, outcome = predictions.patients, predictions.outcome
    return count_patients(patients, outcome), count_patients(patients, 1 - outcome)


def _measure_subgroup(
    grouping: str, name: str, predictions: Predictions, rows: Flags, level: float
) -> Subgroup:
    # Only counts if there are too few courses.
    members, others = predictions.select(rows), predictions.select(~rows)
    count, events = members.size, int(members.outcome.sum())
    row, rarer = Subgroup(grouping, name, count, events), min(events, count - events)
    if count < _MIN_COURSES or rarer < _MIN_CLASS:
        return replace(row, note=TOO_FEW)
    few_to_rank = rarer < _MIN_RANKED
    ratio, other = (estimate_ratio(part.probability, *part.courses) for part in (members, others))
    auc = estimate_auc(members.probability, *members.courses).make_interval(level, LOGIT)
    return replace(
        row,
        estimate=float(np.average(members.probability, weights=members.weights_or_ones)),
        ratio=ratio.make_interval(level, LOG),
        auc=None if few_to_rank else auc,
        detectable=_find_detectable(ratio, other, level),
        note="too few for an AUC" if few_to_rank else "",
    )


def _name_labels(labels: NDArray[Any]) -> NDArray[np.str_]:
    return np.array(
        [
            # Only NaN differs from itself.
            _UNKNOWN if label is None or label == "" or label != label else str(label)
            for label in labels.tolist()
        ]
    )


def hide_small(people: Sequence[tuple[int, int]]) -> list[bool]:
    """Return which rows of a grouping to hide, by their patients with and without the outcome.

    >>> hide_small([(40, 50), (2, 1), (20, 30)])  # 2 and 1 would follow from the others
    [False, True, True]
    >>> hide_small([(40, 50), (20, 30)])
    [False, False]
    """
    hidden = [min(pair) < MIN_PATIENTS for pair in people]
    # The smallest first: hiding them loses least.
    smallest_first = sorted(range(len(people)), key=lambda index: sum(people[index]))
    for index in smallest_first:
        # Hidden rows can be summed by subtraction from known totals: their sum must be large, too.
        together = np.array([pair for pair, hide in zip(people, hidden, strict=True) if hide])
        if not len(together) or together.sum(axis=0).min() >= MIN_PATIENTS:
            break
        hidden[index] = True
    return hidden


def _find_detectable(ratio: Estimated, other: Estimated, level: float) -> float | None:
    error = np.hypot(ratio.move(LOG).error, other.move(LOG).error)
    if not np.isfinite(error):
        return None
    # The usual formula of power, on the log scale: 1.96 + 0.84 standard errors at 95% and 80%.
    reach = find_reach(level) + special.ndtri(_POWER)
    return float(np.exp(reach * error))


def _band_numbers(values: Numbers, lows: Sequence[float]) -> Texts:
    """Label numbers by the band that they lie in; None if unknown or below the first.

    Parameters
    ----------
    lows
        The lowest whole number of each band.

    Examples
    --------
    >>> _band_numbers(np.array([17.0, 18, 44.5, 80, np.nan]), [18, 30, 45]).tolist()
    [None, '18 to 29', '30 to 44', '45 and more', None]
    """
    names = [f"{low} to {high - 1}" for low, high in pairwise(lows)]
    labels = np.array([None, *names, f"{lows[-1]} and more"], dtype=object)
    # NaN sorts above all, so it is put below.
    known = np.nan_to_num(values, nan=-np.inf)
    banded: Texts = labels[np.searchsorted(lows, known, side="right")]
    return banded


def label_courses(columns: Columns, instrument: Instrument) -> Mapping[str, Texts]:
    """Label each course by sex, age, condition, route, site and severity at baseline.

    By agent too, if the study adds any.

    Parameters
    ----------
    instrument
        The outcome's, whose bands give severity; thirds of its range if it has none.

    Returns
    -------
    mapping
        For each grouping with at least two subgroups here, ``object[courses]``, None if unknown.
    """
    labels = {name: _name_categories(columns, name) for name in _CATEGORIES}
    if columns.dictionary.agents:
        labels["agent"] = _name_categories(columns, "agent")
        labels["route"][columns.find_undosed()] = _NO_ROUTE
    labels["age"] = _band_numbers(columns.get_numbers("age"), _AGES)
    labels["site"] = columns.get_texts("site")
    labels["severity"] = _name_severity(columns.get_numbers(instrument.key), instrument)
    order = ("sex", "age", "condition", "agent", "route", "site", "severity")
    counts = {name: len(set(labels[name].tolist()) - {None}) for name in labels}
    return {name: labels[name] for name in order if counts.get(name, 0) > 1}


def _name_categories(columns: Columns, name: str) -> Texts:
    known = columns.dictionary
    labels = [known.label_category(category) for category in known.fields[name].categories]
    return _name_each(columns.get_numbers(name), lambda value: labels[int(value)])


def _name_severity(totals: Numbers, instrument: Instrument) -> Texts:
    if instrument.bands:
        return _name_each(totals, instrument.name_band)
    # Thirds of the possible range, not of the cohort's: the same for every cohort.
    thirds = np.ceil(np.array([0, 1, 2]) * (instrument.high + 1) / 3).astype(int)
    return _band_numbers(totals, thirds.tolist())


def _name_each(values: Numbers, name: Callable[[float], str | None]) -> Texts:
    named = [None if np.isnan(value) else name(value) for value in values.tolist()]
    return np.array(named, dtype=object)
