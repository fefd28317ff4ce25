"""A wide export of clinic software: a row per course, and a block of columns per assessment."""

from pathlib import Path

import pandas as pd

from experiments.simulator.exports.clinic import BACKGROUND, FLAGS, FORMS, ITEMS, REGIMEN, Clinic
from experiments.simulator.exports.layout import ANSWERS, FLAG_WORDS, Words, lay_out, write_csv

_WORDS: Words = {
    "condition": {"depression": "MDD", "anxiety": "GAD", "ptsd": "PTSD"},
    "sex": {"female": "Female", "male": "Male"},
    "agent": {"ketamine": "Ketamine", "esketamine": "Spravato"},
    "route": {
        **{"iv": "Intravenous", "im": "Intramuscular", "sc": "Subcutaneous"},
        **{"intranasal": "Intranasal", "sublingual": "Sublingual", "oral": "Oral"},
    },
    **dict.fromkeys(FLAGS, FLAG_WORDS),
    **dict.fromkeys(ITEMS, ANSWERS),
}
_CHART = {
    **{"Patient ID": "patient_id", "Course #": "course", "Location": "site"},
    **{"Date of Birth": "born", "Sex at Birth": "sex", "Primary Diagnosis": "condition"},
    **{"Intake Date": "assessed_on", "First Treatment Date": "first_dose"},
    **{"Height (cm)": "height_cm", "Weight (kg)": "weight_kg"},
    **{name.replace("_", " ").title(): name for name in (*BACKGROUND, *REGIMEN)},
    "simulated": "simulated",
}
_SCALES = {"phq9": "PHQ-9", "gad7": "GAD-7"}
_BLOCK = {
    "Date": "date",
    **{
        f"{_SCALES[key]} Q{name.partition('_')[2]}": name
        for key in FORMS
        for name in ITEMS
        if name.startswith(key)
    },
    **{"PHQ-9 Total": "phq9", "GAD-7 Total": "gad7"},
    **{"PCL-5 Total": "pcl5", "MADRS Total": "madrs"},
}
_BLOCKS = range(1, 6)
# Such exports have hundreds of columns that no study needs.
_UNWANTED = {
    **{f"Vitals {number} Note": "" for number in range(1, 21)},
    **{f"Consent Form {number}": "signed" for number in range(1, 11)},
    **{"Pharmacy": "", "Referral Source": "", "Plan Type": "", "Balance": "0.00"},
}


def write_wide(clinic: Clinic, folder: Path) -> list[Path]:
    """Write one row per course, with date, answers and totals of each of its assessments."""
    late = clinic.strays[clinic.strays["visit"] == "late"]
    visits = pd.concat([clinic.visits, late]).sort_values(["record", "date"], kind="stable")
    number = visits.groupby("record").cumcount() + 1
    table = lay_out(clinic.courses, {"record": "record", **_CHART}, _WORDS)
    for block in _BLOCKS:
        here = lay_out(visits[number == block], {"record": "record", **_BLOCK}, _WORDS)
        here = here.rename(columns={name: f"{name} ({block})" for name in _BLOCK})
        table = table.merge(here, how="left")
    table = table.drop(columns="record").assign(**_UNWANTED)
    return [write_csv(table, folder / "chart_export.csv")]
