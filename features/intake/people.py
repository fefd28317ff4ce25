"""Patients and their courses across all tables, and the course that each row belongs to."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from features.base.arrays import Flags, Indices, Numbers
from features.base.errors import Problem
from features.intake.cells import Cells
from features.intake.codes import make_loose_key, trim_fraction
from features.intake.days import read_days, read_decimals
from features.intake.frame import MAX_COURSE, Courses, Frame, Linked
from features.intake.plan import Plan


def filter_rows(frame: Frame) -> None:
    """Leave aside the rows that are not of this table, by its `where`."""
    for name, texts in frame.section.where.items():
        if name in frame.columns:
            cells = frame.columns[name]
            frame.tally.set_aside(~find_texts(cells, texts), "rows", f"where: {name}")


def find_texts(cells: Cells, texts: Sequence[str]) -> Flags:
    """Return which cells have one of some texts; an empty text is a blank cell."""
    keys = {make_loose_key(text) for text in texts}
    match = [make_loose_key(text) in keys for text in cells.texts]
    rows: Flags = np.array([*match, "" in texts], dtype=bool)[cells.codes]
    return rows


def link_patients(
    frames: Sequence[Frame], plan: Plan
) -> tuple[list[Linked], list[str], list[Problem]]:
    """Link every row that is left to a patient; also return the patients' codes."""
    known: dict[str, int] = {}
    linked, problems = [], []
    for frame in frames:
        filter_rows(frame)
        patient, broken = _number_patients(frame, known)
        problems += broken
        number, wrong = _read_course_numbers(frame)
        date, unread = _read_dates(frame, plan)
        problems += [*wrong, *unread]
        linked.append(Linked(frame, patient, number, date, np.full(frame.size, -1)))
    return linked, list(known), problems


def _number_patients(frame: Frame, known: dict[str, int]) -> tuple[Indices, list[Problem]]:
    if frame.roles.patient is None:
        # Rows stand alone: each is a patient of its own, whatever its code.
        first = len(known)
        known.update((f"\0{number}", number) for number in range(first, first + frame.size))
        return np.arange(first, first + frame.size), []
    cells = frame.columns[frame.roles.patient].recode(lambda text: trim_fraction(text.strip()))
    blank = ~cells.present & frame.tally.open
    empty = blank.copy()
    for column in frame.columns.values():
        empty &= ~column.present
    frame.tally.set_aside(empty, "rows", "blank")
    message = "is required: the code of the patient"
    problems = frame.explain(frame.roles.patient, "required", message, blank & ~empty)
    # Codes of rows that are not of this table make no patient.
    used = np.unique(cells.codes[frame.tally.open & cells.present])
    positions = np.full(len(cells.texts) + 1, -1)
    for code in used.tolist():
        positions[code] = known.setdefault(cells.texts[code], len(known))
    return np.where(frame.tally.open, positions[cells.codes], -1), problems


def _read_course_numbers(frame: Frame) -> tuple[Numbers, list[Problem]]:
    name = frame.section.course
    if name is None or name not in frame.columns:
        return np.full(frame.size, np.nan), []
    numbers, broken = read_decimals(frame.columns[name], ".")
    with np.errstate(invalid="ignore"):
        outside = (numbers < 1) | (numbers > MAX_COURSE) | (numbers != np.floor(numbers))
    wrong = (broken | (outside & ~np.isnan(numbers))) & frame.tally.open
    message = f"must be a whole number from 1 to {MAX_COURSE}"
    return np.where(np.isnan(numbers), 1.0, numbers), frame.explain(name, "range", message, wrong)


def _read_dates(frame: Frame, plan: Plan) -> tuple[Numbers, list[Problem]]:
    name = frame.section.date
    if name is None or name not in frame.columns:
        return np.full(frame.size, np.nan), []
    cells = frame.columns[name].without(plan.missing)
    days, broken = read_days(cells, plan.get_form(frame.name).dates)
    return days, frame.explain(name, "date", explain_dates(plan, frame), broken & frame.tally.open)


def explain_dates(plan: Plan, frame: Frame) -> str:
    """Explain how a table's dates must be written."""
    pattern = plan.get_form(frame.name).dates
    also = f" or {pattern}" if pattern else ' (a mapping can say otherwise: `dates = "DD/MM/YYYY"`)'
    return f"must be a date as YYYY-MM-DD{also}"


def find_lacking(
    linked: Sequence[Linked], patients: int
) -> tuple[Flags, list[tuple[str, Flags]], list[Problem]]:
    """Find patients who are missing from a table that should have them.

    Returns
    -------
    Flags
        The patients who stay, ``bool[patients]``.
    list
        For each table that leaves patients aside, its name and them, each patient once.
    list of Problem
        Of tables that refuse such patients.
    """
    kept = np.ones(patients, dtype=bool)
    aside: list[tuple[str, Flags]] = []
    problems: list[Problem] = []
    for link in linked:
        action = link.frame.section.for_lacking
        lacking = np.ones(patients, dtype=bool)
        lacking[link.patient[link.patient >= 0]] = False
        if action == "aside" and (lacking & kept).any():
            aside.append((link.frame.name, lacking & kept))
            kept &= ~lacking
        elif action == "refuse" and lacking.any():
            problems += _refuse_lacking(link, linked, lacking)
    return kept, aside, problems


def _refuse_lacking(lacker: Linked, linked: Sequence[Linked], lacking: Flags) -> list[Problem]:
    table = lacker.frame.name
    message = (
        f"a patient who is in no row of {table}; `lacking` of that table can leave such patients "
        'aside ("aside") or keep them ("keep")'
    )
    problems = []
    for link in linked:
        rows = (link.patient >= 0) & np.append(lacking, False)[link.patient]
        first = np.flatnonzero(rows)[np.unique(link.patient[rows], return_index=True)[1]]
        problems += link.frame.explain(link.frame.roles.patient, "lacking", message, first)
    return problems


def make_courses(
    linked: Sequence[Linked], names: Sequence[str], kept: Flags, plan: Plan
) -> tuple[Courses, list[Problem]]:
    """Identify the courses of the patients who stay, and date their first doses."""
    pairs = [np.stack([np.flatnonzero(kept), np.ones(int(kept.sum()))])]
    numbered = [link for link in linked if link.frame.section.course is not None]
    doses = [link for link in linked if link.frame.section.kind == "dose"]
    if plan.courses is not None:
        for link in doses:
            link.number = _split_doses(link, plan.courses.gap_days)
        numbered = doses
    defining = [link for link in numbered if link.frame.section.kind != "entry"]
    if defining:
        rows = [(link.patient >= 0) & ~np.isnan(link.number) for link in defining]
        parts = [
            np.stack([link.patient[row], link.number[row]])
            for link, row in zip(defining, rows, strict=True)
        ]
        seen = np.concatenate(parts, axis=1)
        seen = seen[:, kept[seen[0].astype(np.intp)]]
        # A patient without a row in these tables has one course.
        rest = pairs[0][:, ~np.isin(pairs[0][0], seen[0])]
        pairs = [seen, rest]
    both = np.unique(np.concatenate(pairs, axis=1), axis=1)
    patient = both[0].astype(np.intp)
    undated = np.full(len(patient), np.nan)
    courses = Courses(names, patient, both[1], undated, bool(defining))
    return _date_courses(courses, linked, plan)


def _split_doses(link: Linked, gap_days: float) -> Numbers:
    rows = np.flatnonzero((link.patient >= 0) & ~np.isnan(link.date))
    order = rows[np.lexsort((link.date[rows], link.patient[rows]))]
    numbers = np.full(len(link.patient), np.nan)
    if len(order):
        new_patient = np.diff(link.patient[order], prepend=-1) != 0
        new_course = (np.diff(link.date[order], prepend=0.0) > gap_days) | new_patient
        running = np.cumsum(new_course)
        base = np.maximum.accumulate(np.where(new_patient, running, 0))
        numbers[order] = running - base + 1.0
    return numbers


def _date_courses(
    courses: Courses, linked: Sequence[Linked], plan: Plan
) -> tuple[Courses, list[Problem]]:
    first_dose = np.full(courses.size, np.inf)
    problems: list[Problem] = []
    for link, days in _date_doses(linked, plan, problems):
        rows = (link.patient >= 0) & ~np.isnan(days)
        at = locate_rows(link, courses)
        several = rows & (at < 0) & (courses.count_by_patient()[link.patient] > 1)
        if link.frame.section.kind in ("dose", "course", "visit"):
            message = "does not say which course it belongs to: name its column by `course`"
            problems += link.frame.explain(link.frame.roles.patient, "course", message, several)
        np.minimum.at(first_dose, at[rows & (at >= 0)], days[rows & (at >= 0)])
    dated = np.where(np.isinf(first_dose), np.nan, first_dose)
    return replace(courses, first_dose=dated), problems


def _date_doses(
    linked: Sequence[Linked], plan: Plan, problems: list[Problem]
) -> list[tuple[Linked, Numbers]]:
    first = plan.first_dose
    if first is None:
        return [(link, link.date) for link in linked if link.frame.section.kind == "dose"]
    dated = []
    for link in linked:
        frame = link.frame
        names = [theirs for theirs, ours in frame.roles.fields.items() if ours == first.column]
        name = first.column if first.column in frame.columns else next(iter(names), None)
        if name is None or first.table not in (None, frame.name):
            continue
        days, broken = read_days(frame.columns[name], plan.get_form(frame.name).dates)
        rows = broken & frame.tally.open
        problems += frame.explain(name, "date", explain_dates(plan, frame), rows)
        dated.append((link, days))
    if not dated:
        message = "no table that is read has this column"
        problems.append(Problem(f"first_dose: {first.column}", "missing_column", message))
    return dated


def locate_rows(link: Linked, courses: Courses) -> Indices:
    """Return the course of each row by its number, or as its patient's only one; else -1."""
    at = courses.find_courses(link.patient, link.number)
    if not courses.size:
        return at
    single = (courses.count_by_patient() == 1)[link.patient] & (link.patient >= 0)
    unnumbered = np.isnan(link.number)
    first = courses.find_first()[link.patient]
    return np.where(single & unnumbered, np.minimum(first, courses.size - 1), at)


def assign_rows(link: Linked, courses: Courses, baseline_days: float) -> list[Problem]:
    """Link rows to courses: by number, as the only one, or by date.

    A row without a course number belongs to the course within whose baseline window its date lies,
    else to the last one begun; before the first course, to that.
    """
    frame = link.frame
    link.course = locate_rows(link, courses)
    open_rows = (link.patient >= 0) & frame.tally.open & (link.course < 0)
    # Rows numbered as a course that was left aside.
    gone = open_rows & ~np.isnan(link.number)
    frame.tally.set_aside(gone, "courses", "no first dose")
    open_rows &= ~gone
    if frame.section.kind in ("patient", "entry", "alone") or not open_rows.any():
        return []
    rows = np.flatnonzero(open_rows & ~np.isnan(link.date))
    link.course[rows] = _assign_dates(link.patient[rows], link.date[rows], courses, baseline_days)
    lost = open_rows & (link.course < 0)
    message = (
        "does not say which of the patient's courses it belongs to: it needs a course number "
        "(`course`), or a date and known first doses"
    )
    return frame.explain(frame.roles.patient, "course", message, lost)


def _assign_dates(
    patient: Indices, date: Numbers, courses: Courses, baseline_days: float
) -> Indices:
    # Courses that begin, baseline window included, no later than the row; per patient in order.
    span = np.nanmax(np.abs(np.append(courses.first_dose, date)), initial=0.0) + baseline_days + 1
    dated = np.flatnonzero(~np.isnan(courses.first_dose))
    keys = courses.patient[dated] * 4 * span + courses.first_dose[dated] - baseline_days
    order = np.argsort(keys, kind="stable")
    at = np.searchsorted(keys[order], patient * 4 * span + date, side="right") - 1
    begun = np.append(dated[order], -1)[at]
    own = (at >= 0) & (courses.patient[begun] == patient)
    # Before the first of the patient's courses: to that, if it is dated.
    after = np.append(dated[order], -1)[np.minimum(at + 1, len(dated))]
    first = np.where((after >= 0) & (courses.patient[after] == patient), after, -1)
    result: Indices = np.where(own, begun, first)
    return result
