"""Moments: at which horizon, or at baseline, each row of a table of visits was recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.base.arrays import Flags, Indices, Numbers
from features.base.errors import Problem
from features.intake.cells import Cells
from features.intake.codes import fold_word
from features.intake.days import read_decimals
from features.intake.frame import Courses, Linked
from features.intake.plan import BASELINE, IGNORED, Plan

_DAYS_PER_WEEK = 7
_UNKNOWN, _IGNORED, _BY_DAY = -3, -2, -1


@dataclass(frozen=True)
class Moments:
    """When each row of a frame was recorded; slot 0 is the baseline, then come the horizons."""

    slots: tuple[str, ...]
    # Days after the first dose of the row's course, NaN if unknown.
    day: Numbers
    # The slot of the row's word; -1 if its day decides, lower if it has none.
    slot: Indices
    # Order of the words in the mapping: which visit comes before which, days apart.
    rank: Numbers


def find_moments(
    link: Linked, courses: Courses, plan: Plan, lenient: bool
) -> tuple[Moments, list[Problem]]:
    """Read when each row was recorded; leave aside rows for which that is unknown."""
    frame, section = link.frame, link.frame.section
    slots = (BASELINE, *plan.list_horizons())
    day, problems = _count_visit_days(link, courses, plan)
    slot = np.full(frame.size, _BY_DAY)
    rank = np.zeros(frame.size)
    if section.at is not None:
        slot[:] = _number_slot(section.at, slots)
    elif section.visit is not None:
        slot, rank = _read_words(frame.columns[section.visit], plan, slots)
        unknown = (slot == _UNKNOWN) & frame.tally.open
        if lenient:
            frame.tally.set_aside(unknown, "visits", f"unknown word: {section.visit}")
        else:
            message = "is not a word of [visits]; add it there, or map it to ignore"
            problems += frame.explain(section.visit, "unknown", message, unknown)
    if section.date is not None:
        # Where a word decides and no first dose is known, the date still says which came first.
        rank = np.where(np.isnan(link.date), rank, link.date)
    frame.tally.set_aside(slot == _IGNORED, "visits", "ignored by the mapping")
    frame.tally.set_aside(slot == len(slots), "visits", "horizon that is not read")
    undated = (slot == _BY_DAY) & np.isnan(day)
    frame.tally.set_aside(undated, "visits", "no visit, day or date, or no first dose")
    return Moments(slots, day, slot, rank), problems


def _number_slot(word: str, slots: Sequence[str]) -> int:
    if word == IGNORED:
        return _IGNORED
    # One behind the last: a horizon that the mapping does not read.
    return slots.index(word) if word in slots else len(slots)


def _read_words(cells: Cells, plan: Plan, slots: Sequence[str]) -> tuple[Indices, Numbers]:
    words = {fold_word(word): slot for word, slot in plan.visits.items()}
    # Words of ours need no entry.
    words |= {fold_word(slot): slot for slot in slots if fold_word(slot) not in words}
    order = {word: float(position) for position, word in enumerate(words)}
    keys = [fold_word(text) for text in cells.texts]
    numbers = [_number_slot(words[key], slots) if key in words else _UNKNOWN for key in keys]
    # A row without a word goes by its day.
    slot = np.array([*numbers, _BY_DAY])[cells.codes]
    return slot, np.array([*(order.get(key, 0.0) for key in keys), 0.0])[cells.codes]


def _count_visit_days(link: Linked, courses: Courses, plan: Plan) -> tuple[Numbers, list[Problem]]:
    frame, section = link.frame, link.frame.section
    name = section.day or section.week
    if name is None:
        first = np.append(courses.first_dose, np.nan)[link.course]
        return link.date - first, []
    decimal = plan.get_form(frame.name).decimal
    numbers, broken = read_decimals(frame.columns[name], decimal)
    problems = frame.explain(name, "type", "must be a number", broken & frame.tally.open)
    after = numbers > 0
    numbers = np.where(after, numbers - section.first_day, numbers)
    return numbers * (_DAYS_PER_WEEK if section.week else 1), problems


def find_eligible(moments: Moments, plan: Plan, readable: Sequence[str]) -> Mapping[str, Flags]:
    """Find which rows may serve the baseline and each of some horizons.

    Parameters
    ----------
    readable
        The horizons that the instrument can be read at.
    """
    within, _ = plan.get_baseline()
    day, by_day = moments.day, moments.slot == _BY_DAY
    with np.errstate(invalid="ignore"):
        before = by_day & (day <= 0) & (day >= -within)
    eligible = {BASELINE: before | (moments.slot == 0)}
    best = np.full(len(day), np.inf)
    windows = [plan.get_window(horizon) for horizon in readable]
    for low, high, target, _ in windows:
        inside = (day >= low) & (day <= high)
        best = np.where(inside, np.fmin(best, np.abs(day - target)), best)
    taken = np.zeros(len(day), dtype=bool)
    for horizon, (low, high, target, _) in zip(readable, windows, strict=True):
        inside = by_day & (day > 0) & (day >= low) & (day <= high)
        if plan.overlaps == "one":
            # A tie goes to the earlier horizon.
            inside &= (np.abs(day - target) == best) & ~taken
            taken |= inside
        eligible[horizon] = inside | (moments.slot == moments.slots.index(horizon))
    return eligible


def leave_outside(link: Linked, moments: Moments, plan: Plan) -> None:
    """Leave aside the rows outside every window, as too early or not."""
    within, _ = plan.get_baseline()
    by_day, day = moments.slot == _BY_DAY, moments.day
    tally = link.frame.tally
    with np.errstate(invalid="ignore"):
        tally.set_aside(by_day & (day < -within), "windows", "before the baseline window")
        late = by_day & (day > 0)
    for low, high, *_ in map(plan.get_window, plan.list_horizons()):
        late &= ~((day >= low) & (day <= high))
    tally.set_aside(late, "windows", "outside every window")
