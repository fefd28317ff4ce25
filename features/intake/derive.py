"""Fields that the mapping derives: ages, lengths of time, body mass, counts, flags and sums."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.base.arrays import Flags, Indices, Numbers
from features.base.errors import Problem
from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Kind
from features.dictionary.horizon import DAYS_PER_MONTH
from features.intake.bodies import PLAUSIBLE, measure_length
from features.intake.cells import Cells, blank_cells, coalesce_cells
from features.intake.days import (
    count_years,
    find_years,
    read_days,
    read_decimals,
    read_year,
)
from features.intake.frame import Contribution, Courses, Linked
from features.intake.people import explain_dates, find_texts
from features.intake.plan import BASELINE, Derivation, Length, Plan, matches

_DIVISORS = {"days_since": 1.0, "weeks_since": 7.0, "months_since": DAYS_PER_MONTH}
_CHECKED = {"1", "1.0", "true", "yes", "y", "checked", "x"}
_UNCHECKED = {"0", "0.0", "false", "no", "n", "unchecked"}


@dataclass(frozen=True)
class Derived:
    """One derived field: an Arrow array of a value per course, and where it is from."""

    rule: str
    values: pa.Array
    source: Contribution | None = None


class Deriver:
    """Derives the fields of one cohort; `problems` collects what prevents it."""

    def __init__(
        self,
        plan: Plan,
        dictionary: Dictionary,
        courses: Courses,
        linked: Sequence[Linked],
        contributions: Sequence[Contribution],
    ) -> None:
        self.plan, self.dictionary, self.courses = plan, dictionary, courses
        self.linked = {link.frame.name: link for link in linked}
        self.contributions = [entry for entry in contributions if entry.slot == BASELINE]
        self.baseline = find_baseline_days(self.contributions, dictionary, courses.size)
        self.assessed: Numbers | None = None
        self.problems: list[Problem] = []

    def derive_all(self) -> dict[str, Derived]:
        """Derive every field; the day of assessment first, since others count up to it."""
        order = sorted(self.plan.derive, key=lambda name: name != "assessed_on")
        derived = {name: self._derive(name, self.plan.derive[name]) for name in order}
        return {name: entry for name, entry in derived.items() if entry is not None}

    def _derive(self, name: str, rule: Derivation) -> Derived | None:
        before = len(self.problems)
        makers: Mapping[str, Callable[[str, Derivation], Derived | None]] = {
            "date_of": self._copy_date,
            "height": self._compute_bmi,
            "count": self._count_rows,
            "any": self._find_any,
            "checked": self._count_checked,
            "sum": self._sum_columns,
            "first": self._take_first,
        }
        derived = makers.get(rule.rule, self._count_time)(name, rule)
        return None if len(self.problems) > before else derived

    def _match(self, name: str, pattern: str) -> list[Contribution]:
        matching = [
            entry
            for entry in self.contributions
            if any(matches(label, (pattern,)) for label in _list_labels(entry))
        ]
        tables = {entry.link.frame.name for entry in matching}
        label = f"derive.{name}: {pattern}"
        if not matching:
            message = "no table that is read has this column"
            self.problems.append(Problem(label, "missing_column", message))
        elif len(tables) > 1 and "*" not in pattern:
            known = ", ".join(sorted(tables))
            message = f"is in several tables: write `table.column`, with one of: {known}"
            self.problems.append(Problem(label, "ambiguous", message))
        return matching

    def _find_all(self, name: str, patterns: Sequence[str]) -> list[Contribution]:
        matching = [entry for pattern in patterns for entry in self._match(name, pattern)]
        return list({id(entry): entry for entry in matching}.values())

    def _reject(self, entry: Contribution, rule: str, message: str, rows: Flags) -> None:
        wrong = entry.rows[rows & (entry.rows >= 0)]
        self.problems += entry.link.frame.explain(entry.label, rule, message, wrong)

    def _read_source_days(self, entry: Contribution) -> Numbers:
        frame = entry.link.frame
        days, broken = read_days(entry.cells, self.plan.get_form(frame.name).dates)
        self._reject(entry, "date", explain_dates(self.plan, frame), broken)
        return days

    def _read_source_numbers(self, entry: Contribution) -> Numbers:
        decimal = self.plan.get_form(entry.link.frame.name).decimal
        numbers, broken = read_decimals(entry.cells, decimal)
        self._reject(entry, "type", "must be a number", broken)
        return numbers

    def _copy_date(self, name: str, rule: Derivation) -> Derived:
        moment = str(rule.date_of)
        days = self.baseline if moment == BASELINE else self.courses.first_dose
        days = self._check_days(name, moment, days)
        if name == "assessed_on":
            self.assessed = days
        known = ~np.isnan(days)
        whole = np.where(known, days, 0.0).astype(np.int32)
        return Derived(rule.rule, pa.array(whole, pa.int32(), mask=~known).cast(pa.date32()))

    def _check_days(self, name: str, moment: str, days: Numbers) -> Numbers:
        if len(days) and np.isnan(days).all():
            message = f"no course has a date of its {moment.replace('_', ' ')}"
            self.problems.append(Problem(f"derive.{name}", "until", message))
        return days

    def _find_until(self, name: str, rule: Derivation) -> Numbers:
        known = {"first_dose": self.courses.first_dose, BASELINE: self.baseline}
        if rule.until in known:
            return self._check_days(name, rule.until, known[rule.until])
        if rule.until not in (None, "assessed_on"):
            entries = self._match(name, str(rule.until))
            return self._read_source_days(entries[0]) if entries else self.baseline
        if self.assessed is not None:
            return self.assessed
        own = [entry for entry in self.contributions if entry.target == "assessed_on"]
        if own:
            return self._read_source_days(own[0])
        for days in known.values() if rule.until is None and rule.count is None else ():
            if not np.isnan(days).all():
                return days
        message = "needs a day to count up to: set `until`, or derive assessed_on"
        self.problems.append(Problem(f"derive.{name}", "until", message))
        return self.baseline

    def _count_time(self, name: str, rule: Derivation) -> Derived | None:
        entries = self._match(name, str(rule.since))
        until = self._find_until(name, rule)
        if not entries:
            return None
        entry = entries[0]
        if rule.years_since is not None:
            numbers = self._count_birthdays(entry, until)
        else:
            numbers = (until - self._read_source_days(entry)) / _DIVISORS[rule.rule]
        with np.errstate(invalid="ignore"):
            self._reject(entry, "order", f"is after the day up to which {name} counts", numbers < 0)
        return self._wrap(name, rule, numbers, entry)

    def _count_birthdays(self, entry: Contribution, until: Numbers) -> Numbers:
        years = entry.cells.map_numbers(read_year)
        dated = entry.cells.keep(np.isnan(years))
        days = self._read_source_days(Contribution("", entry.label, entry.link, dated, entry.rows))
        return np.where(np.isnan(years), count_years(days, until), find_years(until) - years)

    def _compute_bmi(self, name: str, rule: Derivation) -> Derived | None:
        if rule.height is None or rule.weight is None:
            return None
        height, entry = self._measure_body(name, "height", rule.height)
        weight, _ = self._measure_body(name, "weight", rule.weight)
        return self._wrap(name, rule, weight / height**2, entry)

    def _measure_body(
        self, name: str, part: str, length: Length
    ) -> tuple[Numbers, Contribution | None]:
        entries = [entry for source in length.sources for entry in self._match(name, source)[:1]]
        if len(entries) < len(length.sources):
            return np.full(self.courses.size, np.nan), None
        marks = [self.plan.get_form(entry.link.frame.name).decimal for entry in entries]
        columns = [(entry.cells, mark) for entry, mark in zip(entries, marks, strict=True)]
        numbers, broken, implausible = measure_length(length, columns, part)
        for entry, rows in zip(entries, broken, strict=True):
            self._reject(entry, "type", f"must be a {part} in {length.unit}", rows)
        low, high = PLAUSIBLE[part]
        unit = "m" if part == "height" else "kg"
        message = f"is not a {part} in {length.unit}: must be {low:g} to {high:g} {unit}"
        self._reject(entries[0], "range", message, implausible)
        return numbers, entries[0]

    def _count_rows(self, name: str, rule: Derivation) -> Derived:
        link = self.linked[str(rule.count)]
        rows = link.frame.tally.open & (link.patient >= 0)
        for column, texts in rule.where.items():
            rows &= find_texts(self._get_column(name, link, column), texts)
        row, course = self._pair_courses(link, np.flatnonzero(rows))
        if rule.until is not None:
            until = self._find_until(name, rule)
            undated = np.isnan(link.date[row]) | np.isnan(until[course])
            link.frame.note("derive", f"{name}: no date, not counted", int(undated.sum()))
            with np.errstate(invalid="ignore"):
                counted = link.date[row] <= until[course]
            row, course = row[counted], course[counted]
        link.frame.tally.use(row)
        if rule.distinct is not None:
            codes = self._get_column(name, link, rule.distinct).codes[row]
            pairs = np.unique(np.stack([course, codes.astype(np.intp)])[:, codes >= 0], axis=1)
            course = pairs[0]
        counts = np.bincount(course, minlength=self.courses.size).astype(np.float64)
        present = np.zeros(len(self.courses.names), dtype=bool)
        present[link.patient[link.patient >= 0]] = True
        none = int((~present[self.courses.patient]).sum())
        link.frame.note("derive", f"{name}: courses without any row, counted as 0", none)
        return self._wrap(name, rule, counts, None)

    def _get_column(self, name: str, link: Linked, column: str) -> Cells:
        frame = link.frame
        theirs = {ours: theirs for theirs, ours in frame.roles.fields.items()}
        label = column if column in frame.columns else theirs.get(column)
        if label is None:
            message = f"the table {frame.name} has no such column"
            self.problems.append(Problem(f"derive.{name}: {column}", "missing_column", message))
            return blank_cells(frame.size)
        return frame.columns[label]

    # A row without a course counts for every course of its patient.
    def _pair_courses(self, link: Linked, rows: Indices) -> tuple[Indices, Indices]:
        own = link.course[rows] >= 0
        shared = rows[~own] if link.frame.section.course is None else rows[:0]
        counts = self.courses.count_by_patient()[link.patient[shared]]
        first = self.courses.find_first()[link.patient[shared]]
        starts = np.cumsum(counts) - counts
        offsets = np.arange(counts.sum()) - np.repeat(starts, counts)
        courses = np.concatenate([link.course[rows[own]], np.repeat(first, counts) + offsets])
        return np.concatenate([rows[own], np.repeat(shared, counts)]), courses

    def _read_boxes(self, entries: Sequence[Contribution]) -> list[Numbers]:
        boxes = []
        for entry in entries:
            values = entry.cells.map_numbers(_read_box)
            message = "must be a checked or unchecked box: 1 or 0, true or false, checked or not"
            self._reject(entry, "type", message, np.isnan(values) & entry.cells.present)
            boxes.append(values)
        return boxes

    def _find_any(self, name: str, rule: Derivation) -> Derived | None:
        entries = self._find_all(name, rule.any)
        if not entries:
            return None
        boxes = np.stack(self._read_boxes(entries))
        checked = (boxes == 1).any(axis=0)
        unknown = ~checked & np.isnan(boxes).any(axis=0)
        return Derived(rule.rule, pa.array(checked, pa.bool_(), mask=unknown), entries[0])

    def _count_checked(self, name: str, rule: Derivation) -> Derived | None:
        entries = self._find_all(name, rule.checked)
        if not entries:
            return None
        boxes = np.stack(self._read_boxes(entries))
        counts = np.where(np.isnan(boxes).all(axis=0), np.nan, (boxes == 1).sum(axis=0))
        return self._wrap(name, rule, counts, entries[0])

    def _sum_columns(self, name: str, rule: Derivation) -> Derived | None:
        entries = self._find_all(name, rule.sum)
        if not entries:
            return None
        numbers = np.stack([self._read_source_numbers(entry) for entry in entries])
        blank = np.isnan(numbers)
        total = np.where(blank, 0.0, numbers).sum(axis=0)
        lacking = blank.any(axis=0) if rule.blank is None else blank.all(axis=0)
        return self._wrap(name, rule, np.where(lacking, np.nan, total), entries[0])

    def _take_first(self, name: str, rule: Derivation) -> Derived | None:
        entries = self._find_all(name, rule.first)
        if not entries:
            return None
        cells = coalesce_cells([entry.cells for entry in entries])
        rows = np.full(self.courses.size, -1)
        same = [entry for entry in entries if entry.link is entries[0].link]
        for entry in reversed(same):
            rows = np.where(entry.rows >= 0, entry.rows, rows)
        source = Contribution(name, entries[0].label, entries[0].link, cells, rows)
        return Derived(rule.rule, cells.to_arrow(), source)

    def _wrap(
        self, name: str, rule: Derivation, numbers: Numbers, source: Contribution | None
    ) -> Derived:
        if self.dictionary.fields[name].kind is Kind.INTEGER:
            numbers = np.floor(numbers)
        return Derived(rule.rule, pa.array(numbers, mask=np.isnan(numbers)), source)


def _list_labels(entry: Contribution) -> tuple[str, ...]:
    table = entry.link.frame.name
    return (entry.target, entry.label, f"{table}.{entry.target}", f"{table}.{entry.label}")


def _read_box(text: str) -> float:
    plain = text.strip().lower()
    return 1.0 if plain in _CHECKED else 0.0 if plain in _UNCHECKED else np.nan


def find_baseline_days(
    contributions: Sequence[Contribution], dictionary: Dictionary, courses: int
) -> Numbers:
    """Return the day of the last baseline score read for each course; NaN if unknown."""
    last = np.full(courses, np.nan)
    for entry in contributions:
        if entry.slot == BASELINE and entry.target in dictionary.score_names:
            days = np.append(entry.link.date, np.nan)[entry.rows]
            last = np.fmax(last, days)
    return last
