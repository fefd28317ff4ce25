"""Children after a fireworks disaster: those whose parents reported before treatment."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from experiments.trials.table import read_rows

BASELINE = "yp1"


def read_children(path: Path | None) -> Any:
    """Read the trial's table, one row per child.

    Returns
    -------
    pyarrow.Table
        Texts as on disk. Of 52 children, 6 have no parent's report before treatment: without a
        baseline there is no assessment, and they are left out.

    Raises
    ------
    CohortError
        If it is not the trial's table.
    """
    rows = read_rows(path, (BASELINE,))
    return pa.Table.from_pylist([row for row in rows if row[BASELINE] is not None])
