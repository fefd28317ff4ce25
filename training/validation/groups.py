"""The subgroups that each course belongs to."""

from collections.abc import Callable, Mapping

import numpy as np

from features.base.arrays import Numbers, Texts
from features.dictionary.instrument import Instrument
from features.records.columns import Columns
from training.measures.subgroups import AGES, band_numbers

_CATEGORIES = ("sex", "condition", "route")


def label_courses(columns: Columns, instrument: Instrument) -> Mapping[str, Texts]:
    """Label each course by sex, age, condition, route, site and severity at baseline.

    Parameters
    ----------
    instrument
        The outcome's, whose bands give severity; thirds of its range if it has none.

    Returns
    -------
    mapping
        For each grouping with at least two subgroups here, ``object[courses]``, None if unknown.
    """
    labels = {name: _name_categories(columns, name) for name in _CATEGORIES}
    labels["age"] = band_numbers(columns.get_numbers("age"), AGES)
    labels["site"] = columns.get_texts("site")
    labels["severity"] = _name_severity(columns.get_numbers(instrument.key), instrument)
    order = ("sex", "age", "condition", "route", "site", "severity")
    return {name: labels[name] for name in order if len(set(labels[name].tolist()) - {None}) > 1}


def _name_categories(columns: Columns, name: str) -> Texts:
    categories = columns.dictionary.fields[name].categories
    return _name_each(columns.get_numbers(name), lambda value: categories[int(value)])


def _name_severity(totals: Numbers, instrument: Instrument) -> Texts:
    if instrument.bands:
        return _name_each(totals, instrument.name_band)
    # Thirds of the possible range, not of the cohort's: the same for every cohort.
    thirds = np.ceil(np.array([0, 1, 2]) * (instrument.high + 1) / 3).astype(int)
    return band_numbers(totals, thirds.tolist())


def _name_each(values: Numbers, name: Callable[[float], str | None]) -> Texts:
    named = [None if np.isnan(value) else name(value) for value in values.tolist()]
    return np.array(named, dtype=object)
