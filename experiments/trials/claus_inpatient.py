"""Inpatients by item (Claus 2020): a baseline whose items cannot be right is set aside.

Of 43 patients, 4 have a BDI-II total that is not the sum of their items, and 1 has a HAM-D17 item
beyond its scale. Nobody can say which number is wrong, so that baseline is missing; the patient's
other scores stay.
"""

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from experiments.trials.table import Row, read_rows
from features.dictionary.dictionary import load_dictionary

# What the table calls the items of our instruments, and their totals.
PREFIXES = MappingProxyType({"bdi2": "bdi1_", "hamd17": "hamd1_"})


def read_inpatients(path: Path | None) -> Any:
    """Read the trial's table, one row a patient.

    Returns
    -------
    pyarrow.Table
        Texts as on disk; baselines that contradict themselves missing, items and total.

    Raises
    ------
    CohortError
        If it is not the trial's table.
    """
    needed = tuple(name for key in PREFIXES for name in list_columns(key))
    rows = read_rows(path, needed)
    return pa.Table.from_pylist([set_aside(row) for row in rows])


def list_columns(key: str) -> tuple[str, ...]:
    """List the table's columns with an instrument's baseline, the total first."""
    count = len(load_dictionary().instruments[key].item_highs)
    return (f"{key}_baseline", *(f"{PREFIXES[key]}{number}" for number in range(1, count + 1)))


def set_aside(row: Row) -> Row:
    """Take away the baselines that contradict themselves."""
    wrong = [name for key in PREFIXES if contradicts(row, key) for name in list_columns(key)]
    return {**row, **dict.fromkeys(wrong)}


def contradicts(row: Row, key: str) -> bool:
    """Tell whether a total is not the sum of its items, or an item beyond its scale."""
    total, *items = (row[name] for name in list_columns(key))
    highs = load_dictionary().instruments[key].item_highs
    if total is None or None in items:
        return False
    scores = [float(text or 0) for text in items]
    beyond = any(score > high for score, high in zip(scores, highs, strict=True))
    return beyond or sum(scores) != float(total)
