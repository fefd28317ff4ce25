"""From a host's data frames to tables, and from measures to data frames."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.base.errors import CohortError, Problem
from features.model.card import Measure
from training.findings.findings import Findings


def make_table(frame: Any) -> Any:
    """Turn a data frame of pandas, Polars or any other library into an Arrow table.

    A frame's index is no column of it.

    Raises
    ------
    CohortError
        If it is not a data frame.
    """
    if isinstance(frame, pd.DataFrame):
        arrays = [_make_array(frame.iloc[:, number]) for number in range(frame.shape[1])]
        return pa.table(arrays, names=[str(name) for name in frame.columns])
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    message = "must be a data frame, a file, a list of files or a cohort that was read"
    raise CohortError([Problem("cohort", "type", message)])


def _make_array(series: Any) -> Any:
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        # Numbers and texts in one column, as spreadsheets have them: a cell is read by its text.
        texts = [None if _is_missing(value) else str(value) for value in series]
        return pa.array(texts, pa.string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _is_missing(value: Any) -> bool:
    # `isna` of a list is an array.
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def tabulate_measures(rows: Mapping[str, Mapping[str, Measure]], label: str) -> pd.DataFrame:
    """Arrange measures as a data frame: a row each, and for each measure its value and interval.

    Parameters
    ----------
    label
        What the rows are.
    """
    cells = {name: dict(_list_cells(measures)) for name, measures in rows.items()}
    return pd.DataFrame.from_dict(cells, orient="index").rename_axis(label)


def tabulate_performance(findings: Findings) -> pd.DataFrame:
    """Arrange the measures of findings by type of validation."""
    rows: dict[str, Mapping[str, Measure]] = {
        entry.way: entry.measures for entry in findings.performance if entry.measures
    }
    return tabulate_measures(rows, "validation")


def _list_cells(measures: Mapping[str, Measure]) -> Iterable[tuple[str, float]]:
    for name, measure in measures.items():
        ends = {name: measure.value, f"{name}_low": measure.low, f"{name}_high": measure.high}
        for key, value in ends.items():
            yield key, np.nan if value is None else value
