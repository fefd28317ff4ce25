"""Selection: the courses of a cohort that a model can be tested on, and why others cannot."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Numbers
from features.base.errors import CohortError, Problem
from features.dictionary.outcome import Outcome
from features.model.card import ModelCard
from features.model.studied import find_outside, find_unread, list_early
from features.records.columns import Columns
from features.records.eligibility import check_eligibility
from training.study.design import find_judged, find_same_reading

# Why courses are excluded, in the service's own order; `{}` is the instrument.
REASONS = {
    "condition": "of a condition that was not studied",
    "eligibility": "that an eligibility rule refuses",
    "baseline": "without a baseline {}",
    "early_score": "without any early score",
    "outside": "outside the studied ranges",
    "no_change": "whose baseline {} leaves nothing to improve",
    "awaiting": "without a known outcome",
}


@dataclass(frozen=True)
class Selection:
    """The courses that a model is tested on.

    Parameters
    ----------
    columns, outcome
        Of courses that the service would answer and whose outcome is known.
    awaiting
        Courses that it would answer whose outcome could be judged, were it reported.
    aside
        How many others there are, by key of `REASONS`; each counts for the first that applies.
    size
        Courses in the cohort.
    """

    target: Outcome
    columns: Columns
    outcome: Numbers
    awaiting: Columns
    aside: Mapping[str, int]
    size: int

    @property
    def patients(self) -> NDArray[np.int64]:
        """The same number for all courses of a patient, ``[courses]``."""
        return number_patients(self.columns)


def number_patients(columns: Columns) -> NDArray[np.int64]:
    """Give each patient a number."""
    names = columns.get_texts("patient_id").astype(str)
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def select_courses(card: ModelCard, cohort: Columns) -> Selection:
    """Select the courses that a model can be tested on.

    Raises
    ------
    CohortError
        If none is left, all that are have the same outcome, or an early score is the outcome's own
        reading.
    """
    target = card.parse_outcome()
    baseline = cohort.get_numbers(target.instrument.key)
    outcome = target.evaluate(baseline, cohort.get_numbers(target.followup_field))
    left, aside = np.ones(cohort.size, dtype=bool), {}
    for reason, mask in list_reasons(card, target, cohort).items():
        aside[reason] = int((left & mask).sum())
        left &= ~mask
    awaiting = left & np.isnan(outcome)
    aside["awaiting"] = int(awaiting.sum())
    known = left & ~awaiting
    found = Selection(
        target,
        cohort.select(known),
        outcome[known],
        cohort.select(awaiting),
        {reason: count for reason, count in aside.items() if count},
        cohort.size,
    )
    if problems := check_selection(card, found):
        raise CohortError(problems, source="cohort")
    return found


def list_reasons(card: ModelCard, target: Outcome, cohort: Columns) -> dict[str, Flags]:
    """List why the service would not answer, in its own order, and what cannot be judged."""
    outside = {one.field: find_outside(cohort, one) for one in card.ranges}
    other = outside.pop("condition", np.zeros(cohort.size, dtype=bool))
    return {
        "condition": other,
        "eligibility": check_eligibility(cohort).find_refused(),
        "baseline": cohort.find_missing(target.instrument.key),
        "early_score": find_unread(cohort, list_early(card)),
        "outside": np.any([np.zeros(cohort.size, dtype=bool), *outside.values()], axis=0),
        "no_change": ~find_judged(target, cohort),
    }


def check_selection(card: ModelCard, found: Selection) -> list[Problem]:
    """Find what keeps a model from being tested."""
    events = found.outcome.sum()
    if not len(found.outcome):
        message = f"no course is left to test the model on; {describe_aside(found)}"
        return [Problem(found.target.id, "outcome", message)]
    if events in (0, len(found.outcome)):
        word = "every" if events else "no"
        message = f"{word} course that is left has the outcome; one class tests nothing"
        return [Problem(found.target.id, "one_class", f"{message}; {describe_aside(found)}")]
    readings = (
        find_same_reading(found.columns, name, found.target.followup_field)
        for name in list_early(card)
    )
    return [problem for problem in readings if problem is not None]


def describe_selection(found: Selection) -> str:
    """Say whom a model was tested on, and how many were left aside and why."""
    people = len(np.unique(found.patients))
    tested = f"{len(found.outcome)} courses of {people} patients, of {found.size} in the cohort"
    return f"{tested}; {describe_aside(found)}"


def describe_aside(found: Selection) -> str:
    """Say how many courses were left aside, and why."""
    if not found.aside:
        return "none were left aside"
    name = found.target.instrument.name
    reasons = ", ".join(
        f"{count} {REASONS[reason].format(name)}" for reason, count in found.aside.items()
    )
    return f"left aside: {reasons}"
