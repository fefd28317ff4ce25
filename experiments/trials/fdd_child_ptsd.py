"""Children after a fireworks disaster: those whose parents reported before treatment."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from experiments.trials.table import read_texts

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
    rows = read_texts(path, (BASELINE,))
    return pa.Table.from_pandas(rows[rows[BASELINE].notna()], preserve_index=False)
