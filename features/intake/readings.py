"""Readings: which visit is read at each horizon, of each instrument and of every other column."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.base.arrays import Flags, Indices, Numbers
from features.base.errors import Problem
from features.dictionary.dictionary import Dictionary
from features.dictionary.horizon import HORIZONS
from features.intake.cells import Cells, blank_cells, concatenate_cells
from features.intake.frame import (
    Contribution,
    Courses,
    Frame,
    Grid,
    GridColumn,
    explain_duplicates,
    find_runs,
)
from features.intake.moments import Moments, find_eligible, leave_outside
from features.intake.plan import BASELINE, Choice, Plan


@dataclass(frozen=True)
class _Group:
    """Columns that are read together: of an instrument, or one by itself."""

    # Empty for a column that is not a score.
    instruments: tuple[str, ...]
    columns: tuple[str, ...]

    def list_readable(self, plan: Plan, dictionary: Dictionary) -> list[str]:
        """List the horizons at which it can be read; empty if it is not a score."""
        scales = [dictionary.instruments[key] for key in self.instruments]
        return [
            horizon
            for horizon in plan.list_horizons()
            if any(scale.can_read(HORIZONS[horizon]) for scale in scales)
        ]


def _join_groups(first: _Group, second: _Group) -> _Group:
    instruments = dict.fromkeys((*first.instruments, *second.instruments))
    return _Group(tuple(instruments), (*first.columns, *second.columns))


@dataclass(frozen=True)
class _Visits:
    """The visits of all tables, stacked, so that windows choose among all of them."""

    grids: Sequence[Grid]
    # `[rows]`: of which grid, when, and of which course.
    grid_of: Indices
    moments: Moments
    course: Indices
    # By our name: the cells, with one set of texts for all tables, and the frames' rows.
    columns: Mapping[str, GridColumn]

    def list_groups(self, dictionary: Dictionary) -> list[_Group]:
        """Group the columns: total and items of an instrument are of one visit, never mixed."""
        owners = {**dictionary.item_owners, **{key: (key,) for key in dictionary.instruments}}
        groups: list[_Group] = []
        for name in self.columns:
            group = _Group(owners.get(name, ()), (name,))
            # A form and its subscales share items, and so are read together.
            shared = [other for other in groups if {*other.instruments} & {*group.instruments}]
            for other in shared:
                groups.remove(other)
                group = _join_groups(other, group)
            groups.append(group)
        return groups

    def find_filled(self, group: _Group) -> Flags:
        """Return the rows in which any of some columns has a value."""
        filled = [self.columns[name].cells.present for name in group.columns]
        rows: Flags = np.logical_or.reduce(filled)
        return rows

    def list_frames(self, group: _Group, rows: Indices) -> Iterator[tuple[Frame, str, Indices]]:
        """List the frames' rows behind some rows' cells, with the file's name of each column."""
        for name in group.columns:
            column = self.columns[name]
            for position, grid in enumerate(self.grids):
                if name in grid.columns:
                    behind = column.rows[rows][self.grid_of[rows] == position]
                    yield grid.link.frame, grid.columns[name].label, behind[behind >= 0]

    def set_aside(self, group: _Group, rows: Indices, step: str, reason: str) -> None:
        """Leave rows aside whose cells are not used; only once all that are used are known."""
        for frame, _, behind in self.list_frames(group, rows):
            frame.tally.set_aside(behind, step, reason)

    def take(self, group: _Group, chosen: Indices, slot: str) -> Iterator[Contribution]:
        """Take the cells of the chosen rows, by the table that each is from."""
        grid_of = np.append(self.grid_of, -1)[chosen]
        for name in group.columns:
            column = self.columns[name]
            cells = column.cells.take(chosen)
            behind = np.append(column.rows, -1)[chosen]
            target = name if slot == BASELINE else f"{name}_{slot}"
            for position, grid in enumerate(self.grids):
                own = cells.keep(grid_of == position)
                rows = np.where(own.present, behind, -1)
                # Blank columns, too: an unanswered item is not an item that the form leaves out.
                if name in grid.columns and (grid_of == position).any():
                    grid.link.frame.tally.use(rows[rows >= 0])
                    label = grid.columns[name].label
                    yield Contribution(target, label, grid.link, own, rows, slot)


def _stack_grids(grids: Sequence[Grid], moments: Sequence[Moments]) -> _Visits:
    sizes = [len(grid.rows) for grid in grids]
    course = [
        np.where(grid.link.frame.tally.open, grid.link.course, -1)[grid.rows] for grid in grids
    ]
    parts = [
        (moment.day[grid.rows], moment.slot[grid.rows], moment.rank[grid.rows])
        for grid, moment in zip(grids, moments, strict=True)
    ]
    day, slot, rank = (np.concatenate(column) for column in zip(*parts, strict=True))
    columns = {}
    for name in dict.fromkeys(name for grid in grids for name in grid.columns):
        pieces = [
            grid.columns.get(name, GridColumn(blank_cells(size), "", np.full(size, -1)))
            for grid, size in zip(grids, sizes, strict=True)
        ]
        cells = concatenate_cells([piece.cells for piece in pieces])
        columns[name] = GridColumn(cells, "", np.concatenate([piece.rows for piece in pieces]))
    grid_of = np.repeat(np.arange(len(grids)), sizes)
    return _Visits(
        grids, grid_of, Moments(moments[0].slots, day, slot, rank), np.concatenate(course), columns
    )


def read_visits(
    grids: Sequence[Grid],
    moments: Sequence[Moments],
    courses: Courses,
    plan: Plan,
    dictionary: Dictionary,
) -> tuple[list[Contribution], list[Problem]]:
    """Choose the visit that is read of each course, at each horizon, for each instrument.

    Parameters
    ----------
    grids, moments
        Of every table of visits, and when each row of its frame was recorded.
    """
    contributions: list[Contribution] = []
    problems: list[Problem] = []
    if not grids:
        return contributions, problems
    for grid, moment in zip(grids, moments, strict=True):
        leave_outside(grid.link, moment, plan)
    visits = _stack_grids(grids, moments)
    aside: list[tuple[_Group, Indices, str, str]] = []
    for group in visits.list_groups(dictionary):
        filled = visits.find_filled(group)
        readable = group.list_readable(plan, dictionary)
        eligible = find_eligible(visits.moments, plan, readable)
        for slot, rows in eligible.items():
            chooser = _Chooser(visits, group, plan, slot)
            chosen = chooser.choose(
                np.flatnonzero(rows & filled & (visits.course >= 0)), courses.size
            )
            contributions += visits.take(group, chosen, slot)
            problems += chooser.problems
            aside += chooser.aside
        served = np.logical_or.reduce([*eligible.values()])
        late = np.flatnonzero(filled & ~served)
        if group.instruments:
            reason = "asks about more days than the horizon has"
            aside.append((group, late, "windows", reason))
        else:
            aside.append((group, late, "windows", "no score: read at baseline alone"))
    for entry in aside:
        visits.set_aside(*entry)
    return contributions, problems


class _Chooser:
    """Chooses among the rows of one course that may be read at one horizon."""

    def __init__(self, visits: _Visits, group: _Group, plan: Plan, slot: str) -> None:
        self.visits, self.group, self.slot = visits, group, slot
        self.problems: list[Problem] = []
        # Rows to leave aside unless another of their cells is used.
        self.aside: list[tuple[_Group, Indices, str, str]] = []
        self.choice: Choice
        if slot == BASELINE:
            _, self.choice = plan.get_baseline()
            self.target = 0.0
        else:
            _, _, self.target, self.choice = plan.get_window(slot)

    def choose(self, rows: Indices, courses: int) -> Indices:
        """Return the row of each course, -1 if none."""
        course = self.visits.course[rows]
        first, second = self._rank(rows)
        order = np.lexsort((rows, second, first, course))
        rows, course = rows[order], course[order]
        first, second = first[order], second[order]
        leads, lead = find_runs(course)
        tied = (first == first[lead]) & ~leads
        same = tied & (second == second[lead])
        self._note_ties(rows[tied & ~same])
        winner = self._settle_ties(rows, lead, same)
        chosen = np.full(courses, -1)
        chosen[course[leads]] = rows[winner[leads]]
        return chosen

    # Sort keys of rows; the reading that is wanted comes first.
    def _rank(self, rows: Indices) -> tuple[Numbers, Numbers]:
        moments = self.visits.moments
        day, rank = moments.day[rows], moments.rank[rows]
        undated = np.isnan(day)
        if self.choice == "nearest":
            away = np.where(undated, np.inf, np.abs(day - self.target))
            return away, np.where(undated, 0.0, day)
        sign = 1.0 if self.choice == "first" else -1.0
        return np.where(undated, np.inf, sign * day), np.where(undated, sign * rank, 0.0)

    def _note_ties(self, rows: Indices) -> None:
        for position, grid in enumerate(self.visits.grids):
            count = int((self.visits.grid_of[rows] == position).sum())
            what = f"tie at {self.slot}: the earlier is read"
            grid.link.frame.note("readings", what, count)

    # For each of `rows`, the position of the one that is read of all at the same time.
    def _settle_ties(self, rows: Indices, lead: Indices, same: Flags) -> Indices:
        differs = np.zeros(len(rows), dtype=bool)
        for name in self.group.columns:
            codes = self.visits.columns[name].cells.codes[rows]
            differs |= same & (codes != codes[lead])
        self.aside.append((self.group, rows[same & ~differs], "readings", "repeats a row"))
        if not differs.any():
            return lead
        rules = [grid.link.frame.section.duplicates for grid in self.visits.grids]
        rule = np.array(rules)[self.visits.grid_of[rows]]
        # `duplicates` is about the rows of one table: it does not say which of two is right.
        apart = self.visits.grid_of[rows] != self.visits.grid_of[rows][lead]
        message = f"differs from another table at {self.slot}, at the same time"
        self._refuse_ties(rows[differs & apart], message)
        refused = rows[differs & ~apart & (rule == "refuse")]
        message = f"differs from an earlier row at {self.slot}, at the same time"
        self._refuse_ties(refused, explain_duplicates(message))
        winner = lead.copy()
        last = np.flatnonzero(same & (rule == "last"))
        np.maximum.at(winner, lead[last], last)
        unlike = np.isin(lead, lead[differs])
        for name in ("first", "last"):
            dropped = rows[unlike & (same | (np.arange(len(rows)) == lead)) & (rule == name)]
            self.aside.append((self.group, dropped, "readings", f"duplicate: the {name} is read"))
        return winner

    def _refuse_ties(self, rows: Indices, message: str) -> None:
        for frame, label, behind in self.visits.list_frames(self.group, rows):
            self.problems += frame.explain(label, "duplicate", message, behind)


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
    rows = rows[order]
    leads, lead = find_runs(owner[rows])
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
    for column in grid.columns.values():
        codes = column.cells.codes[rows]
        differs |= codes != codes[lead]
    winner = np.append(leads[1:], True) if rule == "last" and len(rows) else leads
    dropped = grid.rows[rows[~winner]]
    if not differs.any():
        frame.tally.set_aside(dropped, "rows", "repeats a row")
        return rows[winner], []
    if rule == "refuse":
        kind = "patient" if frame.section.kind == "patient" else "course"
        message = explain_duplicates(f"differs from an earlier row of the same {kind}")
        return rows[leads], frame.explain(
            frame.roles.patient, "duplicate", message, grid.rows[rows[differs]]
        )
    frame.tally.set_aside(dropped, "rows", f"duplicate: the {rule} is read")
    return rows[winner], []
