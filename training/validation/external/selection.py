"""Selection: the courses of a cohort that a model can be tested on, and why others are excluded."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.base.arrays import Flags, Indices, Numbers
from features.base.errors import CohortError, Problem
from features.dictionary.outcome import Outcome
from features.model.card import ModelCard
from features.model.studied import StudiedRanges, find_unread, list_early
from features.records.columns import Columns
from features.records.eligibility import check_eligibility
from training.study.conditions import REASONS
from training.study.courses import find_same_reading, have_baseline


@dataclass(frozen=True)
class Selection:
    """The courses that a model is tested on.

    Parameters
    ----------
    columns, outcome, awaiting
        Of courses that the service would answer: with a known outcome, and with a missing one.
    excluded
        How many others there are, by key of `REASONS`; each counts for the first that applies.
    size
        Courses in the cohort.
    """

    target: Outcome
    columns: Columns
    outcome: Numbers
    awaiting: Columns
    excluded: Mapping[str, int]
    size: int

    @property
    def patients(self) -> Indices:
        """The same number for all courses of a patient, ``[courses]``."""
        names = self.columns.get_texts("patient_id").astype(str)
        return np.unique(names, return_inverse=True)[1].astype(np.int64)


def select_courses(card: ModelCard, cohort: Columns) -> Selection:
    """Select the courses that a model can be tested on.

    Raises
    ------
    CohortError
        If none is eligible, all that are have the same outcome, or an early score is the outcome's
        own reading.
    """
    target = card.parse_outcome()
    baseline = cohort.get_numbers(target.instrument.key)
    outcome = target.evaluate(baseline, cohort.get_numbers(target.followup_field))
    eligible, excluded = np.ones(cohort.size, dtype=bool), {}
    # In order, so that each course counts for the first reason only.
    for reason, mask in _mark_excluded(card, target, cohort).items():
        excluded[reason] = int((eligible & mask).sum())
        eligible &= ~mask
    awaiting = eligible & np.isnan(outcome)
    excluded["awaiting"] = int(awaiting.sum())
    known = eligible & ~awaiting
    selection = Selection(
        target,
        cohort.select(known),
        outcome[known],
        cohort.select(awaiting),
        {reason: count for reason, count in excluded.items() if count},
        cohort.size,
    )
    if problems := _check_selection(card, selection):
        raise CohortError(problems, source="cohort")
    return selection


def _mark_excluded(card: ModelCard, target: Outcome, cohort: Columns) -> dict[str, Flags]:
    ranges = StudiedRanges(card.ranges, card.dictionary)
    outside = dict(zip(ranges.fields, ranges.find_outside(cohort), strict=True))
    nothing = np.zeros(cohort.size, dtype=bool)
    return {
        "condition": outside.pop("condition", nothing),
        "eligibility": check_eligibility(cohort).find_refused(),
        "baseline": cohort.find_missing(target.instrument.key),
        "early_score": find_unread(cohort, list_early(card)),
        "value": np.any([nothing, *map(cohort.find_missing, card.required)], axis=0),
        "outside": np.any([nothing, *outside.values()], axis=0),
        "no_change": ~have_baseline(target, cohort),
    }


def _check_selection(card: ModelCard, selection: Selection) -> list[Problem]:
    events, excluded = selection.outcome.sum(), _describe_excluded(selection)
    if not len(selection.outcome):
        message = f"no course is eligible to test the model on; {excluded}"
        return [Problem(selection.target.id, "outcome", message)]
    if events in (0, len(selection.outcome)):
        word = "every" if events else "no"
        message = f"{word} eligible course is an event; validation needs both classes"
        return [Problem(selection.target.id, "one_class", f"{message}; {excluded}")]
    readings = (
        find_same_reading(selection.columns, name, selection.target.followup_field)
        for name in list_early(card)
    )
    return [problem for problem in readings if problem is not None]


def describe_selection(selection: Selection) -> str:
    """Describe which courses a model was tested on, and how many were excluded and why."""
    patients = len(np.unique(selection.patients))
    courses = f"{len(selection.outcome)} courses of {patients} patients"
    return f"{courses}, of {selection.size} in the cohort; {_describe_excluded(selection)}"


def _describe_excluded(selection: Selection) -> str:
    if not selection.excluded:
        return "none were excluded"
    name = selection.target.instrument.name
    reasons = ", ".join(
        f"{count} {REASONS[reason].format(name)}" for reason, count in selection.excluded.items()
    )
    return f"excluded: {reasons}"
