"""Courses as the table that a peer is given: one column a field, nothing fitted."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from features.base.arrays import Numbers
from features.dictionary.field import Field, Kind
from features.records.columns import Columns

# A pandas data frame, which has no types here.
Table = Any
Predict = Callable[[Any], Numbers]


def make_table(columns: Columns, fields: Sequence[str]) -> Table:
    """Make the table of some fields; the site has the categories that these courses have."""
    return pd.DataFrame(
        {name: make_series(columns, columns.dictionary.fields[name]) for name in fields}
    )


def make_series(columns: Columns, field: Field) -> Any:
    """Make one column: a number, or a category of the registry's."""
    if field.kind is Kind.TEXT:
        return pd.Categorical(columns.get_texts(field.name).tolist())
    values = columns.get_numbers(field.name)
    if field.kind is not Kind.CATEGORY:
        return values
    codes = np.nan_to_num(values, nan=-1).astype(int)
    return pd.Categorical.from_codes(codes, categories=list(field.categories))


def take_categories(table: Table, learned: Table) -> Table:
    """Give categories the coding of the table learned from; what that did not have is missing."""
    known = {
        name: table[name].cat.set_categories(learned[name].cat.categories)
        for name in table
        if isinstance(table[name].dtype, pd.CategoricalDtype)
    }
    return table.assign(**known)
