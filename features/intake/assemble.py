"""From a clinic's exports to one row per course, with an account of every row that was read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from features.base.arrays import Flags
from features.base.errors import CohortError, Problem, join_problems
from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Field, Kind
from features.intake.account import Account, Aside, Note, Part, TableAccount
from features.intake.assembled import AssembledTable
from features.intake.cells import Cells, coalesce_cells
from features.intake.codes import point_decimal
from features.intake.derive import Derived, Deriver
from features.intake.exports import Exports, find_exports
from features.intake.followups import list_column_fields
from features.intake.frame import Contribution, Courses, Frame, Grid, Linked
from features.intake.grid import make_grids
from features.intake.loading import read_frame
from features.intake.moments import Moments, find_moments
from features.intake.people import (
    assign_rows,
    find_lacking,
    link_patients,
    make_courses,
)
from features.intake.plan import Plan
from features.intake.readings import read_single, read_visits
from features.intake.roles import PATIENT, Sorter
from features.sources.dates import write_iso_date
from features.sources.parquet_files import BATCH_ROWS
from features.sources.texts import NUMBER_PATTERN


class Assembled(NamedTuple):
    """One row per course, and what became of everything read."""

    table: AssembledTable
    account: Account


def assemble(
    paths: Sequence[Path], plan: Plan, dictionary: Dictionary, ignore_unknown: bool = False
) -> Assembled:
    """Join the tables of a mapping, choose the readings and derive fields.

    Columns bear names of ours and hold the clinic's own texts; what they mean, and whether they
    are in range, is for :mod:`features.records` to say.

    Parameters
    ----------
    paths
        Files and folders.
    ignore_unknown
        Whether columns and words that the mapping does not name are left aside and counted.

    Raises
    ------
    CohortError
        If a table cannot be read, joined or dated as the mapping says; lists every problem, each
        with its table, column and rows.
    """
    return _Assembly(plan, dictionary, ignore_unknown, paths).run()


@dataclass
class _Assembly:
    plan: Plan
    dictionary: Dictionary
    ignore_unknown: bool
    paths: Sequence[Path]

    def run(self) -> Assembled:
        exports = find_exports(self.paths, self.plan)
        self._stop(exports.problems)
        frames = self._read_frames(exports)
        linked, names, problems = link_patients(frames, self.plan)
        kept, aside, lacking = find_lacking(linked, len(names))
        self._stop([*problems, *lacking])
        for lacker, absent in aside:
            _drop_patients(linked, absent, _explain_absent(lacker))
        courses, problems = make_courses(linked, names, kept, self.plan)
        self._stop(problems)
        read, courses = courses.size, self._drop_undated(linked, courses)
        baseline_days, _ = self.plan.get_baseline()
        for link in linked:
            problems += assign_rows(link, courses, baseline_days)
        contributions, refused = self._read_all(linked, courses)
        deriver = Deriver(self.plan, self.dictionary, courses, linked, contributions)
        derived = deriver.derive_all()
        table, unlike = self._build(linked, courses, contributions, derived)
        self._stop([*problems, *refused, *deriver.problems, *unlike])
        patients = _count_patients(kept, aside)
        undated = (Aside("courses", "no first dose", read - courses.size),)
        counted = Part(read, courses.size, tuple(entry for entry in undated if entry.count))
        account = self._write_account(linked, patients, counted, derived, exports)
        self._stop(_explain_empty(account))
        return Assembled(table, account)

    def _stop(self, problems: Iterable[Problem]) -> None:
        if merged := join_problems(problems):
            raise CohortError(merged, source=self._source)

    @property
    def _source(self) -> str:
        return ", ".join(path.name for path in self.paths)

    def _read_frames(self, exports: Exports) -> list[Frame]:
        sorter = Sorter(self.plan, self.dictionary, self.ignore_unknown)
        frames, problems = [], []
        for name, files in exports.tables.items():
            frame, refused = read_frame(name, files, self.plan, partial(sorter.sort, name))
            problems += refused
            frames += [frame] if frame is not None else []
        if len(frames) == len(exports.tables):
            problems += sorter.check_renamed()
        self._stop(problems)
        return frames

    def _drop_undated(self, linked: Sequence[Linked], courses: Courses) -> Courses:
        dated = [link for link in linked if _needs_first_dose(link)]
        lacking = np.isnan(courses.first_dose)
        if not dated or not lacking.any():
            return courses
        first = self.plan.first_dose
        if first is not None and first.lacking == "aside":
            kept = courses.keep_courses(~lacking)
            alive = np.zeros(len(courses.names), dtype=bool)
            alive[kept.patient] = True
            _drop_patients(linked, ~alive, "no first dose")
            return kept
        problems = []
        message = (
            'its course has no first dose; `lacking = "aside"` in [first_dose] leaves it aside'
        )
        undated = np.zeros(len(courses.names) + 1, dtype=bool)
        undated[courses.patient[lacking]] = True
        for link in dated:
            rows = undated[link.patient]
            rows &= link.frame.tally.open & (link.patient >= 0)
            problems += link.frame.explain(link.frame.roles.patient, "first_dose", message, rows)
        self._stop(problems)
        return courses

    def _accept(self, name: str) -> bool:
        sources = [pattern for rule in self.plan.derive.values() for pattern in rule.patterns]
        return name in self.dictionary.cohort_fields or name in sources

    def _read_all(
        self, linked: Sequence[Linked], courses: Courses
    ) -> tuple[list[Contribution], list[Problem]]:
        contributions: list[Contribution] = []
        problems: list[Problem] = []
        visits: list[tuple[Grid, Moments]] = []
        for link in linked:
            kind = link.frame.section.kind
            if kind == "entry":
                continue
            grids, refused = make_grids(
                link, self.plan, self.dictionary, self._accept, self.ignore_unknown
            )
            problems += refused
            if kind == "visit":
                moments, refused = find_moments(link, courses, self.plan, self.ignore_unknown)
                problems += refused
                visits += [(grid, moments) for grid in grids]
                continue
            for grid in grids:
                added, refused = read_single(grid, courses)
                contributions += added
                problems += refused
        grids, when = [grid for grid, _ in visits], [moments for _, moments in visits]
        added, refused = read_visits(grids, when, courses, self.plan, self.dictionary)
        return [*contributions, *added], [*problems, *refused]

    def _build(
        self,
        linked: Sequence[Linked],
        courses: Courses,
        contributions: Sequence[Contribution],
        derived: Mapping[str, Derived],
    ) -> tuple[AssembledTable, list[Problem]]:
        fields = list_column_fields(self.dictionary)
        by_target: dict[str, list[Contribution]] = {}
        for entry in contributions:
            if entry.target in fields and entry.target not in derived:
                by_target.setdefault(entry.target, []).append(entry)
        problems, arrays = [], {}
        people = _find_people(linked, courses)
        if PATIENT not in by_target and people:
            names = np.array(courses.names, dtype=object)[courses.patient]
            arrays[PATIENT] = pa.array(names, pa.string())
        if courses.numbered and "course" not in by_target:
            arrays["course"] = pa.array(courses.number)
        for name, entries in by_target.items():
            problems += _compare_tables(name, entries)
            cells = coalesce_cells([self._convert(fields[name], entry) for entry in entries])
            if cells.present.any() or name not in self.dictionary.followups:
                arrays[name] = cells.to_arrow()
        origins = {PATIENT: people, **by_target}
        for name, made in derived.items():
            arrays[name] = made.values
            origins[name] = [made.source] if made.source is not None else []
        batches = pa.table(arrays).to_batches(BATCH_ROWS) if arrays else []
        table = AssembledTable(self._source, tuple(arrays), iter(batches), origins=origins)
        return table, problems

    # A table's own decimal mark and dates become those of the mapping, by which records are read.
    def _convert(self, field: Field, entry: Contribution) -> Cells:
        form = self.plan.get_form(entry.link.frame.name)
        cells = entry.cells
        if field.numeric and form.decimal != self.plan.decimal:
            cells = cells.recode(point_decimal if form.decimal == "," else _comma_decimal)
        if field.kind is Kind.DATE and form.dates is not None and form.dates != self.plan.dates:
            pattern = form.dates
            cells = cells.recode(lambda text: write_iso_date(text, pattern))
        return cells

    def _write_account(
        self,
        linked: Sequence[Linked],
        patients: Part,
        courses: Part,
        derived: Mapping[str, Derived],
        exports: Exports,
    ) -> Account:
        tables, notes = [], []
        for link in linked:
            frame = link.frame
            step, reason = _CLOSING[frame.section.kind]
            rows = frame.tally.close(step, reason)
            tables.append(TableAccount(frame.name, frame.origin.files, rows))
            notes += _merge_notes(frame.notes)
        counts = {
            name: (entry.rule, len(entry.values) - entry.values.null_count, entry.values.null_count)
            for name, entry in derived.items()
        }
        account = Account(tuple(tables), patients, courses, tuple(notes), counts, exports.aside)
        account.check()
        return account


# Step and reason for rows that no earlier step used or left aside, by the table's kind.
_CLOSING = {
    "visit": ("readings", "another reading is read"),
    "entry": ("derive", "no rule counts it"),
    "dose": ("courses", "of no course"),
    "patient": ("courses", "of no course"),
    "course": ("courses", "of no course"),
    "alone": ("courses", "of no course"),
}


def _explain_empty(account: Account) -> list[Problem]:
    if account.courses.used or not account.patients.read:
        return []
    aside = (*account.patients.aside, *account.courses.aside)
    reasons = ", ".join(f"{entry.count} {entry.reason}" for entry in aside)
    return [Problem("courses", "empty", f"every course is left aside: {reasons}")]


def _needs_first_dose(link: Linked) -> bool:
    section = link.frame.section
    return (
        section.kind == "visit" and section.date is not None and not (section.visit or section.at)
    )


def _drop_patients(linked: Sequence[Linked], dropped: Flags, reason: str) -> None:
    for link in linked:
        rows = (link.patient >= 0) & np.append(dropped, False)[link.patient]
        link.frame.tally.set_aside(rows, "patients", reason)
        link.patient = np.where(rows, -1, link.patient)


def _explain_absent(table: str) -> str:
    return f"patient not in {table}"


def _count_patients(kept: Flags, aside: Sequence[tuple[str, Flags]]) -> Part:
    parts = tuple(
        Aside("patients", _explain_absent(table), int(absent.sum()), table)
        for table, absent in aside
    )
    return Part(len(kept), int(kept.sum()), parts)


def _find_people(linked: Sequence[Linked], courses: Courses) -> list[Contribution]:
    people = []
    for link in linked:
        label = link.frame.roles.patient
        if label is None:
            continue
        rows = np.full(len(courses.names) + 1, -1)
        order = np.flatnonzero(link.patient >= 0)[::-1]
        rows[link.patient[order]] = order
        of_course = rows[courses.patient]
        people.append(Contribution(PATIENT, label, link, link.frame.columns[label], of_course))
    return people


def _compare_tables(name: str, entries: Sequence[Contribution]) -> list[Problem]:
    problems: list[Problem] = []
    for first, other in pairwise(entries):
        both = np.flatnonzero(first.cells.present & other.cells.present)
        texts = [
            np.array([*entry.cells.texts, ""], dtype=object)[entry.cells.codes[both]]
            for entry in (first, other)
        ]
        wrong = other.rows[both[texts[0] != texts[1]]]
        message = f"differs from {name} in the table {first.link.frame.name}"
        problems += other.link.frame.explain(other.label, "duplicate", message, wrong)
    return problems


def _comma_decimal(text: str) -> str:
    return text.replace(".", ",") if NUMBER_PATTERN.fullmatch(text.strip()) else text


def _merge_notes(notes: Sequence[Note]) -> list[Note]:
    counts: dict[tuple[str, str, str], int] = {}
    for note in notes:
        key = (note.table, note.step, note.what)
        counts[key] = counts.get(key, 0) + note.count
    return [Note(*key, count) for key, count in counts.items()]
