"""Writing cohorts: validated columns as a file that reads back as the same columns."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from features.base.errors import InputError, Problem
from features.base.files import open_atomic
from features.dictionary.field import Field, Kind
from features.records.columns import Columns
from features.records.scoring import list_scored

_TYPES = MappingProxyType({Kind.INTEGER: pa.int64(), Kind.FLAG: pa.bool_()})
_WRITERS = MappingProxyType({".parquet": parquet.write_table, ".csv": csv.write_csv})


def make_array(field: Field | None, values: NDArray[Any]) -> Any:
    """Turn a field's values into an Arrow array: words for categories, days for dates.

    Parameters
    ----------
    field
        None if the values belong to no field.
    values
        As in :class:`~features.records.columns.Columns`.
    """
    if values.dtype == object or field is None:
        return pa.array(values.tolist())
    numbers = pa.array(values, from_pandas=True)  # NaN is missing
    if field.kind is Kind.CATEGORY:
        return pa.array(field.categories).take(numbers.cast(pa.int64()))
    if field.kind is Kind.DATE:
        return numbers.cast(pa.int32()).cast(pa.date32())
    return numbers.cast(_TYPES.get(field.kind, pa.float64()))


def make_cohort_table(columns: Columns, metadata: Mapping[str, str] | None = None) -> Any:
    """Turn a cohort's recorded fields into an Arrow table.

    A total that was pro-rated from items is left blank, so that a reader of the table derives it
    again and says so; its items are there.
    """
    derived = {score.scoring.instrument.key for score in list_scored(columns)}
    fields = columns.dictionary.cohort_fields
    arrays = {}
    for name in columns.list_recorded():
        values = columns.values[name]
        if name in derived:
            values = np.where(columns.find_prorated(name), np.nan, values)
        arrays[name] = make_array(fields[name], values)
    return pa.table(arrays).replace_schema_metadata(dict(metadata or {}))


def check_ending(path: Path, option: str = "--out") -> None:
    """Raise InputError if a file of that name cannot be written."""
    if path.suffix not in _WRITERS:
        message = f"must end in one of: {', '.join(_WRITERS)}"
        raise InputError([Problem(option, "format", message)])


def write_table_atomic(table: Any, path: Path) -> None:
    """Write a table completely or not at all, as Parquet or CSV by the path's ending.

    Raises
    ------
    InputError
        If the ending is neither.
    """
    check_ending(path)
    with open_atomic(path) as file:
        _WRITERS[path.suffix](table, file)
