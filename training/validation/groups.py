"""Subgroups: as what each course counts, for the table of performance by subgroup."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.dictionary.instrument import Instrument
from features.records.columns import Columns
from training.measures.subgroups import AGES, band_numbers

Labels = NDArray[np.object_]

CATEGORIES = ("sex", "condition", "route")


def label_courses(columns: Columns, instrument: Instrument) -> Mapping[str, Labels]:
    """Label each course's sex, age, condition, route, site and severity at baseline.

    Parameters
    ----------
    instrument
        The outcome's, by whose bands severity is told; in thirds of its range where it has none.

    Returns
    -------
    mapping
        For each grouping that tells at least two courses apart, ``object[courses]`` with None for
        unknown.
    """
    found = {name: name_categories(columns, name) for name in CATEGORIES}
    found["age"] = band_numbers(columns.get_numbers("age"), AGES)
    found["site"] = columns.get_texts("site")
    found["severity"] = name_severity(columns.get_numbers(instrument.key), instrument)
    order = ("sex", "age", "condition", "route", "site", "severity")
    return {name: found[name] for name in order if len(set(found[name].tolist()) - {None}) > 1}


def name_categories(columns: Columns, name: str) -> Labels:
    """Name each course's category; None where unknown."""
    categories = columns.dictionary.fields[name].categories
    return name_each(columns.get_numbers(name), lambda value: categories[int(value)])


def name_severity(totals: Numbers, instrument: Instrument) -> Labels:
    """Name each course's severity band; None where unknown."""
    if instrument.bands:
        return name_each(totals, instrument.name_band)
    thirds = np.ceil(np.array([0, 1, 2]) * (instrument.high + 1) / 3).astype(int)
    return band_numbers(totals, thirds.tolist())


def name_each(values: Numbers, name: Callable[[float], str | None]) -> Labels:
    """Name each number that is known."""
    named = [None if np.isnan(value) else name(value) for value in values.tolist()]
    return np.array(named, dtype=object)
