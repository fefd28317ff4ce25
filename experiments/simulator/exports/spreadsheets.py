"""Spreadsheets: a workbook with a title and a merged header of two rows, and a German CSV file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.simulator.exports.clinic import BACKGROUND, FLAGS, REGIMEN, Clinic
from experiments.simulator.exports.layout import FLAG_WORDS, Words, lay_out, write_csv
from experiments.simulator.exports.workbook import write_workbook

_TITLE = "SIMULATED patients: ketamine clinic, outcomes by course"
_NOTE = "Blank: not recorded."
_WORDS: Words = {"sex": {"female": "F", "male": "M"}, **dict.fromkeys(FLAGS, FLAG_WORDS)}
# Upper header = lower header, if there is one = field.
_SHEET: Mapping[str, Mapping[str | None, str]] = {
    "Patient": {
        **{"ID": "patient_id", "Course": "course", "Site": "site", "Assessed": "assessed_on"},
        **{"Diagnosis": "condition", "Age": "age", "Sex": "sex", "BMI": "bmi"},
        **{name.replace("_", " ").capitalize(): name for name in BACKGROUND},
    },
    "Treatment": {name.replace("_", " ").capitalize(): name for name in REGIMEN},
    "Baseline": {"PHQ-9": "phq9_sum", "GAD-7": "gad7_sum", "PCL-5": "pcl5", "MADRS": "madrs"},
    "Day 1": {"MADRS": "madrs_day1"},
    "Week 6": {"PHQ-9": "phq9_acute", "GAD-7": "gad7_acute", "MADRS": "madrs_acute"},
    "Week 12": {"PHQ-9": "phq9_week12", "GAD-7": "gad7_week12"},
    "simulated": {None: "simulated"},
}
_GERMAN = {
    **{"Patienten-Nr": "patient_id", "Behandlung Nr": "course", "Zentrum": "site"},
    **{"Erhoben am": "assessed_on", "Diagnose": "condition", "Geburtsdatum": "born"},
    **{"Geschlecht": "sex", "Größe (m)": "height_m", "Gewicht (kg)": "weight_kg"},
    **{"Antidepressiva ohne Erfolg": "failed_antidepressants"},
    **{"Episode (Monate)": "episode_months", "Benzodiazepin (mg/Tag)": "benzodiazepine_mg"},
    **{"Bipolare Störung": "bipolar", "Chronischer Schmerz": "chronic_pain"},
    **{"PTBS": "ptsd_comorbid", "Persönlichkeitsstörung": "personality_disorder"},
    **{"Suizidversuch": "suicide_attempt", "Wirkstoff": "agent", "Weg": "route"},
    **{"Dosis (mg/kg)": "dose_mg_kg", "Dosis (mg)": "dose_mg"},
    **{"Sitzungen": "sessions", "Wochen": "weeks"},
    **{"PHQ-9 Beginn": "phq9_sum", "GAD-7 Beginn": "gad7_sum", "PCL-5 Beginn": "pcl5"},
    **{"MADRS Beginn": "madrs", "MADRS Tag 1": "madrs_day1", "PHQ-9 Woche 6": "phq9_acute"},
    **{"GAD-7 Woche 6": "gad7_acute", "MADRS Woche 6": "madrs_acute"},
    **{"PHQ-9 Woche 12": "phq9_week12", "GAD-7 Woche 12": "gad7_week12"},
    "simulated": "simulated",
}
_GERMAN_CSV = {
    **{"sep": ";", "decimal": ",", "encoding": "cp1252"},
    **{"date_format": "%d/%m/%Y", "lineterminator": "\r\n"},
}
_GERMAN_FLAGS = {False: "nein", True: "ja"}
_GERMAN_WORDS: Words = {
    "sex": {"female": "weiblich", "male": "männlich"},
    "condition": {
        "depression": "Depression",
        "anxiety": "Angststörung",
        "ptsd": "Posttraumatische Belastungsstörung",
    },
    "agent": {"ketamine": "Ketamin", "esketamine": "Esketamin"},
    "route": {
        **{"iv": "intravenös", "im": "intramuskulär", "sc": "subkutan"},
        **{"intranasal": "nasal", "sublingual": "sublingual", "oral": "oral"},
    },
    **dict.fromkeys(FLAGS, _GERMAN_FLAGS),
}


def write_sheet(clinic: Clinic, folder: Path) -> list[Path]:
    """Write a workbook of totals, one row per course, as kept by hand."""
    layout = {
        (upper, lower): ours for upper, part in _SHEET.items() for lower, ours in part.items()
    }
    numbered = dict(enumerate(layout.values()))
    table = lay_out(clinic.courses, {str(n): ours for n, ours in numbered.items()}, _WORDS)
    upper = [name for group, part in _SHEET.items() for name in [group] + [None] * (len(part) - 1)]
    rows: list[list[Any]] = [[_TITLE], [], upper, [lower for _, lower in layout]]
    rows += table.astype(object).where(table.notna(), None).values.tolist()
    path = folder / "outcomes.xlsx"
    write_workbook(path, [*rows, [], [_NOTE]], _list_merged())
    return [path]


def _list_merged() -> list[tuple[int, int, int]]:
    spans, first = [(1, 1, 8)], 1
    for part in _SHEET.values():
        last = first + len(part) - 1
        if last > first:  # Excel merges no single cell
            spans.append((3, first, last))
        first = last + 1
    return spans


def write_german(clinic: Clinic, folder: Path) -> list[Path]:
    """Write what a German Excel saves as CSV: semicolons, decimal commas, Windows-1252."""
    courses = clinic.courses.assign(height_m=clinic.courses["height_cm"] / 100)
    table = lay_out(courses, _GERMAN, _GERMAN_WORDS)
    return [write_csv(table, folder / "export.csv", **_GERMAN_CSV)]
