"""Columns: the validated values of many assessments, or of one, by field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.field import Kind
from features.fields import COHORT_FIELDS


@dataclass(frozen=True)
class Columns:
    """Values by field, one entry a row; a field that nobody recorded may be absent.

    Parameters
    ----------
    size
        Number of rows.
    values
        ``float64[size]`` with NaN for missing: numbers as they are, flags as 0 and 1, categories
        as their position in the registry, dates as days since 1970-01-01. Texts are
        ``object[size]`` with None for missing.
    """

    size: int
    values: Mapping[str, NDArray[Any]]

    def get_numbers(self, name: str) -> NDArray[np.float64]:
        """Return a field as ``float64[size]``; all NaN where nobody recorded it."""
        found = self.values.get(name)
        return np.full(self.size, np.nan) if found is None else found

    def get_texts(self, name: str) -> NDArray[np.object_]:
        """Return a text field as ``object[size]``; all None where nobody recorded it."""
        found = self.values.get(name)
        return np.full(self.size, None, dtype=object) if found is None else found

    def find_missing(self, name: str) -> NDArray[np.bool_]:
        """Tell in which rows a field is missing, as ``bool[size]``."""
        if name not in self.values:
            return np.ones(self.size, dtype=bool)
        values = self.values[name]
        missing: NDArray[np.bool_]
        missing = np.equal(values, None) if values.dtype == object else np.isnan(values)
        return missing

    def stack(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return some fields as ``float64[fields, size]``, NaN where missing; not the texts."""
        if not names:
            return np.empty((0, self.size))
        blank = np.full(self.size, np.nan)
        found = [self.values.get(name, blank) for name in names]
        stacked: NDArray[np.float64] = np.concatenate(found).reshape(len(names), self.size)
        return stacked

    def select(self, rows: NDArray[Any]) -> "Columns":
        """Keep some rows, named by a mask or by positions."""
        if rows.dtype == bool and rows.all():
            return self
        chosen = {name: values[rows] for name, values in self.values.items()}
        return Columns(int(np.arange(self.size)[rows].size), chosen)

    def replace(self, values: Mapping[str, NDArray[Any]]) -> "Columns":
        """Return a copy in which some fields have other values."""
        return Columns(self.size, {**self.values, **values})

    def keep(self, names: Sequence[str]) -> "Columns":
        """Return a copy with these fields only, as far as they were recorded."""
        return Columns(
            self.size, {name: self.values[name] for name in names if name in self.values}
        )

    def list_recorded(self) -> list[str]:
        """List the fields that at least one row has, in the registry's order."""
        return [
            name
            for name in COHORT_FIELDS
            if name in self.values and not self.find_missing(name).all()
        ]


def concatenate_columns(parts: Sequence[Columns]) -> Columns:
    """Stack rows; a field that some parts lack is missing in their rows."""
    names = dict.fromkeys(name for part in parts for name in part.values)
    values = {name: np.concatenate([_get_any(part, name) for part in parts]) for name in names}
    return Columns(sum(part.size for part in parts), values)


def _get_any(part: Columns, name: str) -> NDArray[Any]:
    if COHORT_FIELDS[name].kind is Kind.TEXT:
        return part.get_texts(name)
    return part.get_numbers(name)
