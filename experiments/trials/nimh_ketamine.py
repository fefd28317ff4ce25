"""The NIMH crossover trial as OpenNeuro lays it out: two tables, scans as rows.

A cohort needs one row per infusion: the baseline scan's measurements, what was infused, and the
scores two and ten days after it.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.base.errors import CohortError, Problem

_SCALES = {"madrs": "MADRS_Total", "hamd17": "HAM17_Total"}
_PATIENT_GROUPS = ("MDD", "BP")
_NOT_AVAILABLE = "n/a"

Row = dict[str, str]
_Scans = dict[tuple[str, str], Row]


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
    participants = _read_table(folder, "participants.tsv")
    scans = {
        (row["participant_id"], row["session_id"]): row
        for row in _read_table(folder, "phenotype/phenotype.tsv")
    }
    infusions = [row for person in participants for row in _list_infusions(person, scans)]
    return pa.Table.from_pylist(infusions)


def _read_table(folder: Path, name: str) -> list[Row]:
    try:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError):
        message = f"must be in the folder given with --cohort, as in OpenNeuro ds005917: {name}"
        raise CohortError([Problem(name, "exists", message)], source=folder.name) from None


# The baseline scan precedes both: no score was taken between the first infusion's last scan and
# the second infusion.
def _list_infusions(person: Row, scans: _Scans) -> Iterator[dict[str, Any]]:
    if person["group"] not in _PATIENT_GROUPS:
        return
    for order in (1, 2):
        infusion = person[f"infusion_{order}"]
        if infusion != _NOT_AVAILABLE:
            yield {
                **{name: person[name] for name in ("participant_id", "age", "sex", "BMI", "group")},
                "infusion": infusion,
                "order": str(order),
                **_read_scores(scans, person["participant_id"], infusion),
            }


def _read_scores(scans: _Scans, participant: str, infusion: str) -> dict[str, str | None]:
    scores: dict[str, str | None] = {}
    for name, column in _SCALES.items():
        for suffix, session in (("", "b0"), ("_day2", f"{infusion}2"), ("_day10", f"{infusion}10")):
            text = scans.get((participant, f"ses-{session}"), {}).get(column, _NOT_AVAILABLE)
            scores[name + suffix] = None if text == _NOT_AVAILABLE else text
    return scores
