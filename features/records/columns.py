"""Columns: the validated values of many assessments, or of one, by field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Indices, Numbers, Texts
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.dictionary.field import Kind

# Sets of fields that come together, of which the most recent are remembered.
KNOWN_FORMS = 256


@dataclass(frozen=True)
class Table:
    """Numbers of many fields in one array, from which any of them are gathered at once."""

    names: tuple[str, ...]
    # `float64[names + 1, rows]`: fields that are not here have the last line, which is all NaN.
    numbers: Numbers

    def list_values(self) -> dict[str, Numbers]:
        """List the numbers by field, each ``float64[rows]``."""
        return dict(zip(self.names, self.numbers, strict=False))

    def gather(self, names: tuple[str, ...]) -> Numbers:
        """Return some fields, NaN where a field is not here."""
        return self.numbers.take(_find_lines(names, self.names), axis=0)


@lru_cache(maxsize=KNOWN_FORMS)
def _find_lines(wanted: tuple[str, ...], names: tuple[str, ...]) -> Indices:
    lines = {name: line for line, name in enumerate(names)}
    return np.array([lines.get(name, len(names)) for name in wanted], dtype=np.intp)


@dataclass(frozen=True)
class Columns:
    """Values by field, one entry for each of `size` rows; a field that no row has may be absent.

    Values are ``float64[size]`` with NaN for missing: numbers as they are, flags as 0 and 1,
    categories as their position in the dictionary, dates as days since 1970-01-01. Texts are
    ``object[size]``, None if missing.
    """

    size: int
    values: Mapping[str, NDArray[Any]]
    # All the numbers among `values` once more, if they lie in one array anyway.
    table: Table | None = None
    dictionary: Dictionary = field(default_factory=load_dictionary)
    # Totals that were pro-rated from part of their items, ``bool[size]``; absent if none was.
    prorated: Mapping[str, Flags] = field(default_factory=dict)

    def get_numbers(self, name: str) -> Numbers:
        """Return a field as ``float64[size]``; all NaN if it is absent."""
        values = self.values.get(name)
        return np.full(self.size, np.nan) if values is None else values

    def get_texts(self, name: str) -> Texts:
        """Return a text field as ``object[size]``; all None if it is absent."""
        values = self.values.get(name)
        return np.full(self.size, None, dtype=object) if values is None else values

    def count_texts(self, name: str) -> int:
        """Count the different values of a text field, as of patients or sites."""
        return len({text for text in self.get_texts(name) if text is not None})

    def find_missing(self, name: str) -> Flags:
        """Return in which rows a field is missing, as ``bool[size]``."""
        if name not in self.values:
            return np.ones(self.size, dtype=bool)
        values = self.values[name]
        texts = values.dtype.hasobject
        missing: Flags = values == np.array(None) if texts else np.isnan(values)
        return missing

    def find_undosed(self) -> Flags:
        """Return in which rows the agent has neither route nor dose, as ``bool[size]``."""
        return np.isin(self.get_numbers("agent"), self.dictionary.undosed_agents)

    def find_prorated(self, name: str) -> Flags:
        """Return in which rows a total was pro-rated from part of its items, as ``bool[size]``."""
        marks = self.prorated.get(name)
        return np.zeros(self.size, dtype=bool) if marks is None else marks

    def stack(self, names: tuple[str, ...]) -> Numbers:
        """Return some fields as ``float64[fields, size]``, NaN where missing; not the texts."""
        # Fast path of the lines below: JSON is read into one array.
        if self.table is not None:
            return self.table.gather(names)
        if not names:
            return np.empty((0, self.size))
        blank = np.full(self.size, np.nan)
        rows = [self.values.get(name, blank) for name in names]
        stacked: Numbers = np.concatenate(rows).reshape(len(names), self.size)
        return stacked

    def select(self, rows: NDArray[Any]) -> "Columns":
        """Keep some rows, named by a mask or by positions."""
        # Fast path of the lines below: usually every row is kept.
        if rows.dtype == bool and rows.all():
            return self
        count = int(np.arange(self.size)[rows].size)
        prorated = {name: marks[rows] for name, marks in self.prorated.items()}
        if self.table is None:
            kept = {name: values[rows] for name, values in self.values.items()}
            return Columns(count, kept, None, self.dictionary, prorated)
        table = Table(self.table.names, self.table.numbers[:, rows])
        kept = {**table.list_values()}
        kept |= {name: self.values[name][rows] for name in self.values if name not in kept}
        return Columns(count, kept, table, self.dictionary, prorated)

    def replace(self, values: Mapping[str, NDArray[Any]]) -> "Columns":
        """Return a copy in which some fields have other values."""
        # What replaces a pro-rated total is not that total.
        prorated = {name: marks for name, marks in self.prorated.items() if name not in values}
        return Columns(self.size, {**self.values, **values}, None, self.dictionary, prorated)

    def mark_prorated(self, marks: Mapping[str, Flags]) -> "Columns":
        """Return a copy that says which totals were pro-rated; none that no row has."""
        prorated = {name: rows for name, rows in marks.items() if np.count_nonzero(rows)}
        return Columns(self.size, self.values, self.table, self.dictionary, prorated)

    def keep(self, names: Sequence[str]) -> "Columns":
        """Return a copy with these fields only, as far as they are there."""
        kept = {name: self.values[name] for name in names if name in self.values}
        prorated = {name: marks for name, marks in self.prorated.items() if name in kept}
        return Columns(self.size, kept, None, self.dictionary, prorated)

    def list_recorded(self) -> list[str]:
        """List the fields that at least one row has, in the dictionary's order."""
        return [
            name
            for name in self.dictionary.cohort_fields
            if name in self.values and not self.find_missing(name).all()
        ]


def concatenate_columns(parts: Sequence[Columns]) -> Columns:
    """Stack rows read with one dictionary; a field that some parts lack is missing there."""
    names = dict.fromkeys(name for part in parts for name in part.values)
    values = {name: np.concatenate([_get_any(part, name) for part in parts]) for name in names}
    size = sum(part.size for part in parts)
    if not parts:
        return Columns(0, {})
    prorated = {
        name: np.concatenate([part.find_prorated(name) for part in parts])
        for name in dict.fromkeys(name for part in parts for name in part.prorated)
    }
    return Columns(size, values, None, parts[0].dictionary, prorated)


def _get_any(part: Columns, name: str) -> NDArray[Any]:
    if part.dictionary.cohort_fields[name].kind is Kind.TEXT:
        return part.get_texts(name)
    return part.get_numbers(name)
