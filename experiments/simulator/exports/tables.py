"""Long exports: one table of items by visit, and three tables that are joined on the patient."""

from pathlib import Path

import pandas as pd

from experiments.simulator.exports.clinic import (
    BACKGROUND,
    FLAGS,
    FORMS,
    ITEMS,
    REGIMEN,
    TOTALS,
    Clinic,
)
from experiments.simulator.exports.layout import FLAG_WORDS, Words, lay_out, write_csv

_VISITS = {"baseline": "Baseline", "day1": "Day 1", "acute": "Week 6", "week12": "Week 12"}
_WORDS: Words = {
    "visit": _VISITS,
    "sex": {"female": "F", "male": "M"},
    **dict.fromkeys(FLAGS, FLAG_WORDS),
}
_KEYS = {"patient": "patient_id", "course": "course", "visit": "visit"}
_FACTS = {
    **{"clinic": "site", "assessed": "assessed_on", "diagnosis": "condition"},
    **{"birth_year": "birth_year", "gender": "sex", "height": "height_cm", "weight": "weight_kg"},
    **{name: name for name in BACKGROUND},
    **{f"planned_{name}": name for name in REGIMEN},
    "simulated": "simulated",
}
_ITEM_CODES = {f"{name.replace('_', '_0').upper()}": name for name in ITEMS}
_TOTAL_CODES = {f"{name.upper()}_TOTAL": name for name in TOTALS}
_PATIENTS = {
    **{"patient": "patient_id", "clinic": "site", "birth_date": "born", "sex": "sex"},
    **{"diagnosis": "condition", "height_cm": "height_cm", "weight_kg": "weight_kg"},
    **{name: name for name in BACKGROUND},
    "simulated": "simulated",
}
_DOSES = {
    **{"patient": "patient_id", "given_on": "date", "session": "number", "drug": "agent"},
    **{"route": "route", "mg_per_kg": "dose_mg_kg", "mg": "dose_mg"},
    **{"planned_sessions": "sessions", "planned_weeks": "weeks"},
}
_SCALES = {
    **{"PHQ-9": "phq9_sum", "GAD-7": "gad7_sum", "PCL-5": "pcl5", "MADRS": "madrs"},
}


def write_long(clinic: Clinic, folder: Path) -> list[Path]:
    """Write one table of patient, course, visit, item, value; facts are items of the baseline."""
    courses = clinic.courses.assign(visit="baseline", birth_year=clinic.courses["born"].dt.year)
    # Forms that are filled in at follow-up are not added up.
    later = clinic.visits["visit"] != "baseline"
    visits = clinic.visits.assign(
        **{key: clinic.visits[key].mask(later) for key in FORMS},
    )
    facts = lay_out(courses, {**_KEYS, **_FACTS}, _WORDS)
    facts["assessed"] = facts["assessed"].dt.strftime("%Y-%m-%d")
    scores = lay_out(visits, {**_KEYS, **_ITEM_CODES, **_TOTAL_CODES}, _WORDS)
    parts = [
        part.astype("string").melt(list(_KEYS), var_name="item").dropna(subset="value")
        for part in (facts, scores)
    ]
    return [write_csv(pd.concat(parts), folder / "visits.csv")]


def write_tables(clinic: Clinic, folder: Path) -> list[Path]:
    """Write patients, doses and scores by date; which course and horizon follows from the dates."""
    patients = lay_out(clinic.courses, _PATIENTS, _WORDS).drop_duplicates("patient")
    visits = pd.concat([clinic.visits, clinic.strays]).sort_values(["patient_id", "date"])
    keys = {"patient": "patient_id", "date": "date"}
    scores = lay_out(visits, {**keys, **_SCALES}, {})
    scores = scores.melt(list(keys), var_name="scale", value_name="score").dropna(subset="score")
    return [
        write_csv(patients, folder / "demographics.csv"),
        write_csv(lay_out(clinic.doses, _DOSES, _WORDS), folder / "dosing.csv"),
        write_csv(scores, folder / "scores.csv"),
    ]
