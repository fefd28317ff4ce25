"""Courses as the table that a peer is given: one column per field, nothing fitted."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from features.base.arrays import Numbers
from features.dictionary.field import Field, Kind
from features.records.columns import Columns

# A pandas data frame; pandas comes without types here.
Table = Any
Predict = Callable[[Any], Numbers]


def make_table(columns: Columns, fields: Sequence[str]) -> Table:
    """Make the table of some fields; the site's categories are those of these courses."""
    known = columns.dictionary.fields
    return pd.DataFrame({name: _make_series(columns, known[name]) for name in fields})


def _make_series(columns: Columns, field: Field) -> Any:
    if field.kind is Kind.TEXT:
        return pd.Categorical(columns.get_texts(field.name).tolist())
    values = columns.get_numbers(field.name)
    if field.kind is not Kind.CATEGORY:
        return values
    codes = np.nan_to_num(values, nan=-1).astype(int)
    return pd.Categorical.from_codes(codes, categories=list(field.categories))


def match_categories(table: Table, fitted: Table) -> Table:
    """Give categories the coding of the table fitted on; one that it lacks becomes missing."""
    known = {
        name: table[name].cat.set_categories(fitted[name].cat.categories)
        for name in table
        if isinstance(table[name].dtype, pd.CategoricalDtype)
    }
    return table.assign(**known)
