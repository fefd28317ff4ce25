"""Drafts: a mapping for an analyst to check, line by line, with a question for each."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from features.dictionary.dictionary import Dictionary
from features.intake.followups import list_column_fields
from features.intake.plan import IGNORED
from features.records.mapping import name_shared
from training.drafting.columns import (
    IDENTIFIER,
    MAX_WORD_LETTERS,
    MIN_WORD_ROWS,
    Suggestion,
    fit_field,
    suggest_columns,
)
from training.drafting.opening import open_items
from training.drafting.profiles import Profile, TableProfile
from training.drafting.shapes import Part, Shape, find_shape
from training.drafting.vocabulary import (
    SOURCES,
    name_field_like,
    read_score_name,
    read_slot,
    recognise_instrument,
)

_HEAD = """\
# A drafted mapping: guesses from column names, labels and values. None of it has been confirmed.
# Answer each question, then keep, correct or delete the line below it. Delete `draft = true` last:
# until then every command refuses this file. `python -m training mapping check` previews it.
draft = true
# Confidence is the similarity of names; 60% of it also needs values that fit. Half of an item's
# confidence needs the instrument's other items. Values are quoted only if they are known
# words or occur in at least 5 rows.
"""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# The question about each part of a table.
_QUESTIONS = {
    "patient": "Is it an opaque code of the patient, the same in all tables?",
    "course": "Does it number the treatment courses of a patient?",
    "visit": "Does it say which visit a row belongs to?",
    "day": "Does it count days since the first dose, 0 being its day?",
    "week": "Does it count weeks since the first dose?",
    "date": "Is it the day on which the row's values were recorded?",
    "instrument": "Does it name the rating scale?",
    "item": "Does it name the item?",
    "value": "Does it hold the answers?",
    "score": "Does it hold totals?",
}


@dataclass(frozen=True)
class TableDraft:
    """The draft of one table."""

    name: str
    profile: TableProfile
    shape: Shape
    suggestions: Sequence[Suggestion]
    # Of a long table: the values of each item.
    items: Mapping[str, Profile] = field(default_factory=dict)

    @property
    def renamed(self) -> list[Suggestion]:
        """The columns that become a field."""
        return [entry for entry in self.suggestions if entry.is_firm]

    @property
    def ignored(self) -> list[Suggestion]:
        """The columns that become none."""
        return [entry for entry in self.suggestions if not entry.is_firm]


@dataclass(frozen=True)
class Draft:
    """A draft of a mapping."""

    tables: Sequence[TableDraft]
    text: str = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the suggestions for JSON, without any word of a value."""
        return {
            "tables": [
                {
                    "table": table.name,
                    "file": table.profile.path.name,
                    "rows": table.profile.rows,
                    "form": dict(table.profile.form),
                    "row": table.shape.row,
                    "parts": {name: part.column for name, part in table.shape.parts.items()},
                    "columns": [entry.as_dict() for entry in table.suggestions],
                }
                for table in self.tables
            ]
        }


def draft_mapping(
    profiles: Sequence[TableProfile], dictionary: Dictionary, folder: Path = Path()
) -> Draft:
    """Draft a mapping for some exports.

    Parameters
    ----------
    folder
        Where the draft will lie: paths in it start there.
    """
    shapes = [find_shape(profile, dictionary) for profile in profiles]
    tables: list[TableDraft] = []
    for name, profile, shape in zip(_name_tables(profiles), profiles, shapes, strict=True):
        known = (s for p, s in zip(profiles, shapes, strict=True) if p.path == profile.path)
        keys = next(({**s.parts} for s in known if "patient" in s.parts), {})
        # A block of columns belongs to the patient and course of its file's other columns.
        lent = {k: keys[k] for k in ("patient", "course") if k in keys and profile.is_part}
        whole = Shape(shape.row, lent | {**shape.parts})
        table = _keep_first(_draft_table(name, profile, whole, dictionary), tables, dictionary)
        # Not a part from which nothing would be read, such as a block of empty columns.
        tables += [table] if table.renamed or not profile.is_part else []
    writer = _Writer(tables, dictionary, folder)
    return Draft(tables, "\n".join(writer.write()).rstrip() + "\n")


def _name_tables(profiles: Sequence[TableProfile]) -> Iterator[str]:
    taken: set[str] = set()
    for profile in profiles:
        base = re.sub(r"[^a-z0-9]+", "_", profile.name.lower()).strip("_") or "table"
        name, number = base, 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        yield name


def _draft_table(
    name: str, profile: TableProfile, shape: Shape, dictionary: Dictionary
) -> TableDraft:
    taken = {part.column for part in shape.parts.values()}
    free = profile.keep(name for name in profile.columns if name not in taken)
    item, value = shape.get_column("item"), shape.get_column("value")
    items = open_items(profile, item, value) if item and value else {}
    return TableDraft(name, profile, shape, suggest_columns(free, dictionary), items)


def _keep_first(
    table: TableDraft, earlier: Iterable[TableDraft], dictionary: Dictionary
) -> TableDraft:
    """Leave out fields that an earlier table has; scores may come from many visits."""
    earlier_tables = {entry.target: other.name for other in earlier for entry in other.renamed}
    is_visit = table.shape.row == "visit"

    def is_double(entry: Suggestion) -> bool:
        scored = read_score_name(entry.target or "", dictionary) is not None
        return entry.is_firm and entry.target in earlier_tables and not (is_visit and scored)

    kept = [
        entry.give_way(f"a column of {earlier_tables[entry.target]}") if is_double(entry) else entry
        for entry in table.suggestions
    ]
    return replace(table, suggestions=kept)


class _Writer:
    """Writes the lines of a draft."""

    def __init__(self, tables: Sequence[TableDraft], dictionary: Dictionary, folder: Path) -> None:
        self.tables, self.dictionary, self.folder = tables, dictionary, folder
        self.is_plain = len(tables) == 1 and tables[0].shape.row in ("patient", "course")
        self.fields = {entry.target for table in tables for entry in table.renamed}
        self.item_fields = list(self._list_item_fields())

    def write(self) -> Iterator[str]:
        yield _HEAD
        if self.is_plain:
            table = self.tables[0]
            yield from self._write_form(table)
            yield from self._write_ignored(table)
            yield "[rename]"
            yield from self._write_renamed(table, keys=True)
            yield ""
        else:
            for table in self.tables:
                yield from self._write_table(table)
        yield from self._write_words()
        yield from self._write_values()
        yield from self._write_derived()
        yield from self._write_constants()

    def _write_form(self, table: TableDraft) -> Iterator[str]:
        for key, value in table.profile.form.items():
            yield f"# {table.profile.path.name} appears to use this. Is that right?"
            if key == "dictionary":
                value = Path(os.path.relpath(value, self.folder)).as_posix()
            yield f"{key} = {_quote(value)}"

    def _write_table(self, table: TableDraft) -> Iterator[str]:
        kinds = {"patient": "a patient", "course": "a treatment course", "dose": "a dose"}
        yield f"[tables.{table.name}]"
        yield f"# Is a row {kinds.get(table.shape.row, 'a visit, a score or an answer')}?"
        if table.shape.row != "visit":
            yield f"row = {_quote(table.shape.row)}"
        if len(self.tables) > 1:
            yield f"file = {_quote(table.profile.path.name)}"
        for column, text in table.profile.where.items():
            yield f"where = {{ {_quote_key(column)} = [{_quote(text)}] }}"
        yield from self._write_form(table)
        for name, question in _QUESTIONS.items():
            if (part := table.shape.parts.get(name)) is not None:
                yield from _explain_part(part, question)
                yield f"{name} = {_quote(part.column)}"
        yield from self._write_ignored(table)
        lines = list(self._write_renamed(table, keys=False))
        if lines:
            yield f"[tables.{table.name}.rename]"
            yield from lines
        yield ""

    def _write_ignored(self, table: TableDraft) -> Iterator[str]:
        parts = table.shape.parts
        # A BMI needs both; with one row per course, no first dose has to be found.
        needless = {"first_dose"} if self.is_plain else set()
        needless |= set() if {"height", "weight"} <= {*parts} else {"height", "weight"}
        unused = [
            Suggestion(part.column, None, 0, part.reason, "May it be left out?")
            for name, part in parts.items()
            if name in needless
        ]
        identifying = [e for e in table.ignored if e.reason == IDENTIFIER]
        for entry in identifying:
            yield f"# {_quote(entry.column)} {entry.reason}. {entry.question}"
        left_out = [entry for entry in (*table.ignored, *unused) if entry not in identifying]
        if table.profile.is_part:
            yield from self._write_listed(table, left_out)
        elif left_out:
            yield "ignore = ["
            for reason, names in _group_reasons(left_out):
                yield f"    # {reason}"
                yield from (f"    {_quote(name)}," for name in names)
            yield "]"
        yield ""

    # A part of a file names its own columns: all others are another table's, or left out.
    def _write_listed(self, table: TableDraft, left_out: Sequence[Suggestion]) -> Iterator[str]:
        for reason, names in _group_reasons(left_out):
            yield f"# Left out: {', '.join(map(_quote, names))}."
            yield f"# ? {reason}"
        listed = [part.column for name, part in table.shape.parts.items() if name in SOURCES]
        listed += [entry.column for entry in table.renamed]
        yield "columns = ["
        yield from (f"    {_quote(name)}," for name in listed)
        yield "]"

    def _write_renamed(self, table: TableDraft, keys: bool) -> Iterator[str]:
        if keys:
            for name, ours in (("patient", "patient_id"), ("course", "course")):
                if (part := table.shape.parts.get(name)) is not None:
                    yield from _explain_part(part, _QUESTIONS[name])
                    yield f"{_quote_key(part.column)} = {_quote(ours)}"
        groups: dict[str, list[Suggestion]] = {}
        for entry in table.renamed:
            groups.setdefault(entry.group or entry.column, []).append(entry)
        for entries in groups.values():
            yield from self._write_group(table, entries)

    def _write_group(self, table: TableDraft, entries: Sequence[Suggestion]) -> Iterator[str]:
        first, last = entries[0], entries[-1]
        names = _quote(first.column) + (f" to {_quote(last.column)}" if len(entries) > 1 else "")
        yield f"# {names}, {min(e.confidence for e in entries):.0%}: {first.reason}."
        yield f"# ? {first.question}"
        for entry in entries:
            if entry.column != entry.target:
                yield f"{_quote_key(entry.column)} = {_quote(entry.target)}"

    def _write_words(self) -> Iterator[str]:
        """Write the sections that translate words of visits, instruments and items."""
        sections: dict[str, dict[str, str]] = {"visits": {}, "instruments": {}, "items": {}}
        hidden = dict.fromkeys(sections, 0)
        for table in self.tables:
            for section, part in zip(sections, ("visit", "instrument", "item"), strict=True):
                column = table.shape.get_column(part)
                if column is not None:
                    profile = table.profile.columns[column]
                    hidden[section] += self._translate(section, profile, sections[section])
        for section, words in sections.items():
            if not words and not hidden[section]:
                continue
            yield f"[{section}]"
            yield '# Is each of these right? Map what must not be read to "ignore".'
            yield from _count_hidden(hidden[section])
            yield from (f"{_quote_key(theirs)} = {_quote(ours)}" for theirs, ours in words.items())
            yield ""

    def _translate(self, section: str, profile: Profile, words: dict[str, str]) -> int:
        hidden = 0
        for text, count in profile.counts.items():
            ours = self._translate_word(section, text)
            if ours is not None:
                # Sources of derived fields are not words of the reader: they must be named.
                if ours != text or ours in SOURCES:
                    words[text] = ours
            elif count >= MIN_WORD_ROWS and len(text) <= MAX_WORD_LETTERS:
                words[text] = IGNORED
            else:
                hidden += 1
        return hidden

    def _translate_word(self, section: str, text: str) -> str | None:
        if section == "visits":
            return read_slot(text)
        if section == "instruments":
            return recognise_instrument(text, self.dictionary)
        reading = read_score_name(text, self.dictionary)
        if reading is not None:
            items = self.dictionary.instruments[reading.instrument].numbered_items
            return reading.instrument if reading.item is None else items[reading.item]
        if text.isdigit():
            return text
        return name_field_like(text, self.dictionary)

    def _write_values(self) -> Iterator[str]:
        units: list[str] = []
        answered: set[str] = set()
        entries = [entry for table in self.tables for entry in table.renamed]
        for entry in [*entries, *self.item_fields]:
            if entry.unit is not None:
                units += [f"# {entry.question}", f"{entry.target} = {_quote(entry.unit)}"]
            name = entry.target
            if entry.group and entry.words:
                # Once for all items of the instrument, at every visit.
                name = name_shared(list_column_fields(self.dictionary)[entry.target or ""])
            if name in answered or not (entry.words or entry.unknown or entry.hidden):
                continue
            answered.add(name or "")
            yield f"[values.{name}]"
            yield f"# {entry.question}"
            yield from _count_hidden(entry.hidden)
            for theirs, ours in entry.words.items():
                yield f"{_quote_key(theirs)} = {_quote(ours)}"
            for theirs in entry.unknown:
                yield f'# {_quote_key(theirs)} = "?"'
            yield ""
        if units:
            yield from ("[units]", *units, "")

    def _list_item_fields(self) -> Iterator[Suggestion]:
        """List the items of long tables that are fields, not scores."""
        for table in self.tables:
            for name, profile in table.items.items():
                ours = self.dictionary.fields.get(self._translate_word("items", name) or "")
                if ours is not None and read_score_name(name, self.dictionary) is None:
                    yield fit_field(profile, ours, 1.0)

    def _write_derived(self) -> Iterator[str]:
        for table in self.tables:
            parts, columns = dict(table.shape.parts), dict(table.profile.columns)
            for text, profile in table.items.items():
                if (name := name_field_like(text, self.dictionary)) in SOURCES:
                    parts[name], columns[name] = Part(name, 1, "an item of that name"), profile
            yield from self._derive_age(table, parts)
            if {"height", "weight"} <= {*parts} and "bmi" not in self.fields:
                self.fields.add("bmi")
                yield "[derive.bmi]"
                for name in ("height", "weight"):
                    yield from _explain_part(
                        parts[name], "Is its unit right? It was guessed from the values."
                    )
                for name, guess in (("height", _guess_length), ("weight", _guess_weight)):
                    column = parts[name].column
                    unit = guess(columns.get(column))
                    yield f"{name} = {{ column = {_quote(column)}, unit = {_quote(unit)} }}"
                yield ""
            if table.shape.row == "dose":
                yield "# ? Do doses this many days apart begin a new course? If so:"
                yield from ("# [courses]", "# gap_days = 60", "")
            if table.shape.row == "visit" and "date" in parts and "assessed_on" not in self.fields:
                self.fields.add("assessed_on")
                yield "[derive.assessed_on]"
                yield "# ? Is the day of the last baseline visit that of the assessment?"
                yield from ('date_of = "baseline"', "")
            if "first_dose" in parts and not self.is_plain:
                yield "[first_dose]"
                yield from _explain_part(
                    parts["first_dose"], "Is it the day of a course's first dose?"
                )
                yield f"column = {_quote(parts['first_dose'].column)}"
                yield ""

    def _derive_age(self, table: TableDraft, parts: Mapping[str, Part]) -> Iterator[str]:
        for name in ("birth_date", "birth_year"):
            if name in parts and "age" not in self.fields:
                self.fields.add("age")
                yield "[derive.age]"
                yield from _explain_part(parts[name], "Is it when the patient was born?")
                yield f"years_since = {_quote(parts[name].column)}"
                yield ""

    def _write_constants(self) -> Iterator[str]:
        translated = {entry.target for entry in self.item_fields}
        if "condition" not in self.fields | translated:
            categories = ", ".join(self.dictionary.fields["condition"].categories)
            yield "[constants]"
            yield f"# No column seems to hold the condition. Is it the same for all: {categories}?"
            yield '# condition = "depression"'


def _group_reasons(entries: Iterable[Suggestion]) -> Iterator[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for entry in entries:
        text = f"{entry.confidence:.0%}: {entry.reason}. {entry.question}"
        groups.setdefault(text, []).append(entry.column)
    yield from groups.items()


def _explain_part(part: Part, question: str) -> Iterator[str]:
    yield f"# {_quote(part.column)}, {part.confidence:.0%}: {part.reason}."
    yield f"# ? {question}"


def _count_hidden(count: int) -> Iterable[str]:
    if count:
        noun = "word is" if count == 1 else "words are"
        rule = f"in fewer than {MIN_WORD_ROWS} rows each, or long"
        yield f"# {count} further {noun} not shown ({rule})."


def _quote(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _quote_key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quote(name)


def _middle(profile: Profile | None) -> float | None:
    values, counts = (np.empty(0), np.empty(0)) if profile is None else profile.numbers
    return float(np.median(np.repeat(values, counts.astype(int)))) if len(values) else None


def _guess_length(profile: Profile | None) -> str:
    middle = _middle(profile)
    return "cm" if middle is None or middle > 100 else "m" if middle < 3 else "in"


def _guess_weight(profile: Profile | None) -> str:
    middle = _middle(profile)
    named = profile is not None and "lb" in profile.name.lower()
    return "lb" if named or (middle is not None and middle > 130) else "kg"
