"""Grids: a table's values with one row per visit, patient, course or dose, whatever its shape."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Indices
from features.base.errors import Problem
from features.dictionary.dictionary import Dictionary
from features.intake.cells import Cells
from features.intake.codes import fold_letters, fold_word, make_loose_key
from features.intake.frame import Grid, GridColumn, Linked, explain_duplicates, find_runs
from features.intake.plan import IGNORED, Plan, translate_name


def make_grids(
    link: Linked, plan: Plan, dictionary: Dictionary, accept: Callable[[str], bool], lenient: bool
) -> tuple[list[Grid], list[Problem]]:
    """Arrange a linked frame as grids: one, or two of a long table that has other columns too.

    Parameters
    ----------
    accept
        Whether a name may become a column.
    lenient
        Whether unknown words are left aside instead of refused.
    """
    frame = link.frame
    rows = np.flatnonzero(frame.tally.open & (link.patient >= 0))
    wide = {
        ours: GridColumn(frame.columns[theirs].take(rows), theirs, rows)
        for theirs, ours in frame.roles.fields.items()
    }
    if not frame.section.is_long:
        return [Grid(link, rows, wide)], []
    long, problems = _pivot(link, rows, _Targets(link, plan, dictionary, accept, lenient))
    return [long, *([Grid(link, rows, wide)] if wide else [])], problems


class _Targets:
    """Which column of ours each row of a long table is about."""

    def __init__(
        self,
        link: Linked,
        plan: Plan,
        dictionary: Dictionary,
        accept: Callable[[str], bool],
        lenient: bool,
    ) -> None:
        self.frame, self.plan, self.accept, self.lenient = link.frame, plan, accept, lenient
        self.dictionary = dictionary
        self.instruments = {fold_letters(key): key for key in dictionary.instruments}
        for key, instrument in dictionary.instruments.items():
            self.instruments.setdefault(fold_letters(instrument.name), key)
        self.words = {fold_word(word): key for word, key in plan.instruments.items()}

    def name_instrument(self, text: str) -> str | None:
        """Return an instrument's key, `ignore`, or None if the word is unknown."""
        known = self.words.get(fold_word(text))
        return known or self.instruments.get(fold_letters(text))

    def name_item(self, text: str, instrument: str | None) -> str | None:
        """Return a column of ours, `ignore`, or None if the word is unknown."""
        plain = text.strip()
        ours = translate_name(plain, self.plan.items)
        if ours == IGNORED or (ours != plain and self.accept(ours)):
            return ours
        number = make_loose_key(plain)
        if instrument is not None and not isinstance(number, str):
            return self.dictionary.instruments[instrument].numbered_items.get(float(number))
        return ours if self.accept(ours) else None

    def name_columns(self, rows: Indices) -> tuple[list[str], Indices, list[Problem]]:
        """Name the column of each row: the names, and each row's position, -1 if aside."""
        section, frame = self.frame.section, self.frame
        scales = [frame.columns[section.instrument].take(rows)] if section.instrument else []
        items = [frame.columns[section.item].take(rows)] if section.item else []
        codes = np.stack([cells.codes for cells in (*scales, *items)])
        distinct, position = np.unique(codes, axis=1, return_inverse=True)
        names: dict[str, int] = {}
        targets: list[int] = []
        unknown: list[tuple[int, str]] = []
        ignored: list[int] = []
        for column, pair in enumerate(distinct.T.tolist()):
            texts = [
                cells.texts[code] if code >= 0 else ""
                for cells, code in zip((*scales, *items), pair, strict=True)
            ]
            ours, broken = self._name_column(texts, bool(scales), bool(items))
            if broken is not None:
                unknown.append((column, broken))
            if ours == IGNORED:
                ignored.append(column)
            known = ours is not None and ours != IGNORED
            targets.append(names.setdefault(str(ours), len(names)) if known else -1)
        position = position.ravel()
        aside = np.isin(position, ignored)
        frame.tally.set_aside(rows[aside], "visits", "ignored by the mapping")
        problems = self._explain_unknown(unknown, position, rows)
        return list(names), np.array([*targets, -1])[position], problems

    def _name_column(
        self, texts: Sequence[str], scaled: bool, itemised: bool
    ) -> tuple[str | None, str | None]:
        section = self.frame.section
        scale = self.name_instrument(texts[0]) if scaled else None
        if scaled and scale is None:
            return None, section.instrument
        if scale == IGNORED or not itemised:
            return scale, None
        ours = self.name_item(texts[-1], scale)
        return ours, section.item if ours is None else None

    def _explain_unknown(
        self, unknown: Sequence[tuple[int, str]], position: Indices, rows: Indices
    ) -> list[Problem]:
        problems: list[Problem] = []
        for column in dict.fromkeys(name for _, name in unknown):
            codes = [code for code, name in unknown if name == column]
            strange = rows[np.isin(position, codes)]
            if self.lenient:
                self.frame.tally.set_aside(strange, "visits", f"unknown word: {column}")
                continue
            part = "instruments" if column == self.frame.section.instrument else "items"
            message = (
                f"is not a word of [{part}], nor one of ours; add it there, or map it to ignore"
            )
            problems += self.frame.explain(column, "unknown", message, strange)
        return problems


def _pivot(link: Linked, rows: Indices, targets: _Targets) -> tuple[Grid, list[Problem]]:
    frame, section = link.frame, link.frame.section
    label = str(section.score or section.value)
    values = frame.columns[label].without(targets.plan.missing)
    filled = values.present[rows]
    frame.tally.set_aside(rows[~filled], "readings", "no value")
    rows = rows[filled]
    names, target, problems = targets.name_columns(rows)
    rows, target = rows[target >= 0], target[target >= 0]
    moment = _number_moments(link, rows)
    kept, refused = _merge_cells(link, rows, moment * max(len(names), 1) + target, values)
    problems += refused
    rows, target, moment = rows[kept], target[kept], moment[kept]
    first = np.zeros(moment.max(initial=-1) + 1, dtype=np.intp)
    # The first of the rows that are kept: the last assignment counts.
    first[moment[::-1]] = rows[::-1]
    columns = {}
    for position, name in enumerate(names):
        own = target == position
        codes = np.full(len(first), -1)
        codes[moment[own]] = rows[own]
        columns[name] = GridColumn(values.take(codes), label, codes)
    return Grid(link, first, columns), problems


# What is recorded of one patient and course at one time is one visit.
def _number_moments(link: Linked, rows: Indices) -> Indices:
    section, frame = link.frame.section, link.frame
    names = [name for name in (section.visit, section.day, section.week, section.date) if name]
    parts = [link.patient[rows], np.nan_to_num(link.number[rows]).astype(np.intp)]
    parts += [frame.columns[name].codes[rows].astype(np.intp) for name in names]
    moment = np.zeros(len(rows), dtype=np.intp)
    for part in parts:
        _, part = np.unique(part, return_inverse=True)
        _, moment = np.unique(moment * (part.max(initial=0) + 1) + part, return_inverse=True)
    return moment


# Of rows for the same cell, equal ones are merged; `duplicates` settles the others.
def _merge_cells(
    link: Linked, rows: Indices, cell: NDArray[np.intp], values: Cells
) -> tuple[Flags, list[Problem]]:
    order = np.argsort(cell, kind="stable")
    cells, codes = cell[order], values.codes[rows][order]
    starts, first = find_runs(cells)
    differs = np.zeros(len(cells), dtype=bool)
    differs[order] = codes != codes[first]
    kept = np.zeros(len(cells), dtype=bool)
    kept[order] = starts
    return _settle_cells(link, rows, cell, kept, differs)


def _settle_cells(
    link: Linked, rows: Indices, cell: NDArray[np.intp], kept: Flags, differs: Flags
) -> tuple[Flags, list[Problem]]:
    frame, rule = link.frame, link.frame.section.duplicates
    unlike = np.isin(cell, cell[differs])
    frame.tally.set_aside(rows[~kept & ~unlike], "readings", "repeats a row")
    if not differs.any():
        return kept, []
    if rule == "refuse":
        message = explain_duplicates("differs from an earlier row of the same visit")
        label = frame.section.score or frame.section.value
        return kept, frame.explain(label, "duplicate", message, rows[differs])
    if rule == "last":
        last = np.zeros(len(rows), dtype=bool)
        last[len(rows) - 1 - np.unique(cell[::-1], return_index=True)[1]] = True
        kept = np.where(unlike, last, kept)
    frame.tally.set_aside(rows[~kept & unlike], "readings", f"duplicate: the {rule} is read")
    return kept, []
