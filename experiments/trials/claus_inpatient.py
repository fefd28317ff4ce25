"""Inpatients by item (Claus 2020); a baseline whose items contradict its total is missing.

Of 43 patients, 4 have a BDI-II total that is not the sum of their items, and 1 has a HAM-D17 item
out of range. Which number is wrong is unknown, so that baseline counts as missing; the patient's
other scores stay.
"""

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from experiments.trials.table import Row, read_rows
from features.dictionary.dictionary import load_dictionary

# How the table's columns with the items of our instruments begin.
_PREFIXES = MappingProxyType({"bdi2": "bdi1_", "hamd17": "hamd1_"})


def read_inpatients(path: Path | None) -> Any:
    """Read the trial's table, one row per patient.

    Returns
    -------
    pyarrow.Table
        Texts as on disk; baselines that contradict themselves missing, items and total.

    Raises
    ------
    CohortError
        If it is not the trial's table.
    """
    needed = tuple(name for key in _PREFIXES for name in _list_columns(key))
    rows = read_rows(path, needed)
    return pa.Table.from_pylist([_drop_contradictions(row) for row in rows])


def _list_columns(key: str) -> tuple[str, ...]:
    count = len(load_dictionary().instruments[key].item_highs)
    return (f"{key}_baseline", *(f"{_PREFIXES[key]}{number}" for number in range(1, count + 1)))


def _drop_contradictions(row: Row) -> Row:
    wrong = [name for key in _PREFIXES if _contradicts(row, key) for name in _list_columns(key)]
    return {**row, **dict.fromkeys(wrong)}


def _contradicts(row: Row, key: str) -> bool:
    total, *items = (row[name] for name in _list_columns(key))
    highs = load_dictionary().instruments[key].item_highs
    if total is None or None in items:
        return False
    scores = [float(text or 0) for text in items]
    beyond = any(score > high for score, high in zip(scores, highs, strict=True))
    return beyond or sum(scores) != float(total)
