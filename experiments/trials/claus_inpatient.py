"""Inpatients by item (Claus 2020); a baseline whose items contradict its total is missing.

Of 43 patients, 4 have a BDI-II total that is not the sum of their items, and 1 has a HAM-D17 item
out of range. Which number is wrong is unknown, so that baseline counts as missing; the patient's
other scores stay.
"""

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from experiments.trials.table import read_texts
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
    columns = {key: _list_columns(key) for key in _PREFIXES}
    rows = read_texts(path, tuple(name for names in columns.values() for name in names))
    for key, (total, *items) in columns.items():
        scores = rows[[total, *items]].astype(float)
        beyond = scores[items] > list(load_dictionary().instruments[key].item_highs)
        wrong = beyond.any(axis=1) | (scores[items].sum(axis=1) != scores[total])
        rows.loc[scores.notna().all(axis=1) & wrong, [total, *items]] = None
    return pa.Table.from_pandas(rows, preserve_index=False)


def _list_columns(key: str) -> tuple[str, ...]:
    count = len(load_dictionary().instruments[key].item_highs)
    return (f"{key}_baseline", *(f"{_PREFIXES[key]}{number}" for number in range(1, count + 1)))
