"""REDCap: a longitudinal project as CSV with its data dictionary, and a classic one as API JSON."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.simulator.exports.clinic import (
    BACKGROUND,
    FLAGS,
    FOLLOWUPS,
    FORMS,
    HISTORY,
    ITEMS,
    TOTALS,
    Clinic,
)
from experiments.simulator.exports.layout import ANSWERS, FLAG_CODES, Words, lay_out, write_csv
from features.base.files import write_bytes_atomic

_EVENTS = {
    "baseline": "baseline_arm_1",
    "day1": "day_1_arm_1",
    "acute": "week_6_arm_1",
    "week12": "week_12_arm_1",
}
_BOXES = {f"history___{number}": name for number, name in enumerate(HISTORY, 1)}
_MEASURED = tuple(name for name in BACKGROUND if name not in HISTORY)
_ENROLMENT = {
    **{"record_id": "record", "redcap_data_access_group": "site", "study_id": "patient_id"},
    **{"course_no": "course", "dob": "born", "assessed": "assessed_on", "dx": "condition"},
    **{name: name for name in ("sex", "height_cm", "weight_kg", *_MEASURED)},
    **_BOXES,
    **{"n_sessions": "sessions", "n_weeks": "weeks", "simulated": "simulated"},
}
_SCORES = {"record_id": "record", **{name: name for name in (*ITEMS, *TOTALS)}}
_DOSES = {
    **{"record_id": "record", "redcap_repeat_instance": "number", "dose_date": "date"},
    **{"dose_agent": "agent", "dose_route": "route", "dose_mg": "dose_mg"},
    "dose_mg_kg": "dose_mg_kg",
}
_CODES: Words = {
    "condition": {"depression": 1, "anxiety": 2, "ptsd": 3},
    "sex": {"female": 0, "male": 1},
    "agent": {"ketamine": 1, "esketamine": 2},
    "route": {"iv": 1, "im": 2, "sc": 3, "intranasal": 4, "sublingual": 5, "oral": 6},
    **dict.fromkeys(FLAGS, FLAG_CODES),
}
_ORDER = (
    *("record_id", "redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance"),
    *(name for name in (*_ENROLMENT, *_SCORES, *_DOSES) if name != "redcap_repeat_instance"),
)
_DICTIONARY = (
    *("Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label"),
    *("Choices, Calculations, OR Slider Labels", "Field Note"),
    *("Text Validation Type OR Show Slider Number", "Text Validation Min", "Text Validation Max"),
    *("Identifier?", "Branching Logic (Show field only if...)", "Required Field?"),
    *("Custom Alignment", "Question Number (surveys only)", "Matrix Group Name"),
    *("Matrix Ranking?", "Field Annotation"),
)
_CHOICES = {
    "dx": "1, Major depression | 2, Anxiety disorder | 3, PTSD",
    "sex": "0, Female | 1, Male",
    "dose_agent": "1, Ketamine | 2, Esketamine",
    "dose_route": "1, IV | 2, IM | 3, SC | 4, Intranasal | 5, Sublingual | 6, Oral",
    **dict.fromkeys(ITEMS, " | ".join(f"{code}, {word}" for code, word in ANSWERS.items())),
}
_HISTORY_CHOICES = " | ".join(
    f"{number}, {name.replace('_', ' ').capitalize()}" for number, name in enumerate(HISTORY, 1)
)
_API = {
    **{"record_id": "record", "study_id": "patient_id", "course_no": "course", "clinic": "site"},
    **{"dob": "born", "assessed": "assessed_on", "dx": "condition", "sex": "sex"},
    **{name: name for name in ("height_cm", "weight_kg", *_MEASURED)},
    **_BOXES,
    **{"agent": "agent", "route": "route", "dose_mg": "dose_mg", "dose_mg_kg": "dose_mg_kg"},
    **{"n_sessions": "sessions", "n_weeks": "weeks", "simulated": "simulated"},
}
# The suffix of a visit's fields in a project without events.
_SUFFIXES = {"baseline": "bl", "day1": "d1", "acute": "w6", "week12": "w12"}


def write_redcap(clinic: Clinic, folder: Path) -> list[Path]:
    """Write a longitudinal project: a row per record and event, and per repeat of `dosing`.

    A record is a course: a patient who is treated twice has two, with the same `study_id`.
    """
    enrolled = lay_out(clinic.courses, _ENROLMENT, _CODES)
    scores = _leave_sums_out(lay_out(clinic.visits, _SCORES, {}), clinic.visits["visit"])
    scores = scores.assign(redcap_event_name=clinic.visits["visit"].map(_EVENTS))
    doses = lay_out(clinic.doses, _DOSES, _CODES).assign(redcap_repeat_instrument="dosing")
    enrolled, doses = (
        table.assign(redcap_event_name=_EVENTS["baseline"]) for table in (enrolled, doses)
    )
    rows = pd.concat([scores.merge(enrolled, how="left"), doses])
    rows = rows.sort_values("record_id", kind="stable")[list(dict.fromkeys(_ORDER))]
    return [
        write_csv(rows, folder / "redcap.csv"),
        write_csv(_describe_fields(), folder / "redcap_dictionary.csv"),
    ]


def _leave_sums_out(scores: Any, visit: Any) -> Any:
    # Follow-up visits have item answers without totals.
    return scores.assign(
        **{key: scores[key].where(visit == "baseline") for key in FORMS if key in scores}
    )


def _describe_fields() -> Any:
    fields = [
        ("record_id", "enrolment", "text", "Record", "", ""),
        ("study_id", "enrolment", "text", "Study code", "", ""),
        ("course_no", "enrolment", "text", "Course of treatment", "", "integer"),
        ("dob", "enrolment", "text", "Date of birth", "", "date_ymd"),
        ("assessed", "enrolment", "text", "Assessed on", "", "date_ymd"),
        ("history", "enrolment", "checkbox", "History", _HISTORY_CHOICES, ""),
        ("simulated", "enrolment", "yesno", "Simulated patient", "", ""),
        ("dose_date", "dosing", "text", "Date of dose", "", "date_ymd"),
        *((name, "enrolment", "text", name, "", "number") for name in ("height_cm", "weight_kg")),
        *((name, "enrolment", "text", name, "", "number") for name in _MEASURED),
        *((name, "enrolment", "text", name, "", "integer") for name in ("n_sessions", "n_weeks")),
        *((name, "scales", "text", f"{name.upper()} total", "", "integer") for name in TOTALS),
        *((name, "dosing", "text", name, "", "number") for name in ("dose_mg", "dose_mg_kg")),
        *(
            (name, "scales" if name in ITEMS else "enrolment", "radio", name, choices, "")
            for name, choices in _CHOICES.items()
        ),
    ]
    columns = [_DICTIONARY[number] for number in (0, 1, 3, 4, 5, 7)]
    return pd.DataFrame(fields, columns=columns).reindex(columns=list(_DICTIONARY), fill_value="")


def _list_scores(visit: str) -> list[str]:
    # A project has the fields of every visit, whether it took place or not.
    scales = {name.removesuffix(f"_{visit}") for name in FOLLOWUPS if name.endswith(f"_{visit}")}
    names = (*ITEMS, *TOTALS)
    return [name for name in names if visit == "baseline" or name.partition("_")[0] in scales]


def write_redcap_api(clinic: Clinic, folder: Path) -> list[Path]:
    """Write what the API of a classic project answers: one object per record, all texts."""
    table = lay_out(clinic.courses, _API, _CODES)
    for visit, suffix in _SUFFIXES.items():
        scores = clinic.visits[clinic.visits["visit"] == visit]
        layout = {name: name for name in ("record", *_list_scores(visit))}
        laid = _leave_sums_out(lay_out(scores, layout, {}), scores["visit"])
        laid = laid.set_index("record").add_suffix(f"_{suffix}")
        table = table.join(laid, on="record_id")
    for name in ("dob", "assessed"):
        table[name] = table[name].dt.strftime("%Y-%m-%d")
    records = table.astype("string").fillna("").to_dict("records")
    path = folder / "redcap_api.json"
    write_bytes_atomic(path, json.dumps(records, indent=1).encode())
    return [path]
