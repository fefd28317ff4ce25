"""A file of SPSS: labelled codes, and codes for what is missing."""

from pathlib import Path

import numpy as np
import pandas as pd

from experiments.simulator.exports.clinic import BACKGROUND, FLAGS, ITEMS, REGIMEN, TOTALS, Clinic
from experiments.simulator.exports.layout import ANSWERS, FLAG_CODES, Words, lay_out

_NOT_ASKED, _REFUSED = -9, -8
_FLAGS = {0: "No", 1: "Yes"}
_LABELS: Words = {
    "condition": {1: "Major depression", 2: "Anxiety disorder", 3: "PTSD"},
    "sex": {1: "Female", 2: "Male"},
    "agent": {1: "Ketamine", 2: "Esketamine"},
    "route": {1: "IV", 2: "IM", 3: "SC", 4: "Intranasal", 5: "Sublingual", 6: "Oral"},
    **dict.fromkeys(FLAGS, _FLAGS),
    **dict.fromkeys(ITEMS, ANSWERS),
}
_CODES: Words = {
    "condition": {"depression": 1, "anxiety": 2, "ptsd": 3},
    "sex": {"female": 1, "male": 2},
    "agent": {"ketamine": 1, "esketamine": 2},
    "route": {"iv": 1, "im": 2, "sc": 3, "intranasal": 4, "sublingual": 5, "oral": 6},
    **dict.fromkeys(FLAGS, FLAG_CODES),
}
_FOLLOWUPS = {
    **{"PHQ9_W6": "phq9_acute", "PHQ9_W12": "phq9_week12", "GAD7_W6": "gad7_acute"},
    **{"GAD7_W12": "gad7_week12", "MADRS_D1": "madrs_day1", "MADRS_W6": "madrs_acute"},
}
_LAYOUT = {
    **{"ID": "patient_id", "COURSE": "course", "SITE": "site", "ASSESSED": "assessed_on"},
    **{"BIRTH": "born", "DIAGNOSIS": "condition", "SEX": "sex"},
    **{"HEIGHT_CM": "height_cm", "WEIGHT_KG": "weight_kg"},
    **{name.upper(): name for name in (*BACKGROUND, *REGIMEN, *ITEMS)},
    **{f"{name.upper()}_BL": name for name in TOTALS},
    **_FOLLOWUPS,
    "simulated": "simulated",
}


def write_spss(clinic: Clinic, folder: Path) -> list[Path]:
    """Write one row per course; missing values have one of two codes, by turns."""
    import pyreadstat  # an extra: the other shapes do without

    table = lay_out(clinic.courses, _LAYOUT, _CODES)
    numbers = [name for name in table if pd.api.types.is_numeric_dtype(table[name])]
    code = np.where(np.arange(len(table)) % 2, _NOT_ASKED, _REFUSED)
    for name in numbers:
        table[name] = table[name].astype(float).where(table[name].notna(), code)
    for name in ("ASSESSED", "BIRTH"):
        table[name] = table[name].dt.date
    path = folder / "outcomes.sav"
    missing = {_NOT_ASKED: "Not asked", _REFUSED: "Refused"}
    labels = {name: {**_LABELS.get(_LAYOUT[name], {}), **missing} for name in numbers}
    pyreadstat.write_sav(
        table.astype(dict.fromkeys(table.select_dtypes("string"), object)),
        path,
        file_label="SIMULATED",
        variable_value_labels=labels,
        missing_ranges={name: list(missing) for name in numbers},
    )
    return [path]
