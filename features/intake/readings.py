"""Readings: which visit is read at each horizon, of each instrument and of every other column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.base.arrays import Flags, Indices, Numbers
from features.base.errors import Problem
from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Group
from features.dictionary.horizon import HORIZONS
from features.intake.cells import Cells
from features.intake.frame import Contribution, Courses, Grid, GridColumn, explain_duplicates
from features.intake.moments import Moments, find_eligible, leave_outside
from features.intake.plan import BASELINE, Choice, Plan


@dataclass(frozen=True)
class _Group:
    """Columns that are read together: of an instrument, or one by itself."""

    # The instruments; none of a column that is no score.
    instruments: tuple[str, ...]
    columns: tuple[str, ...]


def list_groups(grid: Grid, dictionary: Dictionary) -> list[_Group]:
    """Group a grid's columns: totals and items of an instrument are of one visit, never mixed."""
    groups: dict[tuple[str, ...], list[str]] = {}
    single: list[_Group] = []
    for name in grid.columns:
        field = dictionary.fields.get(name)
        if field is None or field.group not in (Group.SCORE, Group.ITEM) or not field.instrument:
            single.append(_Group((), (name,)))
            continue
        groups.setdefault((field.instrument,), []).append(name)
    return [*(_Group(keys, tuple(names)) for keys, names in groups.items()), *single]


def read_visits(
    grid: Grid, moments: Moments, courses: Courses, plan: Plan, dictionary: Dictionary
) -> tuple[list[Contribution], list[Problem]]:
    """Choose the visit that is read of each course, at each horizon, for each instrument."""
    link = grid.link
    leave_outside(link, moments, plan)
    moments = _take_moments(moments, grid.rows)
    course = np.where(link.frame.tally.open, link.course, -1)[grid.rows]
    contributions: list[Contribution] = []
    problems: list[Problem] = []
    size = link.frame.size
    unread, scored = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    marks: dict[str, Flags] = {}
    for group in list_groups(grid, dictionary):
        filled = _find_filled(grid, group)
        eligible = find_eligible(moments, plan, _list_readable(group, plan, dictionary))
        for slot, rows in eligible.items():
            candidates = np.flatnonzero(rows & filled & (course >= 0))
            chooser = _Chooser(grid, group, moments, plan, slot, marks)
            chosen, told = chooser.choose(candidates, course[candidates], courses.size)
            problems += told
            contributions += _take(grid, group, chosen, slot)
        if group.instruments:
            served = np.logical_or.reduce([*eligible.values()])
            scored[grid.rows[filled]] = True
            unread[grid.rows[filled & ~served]] = True
    tally = link.frame.tally
    tally.set_aside(unread, "windows", "asks about more days than the horizon has")
    for reason, rows in marks.items():
        tally.set_aside(rows, "readings", reason)
    single = np.zeros(size, dtype=bool)
    single[grid.rows] = True
    tally.set_aside(single & ~scored, "readings", "no score")
    return contributions, problems


def _list_readable(group: _Group, plan: Plan, dictionary: Dictionary) -> list[str]:
    scales = [dictionary.instruments[key] for key in group.instruments]
    return [
        horizon
        for horizon in plan.list_horizons()
        if any(scale.can_read(HORIZONS[horizon]) for scale in scales)
    ]


def _take_moments(moments: Moments, rows: Indices) -> Moments:
    return replace(moments, day=moments.day[rows], slot=moments.slot[rows], rank=moments.rank[rows])


def _find_filled(grid: Grid, group: _Group) -> Flags:
    filled = np.zeros(len(grid.rows), dtype=bool)
    for name in group.columns:
        filled |= grid.columns[name].cells.present
    return filled


def _take(grid: Grid, group: _Group, chosen: Indices, slot: str) -> Iterator[Contribution]:
    for name in group.columns:
        column = grid.columns[name]
        cells = column.cells.take(chosen)
        rows = np.append(column.rows, -1)[chosen]
        rows = np.where(cells.present, rows, -1)
        grid.link.frame.tally.use(rows[rows >= 0])
        target = name if slot == BASELINE else f"{name}_{slot}"
        yield Contribution(target, column.label, grid.link, cells, rows, slot)


class _Chooser:
    """Chooses among the rows of one course that may be read at one horizon."""

    def __init__(
        self,
        grid: Grid,
        group: _Group,
        moments: Moments,
        plan: Plan,
        slot: str,
        marks: dict[str, Flags],
    ) -> None:
        self.grid, self.group, self.moments, self.slot = grid, group, moments, slot
        # By reason, rows of the frame to leave aside unless another of their cells is used.
        self.marks = marks
        if slot == BASELINE:
            _, self.choice = plan.get_baseline()
            self.target = 0.0
        else:
            _, _, self.target, self.choice = plan.get_window(slot)

    def choose(self, rows: Indices, course: Indices, courses: int) -> tuple[Indices, list[Problem]]:
        """Return the grid's row of each course, -1 if none, and the duplicates refused."""
        first, second = self._rank(rows)
        order = np.lexsort((rows, second, first, course))
        rows, course = rows[order], course[order]
        first, second = first[order], second[order]
        leads = np.diff(course, prepend=-1) != 0
        lead = np.maximum.accumulate(np.where(leads, np.arange(len(rows)), 0))
        same = (first == first[lead]) & (second == second[lead]) & ~leads
        apart = (first == first[lead]) & (second != second[lead]) & ~leads
        frame = self.grid.link.frame
        frame.note("readings", f"tie at {self.slot}: the earlier is read", int(apart.sum()))
        problems = self._settle(rows, lead, same)
        winner = lead
        if frame.section.duplicates == "last":
            ends = np.maximum.accumulate(np.where(same | leads, np.arange(len(rows)), 0))
            last = np.zeros(len(rows), dtype=np.intp)
            np.maximum.at(last, lead, ends)
            winner = last[lead]
        chosen = np.full(courses, -1)
        chosen[course[leads]] = rows[winner[leads]]
        return chosen, problems

    # By what rows are ordered: the reading that is wanted comes first.
    def _rank(self, rows: Indices) -> tuple[Numbers, Numbers]:
        day, rank = self.moments.day[rows], self.moments.rank[rows]
        undated = np.isnan(day)
        choice: Choice = self.choice
        if choice == "nearest":
            away = np.where(undated, np.inf, np.abs(day - self.target))
            return away, np.where(undated, 0.0, day)
        sign = 1.0 if choice == "first" else -1.0
        return np.where(undated, np.inf, sign * day), np.where(undated, sign * rank, 0.0)

    def _settle(self, rows: Indices, lead: Indices, same: Flags) -> list[Problem]:
        frame = self.grid.link.frame
        differs = np.zeros(len(rows), dtype=bool)
        for name in self.group.columns:
            codes = self.grid.columns[name].cells.codes[rows]
            differs |= same & (codes != codes[lead])
        behind = self.grid.rows[rows]
        self._mark("repeats a row", behind[same & ~differs])
        if not differs.any():
            return []
        rule, label = frame.section.duplicates, self.grid.columns[self.group.columns[0]].label
        if rule == "refuse":
            message = explain_duplicates(f"another row says otherwise at {self.slot}, at one time")
            return frame.explain(label, "duplicate", message, behind[differs])
        self._mark(f"duplicate: the {rule} is read", behind[same | differs | (rows == rows[lead])])
        return []

    def _mark(self, reason: str, rows: Indices) -> None:
        size = self.grid.link.frame.size
        self.marks.setdefault(reason, np.zeros(size, dtype=bool))[rows] = True


def read_single(grid: Grid, courses: Courses) -> tuple[list[Contribution], list[Problem]]:
    """Read a table with one row per patient, per course, or of which the first dose counts."""
    link, frame = grid.link, grid.link.frame
    at = link.course[grid.rows] if frame.section.kind != "patient" else None
    owner = link.patient[grid.rows] if at is None else at
    size = len(courses.names) if at is None else courses.size
    rows = np.flatnonzero(owner >= 0)
    dose = frame.section.kind == "dose"
    day = link.date[grid.rows][rows] if dose else np.zeros(len(rows))
    order = np.lexsort((rows, day, owner[rows]))
    rows, day = rows[order], day[order]
    leads = np.diff(owner[rows], prepend=-1) != 0
    lead = np.maximum.accumulate(np.where(leads, np.arange(len(rows)), 0))
    problems: list[Problem] = []
    if dose:
        chosen = rows[leads]
        frame.tally.use(grid.rows[rows])
    else:
        chosen, problems = _settle_single(grid, rows, leads, lead)
    row_of = np.full(size, -1)
    row_of[owner[chosen]] = chosen
    by_course = row_of[courses.patient] if at is None else row_of
    if not dose:
        frame.tally.use(grid.rows[by_course[by_course >= 0]])
    return [
        Contribution(name, column.label, link, *_take_column(column, by_course))
        for name, column in grid.columns.items()
    ], problems


def _take_column(column: GridColumn, by_course: Indices) -> tuple[Cells, Indices]:
    cells = column.cells.take(by_course)
    return cells, np.where(cells.present, np.append(column.rows, -1)[by_course], -1)


def _settle_single(
    grid: Grid, rows: Indices, leads: Flags, lead: Indices
) -> tuple[Indices, list[Problem]]:
    frame, rule = grid.link.frame, grid.link.frame.section.duplicates
    differs = np.zeros(len(rows), dtype=bool)
    columns: Sequence[GridColumn] = [*grid.columns.values()]
    for column in columns:
        codes = column.cells.codes[rows]
        differs |= codes != codes[lead]
    winner = np.append(leads[1:], True) if rule == "last" and len(rows) else leads
    repeats = np.zeros(frame.size, dtype=bool)
    repeats[grid.rows[rows[~winner & ~differs]]] = True
    if not differs.any():
        frame.tally.set_aside(repeats, "rows", "repeats a row")
        return rows[winner], []
    if rule == "refuse":
        kind = "patient" if frame.section.kind == "patient" else "course"
        message = explain_duplicates(f"a second row of one {kind} says otherwise")
        return rows[leads], frame.explain(
            frame.roles.patient, "duplicate", message, grid.rows[rows[differs]]
        )
    dropped = np.zeros(frame.size, dtype=bool)
    dropped[grid.rows[rows[~winner]]] = True
    frame.tally.set_aside(dropped, "rows", f"duplicate: the {rule} is read")
    return rows[winner], []
