"""The NIMH crossover trial as OpenNeuro lays it out: two tables, scans as rows.

A cohort needs one row per infusion: the baseline scan's measurements, what was infused, and the
scores two and ten days after it.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from features.base.errors import CohortError, Problem

_SCALES = {"madrs": "MADRS_Total", "hamd17": "HAM17_Total"}
_PATIENT_GROUPS = ("MDD", "BP")
_NOT_AVAILABLE = "n/a"
_DESCRIBED = ("participant_id", "age", "sex", "BMI", "group", "infusion", "order")


def read_infusions(folder: Path | None) -> Any:
    """Read the data set's folder as one row per infusion of a patient.

    Healthy volunteers, and infusions that did not take place, are not treatment courses.

    Returns
    -------
    pyarrow.Table
        Texts as on disk, ``n/a`` missing.

    Raises
    ------
    CohortError
        If the folder is not laid out as ds005917.
    """
    if folder is None:
        raise CohortError([Problem("cohort", "required", "name the folder with --cohort")])
    people = _read_table(folder, "participants.tsv")
    people = people[people["group"].isin(_PATIENT_GROUPS)]
    by_order = [
        people.assign(infusion=people[f"infusion_{order}"], order=order) for order in ("1", "2")
    ]
    infusions = pd.concat(by_order).sort_index(kind="stable")[list(_DESCRIBED)]
    infusions = infusions[infusions["infusion"] != _NOT_AVAILABLE]
    scans = _read_table(folder, "phenotype/phenotype.tsv")
    scans = scans.set_index(["participant_id", "session_id"]).replace(_NOT_AVAILABLE, None)
    # The baseline scan precedes both: no score was taken between the first infusion's last scan
    # and the second infusion.
    sessions = {
        "": "ses-b0",
        "_day2": "ses-" + infusions["infusion"] + "2",
        "_day10": "ses-" + infusions["infusion"] + "10",
    }
    for name, column in _SCALES.items():
        for suffix, session in sessions.items():
            scanned = infusions[["participant_id"]].assign(session=session)
            scores = scans[column].reindex(pd.MultiIndex.from_frame(scanned))
            infusions[name + suffix] = scores.to_numpy()
    return pa.Table.from_pandas(infusions.astype(object), preserve_index=False)


def _read_table(folder: Path, name: str) -> Any:
    try:
        return pd.read_csv(folder / name, sep="\t", dtype=object, keep_default_na=False)
    except (OSError, ValueError):  # pandas's errors of parsing are ValueErrors
        message = f"must be in the folder given with --cohort, as in OpenNeuro ds005917: {name}"
        raise CohortError([Problem(name, "exists", message)], source=folder.name) from None
